//! The end that sends messages.

use core::fmt;
use core::time::Duration;
use std::io::IoSlice;

use shmkit_atomic::Deadline;
use shmkit_atomic::copy::copy_slice;
use shmkit_roster::{Judge, Seat};
use shmkit_sync::Patience;

use super::gather::Gather;
use super::loan::Draft;
use crate::places::Places;
use crate::raw::Part;
use crate::sender::now;
use crate::{PipeError, RawEnd};

/// The sending end of [`Frames`](crate::Frames). Dropping it closes it: the receiver gets what was sent, then the end of
/// file.
///
/// An end belongs to the participant that claimed it. A copy that a forked child has of it refuses everything, and its
/// drop does nothing.
///
/// A message of up to half of the pipe is sent by one store: whoever is killed has sent all of it, or nothing. A longer one is
/// streamed, in pieces of a quarter of the pipe and of 16 KiB at most, while the receiver receives; it is sent with its last piece.
/// Streams are fastest in a pipe that is as large as a processor's own cache, a mebibyte mostly: what the receiver reads has left the
/// sender's by then, and comes from the one they share.
///
/// # If a peer dies
///
/// A sender that waits for room learns of it within some 30 ms ([`PipeError::PeerDied`]). One that finds room goes on
/// sending, for a successor; [`PipeError::Closed`] comes at once.
pub struct FrameSender<K: Judge = Seat> {
    pub(crate) end: RawEnd<'static, true>,
    pub(crate) places: Places<'static, u64>,
    /// Bytes of a streamed message that was begun and not ended: the receiver is told with the next one.
    begun: u64,
    /// Keeps mapped what the others lead to; so it is dropped last.
    pub(crate) keeper: K,
}

impl<K: Judge> FrameSender<K> {
    pub(super) fn new(end: RawEnd<'static, true>, places: Places<'static, u64>, keeper: K) -> Self {
        Self { end, places, begun: 0, keeper }
    }

    /// Returns the most bytes of a message that lies in the pipe in one piece, and that can be lent: half of the pipe, less 8.
    pub fn most_in_place(&self) -> usize {
        self.end.most_in_place() as usize
    }

    /// Sends a message; waits for room.
    ///
    /// A streamed message whose sending fails is given up: the receiver does not get it.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/frames.rs"));
    /// # fn main() {
    /// # example(4096, |frames| {
    /// let (mut sender, mut receiver) = (frames.sender()?, frames.receiver()?);
    /// let film = vec![7; 100_000]; // larger than the pipe
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| sender.send(&film).unwrap());
    ///     assert_eq!(receiver.recv(), Ok(film.clone()));
    /// });
    /// # Ok(())
    /// # });
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PipeError::Closed`] or [`PipeError::PeerDied`] if the receiver has closed its end, or died with the pipe full;
    /// [`PipeError::TooMany`] if there can be no message of this length; or if this end is not (any more) this participant's.
    ///
    /// # If a peer dies
    ///
    /// See [`FrameSender`].
    pub fn send(&mut self, message: &[u8]) -> Result<(), PipeError> {
        self.send_by(message, Deadline::NEVER)
    }

    /// Sends a message if there is room now; never sleeps. It must fit [in one piece](Self::most_in_place).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), [`PipeError::TooMany`] if it would have to be streamed, and [`PipeError::Full`].
    pub fn try_send(&mut self, message: &[u8]) -> Result<(), PipeError> {
        self.send_by(message, Deadline::PASSED).map_err(now)
    }

    /// Sends a message; waits for room at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameSender`].
    pub fn send_timeout(&mut self, message: &[u8], wait: Duration) -> Result<(), PipeError> {
        self.send_by(message, Deadline::after(wait))
    }

    /// Sends a message; waits for room until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameSender`].
    pub fn send_deadline<'p>(
        &mut self,
        message: &[u8],
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), PipeError> {
        self.send_by(message, deadline)
    }

    /// Sends a message whose bytes lie in several places, one after the other; waits for room.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/frames.rs"));
    /// # fn main() {
    /// # example(4096, |frames| {
    /// use std::io::IoSlice;
    ///
    /// let (mut sender, mut receiver) = (frames.sender()?, frames.receiver()?);
    /// sender.send_vectored(&[IoSlice::new(b"bun, "), IoSlice::new(b"burger")])?;
    /// assert_eq!(receiver.recv()?, b"bun, burger");
    /// # Ok(())
    /// # });
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # If a peer dies
    ///
    /// See [`FrameSender`].
    pub fn send_vectored(&mut self, parts: &[IoSlice<'_>]) -> Result<(), PipeError> {
        self.send_parts_by(parts, Deadline::NEVER)
    }

    /// Sends a message of several parts if there is room now; never sleeps. It must fit [in one piece](Self::most_in_place).
    ///
    /// # Errors
    ///
    /// As [`send_vectored`](Self::send_vectored), [`PipeError::TooMany`] if it would have to be streamed, and [`PipeError::Full`].
    pub fn try_send_vectored(&mut self, parts: &[IoSlice<'_>]) -> Result<(), PipeError> {
        self.send_parts_by(parts, Deadline::PASSED).map_err(now)
    }

    /// Sends a message of several parts; waits for room at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`send_vectored`](Self::send_vectored), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameSender`].
    pub fn send_vectored_timeout(
        &mut self,
        parts: &[IoSlice<'_>],
        wait: Duration,
    ) -> Result<(), PipeError> {
        self.send_parts_by(parts, Deadline::after(wait))
    }

    /// Sends a message of several parts; waits for room until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`send_vectored`](Self::send_vectored), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameSender`].
    pub fn send_vectored_deadline<'p>(
        &mut self,
        parts: &[IoSlice<'_>],
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), PipeError> {
        self.send_parts_by(parts, deadline)
    }

    /// Reserves room for a message of up to `len` bytes, to be written in place; waits for it.
    ///
    /// Nothing is visible to the receiver until [`Draft::commit`], not even if this process is killed before it; then
    /// all of it at once.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/frames.rs"));
    /// # fn main() {
    /// # example(4096, |frames| {
    /// let (mut sender, mut receiver) = (frames.sender()?, frames.receiver()?);
    /// let mut draft = sender.reserve(100)?;
    /// draft.bytes()[..6].copy_from_slice(b"burger");
    /// draft.commit(6)?; // The rest was not needed.
    /// assert_eq!(receiver.recv()?, b"burger");
    /// # Ok(())
    /// # });
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`PipeError::TooMany`] if `len` is more than lies [in one piece](Self::most_in_place).
    ///
    /// # If a peer dies
    ///
    /// See [`FrameSender`].
    pub fn reserve(&mut self, len: usize) -> Result<Draft<'_, K>, PipeError> {
        self.reserve_by(len, Deadline::NEVER)
    }

    /// Reserves room for a message if there is enough now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve), and [`PipeError::Full`].
    pub fn try_reserve(&mut self, len: usize) -> Result<Draft<'_, K>, PipeError> {
        self.reserve_by(len, Deadline::PASSED).map_err(now)
    }

    /// Reserves room for a message, waiting for it at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameSender`].
    pub fn reserve_timeout(
        &mut self,
        len: usize,
        wait: Duration,
    ) -> Result<Draft<'_, K>, PipeError> {
        self.reserve_by(len, Deadline::after(wait))
    }

    /// Reserves room for a message, waiting for it until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameSender`].
    pub fn reserve_deadline<'p>(
        &mut self,
        len: usize,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Draft<'_, K>, PipeError> {
        self.reserve_by(len, deadline)
    }

    /// Sends as much of a message as there is room for now, of which `sent` bytes have gone before, 0 at first; returns how many have
    /// gone by now. It is sent when all have. Never sleeps: for who has something else to wait for meanwhile.
    ///
    /// What else is sent in between gives the message up: then it begins anew.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`PipeError::Full`] if nothing has gone.
    pub fn try_send_part(&mut self, message: &[u8], sent: usize) -> Result<usize, PipeError> {
        if message.len() <= self.most_in_place() {
            return self.try_send(message).map(|()| message.len());
        }
        if message.len() > MOST {
            return Err(PipeError::TooMany { wanted: message.len(), capacity: MOST });
        }
        let before = if sent as u64 == self.begun { sent } else { 0 };
        let rest = [IoSlice::new(&message[before..])];
        let (gather, len) = Gather::of(&rest);
        match self.stream_by(gather, before as u64, len, Deadline::PASSED.into()) {
            Ok(()) => Ok(message.len()),
            // Why no more of it went comes again at the next attempt.
            Err(_) if self.begun > before as u64 => Ok(self.begun as usize),
            Err(error) => Err(now(error)),
        }
    }

    /// Closes this end, as a drop does: the receiver gets what was sent, then the end of file. The end can be claimed
    /// again.
    pub fn close(self) {}

    #[inline]
    pub(super) fn send_by<'p>(
        &mut self,
        message: &[u8],
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), PipeError> {
        if message.len() > self.most_in_place() {
            return self.send_parts_by(&[IoSlice::new(message)], patience);
        }
        let mut draft = self.reserve_by(message.len(), patience)?;
        copy_slice(message, draft.room());
        draft.put();
        Ok(())
    }

    fn send_parts_by<'p>(
        &mut self,
        parts: &[IoSlice<'_>],
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), PipeError> {
        let (most, patience) = (self.most_in_place(), patience.into());
        let (mut gather, len) = Gather::of(parts);
        if len > most {
            let capacity = if patience.waits() { MOST } else { most };
            if len > capacity {
                return Err(PipeError::TooMany { wanted: len, capacity });
            }
            return self.stream_by(gather, 0, len, patience);
        }
        let mut draft = self.reserve_by(len, patience)?;
        gather.copy_to(draft.room());
        draft.put();
        Ok(())
    }

    /// Sends the `len` bytes of a long message that come after those `sent` before.
    #[cold]
    fn stream_by(
        &mut self,
        mut gather: Gather<'_, '_>,
        mut sent: u64,
        len: usize,
        patience: Patience<'_>,
    ) -> Result<(), PipeError> {
        let total = sent + len as u64;
        let mut given_up = sent == 0 && self.begun != 0;
        while sent < total {
            let part = if sent == 0 { Part::First } else { Part::Next };
            let left = total - sent;
            let place = self.end.place_part(&self.keeper, part, left, patience);
            let place = place.map_err(|error| self.in_messages(error))?;
            // SAFETY: the place is free, and free places are the sender's alone.
            let room = unsafe { self.places.borrow_bytes_mut(place.at, place.len as usize) };
            gather.copy_to(room);
            self.end.put(&self.places, place, place.len, left - place.len, given_up);
            sent += place.len;
            (self.begun, given_up) = (sent, false);
        }
        self.begun = 0;
        Ok(())
    }

    #[inline]
    fn reserve_by<'p>(
        &mut self,
        len: usize,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Draft<'_, K>, PipeError> {
        let place = self.end.place(&self.keeper, len as u64, patience);
        let place = place.map_err(|error| self.in_messages(error))?;
        Ok(Draft {
            end: &mut self.end,
            places: self.places,
            keeper: &self.keeper,
            begun: &mut self.begun,
            place,
        })
    }
}

impl<K: Judge> FrameSender<K> {
    /// The ring counts words, and who sends messages.
    fn in_messages(&self, error: PipeError) -> PipeError {
        match error {
            PipeError::PeerDied { peer, left } => {
                PipeError::PeerDied { peer, left: self.end.messages_in(&self.places, left) }
            }
            error => error,
        }
    }
}

/// The longest message that there can be, in bytes.
const MOST: usize = (1 << 48) - 1;

impl<K: Judge> Drop for FrameSender<K> {
    fn drop(&mut self) {
        self.end.close(&self.keeper);
    }
}

impl<K: Judge> fmt::Debug for FrameSender<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FrameSender").field(&self.end).finish()
    }
}
