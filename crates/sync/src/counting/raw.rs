//! The ownerless counting semaphore, without a place to lie in.

use core::error::Error;
use core::fmt;

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::futex::{ALL, Op};
#[cfg(not(loom))]
use shmkit_layout::Shared;
use shmkit_roster::{Judge, PeerId};

use crate::patience::GivenUp;
use crate::spin::Spin;
use crate::wait::Wait;
use crate::watch::Watch;
use crate::word::Word;
use crate::{LockFailure, Patience};

/// Somebody may sleep on the word: who releases must wake.
const WAITERS: u32 = 1 << 31;

/// A number that anybody raises, and that anybody lowers by one, sleeping while it is 0.
///
/// ```text
/// word   31 WAITERS | 30 .. 0 value
/// spare  by how much the bound lies below 2^31-1: 0 is a semaphore without a bound of its own
/// watch  when one of those who wait looks whether somebody has raised the value and woken nobody
/// ```
///
/// The bound is never passed: the value is compared with it and raised in one step.
///
/// *If a peer dies*, what it had taken does not come back: nobody knows that it was the one who had it
/// ([`RawSemaphore`](crate::RawSemaphore) does). Killed between its release and its wake, it lets the others sleep until
/// one of them comes to the end of its slice, and wakes the rest.
#[repr(C)]
pub struct RawCountingSemaphore {
    word: Word,
    spare: Word,
    watch: Watch,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawCountingSemaphore>() == 12, "part of the segment format");

// SAFETY: `repr(C)`, three atomic words, of which any value is handled.
#[cfg(not(loom))]
unsafe impl Shared for RawCountingSemaphore {}

impl RawCountingSemaphore {
    /// The highest value of all.
    pub const MAX_VALUE: u32 = i32::MAX as u32;

    shmkit_atomic::const_unless_loom! {
        /// Makes a semaphore of value 0, with no bound but [`MAX_VALUE`](Self::MAX_VALUE). All zero bytes are one.
        pub fn new() -> RawCountingSemaphore {
            RawCountingSemaphore {
                word: Word::new(0),
                spare: Word::new(0),
                watch: Watch::new(),
            }
        }
    }

    /// Gives a semaphore its first value and its bound. Before anybody else uses it.
    ///
    /// # Panics
    ///
    /// If `value` is more than `bound`, or `bound` more than [`MAX_VALUE`](Self::MAX_VALUE).
    pub fn set(&self, value: u32, bound: u32) {
        assert!(value <= bound && bound <= Self::MAX_VALUE, "{value} of {bound}");
        // Relaxed: nobody else uses it yet; however it is handed to others orders this.
        self.word.store(value, Relaxed);
        self.spare.store(Self::MAX_VALUE - bound, Relaxed);
    }

    /// Returns the highest value that it can have.
    #[inline]
    pub fn bound(&self) -> u32 {
        // Relaxed: never changes while the semaphore is used. What nobody writes counts as a bound of 0.
        Self::MAX_VALUE.saturating_sub(self.spare.load(Relaxed))
    }

    /// Returns the value of a moment ago.
    #[inline]
    pub fn value(&self) -> u32 {
        self.word.load(Relaxed) & !WAITERS
    }

    /// Returns whether somebody may be waiting.
    pub fn has_waiters(&self) -> bool {
        self.word.load(Relaxed) & WAITERS != 0
    }

    /// Lowers the value by one, sleeping while it is 0, for as long as the caller has `patience`.
    ///
    /// # Errors
    ///
    /// [`CountingError`], but not `PastBound`; the value was not lowered.
    ///
    /// # If a peer dies
    ///
    /// What it had taken does not come back: the wait goes on until somebody releases, unless it is to last
    /// [only while that one lives](Patience::while_alive).
    pub fn acquire<'p, J: Judge + ?Sized>(
        &self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), CountingError> {
        let me = judge.me().ok_or(CountingError::NotJoined)?;
        if self.take().is_ok() {
            return Ok(());
        }
        let patience = patience.into();
        let mut spin = Spin::for_deed();
        while patience.waits() && spin.again() {
            if self.take().is_ok() {
                spin.paid();
                return Ok(());
            }
        }
        let mut wait = Wait::unhurried(patience, me, judge).watched(&self.watch);
        let mut looks = false;
        loop {
            let Err(word) = self.take() else {
                // It was not a release that woke us: who released may have been killed before it woke anybody. Those who
                // look do so for those who sleep for long.
                let word = self.word.load(Relaxed);
                if looks && word & WAITERS != 0 {
                    self.wake(word & !WAITERS);
                }
                return Ok(());
            };
            if looks {
                wait.heard(true);
            }
            wait.check()?;
            looks = false;
            // Relaxed: a mark for who releases, who reads it in the word that it changes.
            if word & WAITERS == 0
                && self.word.compare_exchange(word, word | WAITERS, Relaxed, Relaxed).is_err()
            {
                continue;
            }
            looks = wait.slept(self.word.wait(WAITERS, wait.until()))?;
        }
    }

    /// Lowers the value by one if it is not 0.
    ///
    /// # Errors
    ///
    /// [`CountingError::WouldBlock`] and `NotJoined`; the value was not lowered.
    #[inline]
    pub fn try_acquire<J: Judge + ?Sized>(&self, judge: &J) -> Result<(), CountingError> {
        judge.me().ok_or(CountingError::NotJoined)?;
        self.take().map_err(|_| CountingError::WouldBlock)
    }

    /// Raises the value by `count`, and wakes as many sleepers. Anybody may, whether it has taken something or not.
    ///
    /// # Errors
    ///
    /// [`CountingError::PastBound`] and `NotJoined`; the value was not raised.
    #[inline]
    pub fn release<J: Judge + ?Sized>(&self, count: u32, judge: &J) -> Result<(), CountingError> {
        judge.me().ok_or(CountingError::NotJoined)?;
        let bound = self.bound();
        let mut word = self.word.load(Relaxed);
        loop {
            let value = word & !WAITERS;
            let Some(raised) = value.checked_add(count).filter(|&raised| raised <= bound) else {
                return Err(CountingError::PastBound { asked: count, value, bound });
            };
            // Release: pairs with the Acquire in `take`.
            match self.word.compare_exchange(word, raised | (word & WAITERS), Release, Relaxed) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        if word & WAITERS != 0 {
            self.wake(count);
        }
        Ok(())
    }

    #[cold]
    fn wake(&self, count: u32) {
        // Who is woken and finds the value taken marks the word again before it sleeps.
        if count != 0 && self.word.wake(count) == 0 {
            // Nobody slept: take the mark away, for the next release to be cheap. Whoever has come to sleep meanwhile
            // is woken, and marks the word again.
            self.word.wake_op(Op::and_not(WAITERS), ALL);
        }
    }

    /// Lowers the value if it is not 0; else returns the word.
    #[inline]
    fn take(&self) -> Result<(), u32> {
        let mut word = self.word.load(Relaxed);
        while word & !WAITERS != 0 {
            // WAITERS stays: others may sleep. Acquire: pairs with the Release in `release`: what was done before any
            // of the releases that made up this value is visible.
            match self.word.compare_exchange(word, word - 1, Acquire, Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
        Err(word)
    }
}

impl Default for RawCountingSemaphore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawCountingSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawCountingSemaphore")
            .field("value", &self.value())
            .field("bound", &self.bound())
            .field("waiters", &self.has_waiters())
            .finish()
    }
}

/// Why a counting semaphore was neither lowered nor raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CountingError {
    /// The value was 0 at the deadline.
    TimedOut,
    /// The value is 0, and the caller did not want to wait.
    WouldBlock,
    /// This process is not a participant: it was forked and has not joined, or has lost its place.
    NotJoined,
    /// The caller's [`Patience`](crate::Patience) was told to stop.
    Interrupted,
    /// The peer died for as long as whose life the caller's [`Patience`](crate::Patience) was to last.
    PeerDied(PeerId),
    /// Nobody could tell for a second whether that participant lives.
    CannotJudge,
    /// The release would have raised the value past its bound.
    PastBound {
        /// By how much it was to be raised.
        asked: u32,
        /// The value.
        value: u32,
        /// The highest value that it can have.
        bound: u32,
    },
}

impl fmt::Display for CountingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("the semaphore's value was still 0 at the deadline"),
            Self::WouldBlock => f.write_str("the semaphore's value is 0"),
            Self::NotJoined => LockFailure::NotJoined.fmt(f),
            Self::Interrupted => LockFailure::Interrupted.fmt(f),
            Self::PeerDied(peer) => {
                write!(f, "{peer} died, and the semaphore's value was still 0")
            }
            Self::CannotJudge => f.write_str(
                "the kernel could not be asked whether the participant is alive as long as whose life the wait was to last: keep the shared file's descriptor open",
            ),
            Self::PastBound { asked, value, bound } => write!(
                f,
                "the semaphore's value is {value} and was to be raised by {asked}, past its bound {bound}: release what was acquired, once"
            ),
        }
    }
}

impl Error for CountingError {}

impl From<GivenUp> for CountingError {
    fn from(why: GivenUp) -> Self {
        match why {
            GivenUp::TimedOut => Self::TimedOut,
            GivenUp::CannotJudge => Self::CannotJudge,
            GivenUp::Interrupted => Self::Interrupted,
            GivenUp::PeerDied(peer) => Self::PeerDied(peer),
        }
    }
}
