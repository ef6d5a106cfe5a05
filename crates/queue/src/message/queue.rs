//! The handle of a queue of messages.

use core::fmt;

use shmkit_heap::{BlockId, Heap, HeapError};
use shmkit_layout::Shared;
use shmkit_roster::{Judge, Seat};
use shmkit_sync::Doorbell;

use super::note::{Item, Note};
use crate::letters::Letters;
use crate::places::Places;
use crate::raw::Ring;
use crate::{Delivery, QueueError, Stats};

/// What a queue of messages has beside its slots and its heap.
///
/// ```text
/// byte 0  bytes   u64    of the heap, tables included; stored once, before anybody else sees the queue
///      8  memory  u32    bell: those who wait for memory sleep there
/// ```
#[repr(C)]
pub(super) struct MessageFrame {
    pub(super) bytes: shmkit_atomic::AtomicU64,
    pub(super) memory: Doorbell,
}

// SAFETY: repr(C) of an atomic word and of what is `Shared`.
unsafe impl Shared for MessageFrame {}

/// A queue of messages, of any length, which any number of processes put into, and any number take from.
///
/// It is a [`Queue`](crate::Queue) in all else: bounded, in the order of putting, with leases. A message of up to 104 bytes lies
/// in its slot, a longer one in a block of the queue's own heap; it is borrowed where it lies by who
/// [takes](Self::take) it. Who puts waits for a slot and for memory; a message that the queue could not hold if it was empty is
/// an error of the call.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/messages.rs"));
/// # fn main() {
/// # example(8, |queue| {
/// queue.put(b"burger")?; // in any process
/// queue.put(&[7; 10_000])?;
/// assert_eq!(queue.get()?, b"burger"); // in any other
///
/// let message = queue.take()?; // killed from here on: another process gets it
/// assert_eq!(message.len(), 10_000);
/// message.done()?;
/// queue.join()?; // nothing is left undone
/// # Ok(())
/// # });
/// # }
/// ```
///
/// # If a peer dies
///
/// As with a [`Queue`](crate::Queue). No memory is lost: what the dead had reserved, and what was a message of theirs that nobody
/// gets any more, is free for whoever finds no other.
///
/// # Implementation notes
///
/// Which slot has which block is told by the slot alone, and a block's id is never another's: so whoever finds one in an empty
/// slot may free it, and two who do so do it once. Who is done with a message says so before it gives the block back, and empties
/// the slot after that.
pub struct MessageQueue<K: Judge = Seat> {
    pub(super) ring: Ring<'static>,
    pub(super) places: Places<Item>,
    /// Of a queue that gives messages up.
    pub(super) letters: Option<Letters<Item>>,
    pub(super) frame: &'static MessageFrame,
    /// Has the keeper, which keeps mapped what the others lead to; so it is dropped last.
    pub(super) heap: Heap<K>,
}

impl<K: Judge> MessageQueue<K> {
    /// Most bytes of a message that takes no block of the heap.
    pub const INSIDE: usize = super::note::INSIDE;

    /// Returns how many messages it can hold.
    pub fn capacity(&self) -> usize {
        self.ring.capacity() as usize
    }

    /// Returns how many bytes a message can have. One that takes most of the memory waits until nearly all others are done.
    pub fn max_len(&self) -> u64 {
        self.heap.largest().max(Self::INSIDE as u64)
    }

    /// Returns how many messages are in it to be taken, as [`Queue::len`](crate::Queue::len).
    ///
    /// # Errors
    ///
    /// [`QueueError::Corrupt`].
    pub fn len(&self) -> Result<usize, QueueError> {
        Ok(self.ring.len()? as usize)
    }

    /// Returns whether there is nothing to take, as [`len`](Self::len) does.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn is_empty(&self) -> Result<bool, QueueError> {
        self.ring.is_empty()
    }

    /// Returns whether no message can be put, not even a small one, as [`len`](Self::len) does.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn is_full(&self) -> Result<bool, QueueError> {
        self.ring.is_full()
    }

    /// Closes the queue, as [`Queue::close`](crate::Queue::close).
    ///
    /// # Errors
    ///
    /// [`QueueError::NotJoined`].
    pub fn close(&self) -> Result<(), QueueError> {
        self.heap.keeper().me().ok_or(QueueError::NotJoined)?;
        self.ring.queue().close();
        self.frame.memory.ring_all();
        Ok(())
    }

    /// Returns whether somebody has closed it.
    pub fn is_closed(&self) -> bool {
        self.ring.queue().is_closed()
    }

    /// Returns what becomes of the message of a taker that died.
    pub fn delivery(&self) -> Delivery {
        self.ring.queue().delivery()
    }

    /// Returns the messages that were given up, as [`Queue::dead_letters`](crate::Queue::dead_letters): a queue as well, with
    /// the same memory.
    pub fn dead_letters(&self) -> Option<Self>
    where
        K: Clone,
    {
        let Letters { ring, places } = self.letters?;
        // What is wrong with the queue is told to who takes.
        let _ = self.bury_all();
        Some(Self { ring, places, letters: None, frame: self.frame, heap: self.heap.clone() })
    }

    /// Moves all that was given up, and that nobody has moved yet, to the dead letters.
    pub(super) fn bury_all(&self) -> Result<(), QueueError> {
        if self.letters.is_some() {
            while let Some(held) = self.ring.take_given_up(self.heap.keeper())? {
                self.bury(held)?;
            }
        }
        Ok(())
    }

    /// Returns what was lost, cut, brought back and given up so far.
    pub fn stats(&self) -> Stats {
        self.ring.queue().stats()
    }

    /// Returns the heap in which its longer messages lie: to see how full it is.
    pub fn heap(&self) -> &Heap<K> {
        &self.heap
    }

    pub(super) fn note(&self, slot: u32) -> Note<'_> {
        Note::at(&self.places, slot)
    }

    /// Frees a block that nobody refers to any more, unless somebody has done so; returns whether this did.
    pub(super) fn free(&self, block: BlockId) -> bool {
        // What the dead had only reserved the heap gathers itself.
        !block.is_none() && self.heap.free(block).is_ok()
    }

    /// Tells those who wait for memory that there is some.
    pub(super) fn tell_memory(&self) {
        self.frame.memory.ring_all();
    }

    /// Frees the blocks that the dead have left in empty slots; returns whether there were some.
    ///
    /// # Errors
    ///
    /// [`QueueError::Corrupt`].
    #[cold]
    pub(super) fn sweep(&self) -> Result<bool, QueueError> {
        let mut freed = false;
        let letters = self.letters.iter().map(|letters| (letters.ring, &letters.places));
        for (ring, places) in letters.chain([(self.ring, &self.places)]) {
            for slot in 0..ring.capacity() {
                if let Some(block) = ring.read_empty(slot, || Note::at(places, slot).block())? {
                    freed |= self.free(block);
                }
            }
        }
        Ok(freed)
    }
}

impl<K: Judge + Clone> Clone for MessageQueue<K> {
    fn clone(&self) -> Self {
        let Self { ring, places, letters, frame, ref heap } = *self;
        Self { ring, places, letters, frame, heap: heap.clone() }
    }
}

impl<K: Judge> fmt::Debug for MessageQueue<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageQueue")
            .field("capacity", &self.capacity())
            .field("max_len", &self.max_len())
            .field("len", &self.len())
            .field("closed", &self.is_closed())
            .field("delivery", &self.delivery())
            .field("stats", &self.stats())
            .finish()
    }
}

impl From<HeapError> for QueueError {
    fn from(error: HeapError) -> Self {
        match error {
            HeapError::NotJoined => Self::NotJoined,
            error => Self::Heap(error),
        }
    }
}
