//! The robust mutex that its owner may take again, without data.

use core::fmt;

use shmkit_atomic::Ordering::Relaxed;
#[cfg(not(loom))]
use shmkit_layout::{NameWords, Names, Shared};
use shmkit_roster::{Judge, OwnerId};

use crate::outcome::Taken;
use crate::word::{Word, Word64};
use crate::{LockFailure, NotOwner, Outcome, Patience, RawMutex, ThreadToken};

/// A mutex that guards nothing by itself, works between processes, survives its owners, and may be taken again by the
/// thread that holds it.
///
/// ```text
/// mutex     the RawMutex that excludes processes and threads from each other
/// who       63 .. 32 owner id | 31 .. 0 token of the thread that holds the mutex; 0 = nobody. Written by the holder
/// depth     how often that thread has taken it, from 1. Written by the holder
/// reserved  0
/// ```
///
/// The owner is a *thread* of a process. `who` is a thread's own pair of numbers only from after it has taken the mutex
/// until before it releases it: no thread of another process has this id, no other thread of this process this token,
/// and neither is ever given again. A forked child's thread has its parent's token and another id.
///
/// *If a peer dies* while it holds the lock, its heir overwrites `who` and `depth` with its own: a count is never
/// inherited.
#[repr(C)]
pub struct RawReentrantMutex {
    mutex: RawMutex,
    who: Word64,
    depth: Word,
    reserved: Word,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawReentrantMutex>() == 32, "part of the segment format");

// SAFETY: `repr(C)`, made of `Shared` types: 16, 8, and twice 4 bytes.
#[cfg(not(loom))]
unsafe impl Shared for RawReentrantMutex {}

impl RawReentrantMutex {
    /// The words that name participants.
    #[cfg(not(loom))]
    pub const NAMES: Names =
        [RawMutex::NAMES, NameWords::upper(16, 8, 1), NameWords::NONE, NameWords::NONE];

    shmkit_atomic::const_unless_loom! {
        /// Makes a free mutex. All zero bytes are one.
        pub fn new() -> RawReentrantMutex {
            RawReentrantMutex {
                mutex: RawMutex::new(),
                who: Word64::new(0),
                depth: Word::new(0),
                reserved: Word::new(0),
            }
        }
    }

    /// Takes the lock, at once if this thread holds it, and otherwise sleeping while somebody else holds it,
    /// for as long as the caller has `patience`.
    ///
    /// # Errors
    ///
    /// [`LockFailure`]; the lock was not taken (again).
    ///
    /// # If a peer dies
    ///
    /// The lock is taken over within about 40 ms of the death, and the outcome says so.
    #[inline]
    pub fn lock<'p, J: Judge + ?Sized>(
        &self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Outcome, LockFailure> {
        let me = judge.me().ok_or(LockFailure::NotJoined)?;
        self.take(me, ThreadToken::current(), judge, patience).map(Taken::outcome)
    }

    /// Takes the lock if this thread or nobody alive holds it.
    ///
    /// # Errors
    ///
    /// [`LockFailure::WouldBlock`] and the others but `TimedOut`; the lock was not taken (again).
    ///
    /// # If a peer dies
    ///
    /// The lock is taken over at once, and the outcome says so.
    #[inline]
    pub fn try_lock<J: Judge + ?Sized>(&self, judge: &J) -> Result<Outcome, LockFailure> {
        let me = judge.me().ok_or(LockFailure::NotJoined)?;
        self.try_take(me, ThreadToken::current(), judge).map(Taken::outcome)
    }

    /// Undoes one [`lock`](Self::lock) of this thread; the last one releases the lock and wakes one sleeper.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if this thread does not hold the lock: nothing was touched.
    ///
    /// # Safety
    ///
    /// Whatever the caller took the lock for this time is over. The lock was taken once for each call of this.
    #[inline]
    pub unsafe fn unlock<J: Judge + ?Sized>(&self, judge: &J) -> Result<(), NotOwner> {
        let me = judge.me().ok_or(NotOwner)?;
        self.release(me, ThreadToken::current())
    }

    /// Answers for the data: it is whole again, whatever has happened.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if this thread does not hold the lock: nothing was touched.
    pub fn make_consistent<J: Judge + ?Sized>(&self, judge: &J) -> Result<(), NotOwner> {
        if self.depth(judge) == 0 {
            return Err(NotOwner);
        }
        self.mutex.make_consistent(judge)
    }

    /// Returns how often this thread has taken the lock, and not released it.
    pub fn depth<J: Judge + ?Sized>(&self, judge: &J) -> u32 {
        match judge.me() {
            Some(me) if self.is_mine(me, ThreadToken::current()) => self.levels(),
            _ => 0,
        }
    }

    /// Returns which process held the lock a moment ago.
    pub fn owner(&self) -> Option<OwnerId> {
        self.mutex.owner()
    }

    /// Returns the mutex below, to be looked at.
    pub(crate) fn mutex(&self) -> &RawMutex {
        &self.mutex
    }

    /// Returns whether this thread holds the lock.
    #[inline]
    pub(crate) fn is_mine(&self, me: OwnerId, thread: ThreadToken) -> bool {
        // Relaxed: if it says that it is us, it was we who wrote it, and we who take it away.
        self.who.load(Relaxed) == pair(me, thread)
    }

    /// [`lock`](Self::lock) for who knows its names already.
    #[inline]
    pub(crate) fn take<'p, J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        thread: ThreadToken,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Taken, LockFailure> {
        if self.is_mine(me, thread) {
            return self.again(me);
        }
        let taken = self.mutex.take(me, judge, patience)?;
        self.begin(me, thread, 1);
        Ok(taken)
    }

    /// [`try_lock`](Self::try_lock) for who knows its names already.
    #[inline]
    pub(crate) fn try_take<J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        thread: ThreadToken,
        judge: &J,
    ) -> Result<Taken, LockFailure> {
        if self.is_mine(me, thread) {
            return self.again(me);
        }
        let taken = self.mutex.try_take(me, judge)?;
        self.begin(me, thread, 1);
        Ok(taken)
    }

    /// [`unlock`](Self::unlock) for who knows its names already.
    #[inline]
    pub(crate) fn release(&self, me: OwnerId, thread: ThreadToken) -> Result<(), NotOwner> {
        if !self.is_mine(me, thread) {
            return Err(NotOwner);
        }
        let levels = self.levels();
        if levels > 1 {
            self.depth.store(levels - 1, Relaxed);
            return Ok(());
        }
        self.end(me)
    }

    /// Says that this thread has the mutex, which it has just taken, `levels` times.
    #[inline]
    pub(crate) fn begin(&self, me: OwnerId, thread: ThreadToken, levels: u32) {
        // Relaxed, both: written by the holder, and of use to the thread only that wrote them.
        self.depth.store(levels, Relaxed);
        self.who.store(pair(me, thread), Relaxed);
    }

    /// Releases the mutex, however often this thread has taken it.
    #[inline]
    pub(crate) fn end(&self, me: OwnerId) -> Result<(), NotOwner> {
        // Relaxed: before the release, so that nobody else's `who` is overwritten. Dead in between, we are a dead owner
        // like any other.
        self.who.store(0, Relaxed);
        self.mutex.release(me)
    }

    /// [`end`](Self::end) for whichever thread of this process has the mutex, which is not going to.
    #[cfg(not(loom))]
    pub(crate) fn break_up(&self, me: OwnerId) -> Result<(), NotOwner> {
        if self.owner() != Some(me) {
            return Err(NotOwner);
        }
        self.end(me)
    }

    /// Under the lock: how often its holder has taken it.
    #[inline]
    pub(crate) fn levels(&self) -> u32 {
        // Relaxed: written by the holder. It never writes 0.
        self.depth.load(Relaxed).max(1)
    }

    /// Under the lock: takes it once more.
    fn again(&self, me: OwnerId) -> Result<Taken, LockFailure> {
        if self.mutex.owner() != Some(me) {
            // `who` cannot be ours then, unless somebody wrote to it who must not.
            return Err(LockFailure::Corrupt { word: self.mutex.word.load(Relaxed) });
        }
        let levels = self.levels().checked_add(1).ok_or(LockFailure::TooDeep)?;
        self.depth.store(levels, Relaxed);
        Ok(self.mutex.taken(None))
    }
}

/// Returns what stands in `who` while this thread holds the lock.
#[inline]
fn pair(me: OwnerId, thread: ThreadToken) -> u64 {
    u64::from(me.get()) << 32 | u64::from(thread.get())
}

#[cfg(not(loom))]
impl RawReentrantMutex {
    /// Shows which thread holds the lock how often, as fields of something.
    pub(crate) fn describe_holder<J: Judge + ?Sized>(
        &self,
        judge: &J,
        debug: &mut fmt::DebugStruct<'_, '_>,
    ) {
        self.mutex.describe_holder(judge, debug);
        let who = self.who.load(Relaxed);
        let Some(owner) = self.owner().filter(|owner| u64::from(owner.get()) == who >> 32) else {
            return;
        };
        let ours = judge.me() == Some(owner);
        let thread = match who as u32 {
            number if ours && number == ThreadToken::current().get() => "this one",
            _ if ours => "another one",
            _ => "of another process",
        };
        debug.field("thread", &format_args!("{thread}")).field("depth", &self.levels());
    }
}

impl Default for RawReentrantMutex {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawReentrantMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = self.who.load(Relaxed);
        f.debug_struct("RawReentrantMutex")
            .field("mutex", &self.mutex)
            .field("thread", &(who as u32))
            .field("depth", &if who == 0 { 0 } else { self.levels() })
            .finish()
    }
}
