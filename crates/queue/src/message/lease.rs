//! A message that was taken, and its receipt.

use core::fmt;
use core::ops::Deref;

use shmkit_roster::{Judge, Seat};

use super::MessageQueue;
use crate::QueueError;
use crate::raw::Held;

/// A message that this process has taken and is not done with. It is borrowed where it lies.
///
/// Dropping it gives it back: a panic on the way leaves the message to others. A forked child has no part in it: its copy does
/// nothing.
///
/// # If a peer dies
///
/// *This* one: another process gets the message, or nobody, as the queue was [made](crate::Delivery).
#[must_use = "dropped at once, the message goes back"]
pub struct MessageLease<'q, K: Judge = Seat> {
    queue: &'q MessageQueue<K>,
    /// Empty when it was settled.
    held: Option<Held>,
    message: &'q [u8],
}

impl<'q, K: Judge> MessageLease<'q, K> {
    pub(super) fn new(queue: &'q MessageQueue<K>, held: Held, message: &'q [u8]) -> Self {
        Self { queue, held: Some(held), message }
    }

    /// Says that the message is done: nobody else gets it, and its slot and its memory are free.
    ///
    /// # Errors
    ///
    /// [`QueueError::NotMine`] in a process that was forked since, or that has lost its place in the roster.
    pub fn done(mut self) -> Result<(), QueueError> {
        match self.settle() {
            Some(held) => self.queue.done(held),
            None => Err(QueueError::NotMine),
        }
    }

    /// Gives the message back: whoever takes next gets it, before all others. [Counted](crate::Stats::redelivered).
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
        self.held.take().filter(|held| self.queue.heap.keeper().me() == Some(held.owner()))
    }
}

impl<K: Judge> Deref for MessageLease<'_, K> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.message
    }
}

impl<K: Judge> Drop for MessageLease<'_, K> {
    fn drop(&mut self) {
        if let Some(held) = self.settle() {
            // If it is ours no more, others have it.
            let _ = self.queue.ring.give_back(held);
        }
    }
}

impl<K: Judge> fmt::Debug for MessageLease<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MessageLease").field(&self.message).finish()
    }
}
