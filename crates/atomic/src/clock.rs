//! Points in time on the kernel's monotonic clock.

use std::time::{Duration, Instant};

/// A point in time on `CLOCK_MONOTONIC`, at which a wait gives up.
///
/// All waiting in shmkit is against an absolute deadline, so that a wait that a signal handler interrupts goes on to
/// the moment it was given at first. A duration that overflows the clock means for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    /// Nanoseconds of `CLOCK_MONOTONIC`; `u64::MAX` (in 584 years) is never.
    nanos: u64,
}

impl Deadline {
    /// Never gives up.
    pub const NEVER: Self = Self { nanos: u64::MAX };
    /// Has passed already: a wait tries once and does not sleep.
    pub const PASSED: Self = Self { nanos: 0 };

    /// Returns this moment: a deadline that has just passed.
    pub fn now() -> Self {
        Self { nanos: now() }
    }

    /// Returns the deadline that lies `wait` from now; [`Self::NEVER`] if that is past the end of the clock.
    pub fn after(wait: Duration) -> Self {
        match u64::try_from(wait.as_nanos()) {
            Ok(0) => Self::PASSED,
            Ok(nanos) => Self { nanos: now().saturating_add(nanos) },
            Err(_) => Self::NEVER,
        }
    }

    /// Returns the deadline at `instant`.
    pub fn at(instant: Instant) -> Self {
        Self::after(instant.saturating_duration_since(Instant::now()))
    }

    /// Returns whether the moment has come.
    ///
    /// Under loom no time passes: only [`Self::PASSED`] has passed.
    pub fn has_passed(self) -> bool {
        match self {
            Self::PASSED => true,
            Self::NEVER => false,
            _ => !cfg!(loom) && now() >= self.nanos,
        }
    }

    /// Returns whether the moment has come, up to some milliseconds late: by a clock that takes a quarter as long to read.
    ///
    /// Under loom as [`has_passed`](Self::has_passed).
    #[inline]
    pub fn has_passed_coarsely(self) -> bool {
        match self {
            Self::PASSED => true,
            Self::NEVER => false,
            _ => !cfg!(loom) && now_coarsely() >= self.nanos,
        }
    }

    /// Returns the time left, or `None` if there is no limit.
    pub fn remaining(self) -> Option<Duration> {
        (self != Self::NEVER).then(|| Duration::from_nanos(self.nanos.saturating_sub(now())))
    }

    /// Returns the nanoseconds of `CLOCK_MONOTONIC`, or `None` if there is no limit.
    pub fn as_nanos(self) -> Option<u64> {
        (self != Self::NEVER).then_some(self.nanos)
    }
}

#[cfg(not(loom))]
fn now() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

#[cfg(not(loom))]
fn now_coarsely() -> u64 {
    read(libc::CLOCK_MONOTONIC_COARSE)
}

#[cfg(not(loom))]
fn read(clock: libc::clockid_t) -> u64 {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `ts` is a valid timespec to write to for the length of the call.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut ts) };
    debug_assert_eq!(failed, 0, "every Linux has this clock");
    // Both are non-negative on these clocks; 2^64 ns are 584 years after boot.
    ts.tv_sec as u64 * 1_000_000_000 + ts.tv_nsec as u64
}

/// Under loom no time passes.
#[cfg(loom)]
fn now() -> u64 {
    1
}

#[cfg(loom)]
fn now_coarsely() -> u64 {
    1
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_overflowing_wait_is_for_ever() {
        assert_eq!(Deadline::after(Duration::MAX), Deadline::NEVER);
        assert_eq!(Deadline::after(Duration::from_nanos(u64::MAX)), Deadline::NEVER);
        assert_eq!(Deadline::NEVER.remaining(), None);
    }

    #[test]
    fn a_wait_of_zero_has_passed() {
        assert!(Deadline::after(Duration::ZERO).has_passed());
        assert!(Deadline::at(Instant::now()).has_passed());
    }

    #[test]
    fn a_deadline_in_the_future_has_not_passed() {
        let deadline = Deadline::after(Duration::from_secs(3600));
        assert!(!deadline.has_passed());
        let left = deadline.remaining().unwrap();
        assert!(left > Duration::from_secs(3590) && left <= Duration::from_secs(3600), "{left:?}");
    }
}
