//! Putting.

use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::ShmSafe;
use shmkit_roster::Judge;
use shmkit_sync::Patience;

use crate::{BatchError, PutError, Queue, QueueError};

impl<T: ShmSafe, K: Judge> Queue<T, K> {
    /// Puts a value; waits for room.
    ///
    /// # Errors
    ///
    /// [`PutError`], which gives the value back: if the queue is closed, or this process has not joined.
    ///
    /// # If a peer dies
    ///
    /// The places that it held are free within about 40 ms.
    #[inline]
    pub fn put(&self, value: T) -> Result<(), PutError<T>> {
        self.put_by(value, Deadline::NEVER)
    }

    /// Puts a value if there is room now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), and [`QueueError::Full`].
    #[inline]
    pub fn try_put(&self, value: T) -> Result<(), PutError<T>> {
        self.put_by(value, Deadline::PASSED)
            .map_err(|PutError { value, error }| PutError { value, error: now(error) })
    }

    /// Puts a value; waits for room at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`put`](Self::put).
    pub fn put_timeout(&self, value: T, wait: Duration) -> Result<(), PutError<T>> {
        self.put_by(value, Deadline::after(wait))
    }

    /// Puts a value; waits for room until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`put`](Self::put).
    pub fn put_deadline<'p>(
        &self,
        value: T,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), PutError<T>> {
        self.put_by(value, deadline)
    }

    /// Puts all `values`, as many at a time as there is room for; waits for room. Others may put theirs in between.
    ///
    /// # Errors
    ///
    /// [`BatchError`], which says how many were put: as [`put`](Self::put).
    ///
    /// # If a peer dies
    ///
    /// As with [`put`](Self::put). Who is killed here has put the first of them, and the others not.
    pub fn put_all(&self, values: &[T]) -> Result<(), BatchError> {
        self.put_all_by(values, Deadline::NEVER)
    }

    /// Puts all `values`, waiting at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`put_all`](Self::put_all), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`put_all`](Self::put_all).
    pub fn put_all_timeout(&self, values: &[T], wait: Duration) -> Result<(), BatchError> {
        self.put_all_by(values, Deadline::after(wait))
    }

    /// Puts all `values`, waiting until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`put_all`](Self::put_all), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`put_all`](Self::put_all).
    pub fn put_all_deadline<'p>(
        &self,
        values: &[T],
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), BatchError> {
        self.put_all_by(values, deadline)
    }

    /// Puts as many of `values` as there is room for now, from the first; returns how many. Never sleeps.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), without the values; [`QueueError::Full`] only if there is room for none.
    pub fn try_put_batch(&self, values: &[T]) -> Result<usize, QueueError> {
        let mut put = 0;
        // Who puts or takes beside us may leave a hole in what could be claimed at once.
        while put < values.len() {
            match self.put_part(&values[put..], Deadline::PASSED) {
                Ok(part) => put += part,
                Err(_) if put > 0 => break,
                Err(error) => return Err(now(error)),
            }
        }
        Ok(put)
    }

    #[inline]
    fn put_by<'p>(&self, value: T, patience: impl Into<Patience<'p>>) -> Result<(), PutError<T>> {
        let put = || {
            let claim = self.ring.claim(&self.keeper, 1, patience)?;
            // SAFETY: the slot is claimed.
            unsafe { self.places.write(claim.first(), &value) };
            self.ring.commit(claim)
        };
        put().map_err(|error| PutError { value, error })
    }

    fn put_all_by<'p>(
        &self,
        values: &[T],
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), BatchError> {
        let (patience, mut put) = (patience.into(), 0);
        while put < values.len() {
            match self.put_part(&values[put..], patience) {
                Ok(part) => put += part,
                Err(error) => return Err(BatchError { put, error }),
            }
        }
        Ok(())
    }

    /// Puts what there is room for at once, at least one: `values` has some.
    fn put_part<'p>(
        &self,
        values: &[T],
        patience: impl Into<Patience<'p>>,
    ) -> Result<usize, QueueError> {
        let most = values.len().min(self.capacity()) as u32; // A capacity is a u32.
        let claim = self.ring.claim(&self.keeper, most, patience)?;
        let count = claim.count();
        for (slot, value) in claim.slots(&self.ring).zip(values) {
            // SAFETY: the slot is claimed.
            unsafe { self.places.write(slot, value) };
        }
        self.ring.commit(claim)?;
        Ok(count)
    }
}

/// What the end of a time is to who does not wait.
pub(crate) fn now(error: QueueError) -> QueueError {
    if error.is_timeout() { QueueError::Full } else { error }
}
