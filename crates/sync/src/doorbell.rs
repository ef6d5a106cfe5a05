//! Something to sleep on while a condition is false that is stored elsewhere.

use core::fmt;

use shmkit_atomic::Deadline;
use shmkit_atomic::Ordering::{Relaxed, SeqCst};
#[cfg(not(loom))]
use shmkit_atomic::futex::Waiter;
use shmkit_atomic::futex::{ALL, Op, Wake};
use shmkit_atomic::{barrier, fence};
#[cfg(not(loom))]
use shmkit_layout::Shared;

use crate::word::Word;

/// Somebody may sleep on the bell, or is about to.
const SLEEPERS: u32 = 1;
/// What one ring adds: it moves the sequence in the upper 31 bits.
const RING: u32 = 2;
/// What takes SLEEPERS away: added to a word with SLEEPERS, it carries into the sequence. (Added to a word without,
/// because two ringers were at it, it sets SLEEPERS for nothing; the next ring takes it away.)
const CLEAR: u32 = 1;

/// A doorbell: who finds a condition false sleeps on it, and who makes the condition true rings it.
///
/// ```text
/// 31 .. 1                | 0
/// sequence, one per ring | SLEEPERS
/// ```
///
/// The condition itself lies elsewhere: a ring's position, a semaphore's permits. A sleeper does
///
/// 1. [`arm`](Self::arm) the bell,
/// 2. look at the condition: out if it is true,
/// 3. [`sleep`](Self::sleep), and begin again, looking at *everything* again;
///
/// and who makes the condition true commits it first and [`ring`](Self::ring)s then. Between arming and sleeping no
/// ring is lost: **the word only ever grows** (it wraps after 2^31 rings), so that a sleeper whose word is unchanged
/// knows that its mark stood there all the time, and that whoever committed since has seen it. With a mere flag, or a
/// sequence that stands still while the mark is taken away, a second sleeper that arms again hides a ring from the
/// first one.
///
/// *If a peer dies* between its commit and its ring, nobody wakes the sleepers. A sleep therefore ends with a slice
/// ([`Slices`](crate::Slices)), after which the sleeper looks again and asks who is alive.
#[repr(transparent)]
pub struct Doorbell {
    word: Word,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Doorbell>() == 4, "part of the segment format");

// SAFETY: one atomic word.
#[cfg(not(loom))]
unsafe impl Shared for Doorbell {}

/// What the bell was when it was armed: proof that the condition is looked at in between.
#[derive(Clone, Copy, Debug)]
#[must_use = "look at the condition, then `sleep`"]
pub struct Armed {
    word: u32,
}

impl Doorbell {
    shmkit_atomic::const_unless_loom! {
        /// Makes a bell on which nobody sleeps. All zero bytes are one.
        pub fn new() -> Doorbell {
            Doorbell { word: Word::new(0) }
        }
    }

    /// Says that this thread is about to sleep, *before* it looks at the condition for the last time.
    pub fn arm(&self) -> Armed {
        // Relaxed: the fence orders it.
        let word = self.word.fetch_or(SLEEPERS, Relaxed) | SLEEPERS;
        // SeqCst: pairs with the fence in `ring`. Either this one is first: then the ringer sees SLEEPERS and wakes
        // us; or the ringer's is first: then we see its commit in the condition.
        fence(SeqCst);
        Armed { word }
    }

    /// Returns where to sleep, for who sleeps on several things at once: instead of [`sleep`](Self::sleep).
    #[cfg(not(loom))]
    pub fn waiter(&self, armed: Armed) -> Waiter {
        self.word.waiter(armed.word)
    }

    /// Sleeps until somebody rings, at most until `until`; not at all if somebody has rung since [`arm`](Self::arm).
    /// May return for no reason.
    pub fn sleep(&self, armed: Armed, until: Deadline) -> Wake {
        self.word.wait(armed.word, until)
    }

    /// Wakes `n` sleepers, or all if there are fewer. To be called after the commit that they wait for.
    ///
    /// Costs a fence and a load if nobody sleeps. Returns how many it woke.
    #[inline]
    pub fn ring(&self, n: u32) -> u32 {
        if n != 0 && self.has_sleepers() { self.ring_slow(n) } else { 0 }
    }

    /// As [`ring`](Self::ring), behind a read-modify-write of this thread that was the commit: where such an operation is a
    /// fence itself, this costs a load if nobody sleeps.
    #[inline]
    pub fn ring_after_exchange(&self, n: u32) -> u32 {
        // SeqCst: as in `has_sleepers`.
        barrier::after_exchange();
        if n != 0 && self.is_armed() { self.ring_slow(n) } else { 0 }
    }

    #[cold]
    fn ring_slow(&self, n: u32) -> u32 {
        match self.word.wake_op(Op::add(RING), n) {
            // Nobody slept at that instant: take the mark away, for the next ring to be cheap. Whoever has come to
            // sleep meanwhile is woken, and arms again.
            0 => self.word.wake_op(Op::add(CLEAR), ALL),
            woken => woken,
        }
    }

    /// Wakes everybody who sleeps, in one system call. To be called after the commit that they wait for.
    ///
    /// Cheaper than [`ring`](Self::ring) where there is only one sleeper: the other side of a single-producer
    /// single-consumer ring.
    #[inline]
    pub fn ring_all(&self) {
        if self.has_sleepers() {
            self.word.wake_op(Op::add(CLEAR), ALL);
        }
    }

    /// Returns whether the bell was armed, with no fence: for who knows that its sleeper brings the fence of both sides
    /// ([`heavy`](shmkit_atomic::barrier::heavy), after [`arm`](Self::arm)), and to be shown to people.
    #[inline]
    pub fn is_armed(&self) -> bool {
        self.word.load(Relaxed) & SLEEPERS != 0
    }

    /// Returns whether somebody may sleep, as of after the caller's commit.
    #[inline]
    fn has_sleepers(&self) -> bool {
        // SeqCst: pairs with the fence in `arm`. Either this one is first: then the sleeper sees our commit when it
        // looks; or the sleeper's is first: then we see SLEEPERS.
        fence(SeqCst);
        self.word.load(Relaxed) & SLEEPERS != 0
    }
}

impl Default for Doorbell {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word.load(Relaxed);
        f.debug_struct("Doorbell")
            .field("rings", &(word / RING))
            .field("sleepers", &(word & SLEEPERS != 0))
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_ring_between_arming_and_sleeping_is_not_lost() {
        let bell = Doorbell::new();
        let armed = bell.arm();
        bell.ring(1);
        let start = Instant::now();
        let wake = bell.sleep(armed, Deadline::after(Duration::from_secs(10)));
        assert_eq!(wake, Wake::Changed);
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_ring_for_nobody_changes_nothing() {
        let bell = Doorbell::new();
        bell.ring(1);
        bell.ring_all();
        bell.ring(0);
        assert_eq!(format!("{bell:?}"), "Doorbell { rings: 0, sleepers: false }");
    }

    #[test]
    fn a_ring_with_nobody_asleep_takes_the_mark_away() {
        let bell = Doorbell::new();
        let _ = bell.arm();
        bell.ring(1);
        assert_eq!(format!("{bell:?}"), "Doorbell { rings: 2, sleepers: false }");
        let _ = bell.arm();
        bell.ring_all();
        assert_eq!(format!("{bell:?}"), "Doorbell { rings: 3, sleepers: false }");
    }

    #[test]
    fn a_mark_set_for_nothing_goes_with_the_next_ring() {
        let bell = Doorbell::new();
        // Two ringers that both saw the mark of one sleeper.
        let _ = bell.arm();
        bell.ring_slow(1);
        bell.ring_slow(1);
        assert!(bell.has_sleepers());
        bell.ring(1);
        assert!(!bell.has_sleepers());
    }

    #[test]
    fn a_ring_wakes_a_sleeper() {
        let bell = Doorbell::new();
        let open = shmkit_atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                let end = Deadline::after(Duration::from_secs(10));
                loop {
                    let armed = bell.arm();
                    if open.load(Relaxed) {
                        return true;
                    }
                    if bell.sleep(armed, end) == Wake::TimedOut {
                        return false;
                    }
                }
            });
            while !bell.has_sleepers() {
                std::thread::yield_now();
            }
            open.store(true, Relaxed);
            bell.ring(1);
            assert!(sleeper.join().unwrap(), "the ring was lost");
        });
    }
}
