//! The event, without a place to lie in.

use core::error::Error;
use core::fmt;

use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
#[cfg(not(loom))]
use shmkit_atomic::futex::Waiter;
use shmkit_atomic::futex::{ALL, Op};
#[cfg(not(loom))]
use shmkit_layout::Shared;
use shmkit_roster::{Judge, PeerId};

use crate::patience::GivenUp;
use crate::spin::Spin;
use crate::wait::Wait;
use crate::word::Word;
use crate::{LockFailure, Patience};

/// The event is set.
const SET: u32 = 1;
/// Somebody may sleep on the word: who sets it must wake.
const WAITERS: u32 = 1 << 31;

/// An event: a flag that anybody sets and clears, and that anybody waits for.
///
/// ```text
/// 31 WAITERS | 30 .. 1 generation: how often it was cleared | 0 SET
/// ```
///
/// Every set and every clear moves the lower 31 bits, so that a waiter whose bits have moved knows that the event was
/// set meanwhile, though it may have been cleared again: no pulse is missed. (A waiter that does not run while the event
/// is cleared 2^30 times may miss the last of them.)
///
/// *If a peer dies*, nothing is left behind but perhaps the mark of a waiter, which costs the next
/// [`set`](Self::set) a system call. Setting and waking are one step, so that who waits sleeps without slices.
#[repr(transparent)]
pub struct RawEvent {
    word: Word,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawEvent>() == 4, "part of the segment format");

// SAFETY: one atomic word, of which any value is handled.
#[cfg(not(loom))]
unsafe impl Shared for RawEvent {}

impl RawEvent {
    shmkit_atomic::const_unless_loom! {
        /// Makes an event that is not set. All zero bytes are one.
        pub fn new() -> RawEvent {
            RawEvent { word: Word::new(0) }
        }
    }

    /// Sets the event, and wakes everybody who waits for it. If it is set already, it stays so.
    ///
    /// It may be called by a signal handler, whatever that has interrupted, this event's own operations included: it
    /// allocates nothing, takes no lock, and leaves `errno` as it was.
    ///
    /// # Errors
    ///
    /// [`EventError::NotJoined`]; the event was not touched.
    pub fn set<J: Judge + ?Sized>(&self, judge: &J) -> Result<(), EventError> {
        judge.me().ok_or(EventError::NotJoined)?;
        let mut word = self.word.load(Relaxed);
        loop {
            if word & (SET | WAITERS) == WAITERS {
                // Set and wake in one step: killed before it nothing has happened, after it everybody is awake.
                self.word.wake_op(Op::or(SET), ALL);
                return Ok(());
            }
            // Release: pairs with the Acquire in `is_set`, `wait` and `clear`. Written even if it is set already: who
            // clears it and then looks for what we have done would otherwise overlook it, and so would we the clear.
            match self.word.compare_exchange(word, word | SET, Release, Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// Clears the event. Who waited before and has yet to notice that it was set will do so nevertheless.
    ///
    /// May be called by a signal handler, as [`set`](Self::set).
    ///
    /// # Errors
    ///
    /// [`EventError::NotJoined`]; the event was not touched.
    pub fn clear<J: Judge + ?Sized>(&self, judge: &J) -> Result<(), EventError> {
        judge.me().ok_or(EventError::NotJoined)?;
        let mut word = self.word.load(Relaxed);
        while word & SET != 0 {
            // The next generation. Nobody sleeps on a word that is set, so the mark goes as well.
            let next = word.wrapping_add(1) & !WAITERS;
            // AcqRel: Acquire pairs with the Release in `set`: what was done before any set that this clears is
            // visible; Release, for who waits for this pulse and sees only its end.
            match self.word.compare_exchange(word, next, AcqRel, Relaxed) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        Ok(())
    }

    /// Returns whether the event is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        // Acquire: pairs with the Release in `set`.
        self.word.load(Acquire) & SET != 0
    }

    /// Returns whether somebody may be waiting.
    pub fn has_waiters(&self) -> bool {
        self.word.load(Relaxed) & WAITERS != 0
    }

    /// Marks that somebody is about to sleep, before it looks whether the event [is set](Self::is_set) for the last time,
    /// and returns where: for who sleeps on several things at once.
    #[cfg(not(loom))]
    pub fn arm(&self) -> Waiter {
        loop {
            // Relaxed, both: a mark for who sets, who reads it in the word that it changes.
            let word = self.word.load(Relaxed);
            let marked = word | WAITERS;
            if word & SET != 0 || word == marked {
                return self.word.waiter(word);
            }
            if self.word.compare_exchange(word, marked, Relaxed, Relaxed).is_ok() {
                return self.word.waiter(marked);
            }
        }
    }

    /// Waits until the event is set, or was set since this began, for as long as the caller has `patience`.
    ///
    /// # Errors
    ///
    /// [`EventError`].
    ///
    /// # If a peer dies
    ///
    /// Nobody can know whether it would have set the event: the wait goes on, unless it is to last
    /// [only while that one lives](Patience::while_alive).
    pub fn wait<'p, J: Judge + ?Sized>(
        &self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), EventError> {
        let me = judge.me().ok_or(EventError::NotJoined)?;
        let patience = patience.into();
        // Acquire: pairs with the Release in `set`, here and below.
        let mut word = self.word.load(Acquire);
        if word & SET != 0 {
            return Ok(());
        }
        let generation = word & !WAITERS;
        let mut spin = Spin::for_deed();
        while patience.waits() && word & !WAITERS == generation && spin.again() {
            // Acquire: as above.
            word = self.word.load(Acquire);
        }
        if word & !WAITERS != generation {
            spin.paid();
            return Ok(());
        }
        let mut wait = Wait::carefree(patience, me, judge);
        while word & !WAITERS == generation {
            wait.check()?;
            // Relaxed: a mark for who sets, who reads it in the word that it changes.
            let marked = word & WAITERS != 0
                || self.word.compare_exchange(word, word | WAITERS, Relaxed, Relaxed).is_ok();
            if marked {
                wait.slept(self.word.wait(generation | WAITERS, wait.until()))?;
            }
            // Acquire: as above.
            word = self.word.load(Acquire);
        }
        Ok(())
    }
}

impl Default for RawEvent {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word.load(Relaxed);
        f.debug_struct("RawEvent")
            .field("set", &(word & SET != 0))
            .field("cleared", &((word & !WAITERS) >> 1))
            .field("waiters", &(word & WAITERS != 0))
            .finish()
    }
}

/// Why a wait for an event ended, or what was to be done with it was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventError {
    /// The deadline passed, and nobody had set the event since the wait began.
    TimedOut,
    /// This process is not a participant: it was forked and has not joined, or has lost its place.
    NotJoined,
    /// The caller's [`Patience`](crate::Patience) was told to stop.
    Interrupted,
    /// The peer died for as long as whose life the caller's [`Patience`](crate::Patience) was to last.
    PeerDied(PeerId),
    /// Nobody could tell for a second whether that participant lives.
    CannotJudge,
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("nobody had set the event by the deadline"),
            Self::NotJoined => LockFailure::NotJoined.fmt(f),
            Self::Interrupted => LockFailure::Interrupted.fmt(f),
            Self::PeerDied(peer) => write!(f, "{peer} died, and the event was not set"),
            Self::CannotJudge => f.write_str(
                "the kernel could not be asked whether the participant is alive as long as whose life the wait was to last: keep the shared file's descriptor open",
            ),
        }
    }
}

impl Error for EventError {}

impl From<GivenUp> for EventError {
    fn from(why: GivenUp) -> Self {
        match why {
            GivenUp::TimedOut => Self::TimedOut,
            GivenUp::CannotJudge => Self::CannotJudge,
            GivenUp::Interrupted => Self::Interrupted,
            GivenUp::PeerDied(peer) => Self::PeerDied(peer),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use shmkit_roster::model::ModelJudge;

    use super::*;

    #[test]
    fn a_generation_that_wraps_leaves_the_mark_of_waiters_alone() {
        let judge = &ModelJudge::new(1)[0];
        let event = RawEvent { word: Word::new(!WAITERS) };
        assert!(event.is_set());
        event.clear(judge).unwrap();
        assert_eq!(event.word.load(Relaxed), 0);
        // As above, and somebody sleeps.
        let event = RawEvent { word: Word::new(u32::MAX - 1) };
        event.set(judge).unwrap();
        event.set(judge).unwrap();
        event.clear(judge).unwrap();
        assert_eq!(event.word.load(Relaxed), 0);
    }
}
