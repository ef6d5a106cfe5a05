//! Looking again for a moment before the first sleep.

use shmkit_atomic::hint;

/// How long to look, in pauses of the processor: about 11 microseconds where a pause is long, as on today's servers.
///
/// That is what a sleep and two wake-ups take, the other's and our own: who is asleep and is called, and then calls back, is
/// still seen. (Measured, as ratios to a bare futex ping-pong: 1.0 for an event with half as many, 0.6 with these.)
const PAUSES: u32 = if cfg!(loom) { 0 } else { 200 };
/// Pauses between two looks, at most.
const MOST: u32 = 16;

/// The looks before a sleep: at once, and then ever more rarely.
///
/// Each look takes the cache line from who works with it. Of rare ones the holder of a lock that is held for a few
/// instructions at a time notices little, and each of them probably finds it free: so the spinner gets it without a
/// sleep, and the holder does not have to wake anybody. (Measured, with two and four processes that do nothing else than
/// take a lock, as ratios to glibc's: to look after each pause, and to sleep as soon as another one was faster, 1.0 to 1.4
/// of its time for each turn and up to eight times its longest wait of a thousand; this, 0.6 to 0.8, and less than it.)
pub(crate) struct Spin {
    left: u32,
    pauses: u32,
}

impl Spin {
    pub(crate) fn new() -> Self {
        Self { left: PAUSES, pauses: 1 }
    }

    /// Pauses, and returns whether to look again, or else it is time to sleep.
    #[inline]
    pub(crate) fn again(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        let pauses = self.pauses.min(self.left);
        for _ in 0..pauses {
            hint::spin_loop();
        }
        self.left -= pauses;
        self.pauses = (pauses * 2).min(MOST);
        true
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn looks_come_ever_more_rarely_and_end() {
        let mut spin = Spin::new();
        let left: Vec<u32> = std::iter::from_fn(|| spin.again().then_some(spin.left)).collect();
        assert_eq!(left, [199, 197, 193, 185, 169, 153, 137, 121, 105, 89, 73, 57, 41, 25, 9, 0]);
    }
}
