//! The right to be in the middle of a message, which others wait for.

use std::time::Duration;

use shmkit::sync::RawLock;
use shmkit::{Judge, LockFailure, Patience, Seat};
use shmkit_atomic::Deadline;

use super::failure::Failure;

/// How long to wait for somebody at a time who is in the middle of a message.
pub(super) const SLICE: Duration = Duration::from_millis(32);

/// A lock that is held until it is dropped.
pub(super) struct Held<'r> {
    lock: &'r RawLock,
    keeper: &'r Seat,
}

impl<'r> Held<'r> {
    /// Of a lock that was acquired.
    pub(super) fn new(lock: &'r RawLock, keeper: &'r Seat) -> Self {
        Self { lock, keeper }
    }

    /// Keeps it beyond the scope.
    pub(super) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.lock.owner() == self.keeper.me() {
            let _ = self.lock.release(self.keeper);
        }
    }
}

/// Acquires a lock within a slice, and returns whether it did. A signal is served only if it did not.
pub(super) fn acquire_for(
    slice: Duration,
    lock: &RawLock,
    keeper: &Seat,
    patience: Patience<'_>,
) -> Result<bool, Failure> {
    match lock.acquire(keeper, Deadline::after(slice).min(patience.deadline())) {
        Ok(_) => Ok(true),
        Err(LockFailure::TimedOut) if patience.says_stop() => Err(Failure::Interrupted),
        Err(LockFailure::TimedOut) => Ok(false),
        Err(failure) => Err(failure.into()),
    }
}
