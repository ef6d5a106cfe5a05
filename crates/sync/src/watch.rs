//! When somebody has to look again, said to all who wait for one thing.

use core::fmt;
use core::time::Duration;

use shmkit_atomic::Deadline;
#[cfg(not(loom))]
use shmkit_atomic::Ordering::Relaxed;
#[cfg(not(loom))]
use shmkit_layout::Shared;

#[cfg(not(loom))]
use crate::Slices;
#[cfg(not(loom))]
use crate::word::Word;

/// Bits of a nanosecond count that a tick leaves out: a tick is 1.05 ms, and 2^32 of them are 52 days.
#[cfg(not(loom))]
const TICK: u32 = 20;
/// As much of a processor as looks may take is one part in so many.
pub(crate) const SHARE: u32 = 16;
/// The longest time between two looks.
const MOST: Duration = Duration::from_secs(60);

/// When somebody has to look again, said to all who [wait](crate::Wait::watched) for one thing.
///
/// Who waits asks about the living; where many wait for one thing, one of them does it for all.
///
/// ```text
/// the tick from which on the next one is to look, modulo 2^32. What lies more than a minute ahead is in the past, and 0 is
/// ```
///
/// Whoever's slice has run out claims the look, or learns that others are at it: then it sleeps for longer.
/// After the look it says when the next one is due: so much later that looks take a small share of a processor, however
/// long one takes.
///
/// It is a hint. *If a peer dies* that has claimed a look, the next one is due a slice later; what a wrong peer writes
/// delays looks by a minute at most.
#[repr(transparent)]
pub struct Watch {
    #[cfg(not(loom))]
    due: Word,
}

// SAFETY: one atomic word, of which any value is handled.
#[cfg(not(loom))]
unsafe impl Shared for Watch {}

impl Watch {
    shmkit_atomic::const_unless_loom! {
        /// Makes one that is due. All zero bytes are one.
        pub fn new() -> Watch {
            Watch {
                #[cfg(not(loom))]
                due: Word::new(0),
            }
        }
    }

    /// Returns whether to look is the caller's: it is due, and nobody else was faster.
    ///
    /// In a model, where no time passes, it always is.
    pub(crate) fn claim(&self) -> bool {
        self.claim_after(Duration::ZERO)
    }

    /// The same, but not before it has been due for so long.
    pub(crate) fn claim_after(&self, overdue: Duration) -> bool {
        #[cfg(loom)]
        let _ = overdue;
        #[cfg(loom)]
        return true;
        #[cfg(not(loom))]
        {
            let now = tick(Deadline::now()).wrapping_sub(ticks(overdue));
            // Relaxed, here and below: a hint, which orders nothing.
            let due = self.due.load(Relaxed);
            if !is_due(due, now) {
                return false;
            }
            let until = now.wrapping_add(ticks(overdue + Slices::longest()));
            self.due.compare_exchange(due, until, Relaxed, Relaxed).is_ok()
        }
    }

    /// After a look that began at `began`: says when the next one is due. One in `share` of a processor goes to looks, and
    /// there are at most two to the longest slice of who looks.
    pub(crate) fn settle(&self, began: Deadline, share: u32, longest: Duration) {
        let taken = took(began).saturating_mul(share);
        self.postpone(taken.max(longest / 2).min(MOST));
    }

    /// Says that the next look is due so much later.
    pub(crate) fn postpone(&self, wait: Duration) {
        #[cfg(not(loom))]
        self.due.store(tick(Deadline::now()).wrapping_add(ticks(wait)), Relaxed);
        #[cfg(loom)]
        let _ = wait;
    }
}

/// Returns how long it is since `began`.
pub(crate) fn took(began: Deadline) -> Duration {
    let [began, now] = [began, Deadline::now()].map(|at| at.as_nanos().unwrap_or(0));
    Duration::from_nanos(now.saturating_sub(began))
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(not(loom))]
fn is_due(due: u32, now: u32) -> bool {
    // A fresh one is due whatever the clock says: in the last minute of a round it would lie ahead.
    due == 0 || due == now || due.wrapping_sub(now) > ticks(MOST)
}

#[cfg(not(loom))]
fn tick(at: Deadline) -> u32 {
    // Modulo 2^32: cut off.
    (at.as_nanos().unwrap_or(0) >> TICK) as u32
}

#[cfg(not(loom))]
fn ticks(wait: Duration) -> u32 {
    // At most a minute, which is 2^16 ticks.
    (wait.min(MOST).as_nanos() as u64 >> TICK) as u32
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[cfg(not(loom))]
        return write!(f, "due at tick {:?}", self.due);
        #[cfg(loom)]
        f.write_str("always due")
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_looks_for_all_and_says_when_the_next_is_due() {
        let watch = Watch::new();
        assert!(watch.claim(), "all zero bytes are due");
        assert!(!watch.claim(), "somebody is at it");
        watch.postpone(Duration::ZERO);
        assert!(watch.claim());
        watch.settle(Deadline::now(), SHARE, Slices::longest());
        assert!(!watch.claim(), "not for half of the longest slice");
    }

    #[test]
    fn a_look_that_takes_long_is_rare() {
        let watch = Watch::new();
        let began = Deadline::now();
        std::thread::sleep(Duration::from_millis(5));
        watch.settle(began, SHARE, Slices::longest());
        let due = watch.due.load(Relaxed).wrapping_sub(tick(Deadline::now()));
        assert!(due > ticks(Duration::from_millis(5 * u64::from(SHARE) - 10)), "{due}");
    }

    #[test]
    fn a_fresh_one_is_due_at_the_end_of_a_round() {
        let seconds = ticks(Duration::from_secs(30));
        assert!(is_due(0, seconds.wrapping_neg()));
        assert!(!is_due(seconds, 1), "a time of the next round lies ahead");
    }

    #[test]
    fn what_nobody_plans_is_in_the_past() {
        let watch = Watch::new();
        for ahead in [ticks(MOST) + 1000, 1 << 31, u32::MAX] {
            watch.due.store(tick(Deadline::now()).wrapping_add(ahead), Relaxed);
            assert!(watch.claim(), "{ahead:#x}");
        }
    }
}
