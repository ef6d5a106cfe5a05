//! An item that was taken, and its receipt.

use core::fmt;
use core::ops::Deref;

use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, Seat};

use crate::raw::Held;
use crate::{Queue, QueueError};

/// An item that this process has taken and is not done with. It is borrowed where it lies.
///
/// Dropping it gives it back: a panic on the way leaves the item to others. A forked child has no part in it: its copy does
/// nothing.
///
/// # If a peer dies
///
/// *This* one: another process gets the item, or nobody, as the queue was [made](crate::Delivery).
#[must_use = "dropped at once, the item goes back"]
pub struct Lease<'q, T: ShmSafe, K: Judge = Seat> {
    queue: &'q Queue<T, K>,
    /// Empty when it was settled.
    held: Option<Held>,
    slot: u32,
}

impl<'q, T: ShmSafe, K: Judge> Lease<'q, T, K> {
    pub(crate) fn new(queue: &'q Queue<T, K>, held: Held) -> Self {
        Self { queue, slot: held.first(), held: Some(held) }
    }

    /// Says that the item is done: nobody else gets it, and its place is free.
    ///
    /// # Errors
    ///
    /// [`QueueError::NotMine`] in a process that was forked since, or that has lost its place in the roster.
    pub fn done(mut self) -> Result<(), QueueError> {
        match self.settle() {
            Some(held) => self.queue.ring.done(held),
            None => Err(QueueError::NotMine),
        }
    }

    /// Gives the item back: whoever takes next gets it, before all others. [Counted](crate::Stats::redelivered).
    ///
    /// # Errors
    ///
    /// As [`done`](Self::done).
    pub fn give_back(mut self) -> Result<(), QueueError> {
        match self.settle() {
            Some(held) => self.queue.ring.give_back(held),
            None => Err(QueueError::NotMine),
        }
    }

    /// Returns what is held, once, if it is this process that holds it.
    fn settle(&mut self) -> Option<Held> {
        self.held.take().filter(|held| self.queue.keeper.me() == Some(held.owner()))
    }
}

impl<T: ShmSafe, K: Judge> Deref for Lease<'_, T, K> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: held for as long as `self` is not settled, which takes it: nobody writes to the item; aligned, valid as long
        // as the queue's keeper is borrowed (`at`), and any bytes are a `T`.
        unsafe { self.queue.places.at(self.slot).as_ref() }
    }
}

impl<T: ShmSafe, K: Judge> Drop for Lease<'_, T, K> {
    fn drop(&mut self) {
        if let Some(held) = self.settle() {
            // If it is ours no more, others have it.
            let _ = self.queue.ring.give_back(held);
        }
    }
}

impl<T: ShmSafe + fmt::Debug, K: Judge> fmt::Debug for Lease<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&**self).finish()
    }
}
