//! How many threads of this process sleep: together they are to wake no more often than some do.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU32, AtomicU64};

/// How long it is counted at a time, in milliseconds.
const WINDOW: u64 = 128;
/// So many sleep as they would alone.
const FEW: u64 = 32;
/// How many times as long slices become at most.
const MOST: u64 = 64;

/// What is known of the sleepers of a process. All of it is hints.
#[derive(Debug)]
pub(crate) struct Idle {
    /// 63 .. 32 which window it is, modulo 2^32 | 31 .. 0 how long all slices together were that have run out in it, in milliseconds.
    slept: AtomicU64,
    /// How many slept in the window before, on average, and half of what was known before that: many that came together wake together.
    sleepers: AtomicU32,
}

impl Idle {
    pub(crate) const fn new() -> Self {
        Self { slept: AtomicU64::new(0), sleepers: AtomicU32::new(0) }
    }

    /// Somebody's slice of so many milliseconds has run out at this time, in milliseconds as well.
    pub(crate) fn ran_out(&self, now: u64, length: u64) {
        let window = now / WINDOW % (1 << 32);
        let found = self.slept.load(Relaxed);
        if found >> 32 == window {
            // Of a million threads, seconds long each, it is below 2^32.
            self.slept.fetch_add(length, Relaxed);
            return;
        }
        // Relaxed: a hint. Who fails is not counted.
        if self.slept.compare_exchange(found, window << 32 | length, Relaxed, Relaxed).is_ok() {
            let windows = window.wrapping_sub(found >> 32) % (1 << 32);
            let sleepers = (found & u64::from(u32::MAX)) / (WINDOW * windows);
            let known = u64::from(self.sleepers.load(Relaxed));
            self.sleepers.store(u64::midpoint(known, sleepers) as u32, Relaxed);
        }
    }

    /// Returns how many times as long as usual a slice is to be.
    pub(crate) fn times(&self) -> u64 {
        (u64::from(self.sleepers.load(Relaxed)) / FEW).clamp(1, MOST)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// How often `sleepers` wake in the last of ten seconds, and how long their slices are then.
    fn wakes(idle: &Idle, from: u64, sleepers: u64) -> (u64, u64) {
        let mut ends: Vec<(u64, u64)> = (0..sleepers).map(|n| (from + n % 32, 32)).collect();
        let (mut wakes, mut longest) = (0, 0);
        for now in from..from + 10_000 {
            for (end, length) in &mut ends {
                if *end == now {
                    idle.ran_out(now, *length);
                    *length = 32 * idle.times();
                    *end = now + *length;
                    if now >= from + 9000 {
                        (wakes, longest) = (wakes + 1, longest.max(*length));
                    }
                }
            }
        }
        (wakes, longest)
    }

    #[test]
    fn a_thousand_wake_no_more_often_than_a_few_and_a_few_as_ever() {
        let idle = Idle::new();
        let (few, length) = wakes(&idle, 0, 10);
        assert!((300..=320).contains(&few) && length == 32, "{few}, {length}");
        let (many, length) = wakes(&idle, 10_000, 1000);
        assert!((700..2000).contains(&many) && (500..2000).contains(&length), "{many}, {length}");
        let (few, length) = wakes(&idle, 20_000, 1);
        assert!((29..=33).contains(&few) && length == 32, "{few}, {length}");
    }
}
