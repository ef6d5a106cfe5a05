//! The end that receives messages.

use core::fmt;
use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_atomic::copy::{append, copy_slice};
use shmkit_roster::{Judge, Seat};
use shmkit_sync::Patience;

use super::loan::Frame;
use super::partial::{Partial, Sink};
use crate::places::Places;
use crate::raw::Part;
use crate::receiver::now;
use crate::{Accepted, PipeError, RawEnd};

/// What a message may have unless the receiver says otherwise, in bytes: a gibibyte.
const LIMIT: u64 = 1 << 30;

/// The receiving end of [`Frames`](crate::Frames). Dropping it closes it: the sender learns of it at its next operation.
///
/// An end belongs to the participant that claimed it. A copy that a forked child has of it refuses everything, and its
/// drop does nothing.
///
/// Of a streamed message, which is longer than half of the pipe, the pieces are put together in private memory, or in the buffer
/// of who receives it. A wait that ends before the last one came loses nothing: the next one goes on. (So *try* may take a
/// piece, and say that there is no message yet.)
///
/// # If a peer dies
///
/// What the sender has sent is received first. Then a receiver that waits learns of the death within some 30 ms, one
/// that only tries after a millisecond and some attempts ([`PipeError::PeerDied`]). Of a streamed message that was not sent to
/// its end it is told before ([`PipeError::Torn`]), and gets nothing. If a successor claims the sender's end, the receiver just
/// goes on. If the receiver dies, its successor gets the first message that was not released; a streamed one of which it had a
/// part is lost, and its successor is told (`Torn`).
pub struct FrameReceiver<K: Judge = Seat> {
    pub(crate) end: RawEnd<'static, false>,
    pub(crate) places: Places<'static, u64>,
    /// The streamed message of which some pieces have come.
    pub(super) partial: Option<Partial>,
    /// The rest of a streamed message is not wanted.
    pub(super) dropping: bool,
    /// What a message may have, in bytes.
    limit: u64,
    /// Keeps mapped what the others lead to; so it is dropped last.
    pub(crate) keeper: K,
}

impl<K: Judge> FrameReceiver<K> {
    pub(super) fn new(
        end: RawEnd<'static, false>,
        places: Places<'static, u64>,
        keeper: K,
    ) -> Self {
        Self { end, places, partial: None, dropping: false, limit: LIMIT, keeper }
    }

    /// Returns the most bytes of a message that this end takes memory for: 2^30 unless it was set.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Sets the most bytes of a message that this end takes memory for, in [`recv`](Self::recv), and in
    /// [`peek`](Self::peek) if the message was streamed. A longer one is [`PipeError::TooLong`], before any memory is taken; it
    /// stays.
    pub fn set_limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    /// Receives a message; waits for one.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/frames.rs"));
    /// # fn main() {
    /// # example(4096, |frames| {
    /// let (mut sender, mut receiver) = (frames.sender()?, frames.receiver()?);
    /// sender.send(b"burger")?;
    /// sender.send(b"")?;
    /// assert_eq!(receiver.recv()?, b"burger");
    /// assert_eq!(receiver.recv()?, b"");
    /// # Ok(())
    /// # });
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PipeError::Closed`] at the end of file; [`PipeError::PeerDied`] if the sender died; [`PipeError::Torn`] of a streamed
    /// message that is not whole; [`PipeError::TooLong`] or [`PipeError::NoMemory`] if there is none for the message, which
    /// stays; [`PipeError::Corrupt`] if a peer has written what no peer writes; or if this end is not (any more) this
    /// participant's.
    ///
    /// # If a peer dies
    ///
    /// See [`FrameReceiver`].
    pub fn recv(&mut self) -> Result<Vec<u8>, PipeError> {
        self.recv_by(Deadline::NEVER)
    }

    /// Receives a message if there is a whole one now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`PipeError::Empty`].
    pub fn try_recv(&mut self) -> Result<Vec<u8>, PipeError> {
        self.recv_by(Deadline::PASSED).map_err(now)
    }

    /// Receives a message, waiting for it at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameReceiver`].
    pub fn recv_timeout(&mut self, wait: Duration) -> Result<Vec<u8>, PipeError> {
        self.recv_by(Deadline::after(wait))
    }

    /// Receives a message, waiting for it until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameReceiver`].
    pub fn recv_deadline<'p>(
        &mut self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Vec<u8>, PipeError> {
        self.recv_by(deadline)
    }

    /// Receives a message into a buffer, and returns its length; waits for one. The rest of the buffer is as it was, unless a part
    /// of a message has come to it before an error, or before its sender gave that one up.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/frames.rs"));
    /// # fn main() {
    /// # example(4096, |frames| {
    /// use shmkit_pipe::PipeError;
    ///
    /// let (mut sender, mut receiver) = (frames.sender()?, frames.receiver()?);
    /// sender.send(b"burger")?;
    /// let mut buffer = [0; 4];
    /// assert_eq!(receiver.recv_into(&mut buffer), Err(PipeError::TooShort { length: 6 }));
    /// let mut buffer = [0; 8]; // It is still there.
    /// assert_eq!(receiver.recv_into(&mut buffer)?, 6);
    /// assert_eq!(&buffer, b"burger\0\0");
    /// # Ok(())
    /// # });
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv); [`PipeError::TooShort`], with the length of the message, which stays, if the buffer is smaller.
    ///
    /// # If a peer dies
    ///
    /// See [`FrameReceiver`].
    pub fn recv_into(&mut self, buffer: &mut [u8]) -> Result<usize, PipeError> {
        self.recv_into_by(buffer, Deadline::NEVER)
    }

    /// Receives a message into a buffer if there is a whole one now; never sleeps. Returns its length.
    ///
    /// # Errors
    ///
    /// As [`recv_into`](Self::recv_into), and [`PipeError::Empty`].
    pub fn try_recv_into(&mut self, buffer: &mut [u8]) -> Result<usize, PipeError> {
        self.recv_into_by(buffer, Deadline::PASSED).map_err(now)
    }

    /// Receives a message into a buffer, waiting for it at most for `wait`. Returns its length.
    ///
    /// # Errors
    ///
    /// As [`recv_into`](Self::recv_into), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameReceiver`].
    pub fn recv_into_timeout(
        &mut self,
        buffer: &mut [u8],
        wait: Duration,
    ) -> Result<usize, PipeError> {
        self.recv_into_by(buffer, Deadline::after(wait))
    }

    /// Receives a message into a buffer, waiting for it until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    /// Returns its length.
    ///
    /// # Errors
    ///
    /// As [`recv_into`](Self::recv_into), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameReceiver`].
    pub fn recv_into_deadline<'p>(
        &mut self,
        buffer: &mut [u8],
        deadline: impl Into<Patience<'p>>,
    ) -> Result<usize, PipeError> {
        self.recv_into_by(buffer, deadline)
    }

    /// Borrows the next message, to be read in place; waits for one.
    ///
    /// It stays in the pipe until [`Frame::release`]: if this process is killed before it, a successor gets it again (*at least
    /// once*, where [`recv`](Self::recv) is *at most once* as soon as it has returned). Of a streamed message the last piece stays,
    /// so that a successor is told.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/frames.rs"));
    /// # fn main() {
    /// # example(4096, |frames| {
    /// let (mut sender, mut receiver) = (frames.sender()?, frames.receiver()?);
    /// sender.send(b"burger")?;
    /// let message = receiver.peek()?;
    /// assert_eq!(message.bytes(), b"burger");
    /// drop(message); // It stays.
    /// receiver.peek()?.release()?;
    /// assert!(receiver.is_empty());
    /// # Ok(())
    /// # });
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # If a peer dies
    ///
    /// See [`FrameReceiver`].
    pub fn peek(&mut self) -> Result<Frame<'_, K>, PipeError> {
        self.peek_by(Deadline::NEVER)
    }

    /// Borrows the next message if there is a whole one now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`peek`](Self::peek), and [`PipeError::Empty`].
    pub fn try_peek(&mut self) -> Result<Frame<'_, K>, PipeError> {
        self.peek_by(Deadline::PASSED).map_err(now)
    }

    /// Borrows the next message, waiting for it at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`peek`](Self::peek), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameReceiver`].
    pub fn peek_timeout(&mut self, wait: Duration) -> Result<Frame<'_, K>, PipeError> {
        self.peek_by(Deadline::after(wait))
    }

    /// Borrows the next message, waiting for it until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`peek`](Self::peek), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameReceiver`].
    pub fn peek_deadline<'p>(
        &mut self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Frame<'_, K>, PipeError> {
        self.peek_by(deadline)
    }

    /// Leaves out the next message, however long it is, without memory for it; waits for one.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), without those of memory.
    ///
    /// # If a peer dies
    ///
    /// See [`FrameReceiver`].
    pub fn discard(&mut self) -> Result<(), PipeError> {
        self.discard_by(Deadline::NEVER)
    }

    /// Leaves out the next message if there is a whole one now; never sleeps. If only its beginning has come, the message is
    /// left out nevertheless when the rest does.
    ///
    /// # Errors
    ///
    /// As [`discard`](Self::discard), and [`PipeError::Empty`].
    pub fn try_discard(&mut self) -> Result<(), PipeError> {
        self.discard_by(Deadline::PASSED).map_err(now)
    }

    /// Leaves out the next message, waiting for it at most for `wait`; as [`try_discard`](Self::try_discard) then.
    ///
    /// # Errors
    ///
    /// As [`discard`](Self::discard), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameReceiver`].
    pub fn discard_timeout(&mut self, wait: Duration) -> Result<(), PipeError> {
        self.discard_by(Deadline::after(wait))
    }

    /// Leaves out the next message, waiting for it until `deadline` at the latest, or for as long as a [`Patience`] lasts; as
    /// [`try_discard`](Self::try_discard) then.
    ///
    /// # Errors
    ///
    /// As [`discard`](Self::discard), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameReceiver`].
    pub fn discard_deadline<'p>(
        &mut self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), PipeError> {
        self.discard_by(deadline)
    }

    /// Waits for a sender that this end has not accepted yet, and receives from then on what that one sends, up to its end
    /// of file: as [`Receiver::accept`](crate::Receiver::accept). [`Accepted::skipped`] is in words of 8 bytes.
    ///
    /// # Errors
    ///
    /// [`PipeError::NeverCame`] or [`PipeError::ProcessEnded`] if who was [expected](Self::expect) is gone; or if this end is
    /// not (any more) this participant's.
    ///
    /// # If a peer dies
    ///
    /// See [`Receiver::accept`](crate::Receiver::accept).
    pub fn accept(&mut self) -> Result<Accepted, PipeError> {
        self.accept_by(Deadline::NEVER)
    }

    /// Accepts a sender that is there now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept), and [`PipeError::TimedOut`] if there is none; [`PipeError::CannotJudge`] if nobody can
    /// tell.
    pub fn try_accept(&mut self) -> Result<Accepted, PipeError> {
        self.accept_by(Deadline::PASSED)
    }

    /// Accepts a sender, waiting for it at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`try_accept`](Self::try_accept).
    pub fn accept_timeout(&mut self, wait: Duration) -> Result<Accepted, PipeError> {
        self.accept_by(Deadline::after(wait))
    }

    /// Accepts a sender, waiting for it until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`try_accept`](Self::try_accept).
    pub fn accept_deadline<'p>(
        &mut self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Accepted, PipeError> {
        self.accept_by(deadline)
    }

    /// Closes this end, as a drop does: the sender learns of it at its next operation. The end can be claimed again. What has
    /// come of a streamed message is lost, and whoever claims the end is told.
    pub fn close(self) {}

    pub(super) fn recv_by<'p>(
        &mut self,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Vec<u8>, PipeError> {
        let mut sink = Sink::Memory(self.limit);
        let piece = self.next_by(&mut sink, patience.into())?;
        let message = match self.partial.take() {
            Some(partial) => partial.into_bytes(),
            None => {
                let mut message = Vec::new();
                let no_memory = PipeError::NoMemory { length: piece.len };
                message.try_reserve_exact(piece.len as usize).map_err(|_| no_memory)?;
                append(self.bytes(&piece), &mut message);
                message
            }
        };
        self.end.publish(piece.words);
        Ok(message)
    }

    #[inline]
    fn recv_into_by<'p>(
        &mut self,
        buffer: &mut [u8],
        patience: impl Into<Patience<'p>>,
    ) -> Result<usize, PipeError> {
        let mut sink = Sink::Buffer(buffer);
        let piece = match self.next_by(&mut sink, patience.into()) {
            Ok(piece) => piece,
            Err(error) => return Err(self.keep(&sink, error)),
        };
        let len = match self.partial.take() {
            Some(partial) => partial.len(),
            None => {
                self.places.fetch_bytes_ahead(piece.at, piece.len, self.end.ready());
                let Sink::Buffer(buffer) = sink else { unreachable!("made above") };
                let message = self.bytes(&piece);
                copy_slice(message, &mut buffer[..message.len()]);
                message.len()
            }
        };
        self.end.publish(piece.words);
        Ok(len)
    }

    fn peek_by<'p>(
        &mut self,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Frame<'_, K>, PipeError> {
        let piece = self.next_by(&mut Sink::Memory(self.limit), patience.into())?;
        Ok(Frame {
            end: &mut self.end,
            places: self.places,
            keeper: &self.keeper,
            piece,
            partial: &mut self.partial,
        })
    }

    fn discard_by<'p>(&mut self, patience: impl Into<Patience<'p>>) -> Result<(), PipeError> {
        let patience = patience.into();
        if self.dropping {
            // The rest of another one.
            self.next_by(&mut Sink::Memory(0), patience).map_or_else(not_too_long, |_| Ok(()))?;
        }
        self.dropping = self.partial.take().is_some();
        loop {
            let piece = self.front(patience)?;
            let begins = piece.part != Part::Next;
            if begins && self.dropping {
                // The one that was to be left out has no end.
                self.dropping = false;
                return Ok(());
            }
            self.end.publish(piece.words);
            self.dropping = piece.left > 0;
            if !self.dropping {
                return Ok(());
            }
        }
    }

    fn accept_by<'p>(&mut self, patience: impl Into<Patience<'p>>) -> Result<Accepted, PipeError> {
        let accepted = self.end.accept(&self.keeper, patience)?;
        (self.partial, self.dropping) = (None, false);
        Ok(accepted)
    }
}

/// That a message is there is told by its being too long for nothing.
fn not_too_long(error: PipeError) -> Result<(), PipeError> {
    match error {
        PipeError::TooLong { .. } => Ok(()),
        other => Err(other),
    }
}

impl<K: Judge> Drop for FrameReceiver<K> {
    fn drop(&mut self) {
        self.end.close(&self.keeper);
    }
}

impl<K: Judge> fmt::Debug for FrameReceiver<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FrameReceiver").field(&self.end).finish()
    }
}
