//! Taking, and waiting until all is done.

use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::ShmSafe;
use shmkit_roster::Judge;
use shmkit_sync::Patience;

use crate::raw::Held;
use crate::{Lease, Queue, QueueError};

/// Bytes of the largest items that are copied before it is known who gets them. Several who take copy larger ones beside each
/// other, each its own.
const AT_ONCE: usize = 256;

impl<T: ShmSafe, K: Judge> Queue<T, K> {
    /// Takes a value, and is done with it; waits for one. Who wants others to get the item if it is killed while it works on it
    /// [`take`](Self::take)s it.
    ///
    /// # Errors
    ///
    /// [`QueueError::Closed`] if the queue is closed and nothing is left in it; [`QueueError::NotJoined`].
    ///
    /// # If a peer dies
    ///
    /// What it held comes back, or is lost, as the queue was [made](crate::Delivery), within about 40 ms.
    #[inline]
    pub fn get(&self) -> Result<T, QueueError> {
        self.get_by(Deadline::NEVER)
    }

    /// Takes a value if there is one now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`QueueError::Empty`].
    #[inline]
    pub fn try_get(&self) -> Result<T, QueueError> {
        self.get_by(Deadline::PASSED).map_err(now)
    }

    /// Takes a value; waits for one at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn get_timeout(&self, wait: Duration) -> Result<T, QueueError> {
        self.get_by(Deadline::after(wait))
    }

    /// Takes a value; waits for one until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn get_deadline<'p>(&self, deadline: impl Into<Patience<'p>>) -> Result<T, QueueError> {
        self.get_by(deadline)
    }

    /// Takes as many values as are there, up to as many as `values` has, to its beginning; waits for the first. Returns how
    /// many.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn get_batch(&self, values: &mut [T]) -> Result<usize, QueueError> {
        self.get_batch_by(values, Deadline::NEVER)
    }

    /// The same, of what is there now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`QueueError::Empty`].
    pub fn try_get_batch(&self, values: &mut [T]) -> Result<usize, QueueError> {
        self.get_batch_by(values, Deadline::PASSED).map_err(now)
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
    pub fn get_batch_timeout(&self, values: &mut [T], wait: Duration) -> Result<usize, QueueError> {
        self.get_batch_by(values, Deadline::after(wait))
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
        values: &mut [T],
        deadline: impl Into<Patience<'p>>,
    ) -> Result<usize, QueueError> {
        self.get_batch_by(values, deadline)
    }

    /// Takes an item with a receipt: it stays this process's until it says that it is [done](Lease::done); waits for one.
    ///
    /// Dropped, or [given back](Lease::give_back), it goes to whoever takes next. It is borrowed where it lies, and its place
    /// in the queue is not free before that: who puts waits when the line has come round to it.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn take(&self) -> Result<Lease<'_, T, K>, QueueError> {
        self.take_by(Deadline::NEVER)
    }

    /// Takes an item with a receipt if there is one now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`QueueError::Empty`].
    pub fn try_take(&self) -> Result<Lease<'_, T, K>, QueueError> {
        self.take_by(Deadline::PASSED).map_err(now)
    }

    /// Takes an item with a receipt; waits for one at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn take_timeout(&self, wait: Duration) -> Result<Lease<'_, T, K>, QueueError> {
        self.take_by(Deadline::after(wait))
    }

    /// Takes an item with a receipt; waits for one until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn take_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Lease<'_, T, K>, QueueError> {
        self.take_by(deadline)
    }

    /// Waits until all that was put is done: taken, and its taker done with it. What is put meanwhile counts as well, and so do
    /// leases of one's own process.
    ///
    /// # Errors
    ///
    /// [`QueueError::NotJoined`].
    ///
    /// # If a peer dies
    ///
    /// Nobody waits for the dead: what it had taken is lost, or goes to another one who takes and is waited for there, as the
    /// queue was [made](crate::Delivery). While nobody is left who takes, that is for ever: wait for a time, or as long as
    /// they [live](Patience::while_alive).
    pub fn join(&self) -> Result<(), QueueError> {
        self.join_by(Deadline::NEVER)
    }

    /// Returns at once: whether all is done. Never sleeps.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join), and [`QueueError::TimedOut`] if something is not done.
    pub fn try_join(&self) -> Result<(), QueueError> {
        self.join_by(Deadline::PASSED)
    }

    /// As [`join`](Self::join), for at most `wait`.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`join`](Self::join).
    pub fn join_timeout(&self, wait: Duration) -> Result<(), QueueError> {
        self.join_by(Deadline::after(wait))
    }

    /// As [`join`](Self::join), until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`join`](Self::join).
    pub fn join_deadline<'p>(&self, deadline: impl Into<Patience<'p>>) -> Result<(), QueueError> {
        self.join_by(deadline)
    }

    #[inline]
    fn get_by<'p>(&self, patience: impl Into<Patience<'p>>) -> Result<T, QueueError> {
        let mut value = T::zeroed();
        let mut copy = |slot| self.places.read(slot, &mut value);
        if size_of::<T>() <= AT_ONCE && self.letters.is_none() {
            self.ring.get(&self.keeper, patience, copy)?;
        } else {
            let held = self.hold(1, patience)?;
            copy(held.first());
            self.ring.done(held)?;
        }
        Ok(value)
    }

    fn get_batch_by<'p>(
        &self,
        values: &mut [T],
        patience: impl Into<Patience<'p>>,
    ) -> Result<usize, QueueError> {
        let most = values.len().min(self.capacity()) as u32; // A capacity is a u32.
        if most == 0 {
            return Ok(0);
        }
        let held = self.hold(most, patience)?;
        let count = held.count();
        for (slot, value) in held.slots(&self.ring).zip(values) {
            self.places.read(slot, value);
        }
        self.ring.done(held)?;
        Ok(count)
    }

    fn take_by<'p>(
        &self,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Lease<'_, T, K>, QueueError> {
        Ok(Lease::new(self, self.hold(1, patience)?))
    }

    /// Takes up to so many items that are to be worked on; those that were given up go to the dead letters.
    fn hold<'p>(&self, most: u32, patience: impl Into<Patience<'p>>) -> Result<Held, QueueError> {
        let patience = patience.into();
        loop {
            let held = self.ring.take(&self.keeper, most, patience)?;
            if !self.ring.is_given_up(&held) {
                return Ok(held);
            }
            self.bury(held)?;
        }
    }

    fn join_by<'p>(&self, patience: impl Into<Patience<'p>>) -> Result<(), QueueError> {
        self.ring.join(&self.keeper, patience)?;
        self.bury_all()
    }
}

/// What the end of a time is to who does not wait.
pub(crate) fn now(error: QueueError) -> QueueError {
    if error.is_timeout() { QueueError::Empty } else { error }
}
