//! Taking messages, and waiting until all is done.

use core::slice;
use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_atomic::copy::copy_slice;
use shmkit_heap::BlockId;
use shmkit_roster::Judge;
use shmkit_sync::Patience;

use super::note::{INSIDE, Note};
use super::{MessageLease, MessageQueue};
use crate::QueueError;
use crate::get::now;
use crate::raw::Held;

impl<K: Judge> MessageQueue<K> {
    /// Takes a message, and is done with it; waits for one. Who wants others to get it if it is killed while it works on it
    /// [`take`](Self::take)s it.
    ///
    /// # Errors
    ///
    /// [`QueueError::Closed`] if the queue is closed and nothing is left in it; [`QueueError::NotJoined`];
    /// [`QueueError::Corrupt`] if a peer has written nonsense in place of a message, which nobody gets then.
    ///
    /// # If a peer dies
    ///
    /// What it held comes back, or is lost, as the queue was [made](crate::Delivery), within about 40 ms.
    #[inline]
    pub fn get(&self) -> Result<Vec<u8>, QueueError> {
        self.get_by(Deadline::NEVER)
    }

    /// Takes a message if there is one now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`QueueError::Empty`].
    #[inline]
    pub fn try_get(&self) -> Result<Vec<u8>, QueueError> {
        self.get_by(Deadline::PASSED).map_err(now)
    }

    /// Takes a message; waits for one at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn get_timeout(&self, wait: Duration) -> Result<Vec<u8>, QueueError> {
        self.get_by(Deadline::after(wait))
    }

    /// Takes a message; waits for one until `deadline` at the latest, or for as long as a [`Patience`] lasts.
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
    ) -> Result<Vec<u8>, QueueError> {
        self.get_by(deadline)
    }

    /// Takes a message to the beginning of `buffer`, and is done with it; waits for one. Returns its length.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); [`QueueError::TooShort`], with the message's length, if the buffer is shorter: the message is
    /// [given back](MessageLease::give_back), so that whoever takes next gets it.
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn get_into(&self, buffer: &mut [u8]) -> Result<usize, QueueError> {
        self.get_into_by(buffer, Deadline::NEVER)
    }

    /// The same, of a message that is there now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`get_into`](Self::get_into), and [`QueueError::Empty`].
    pub fn try_get_into(&self, buffer: &mut [u8]) -> Result<usize, QueueError> {
        self.get_into_by(buffer, Deadline::PASSED).map_err(now)
    }

    /// The same, waiting for a message at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`get_into`](Self::get_into), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn get_into_timeout(&self, buffer: &mut [u8], wait: Duration) -> Result<usize, QueueError> {
        self.get_into_by(buffer, Deadline::after(wait))
    }

    /// The same, waiting for a message until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`get_into`](Self::get_into), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn get_into_deadline<'p>(
        &self,
        buffer: &mut [u8],
        deadline: impl Into<Patience<'p>>,
    ) -> Result<usize, QueueError> {
        self.get_into_by(buffer, deadline)
    }

    /// Takes a message with a receipt: it stays this process's until it says that it is [done](MessageLease::done); waits for
    /// one.
    ///
    /// Dropped, or [given back](MessageLease::give_back), it goes to whoever takes next. It is borrowed where it lies, and its
    /// slot and its memory are not free before that.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn take(&self) -> Result<MessageLease<'_, K>, QueueError> {
        self.take_by(Deadline::NEVER)
    }

    /// Takes a message with a receipt if there is one now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`QueueError::Empty`].
    pub fn try_take(&self) -> Result<MessageLease<'_, K>, QueueError> {
        self.take_by(Deadline::PASSED).map_err(now)
    }

    /// Takes a message with a receipt; waits for one at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn take_timeout(&self, wait: Duration) -> Result<MessageLease<'_, K>, QueueError> {
        self.take_by(Deadline::after(wait))
    }

    /// Takes a message with a receipt; waits for one until `deadline` at the latest, or for as long as a [`Patience`] lasts.
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
    ) -> Result<MessageLease<'_, K>, QueueError> {
        self.take_by(deadline)
    }

    /// Waits until all that was put is done, as [`Queue::join`](crate::Queue::join).
    ///
    /// # Errors
    ///
    /// [`QueueError::NotJoined`].
    ///
    /// # If a peer dies
    ///
    /// As with [`Queue::join`](crate::Queue::join).
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
    pub(super) fn get_by<'p>(
        &self,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Vec<u8>, QueueError> {
        let lease = self.take_by(patience)?;
        let message = lease.to_vec();
        lease.done()?;
        Ok(message)
    }

    fn get_into_by<'p>(
        &self,
        buffer: &mut [u8],
        patience: impl Into<Patience<'p>>,
    ) -> Result<usize, QueueError> {
        let lease = self.take_by(patience)?;
        let length = lease.len();
        let too_short = QueueError::TooShort { length: length as u64 };
        // Dropped, it goes back.
        copy_slice(&lease, buffer.get_mut(..length).ok_or(too_short)?);
        lease.done()?;
        Ok(length)
    }

    #[inline]
    pub(super) fn take_by<'p>(
        &self,
        patience: impl Into<Patience<'p>>,
    ) -> Result<MessageLease<'_, K>, QueueError> {
        let patience = patience.into();
        let held = loop {
            let held = self.ring.take(self.heap.keeper(), 1, patience)?;
            if !self.ring.is_given_up(&held) {
                break held;
            }
            self.bury(held)?;
        };
        // SAFETY: held, and settled by nobody but who has the lease, which borrows the message no longer than that.
        match unsafe { self.message(held.first()) } {
            Ok(message) => Ok(MessageLease::new(self, held, message)),
            Err(corrupt) => {
                // Nobody else is to come upon it.
                self.done(held)?;
                Err(corrupt)
            }
        }
    }

    /// Moves a message that was given up to the dead letters.
    #[cold]
    pub(super) fn bury(&self, held: Held) -> Result<(), QueueError> {
        let Some(letters) = &self.letters else { return self.done(held) };
        let from = self.note(held.first());
        // SAFETY: held until it is copied, here.
        let message = match unsafe { self.message(held.first()) } {
            Ok(message) => message,
            Err(corrupt) => {
                self.done(held)?;
                return Err(corrupt);
            }
        };
        let copy = |to| self.write_letter(Note::at(&letters.places, to), message);
        // Once it is a letter, as in `done`.
        let leave = || {
            if !from.block().is_none() {
                self.free(from.block());
                from.refer(BlockId::NONE);
            }
        };
        let lost = self.ring.bury(self.heap.keeper(), &letters.ring, held, copy, leave)?;
        if let Some(held) = lost {
            self.done(held)?;
        }
        self.tell_memory();
        Ok(())
    }

    /// Writes a message to where a letter is claimed; returns whether there was memory for it.
    fn write_letter(&self, note: Note<'_>, message: &[u8]) -> bool {
        if !note.block().is_none() {
            self.clear(note);
        }
        note.measure(message.len());
        if message.len() <= INSIDE {
            // SAFETY: the letter is claimed.
            unsafe { note.write(message) };
            return true;
        }
        let Ok(Some(mut block)) = self.reserve_now(message.len()) else { return false };
        copy_slice(message, &mut block.as_mut_slice()[..message.len()]);
        // As in `put_block`.
        note.refer(block.id());
        block.keep().is_ok()
    }

    /// Returns the message of a slot.
    ///
    /// # Safety
    ///
    /// The slot is held as long as the message is used.
    #[inline]
    unsafe fn message(&self, slot: u32) -> Result<&[u8], QueueError> {
        let note = self.note(slot);
        let (block, length) = (note.block(), note.length());
        let corrupt = QueueError::Corrupt { field: "message's length", found: length };
        if block.is_none() {
            return match usize::try_from(length) {
                // SAFETY: held (caller).
                Ok(length) if length <= INSIDE => Ok(unsafe { note.read(length) }),
                _ => Err(corrupt),
            };
        }
        let corrupt_block = QueueError::Corrupt { field: "message's block", found: block.get() };
        // SAFETY: the block is the slot's, and freed by nobody but who leaves it.
        let bytes = unsafe { self.heap.bytes(block) }.map_err(|_| corrupt_block)?;
        if length > bytes.len() as u64 {
            return Err(corrupt);
        }
        // SAFETY: as many bytes lie there, mapped as long as the heap's keeper lives; nobody writes to a message that is held
        // (caller), and bytes are valid whatever they are.
        Ok(unsafe { slice::from_raw_parts(bytes.base().as_ptr(), length as usize) })
    }

    /// Is done with a message: first nobody gets it any more, then its memory is free, then its slot.
    #[inline]
    pub(super) fn done(&self, held: Held) -> Result<(), QueueError> {
        let note = self.note(held.first());
        let block = note.block();
        if block.is_none() {
            return self.ring.done(held);
        }
        self.ring.leave(&held)?;
        self.free(block);
        note.refer(BlockId::NONE);
        let left = self.ring.left(held);
        self.tell_memory();
        left
    }

    fn join_by<'p>(&self, patience: impl Into<Patience<'p>>) -> Result<(), QueueError> {
        self.ring.join(self.heap.keeper(), patience)?;
        self.bury_all()
    }
}
