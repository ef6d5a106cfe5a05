//! How long to sleep before asking who is still alive.

use core::time::Duration;

use shmkit_atomic::Deadline;

/// The first slice, in milliseconds.
const FIRST: u64 = 1;
/// The longest slice, in milliseconds.
const LONGEST: u64 = 32;

/// The slices of one wait: 1 ms, doubling to 32 ms, and never beyond the deadline.
///
/// Nobody wakes the sleepers of a process that was killed, so no sleep is longer than a slice; when one has run out,
/// the sleeper asks the roster about whoever it waits for. Short ones first, because a death is most probable where
/// a lock is held for unusually long.
#[derive(Clone, Debug)]
pub struct Slices {
    /// Length of the next slice, in milliseconds.
    millis: u64,
}

impl Slices {
    /// Begins a wait.
    pub const fn new() -> Self {
        Self { millis: FIRST }
    }

    /// Returns the end of a slice that begins now.
    pub fn next(&mut self, deadline: Deadline) -> Deadline {
        let end = Deadline::after(Duration::from_millis(self.millis));
        self.millis = (self.millis * 2).min(LONGEST);
        end.min(deadline)
    }
}

impl Default for Slices {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn slices_double_up_to_the_longest() {
        let mut slices = Slices::new();
        let lengths: Vec<u64> = (0..8)
            .map(|_| {
                let left = slices.next(Deadline::NEVER).remaining().unwrap();
                // Rounded up: some nanoseconds have passed.
                left.as_millis() as u64 + 1
            })
            .collect();
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 32, 32]);
    }

    #[test]
    fn no_slice_ends_after_the_deadline() {
        let deadline = Deadline::after(Duration::from_micros(300));
        assert_eq!(Slices::new().next(deadline), deadline);
        assert_eq!(Slices::new().next(Deadline::PASSED), Deadline::PASSED);
    }
}
