//! Messages that are written or read where they are.

use core::fmt;

use shmkit_roster::{Judge, Seat};

use super::partial::Partial;
use crate::loan::NOT_OURS;
use crate::places::Places;
use crate::raw::{Piece, Place};
use crate::{PipeError, RawEnd};

/// Room for a message, lent to the sender by [`FrameSender::reserve`](crate::FrameSender::reserve).
///
/// Dropped without [`commit`](Self::commit), nothing was sent. The room is this process's alone; a child that is forked
/// meanwhile must not write to its copy of the loan, and cannot commit it.
#[must_use = "nothing is sent without `commit`"]
pub struct Draft<'s, K = Seat> {
    pub(super) end: &'s mut RawEnd<'static, true>,
    pub(super) places: Places<'s, u64>,
    pub(super) keeper: &'s K,
    /// Bytes of a streamed message that was begun and not ended.
    pub(super) begun: &'s mut u64,
    pub(super) place: Place,
}

impl<K: Judge> Draft<'_, K> {
    /// Returns how many bytes there is room for.
    pub fn len(&self) -> usize {
        self.place.len as usize
    }

    /// Returns whether there is room for none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Borrows the room. It holds old bytes.
    ///
    /// # Panics
    ///
    /// In a forked child, which inherited the loan but not the end.
    pub fn bytes(&mut self) -> &mut [u8] {
        assert!(self.end.check(self.keeper).is_ok(), "{NOT_OURS}");
        // SAFETY: the place is free (`RawEnd::place`) and the sender's alone, of which this is the only loan (`&mut`).
        unsafe { self.places.borrow_bytes_mut(self.place.at, self.len()) }
    }

    /// Borrows the room of who has just reserved it, and so need not ask whose it is.
    #[inline]
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.places.take_bytes_ahead(self.place.at, self.place.len, self.end.ready());
        // SAFETY: as in `bytes`.
        unsafe { self.places.borrow_bytes_mut(self.place.at, self.len()) }
    }

    /// Sends all of it, as [`room`](Self::room) is written.
    #[inline]
    pub(super) fn put(self) {
        let given_up = core::mem::take(self.begun) != 0;
        self.end.put(&self.places, self.place, self.place.len, 0, given_up);
    }

    /// Sends the first `len` bytes as one message.
    ///
    /// # Errors
    ///
    /// [`PipeError::NotJoined`] or [`PipeError::NotMine`] in a forked child, and if the end was taken over.
    ///
    /// # Panics
    ///
    /// If there is less room.
    pub fn commit(self, len: usize) -> Result<(), PipeError> {
        assert!(len <= self.len(), "{len} bytes of {} were sent", self.len());
        self.end.check(self.keeper)?;
        let given_up = core::mem::take(self.begun) != 0;
        self.end.put(&self.places, self.place, len as u64, 0, given_up);
        Ok(())
    }
}

impl<K> fmt::Debug for Draft<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("len", &self.place.len).finish_non_exhaustive()
    }
}

/// A message, lent to the receiver by [`FrameReceiver::peek`](crate::FrameReceiver::peek).
///
/// Dropped without [`release`](Self::release), it is still to be received.
#[must_use = "nothing is received without `release`"]
pub struct Frame<'s, K = Seat> {
    pub(super) end: &'s mut RawEnd<'static, false>,
    pub(super) places: Places<'s, u64>,
    pub(super) keeper: &'s K,
    /// The message, or the last piece of a streamed one.
    pub(super) piece: Piece,
    /// All of a streamed one.
    pub(super) partial: &'s mut Option<Partial>,
}

impl<K: Judge> Frame<'_, K> {
    /// Returns its length, in bytes.
    pub fn len(&self) -> usize {
        self.partial.as_ref().map_or(self.piece.len as usize, Partial::len)
    }

    /// Returns whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Borrows the message: where it lies, or, if it was streamed, where this process has put it together.
    ///
    /// # Panics
    ///
    /// In a forked child, which inherited the loan but not the end.
    pub fn bytes(&self) -> &[u8] {
        assert!(self.end.check(self.keeper).is_ok(), "{NOT_OURS}");
        match self.partial.as_ref() {
            Some(partial) => partial.bytes(),
            // SAFETY: the piece was published, and the sender does not write to it before we release it, which ends this
            // borrow.
            None => unsafe { self.places.borrow_bytes(self.piece.at, self.piece.len as usize) },
        }
    }

    /// Releases the message: it is received.
    ///
    /// # Errors
    ///
    /// [`PipeError::NotJoined`] or [`PipeError::NotMine`] in a forked child, and if the end was taken over.
    pub fn release(self) -> Result<(), PipeError> {
        self.end.check(self.keeper)?;
        *self.partial = None;
        self.end.publish(self.piece.words);
        Ok(())
    }
}

impl<K> fmt::Debug for Frame<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("piece", &self.piece.len).finish_non_exhaustive()
    }
}
