//! Taking.

use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::ShmSafe;
use shmkit_roster::Judge;
use shmkit_sync::Patience;

use super::{Order, OrderedQueue};
use crate::QueueError;

impl<T: ShmSafe, O: Order, K: Judge> OrderedQueue<T, O, K> {
    /// Takes the item that comes first; waits for one.
    ///
    /// # Errors
    ///
    /// [`QueueError::Closed`] if the queue is closed and nothing is left in it; [`QueueError::NotJoined`].
    ///
    /// # If a peer dies
    ///
    /// What it held up goes on within about 40 ms. What it had taken is gone.
    pub fn get(&self) -> Result<O::Item<T>, QueueError> {
        self.get_by(Deadline::NEVER)
    }

    /// Takes the item that comes first if there is one now; waits for nothing but the end of somebody's operation.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`QueueError::Empty`]: also if somebody is stopped in the middle of an operation, after a tenth
    /// of a second.
    pub fn try_get(&self) -> Result<O::Item<T>, QueueError> {
        self.get_by(Deadline::PASSED).map_err(now)
    }

    /// Takes the item that comes first; waits for one at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn get_timeout(&self, wait: Duration) -> Result<O::Item<T>, QueueError> {
        self.get_by(Deadline::after(wait))
    }

    /// Takes the item that comes first; waits for one until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn get_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<O::Item<T>, QueueError> {
        self.get_by(deadline)
    }

    /// Takes as many items as are there, up to as many as `items` has, to its beginning, in order; waits for the first. Returns how
    /// many.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn get_batch(&self, items: &mut [O::Item<T>]) -> Result<usize, QueueError> {
        self.get_batch_by(items, Deadline::NEVER)
    }

    /// The same, of what is there now.
    ///
    /// # Errors
    ///
    /// As [`try_get`](Self::try_get).
    pub fn try_get_batch(&self, items: &mut [O::Item<T>]) -> Result<usize, QueueError> {
        self.get_batch_by(items, Deadline::PASSED).map_err(now)
    }

    /// The same, waiting for the first at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn get_batch_timeout(
        &self,
        items: &mut [O::Item<T>],
        wait: Duration,
    ) -> Result<usize, QueueError> {
        self.get_batch_by(items, Deadline::after(wait))
    }

    /// The same, waiting for the first until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn get_batch_deadline<'p>(
        &self,
        items: &mut [O::Item<T>],
        deadline: impl Into<Patience<'p>>,
    ) -> Result<usize, QueueError> {
        self.get_batch_by(items, deadline)
    }

    fn get_by<'p>(&self, patience: impl Into<Patience<'p>>) -> Result<O::Item<T>, QueueError> {
        let (mut priority, mut value) = (0, T::zeroed());
        self.ring.take(&self.keeper, patience, 1, |_, slot, found| {
            // SAFETY: the lock is held, so that nobody writes to the item; aligned and valid (`at`), and any bytes are a `T`.
            value = unsafe { self.places.at(slot).read() };
            priority = found;
        })?;
        Ok(O::join(priority, value))
    }

    fn get_batch_by<'p>(
        &self,
        items: &mut [O::Item<T>],
        patience: impl Into<Patience<'p>>,
    ) -> Result<usize, QueueError> {
        if items.is_empty() {
            return Ok(0);
        }
        self.ring.take(&self.keeper, patience, items.len(), |i, slot, priority| {
            // SAFETY: as in `get_by`.
            items[i] = O::join(priority, unsafe { self.places.at(slot).read() });
        })
    }
}

/// What the end of a time is to who does not wait.
fn now(error: QueueError) -> QueueError {
    if error.is_timeout() { QueueError::Empty } else { error }
}
