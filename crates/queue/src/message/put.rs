//! Putting messages.

use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_atomic::copy::copy_slice;
use shmkit_heap::{Block, HeapError};
use shmkit_roster::Judge;
use shmkit_sync::Patience;

use super::MessageQueue;
use super::note::{INSIDE, Note};
use crate::QueueError;
use crate::put::now;
use crate::raw::{Claim, Tried};

impl<K: Judge> MessageQueue<K> {
    /// Puts a message; waits for a slot, and for memory if it is long.
    ///
    /// # Errors
    ///
    /// [`QueueError::TooLong`] if the queue could not hold it if it was empty; [`QueueError::Closed`]; [`QueueError::NotJoined`];
    /// [`QueueError::Heap`] if the queue may become larger, and the system has no memory.
    ///
    /// # If a peer dies
    ///
    /// The slots and the memory that it held are free within about 40 ms.
    #[inline]
    pub fn put(&self, message: &[u8]) -> Result<(), QueueError> {
        self.put_by(message, Deadline::NEVER)
    }

    /// Puts a message if there is room for it now; never sleeps, but for the lock of the heap.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), and [`QueueError::Full`].
    #[inline]
    pub fn try_put(&self, message: &[u8]) -> Result<(), QueueError> {
        self.put_by(message, Deadline::PASSED).map_err(now)
    }

    /// Puts a message; waits for room at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`put`](Self::put).
    pub fn put_timeout(&self, message: &[u8], wait: Duration) -> Result<(), QueueError> {
        self.put_by(message, Deadline::after(wait))
    }

    /// Puts a message; waits for room until `deadline` at the latest, or for as long as a [`Patience`] lasts.
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
        message: &[u8],
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), QueueError> {
        self.put_by(message, deadline)
    }

    #[inline]
    pub(super) fn put_by<'p>(
        &self,
        message: &[u8],
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), QueueError> {
        if message.len() > INSIDE {
            return self.put_block(message, &patience.into());
        }
        let claim = self.claim(patience)?;
        let note = self.note(claim.first());
        note.measure(message.len());
        // SAFETY: the slot is claimed.
        unsafe { note.write(message) };
        self.ring.commit(claim)
    }

    /// Puts a message that lies in a block. The block first: who waits for memory with a slot in its hands would hold up all who
    /// take, and so wait for ever.
    fn put_block(&self, message: &[u8], patience: &Patience<'_>) -> Result<(), QueueError> {
        let mut block = self.reserve(message.len(), patience)?;
        copy_slice(message, &mut block.as_mut_slice()[..message.len()]);
        let claim = match self.claim(*patience) {
            Ok(claim) => claim,
            Err(error) => {
                drop(block);
                self.tell_memory();
                return Err(error);
            }
        };
        let note = self.note(claim.first());
        note.measure(message.len());
        // Before the block is kept: from then on it is the slot's alone, whatever becomes of this process.
        note.refer(block.id());
        match block.keep() {
            Ok(_) => self.ring.commit(claim),
            Err(error) => {
                self.ring.give_up(claim);
                self.tell_memory();
                Err(error.into())
            }
        }
    }

    /// Claims a slot, and frees what a dead one has left there.
    #[inline]
    fn claim<'p>(&self, patience: impl Into<Patience<'p>>) -> Result<Claim, QueueError> {
        let claim = self.ring.claim(self.heap.keeper(), 1, patience)?;
        let note = self.note(claim.first());
        if !note.block().is_none() {
            self.clear(note);
        }
        Ok(claim)
    }

    /// Frees what a dead one has left in a slot that is claimed.
    #[cold]
    pub(super) fn clear(&self, note: Note<'_>) {
        if self.free(note.block()) {
            self.tell_memory();
        }
        note.refer(shmkit_heap::BlockId::NONE);
    }

    /// Reserves memory for a message; waits for it.
    fn reserve(&self, len: usize, patience: &Patience<'_>) -> Result<Block<'_, K>, QueueError> {
        let most = self.max_len();
        if len as u64 > most {
            return Err(QueueError::TooLong { length: len as u64, most });
        }
        if let Some(block) = self.try_reserve(len)? {
            return Ok(block);
        }
        let keeper = self.heap.keeper();
        let me = keeper.me().ok_or(QueueError::NotJoined)?;
        // Each try goes through the heap: none for nothing.
        self.ring.wait(keeper, me, patience, &self.frame.memory, None, |_| {
            Ok(match self.try_reserve(len)? {
                Some(block) => Tried::Got(block),
                None => Tried::Wait,
            })
        })
    }

    fn try_reserve(&self, len: usize) -> Result<Option<Block<'_, K>>, QueueError> {
        if self.is_closed() { Err(QueueError::Closed) } else { self.reserve_now(len) }
    }

    /// Reserves memory for a message if there is some.
    pub(super) fn reserve_now(&self, len: usize) -> Result<Option<Block<'_, K>>, QueueError> {
        match self.heap.reserve_bytes(len) {
            Err(HeapError::Full { .. }) if self.sweep()? => match self.heap.reserve_bytes(len) {
                Err(HeapError::Full { .. }) => Ok(None),
                reserved => Ok(Some(reserved?)),
            },
            Err(HeapError::Full { .. }) => Ok(None),
            reserved => Ok(Some(reserved?)),
        }
    }

    /// Returns whether there is memory for so long a message now.
    pub(super) fn has_memory(&self, len: usize) -> Result<bool, QueueError> {
        if len <= INSIDE || len as u64 > self.max_len() {
            return Ok(true); // Or there is something to be told.
        }
        let has = self.try_reserve(len)?.is_some();
        if has {
            // Another may have looked while this had it.
            self.tell_memory();
        }
        Ok(has)
    }
}
