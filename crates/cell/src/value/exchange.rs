//! Storing a value if it is what somebody thinks that it is.

use std::time::Duration;

use bytemuck::bytes_of;
use shmkit_layout::ShmSafe;
use shmkit_roster::Judge;
use shmkit_sync::{LockFailure, Patience};

use super::Value;

/// # Compare and exchange
impl<T: ShmSafe, K: Judge> Value<T, K> {
    /// Stores `new` if `current` is there, and returns what was there. They are compared as bytes, of which a `ShmSafe` type
    /// has none that mean nothing.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if the lock cannot be taken; the inner one is what is there, if it is not `current`. Then nothing was
    /// stored.
    pub fn compare_exchange(&self, current: T, new: T) -> Result<Result<T, T>, LockFailure> {
        self.compare_exchange_by(current, new, Some(Patience::ENDLESS))
    }

    /// As [`compare_exchange`](Self::compare_exchange), if the lock is free.
    ///
    /// # Errors
    ///
    /// As there, and [`LockFailure::WouldBlock`] if it is not.
    pub fn try_compare_exchange(&self, current: T, new: T) -> Result<Result<T, T>, LockFailure> {
        self.compare_exchange_by(current, new, None)
    }

    /// As [`compare_exchange`](Self::compare_exchange), if the lock is free by the end of `limit`.
    ///
    /// # Errors
    ///
    /// As there, and [`LockFailure::TimedOut`] after `limit`.
    pub fn compare_exchange_timeout(
        &self,
        current: T,
        new: T,
        limit: Duration,
    ) -> Result<Result<T, T>, LockFailure> {
        self.compare_exchange_by(current, new, Some(limit.into()))
    }

    /// As [`compare_exchange`](Self::compare_exchange), if the lock is free by `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As there, and whatever ends the patience.
    pub fn compare_exchange_deadline<'p>(
        &self,
        current: T,
        new: T,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Result<T, T>, LockFailure> {
        self.compare_exchange_by(current, new, Some(deadline.into()))
    }

    fn compare_exchange_by(
        &self,
        current: T,
        new: T,
        patience: Option<Patience<'_>>,
    ) -> Result<Result<T, T>, LockFailure> {
        let held = self.take(patience)?;
        let found = *self.place.current(&held);
        if bytes_of(&found) != bytes_of(&current) {
            return Ok(Err(found));
        }
        self.put(held, new)?;
        Ok(Ok(found))
    }
}
