//! The robust mutex, without data.
//!
//! The release that wakes in one system call is what glibc's robust mutex lacks: between its release and its wake, or
//! between a wake and the woken waiter's retry, a kill lets the others sleep for ever on a free lock.

use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shmkit_atomic::futex::{ALL, Op, Wake};
#[cfg(not(loom))]
use shmkit_layout::{NameWords, Shared};
use shmkit_roster::{Judge, OwnerId, Verdict, ask};

use crate::outcome::{INCONSISTENT, POISONED, Taken, UNRECOVERABLE};
use crate::spin::Spin;
use crate::wait::Wait;
use crate::watch::Watch;
use crate::word::Word;
use crate::{LockFailure, NotOwner, Outcome, Patience};

/// Nobody holds the lock, nobody sleeps.
const FREE: u32 = 0;
/// Somebody may sleep on the word: who releases must wake. It is set whenever somebody sleeps, free lock or held.
pub(crate) const WAITERS: u32 = 1 << 31;
/// The state is not clean, or is not known to be: who takes the lock, and who releases it, looks there.
pub(crate) const UNCLEAN: u32 = 1 << 30;
/// Nobody holds the lock, and the state is not clean. A number that the kernel can store, with [`WAITERS`], in the step in
/// which it wakes: 12 bits, sign-extended. Every mark of the waiters that is taken away later leaves it unclean.
const FREE_UNCLEAN: u32 = UNCLEAN | OwnerId::NOBODY;

/// A mutex that guards nothing by itself, works between processes, and survives its owners.
///
/// ```text
/// word      31 WAITERS | 30 UNCLEAN: the state is not 0 | 29 .. 0 owner id, 0 or OwnerId::NOBODY = free
/// state     bits: 1 inconsistent, 2 unrecoverable, 4 poisoned: changed by the holder
/// epoch     deaths of owners, counted by their heirs
/// watch     when one of those who wait asks again whether the owner lives
/// ```
///
/// Who takes a word of 0 and gives it back as 0 never looks at the state: `state != 0` implies UNCLEAN in the word, at
/// every instruction, but after an owner's death, whose heir sets UNCLEAN by the compare-exchange that takes the lock.
///
/// The owner is a *process*: its threads exclude each other, and one may release what another took. It is not
/// recursive, and not fair: a sleeper goes to the end of the queue with each of its slices.
///
/// *If a peer dies* while it holds the lock, whoever wants it learns so from its [`Judge`] and takes over; of its
/// death while it sleeps, wakes or releases nobody takes notice.
#[repr(C)]
pub struct RawMutex {
    pub(crate) word: Word,
    pub(super) state: Word,
    epoch: Word,
    watch: Watch,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawMutex>() == 16, "part of the segment format");

// SAFETY: `repr(C)`, four atomic words, of which any value is handled.
#[cfg(not(loom))]
unsafe impl Shared for RawMutex {}

impl RawMutex {
    /// The words that name participants.
    #[cfg(not(loom))]
    pub const NAMES: NameWords = NameWords::one(0);

    shmkit_atomic::const_unless_loom! {
        /// Makes a free mutex. All zero bytes are one.
        pub fn new() -> RawMutex {
            RawMutex {
                word: Word::new(FREE),
                state: Word::new(0),
                epoch: Word::new(0),
                watch: Watch::new(),
            }
        }
    }

    /// Takes the lock, sleeping while somebody else holds it, for as long as the caller has `patience`.
    ///
    /// # Errors
    ///
    /// [`LockFailure`]; the lock was not taken.
    ///
    /// # If a peer dies
    ///
    /// The lock is taken over within about 40 ms of the death ([`Slices`](crate::Slices)), and the outcome says so.
    #[inline]
    pub fn lock<'p, J: Judge + ?Sized>(
        &self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Outcome, LockFailure> {
        let me = judge.me().ok_or(LockFailure::NotJoined)?;
        self.take(me, judge, patience).map(Taken::outcome)
    }

    /// Takes the lock if nobody alive holds it.
    ///
    /// # Errors
    ///
    /// [`LockFailure::WouldBlock`] and the others but `TimedOut`; the lock was not taken.
    ///
    /// # If a peer dies
    ///
    /// The lock is taken over at once, and the outcome says so.
    #[inline]
    pub fn try_lock<J: Judge + ?Sized>(&self, judge: &J) -> Result<Outcome, LockFailure> {
        let me = judge.me().ok_or(LockFailure::NotJoined)?;
        self.try_take(me, judge).map(Taken::outcome)
    }

    /// Releases the lock, and wakes one sleeper.
    ///
    /// After an owner's death, and without [`make_consistent`](Self::make_consistent), the data is given up:
    /// everybody is told [`Outcome::NotRecoverable`] from now on.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if this process does not hold the lock: nothing was touched.
    ///
    /// # Safety
    ///
    /// Whatever the caller took the lock for is over: nothing that it guards is borrowed any more. The lock was taken
    /// once for each call of this.
    #[inline]
    pub unsafe fn unlock<J: Judge + ?Sized>(&self, judge: &J) -> Result<(), NotOwner> {
        let me = judge.me().ok_or(NotOwner)?;
        self.release(me)
    }

    /// [`lock`](Self::lock), or [`try_lock`](Self::try_lock) without patience, for who has asked who it is already.
    ///
    /// # Errors
    ///
    /// Theirs, but `NotJoined`.
    ///
    /// # Safety
    ///
    /// `me` is what `judge` has answered to this thread since it was last forked.
    #[inline]
    pub unsafe fn lock_as<'p, J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        judge: &J,
        patience: Option<impl Into<Patience<'p>>>,
    ) -> Result<Outcome, LockFailure> {
        if self.take_free(me) {
            return Ok(self.taken(None).outcome());
        }
        let dead = match patience {
            Some(patience) => self.wait(me, judge, patience)?,
            None => self.try_once(me, judge)?,
        };
        Ok(self.taken(dead).outcome())
    }

    /// [`unlock`](Self::unlock), for who has asked who it is already.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if `me` does not hold the lock: nothing was touched.
    ///
    /// # Safety
    ///
    /// As for [`unlock`](Self::unlock), and `me` is who this process is.
    #[inline]
    pub unsafe fn unlock_as(&self, me: OwnerId) -> Result<(), NotOwner> {
        self.release(me)
    }

    /// Answers for the data: it is whole again, whatever has happened.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if this process does not hold the lock: nothing was touched.
    pub fn make_consistent<J: Judge + ?Sized>(&self, judge: &J) -> Result<(), NotOwner> {
        let me = judge.me().ok_or(NotOwner)?;
        // Relaxed: if it is our own id, it was this process that put it there.
        if self.word.load(Relaxed) & OwnerId::MASK != me.get() {
            return Err(NotOwner);
        }
        // Relaxed: the release of the lock publishes it, and takes UNCLEAN away.
        self.state.fetch_and(POISONED, Relaxed);
        Ok(())
    }

    /// Returns who held the lock a moment ago.
    pub fn owner(&self) -> Option<OwnerId> {
        owner(self.word.load(Relaxed)).ok().flatten()
    }

    /// Returns how many owners have died, as far as their heirs came to count them.
    pub fn epoch(&self) -> u32 {
        self.epoch.load(Relaxed)
    }

    /// Returns whether a thread panicked while it held the lock, and nobody has cleared that.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        // Relaxed: exact for a holder, to whom the lock has published it; a hint for others.
        self.state.load(Relaxed) & POISONED != 0
    }

    /// Says that a thread panicked while it held the lock. For holders.
    pub fn poison(&self) {
        // Relaxed, both: the release of the lock publishes it. The word first, so that no release overlooks the state.
        self.word.fetch_or(UNCLEAN, Relaxed);
        self.state.fetch_or(POISONED, Relaxed);
    }

    /// Forgets the panic.
    pub fn clear_poison(&self) {
        // Relaxed: about the state alone. A read-modify-write, like every change of the state: the holder may be at it.
        self.state.fetch_and(!POISONED, Relaxed);
    }

    /// [`lock`](Self::lock) for who knows its id already.
    #[inline]
    pub(crate) fn take<'p, J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Taken, LockFailure> {
        if self.take_free(me) {
            return Ok(Taken::PLAIN);
        }
        self.wait(me, judge, patience).map(|dead| self.taken(dead))
    }

    /// [`try_lock`](Self::try_lock) for who knows its id already.
    #[inline]
    pub(crate) fn try_take<J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        judge: &J,
    ) -> Result<Taken, LockFailure> {
        if self.take_free(me) {
            return Ok(Taken::PLAIN);
        }
        self.try_once(me, judge).map(|dead| self.taken(dead))
    }

    /// Takes a lock that nobody holds and nobody waits for, and whose data is clean.
    #[inline]
    pub(crate) fn take_free(&self, me: OwnerId) -> bool {
        // AcqRel: Acquire pairs with the Release in `release`, so that the last holder's writes are visible; Release
        // with the Acquire in `attempt`: whoever reads our id there finds that we have joined.
        self.word.compare_exchange(FREE, me.get(), AcqRel, Relaxed).is_ok()
    }

    /// Looks at the state of the lock that we have just taken.
    #[inline]
    pub(crate) fn taken(&self, dead: Option<OwnerId>) -> Taken {
        // Relaxed: changed by holders, and we are the holder.
        Taken::new(self.state.load(Relaxed), dead)
    }

    /// The whole of `try_lock`, when the first compare-exchange failed.
    #[cold]
    fn try_once<J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        judge: &J,
    ) -> Result<Option<OwnerId>, LockFailure> {
        loop {
            match self.attempt(me, judge, true)? {
                Attempt::Taken { dead } => return Ok(dead),
                Attempt::Again => {}
                Attempt::Held { known: true, .. } => return Err(LockFailure::WouldBlock),
                Attempt::Held { known: false, .. } => return Err(LockFailure::CannotJudge),
            }
        }
    }

    /// The whole of `lock`, when the first compare-exchange failed. Returns the dead owner that it was taken from.
    #[inline]
    pub(crate) fn wait<'p, J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Option<OwnerId>, LockFailure> {
        self.wait_long(me, judge, patience.into())
    }

    #[cold]
    fn wait_long<J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        judge: &J,
        patience: Patience<'_>,
    ) -> Result<Option<OwnerId>, LockFailure> {
        let mut spin = Spin::for_lock();
        while spin.again() {
            if let Attempt::Taken { dead } = self.attempt(me, judge, false)? {
                return Ok(dead);
            }
        }
        let mut wait = Wait::new(patience, me, judge).watched(&self.watch);
        // Before the first sleep, and when a slice has run out: whether the owner lives.
        let mut probe = true;
        let mut woken = false;
        loop {
            let word = match self.attempt(me, judge, probe) {
                Ok(Attempt::Taken { dead }) => return Ok(dead),
                Ok(Attempt::Again) => continue,
                Err(failure) => {
                    // The wake-up was for somebody who takes: pass it on.
                    if woken {
                        self.word.wake(1);
                    }
                    return Err(failure);
                }
                Ok(Attempt::Held { word, known }) => {
                    if probe {
                        wait.heard(known);
                        if wait.is_for_itself(owner(word).ok().flatten()) {
                            return Err(LockFailure::WouldDeadlock);
                        }
                    }
                    word
                }
            };
            wait.check()?;
            probe = false;
            // Relaxed: a mark for the releaser, who reads it in the word that it changes.
            if word & WAITERS == 0
                && self.word.compare_exchange(word, word | WAITERS, Relaxed, Relaxed).is_err()
            {
                continue;
            }
            let wake = self.word.wait(word | WAITERS, wait.until());
            woken = wake == Wake::Woken;
            probe = wait.slept(wake)?;
        }
    }

    /// Takes the lock if it is free or, when asked to `probe`, if its owner is dead.
    #[inline]
    fn attempt<J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        judge: &J,
        probe: bool,
    ) -> Result<Attempt, LockFailure> {
        // Again, because others of our threads may find out meanwhile, or the last verdict has, that the roster has
        // lost our place: then a lock that we took would be taken from us as from the dead.
        if judge.me() != Some(me) {
            return Err(LockFailure::NotJoined);
        }
        // Acquire: pairs with the Release of who put its id there: it had joined before, so that the verdict is about
        // a participant whose lock the kernel has seen.
        let word = self.word.load(Acquire);
        let owner = owner(word).map_err(|word| LockFailure::Corrupt { word })?;
        let mut dead = None;
        if let Some(owner) = owner {
            if !probe {
                return Ok(Attempt::Held { word, known: true });
            }
            match ask(judge, me, owner) {
                Verdict::Dead => dead = Some(owner),
                Verdict::Nobody => return Err(LockFailure::Corrupt { word }),
                verdict => {
                    return Ok(Attempt::Held { word, known: verdict == Verdict::Alive });
                }
            }
        }
        // WAITERS stays: others may sleep. UNCLEAN stays, and comes with a death. AcqRel: as in `take_free`.
        let inherited = if dead.is_some() { UNCLEAN } else { 0 };
        let taken = me.get() | (word & (WAITERS | UNCLEAN)) | inherited;
        if self.word.compare_exchange(word, taken, AcqRel, Relaxed).is_err() {
            return Ok(Attempt::Again);
        }
        if dead.is_some() {
            self.inherit();
        }
        Ok(Attempt::Taken { dead })
    }

    /// Counts a death and marks the data. Killed in the middle, the next heir does it again.
    fn inherit(&self) {
        // Relaxed, all: changed by holders, published by the release of the lock or by our death.
        self.epoch.store(self.epoch.load(Relaxed).wrapping_add(1), Relaxed);
        if self.state.load(Relaxed) & !POISONED == 0 {
            self.state.fetch_or(INCONSISTENT, Relaxed);
        }
    }

    /// [`unlock`](Self::unlock) for who knows its id already.
    #[inline]
    pub(crate) fn release(&self, me: OwnerId) -> Result<(), NotOwner> {
        // Release: pairs with the Acquire in `take_free` and `attempt`.
        if self.word.compare_exchange(me.get(), FREE, Release, Relaxed).is_ok() {
            return Ok(());
        }
        self.release_slow(me)
    }

    #[cold]
    fn release_slow(&self, me: OwnerId) -> Result<(), NotOwner> {
        // Relaxed: if it is our own id, it was this process that put it there.
        let word = self.word.load(Relaxed);
        if word & OwnerId::MASK != me.get() {
            return Err(NotOwner);
        }
        // Relaxed: changed by holders; it may become clean (`clear_poison`) under our hands, but not unclean.
        let mut state = self.state.load(Relaxed);
        if state & INCONSISTENT != 0 {
            state |= UNRECOVERABLE;
            self.state.fetch_or(UNRECOVERABLE, Relaxed);
        }
        let (free, free_with_waiters) = match state {
            0 => (FREE, Op::set(WAITERS)),
            _ => (FREE_UNCLEAN, Op::set(WAITERS | FREE_UNCLEAN)),
        };
        // Release: as in `release`.
        if word & WAITERS == 0 && self.word.compare_exchange(word, free, Release, Relaxed).is_ok() {
            return Ok(());
        }
        // WAITERS was set. Release and wake in one step: killed before it we are a dead owner, after it somebody is awake.
        // WAITERS stays, for those who still sleep.
        if self.word.wake_op(free_with_waiters, 1) == 0 {
            // Nobody slept. Whoever has come to sleep meanwhile is woken, and marks the word again.
            self.word.wake_op(Op::and_not(WAITERS), ALL);
        }
        Ok(())
    }
}

/// What one look at the lock came to.
enum Attempt {
    Taken {
        dead: Option<OwnerId>,
    },
    /// The word changed under our hands.
    Again,
    Held {
        /// The word, not free.
        word: u32,
        /// Whether the owner is known to be alive, or was not asked about.
        known: bool,
    },
}

/// Returns who holds a lock of this word, or the word itself if nobody can.
#[inline]
pub(crate) fn owner(word: u32) -> Result<Option<OwnerId>, u32> {
    match word & OwnerId::MASK {
        FREE => Ok(None),
        OwnerId::NOBODY if word & UNCLEAN != 0 => Ok(None),
        OwnerId::NOBODY => Err(word),
        id => OwnerId::from_word(id).map(Some).ok_or(word),
    }
}

impl Default for RawMutex {
    fn default() -> Self {
        Self::new()
    }
}
