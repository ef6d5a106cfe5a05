//! The lock that anybody may release, as Python's `Lock`.

use core::fmt;

use shmkit_atomic::Ordering::{Relaxed, Release};
use shmkit_atomic::futex::{ALL, Op};
#[cfg(not(loom))]
use shmkit_layout::Shared;
use shmkit_roster::{Judge, OwnerId};

use crate::mutex::raw::{WAITERS, owner};
use crate::{Acquired, LockFailure, Patience, RawMutex, UnlockError};

/// A lock that one process acquires and any process may release.
///
/// ```text
/// RawMutex: its word says who has acquired the lock, its epoch how many of those have died; its state is not
/// looked at, so that a release takes UNCLEAN away
/// ```
///
/// It is acquired as a [`RawMutex`] is, and taken over from the dead as a `RawMutex` is. It is *released* by whoever
/// likes: the holder's id in the word is only a stamp, by which a death is noticed.
///
/// A release is a compare-exchange of the word that was looked at, and then a wake: not one step as a mutex's, because
/// the word may have come into other hands since. So *if a peer dies* between the two, the sleepers find the lock free at
/// the end of their slices.
#[repr(transparent)]
pub struct RawLock {
    mutex: RawMutex,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawLock>() == 16, "part of the segment format");

// SAFETY: `repr(transparent)`, a `Shared` type.
#[cfg(not(loom))]
unsafe impl Shared for RawLock {}

impl RawLock {
    shmkit_atomic::const_unless_loom! {
        /// Makes a free lock. All zero bytes are one.
        pub fn new() -> RawLock {
            RawLock { mutex: RawMutex::new() }
        }
    }

    /// Acquires the lock, sleeping while somebody else has it, for as long as the caller has `patience`.
    ///
    /// # Errors
    ///
    /// [`LockFailure`]; the lock was not acquired.
    ///
    /// # If a peer dies
    ///
    /// The lock is taken over within about 40 ms of the death, and the outcome names the dead.
    #[inline]
    pub fn acquire<'p, J: Judge + ?Sized>(
        &self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Acquired, LockFailure> {
        let me = judge.me().ok_or(LockFailure::NotJoined)?;
        self.take(me, judge, patience)
    }

    /// Acquires the lock if nobody alive has it.
    ///
    /// # Errors
    ///
    /// [`LockFailure::WouldBlock`] and the others but `TimedOut`; the lock was not acquired.
    ///
    /// # If a peer dies
    ///
    /// The lock is taken over at once, and the outcome names the dead.
    #[inline]
    pub fn try_acquire<J: Judge + ?Sized>(&self, judge: &J) -> Result<Acquired, LockFailure> {
        let me = judge.me().ok_or(LockFailure::NotJoined)?;
        self.try_take(me, judge)
    }

    /// Releases the lock, whoever has acquired it, and wakes one sleeper.
    ///
    /// # Errors
    ///
    /// [`UnlockError::NotLocked`] if nobody has acquired it, or if somebody else has released it at this moment.
    #[inline]
    pub fn release<J: Judge + ?Sized>(&self, judge: &J) -> Result<(), UnlockError> {
        judge.me().ok_or(UnlockError::Failed(LockFailure::NotJoined))?;
        self.give_up(None)
    }

    /// Returns who has acquired the lock, as of a moment ago.
    pub fn owner(&self) -> Option<OwnerId> {
        self.mutex.owner()
    }

    /// Returns the mutex that excludes.
    pub(crate) fn mutex(&self) -> &RawMutex {
        &self.mutex
    }

    /// [`acquire`](Self::acquire) for who knows its id already.
    #[inline]
    pub(crate) fn take<'p, J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Acquired, LockFailure> {
        if self.mutex.take_free(me) {
            return Ok(Acquired::Clean);
        }
        self.mutex.wait(me, judge, patience.into().ended_by_anybody()).map(Acquired::from)
    }

    /// [`try_acquire`](Self::try_acquire) for who knows its id already.
    #[inline]
    pub(crate) fn try_take<J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        judge: &J,
    ) -> Result<Acquired, LockFailure> {
        self.mutex.try_take(me, judge).map(|taken| taken.dead.into())
    }

    /// Releases the lock if `only` has acquired it, or whoever has if there is nobody special.
    pub(crate) fn give_up(&self, only: Option<OwnerId>) -> Result<(), UnlockError> {
        let word = &self.mutex.word;
        // Relaxed: the compare-exchange decides.
        let mut now = word.load(Relaxed);
        let corrupt = |word| UnlockError::Failed(LockFailure::Corrupt { word });
        let holder = owner(now).map_err(corrupt)?.ok_or(UnlockError::NotLocked)?;
        if only.is_some_and(|only| only != holder) {
            return Err(UnlockError::NotLocked);
        }
        // Release: pairs with the Acquire of who takes the word: what this caller has done, or was told of, is visible.
        while let Err(other) = word.compare_exchange(now, now & WAITERS, Release, Relaxed) {
            // Only a mark may have come. If the holder is another, somebody has released before us: what stands there
            // now is not ours to release.
            if other & OwnerId::MASK != holder.get() {
                return Err(UnlockError::NotLocked);
            }
            now = other;
        }
        if now & WAITERS != 0 && word.wake(1) == 0 {
            // Nobody slept. Whoever has come to sleep meanwhile is woken, and marks the word again.
            word.wake_op(Op::and_not(WAITERS), ALL);
        }
        Ok(())
    }
}

#[cfg(not(loom))]
impl RawLock {
    /// Shows what stands in the lock, with who has it in words, as fields of something.
    pub(crate) fn describe<J: Judge + ?Sized>(
        &self,
        judge: &J,
        debug: &mut fmt::DebugStruct<'_, '_>,
    ) {
        self.mutex.describe_holder(judge, debug);
        self.describe_rest(debug);
    }
}

impl RawLock {
    fn describe_rest(&self, debug: &mut fmt::DebugStruct<'_, '_>) {
        let waiters = self.mutex.word.load(Relaxed) & WAITERS != 0;
        debug.field("waiters", &waiters).field("deaths", &self.mutex.epoch());
    }
}

impl Default for RawLock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RawLock");
        debug.field("owner", &self.owner());
        self.describe_rest(&mut debug);
        debug.finish()
    }
}
