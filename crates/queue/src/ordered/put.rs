//! Putting.

use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::ShmSafe;
use shmkit_roster::Judge;
use shmkit_sync::Patience;

use super::{Order, OrderedQueue};
use crate::{BatchError, PutError, QueueError};

impl<T: ShmSafe, O: Order, K: Judge> OrderedQueue<T, O, K> {
    /// Puts an item; waits for room.
    ///
    /// # Errors
    ///
    /// [`PutError`], which gives the item back: if the queue is closed, or this process has not joined.
    ///
    /// # If a peer dies
    ///
    /// What it held up goes on within about 40 ms.
    pub fn put(&self, item: O::Item<T>) -> Result<(), PutError<O::Item<T>>> {
        self.put_by(item, Deadline::NEVER)
    }

    /// Puts an item if there is room now; waits for nothing but the end of somebody's operation.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), and [`QueueError::Full`]: also if somebody is stopped in the middle of an operation, after a tenth of
    /// a second.
    pub fn try_put(&self, item: O::Item<T>) -> Result<(), PutError<O::Item<T>>> {
        self.put_by(item, Deadline::PASSED)
            .map_err(|PutError { value, error }| PutError { value, error: now(error) })
    }

    /// Puts an item; waits for room at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`put`](Self::put).
    pub fn put_timeout(
        &self,
        item: O::Item<T>,
        wait: Duration,
    ) -> Result<(), PutError<O::Item<T>>> {
        self.put_by(item, Deadline::after(wait))
    }

    /// Puts an item; waits for room until `deadline` at the latest, or for as long as a [`Patience`] lasts.
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
        item: O::Item<T>,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), PutError<O::Item<T>>> {
        self.put_by(item, deadline)
    }

    /// Puts all `items`, as many at a time as there is room for; waits for room. Others may put theirs in between.
    ///
    /// # Errors
    ///
    /// [`BatchError`], which says how many were put: as [`put`](Self::put).
    ///
    /// # If a peer dies
    ///
    /// As with [`put`](Self::put). Who is killed here has put the first of them, and the others not.
    pub fn put_all(&self, items: &[O::Item<T>]) -> Result<(), BatchError> {
        self.put_all_by(items, Deadline::NEVER)
    }

    /// Puts all `items`, waiting at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`put_all`](Self::put_all), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`put_all`](Self::put_all).
    pub fn put_all_timeout(&self, items: &[O::Item<T>], wait: Duration) -> Result<(), BatchError> {
        self.put_all_by(items, Deadline::after(wait))
    }

    /// Puts all `items`, waiting until `deadline` at the latest, or for as long as a [`Patience`] lasts.
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
        items: &[O::Item<T>],
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), BatchError> {
        self.put_all_by(items, deadline)
    }

    /// Puts as many of `items`, from the first on, as there is room for now. Returns how many.
    ///
    /// # Errors
    ///
    /// As [`try_put`](Self::try_put).
    pub fn try_put_batch(&self, items: &[O::Item<T>]) -> Result<usize, QueueError> {
        if items.is_empty() { Ok(0) } else { self.put_some(items, Deadline::PASSED).map_err(now) }
    }

    fn put_by<'p>(
        &self,
        item: O::Item<T>,
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), PutError<O::Item<T>>> {
        match self.put_some(core::slice::from_ref(&item), patience) {
            Ok(_) => Ok(()),
            Err(error) => Err(PutError { value: item, error }),
        }
    }

    /// Puts some of `items`, which are not none, and returns how many.
    fn put_some<'p>(
        &self,
        items: &[O::Item<T>],
        patience: impl Into<Patience<'p>>,
    ) -> Result<usize, QueueError> {
        self.ring.put(&self.keeper, patience, items.len(), |i, slot| {
            let (priority, value) = O::split(&items[i]);
            // SAFETY: the lock is held, and the slot is empty, so that nobody else touches its item; aligned and valid (`at`).
            unsafe { self.places.at(slot).write(*value) };
            priority
        })
    }

    fn put_all_by<'p>(
        &self,
        items: &[O::Item<T>],
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), BatchError> {
        let (patience, mut put) = (patience.into(), 0);
        while put < items.len() {
            let some = self.put_some(&items[put..], patience);
            put += some.map_err(|error| BatchError { put, error })?;
        }
        Ok(())
    }
}

/// What the end of a time is to who does not wait.
fn now(error: QueueError) -> QueueError {
    if error.is_timeout() { QueueError::Full } else { error }
}
