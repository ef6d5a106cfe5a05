//! The next message, in one piece or in several.

use shmkit_roster::Judge;
use shmkit_sync::Patience;

use super::FrameReceiver;
use super::partial::{Partial, Sink};
use crate::PipeError;
use crate::raw::{Part, Peer, Piece};

impl<K: Judge> FrameReceiver<K> {
    #[inline]
    pub(super) fn front(&mut self, patience: Patience<'_>) -> Result<Piece, PipeError> {
        self.end.front(&self.places, &self.keeper, patience)
    }

    /// Borrows the bytes of a piece that is in front.
    #[inline]
    pub(super) fn bytes(&self, piece: &Piece) -> &[u8] {
        // SAFETY: the piece was published, and the sender does not write to it before we release it: not while `self` is
        // borrowed.
        unsafe { self.places.borrow_bytes(piece.at, piece.len as usize) }
    }

    /// Waits for a whole message, and returns it, or its last piece: it is to be released. Of a streamed one all bytes have come
    /// to `sink`, and `partial` is theirs.
    #[inline]
    pub(super) fn next_by(
        &mut self,
        sink: &mut Sink<'_>,
        patience: Patience<'_>,
    ) -> Result<Piece, PipeError> {
        if self.partial.is_none() && !self.dropping {
            let piece = self.front(patience)?;
            if piece.part == Part::Whole {
                sink.takes(piece.len)?;
                return Ok(piece);
            }
        }
        self.stream_by(sink, patience)
    }

    #[cold]
    fn stream_by(
        &mut self,
        sink: &mut Sink<'_>,
        patience: Patience<'_>,
    ) -> Result<Piece, PipeError> {
        if let Some(partial) = &mut self.partial {
            sink.takes(partial.total())?;
            partial.move_to(sink);
        }
        loop {
            self.end.hurry(self.partial.is_some());
            let piece = self.front(patience);
            self.end.hurry(false);
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => return Err(self.ended(error)),
            };
            if piece.part != Part::Next {
                self.dropping = false;
                if let Some(partial) = self.partial.take()
                    && !piece.given_up
                {
                    return Err(PipeError::Torn { discarded: partial.len() as u64 });
                }
                if piece.part == Part::Whole {
                    sink.takes(piece.len)?;
                    return Ok(piece);
                }
                let partial = Partial::begin(&piece).ok_or(broken(&piece))?;
                sink.takes(partial.total())?;
                self.partial = Some(partial);
            }
            let Some(partial) = &mut self.partial else {
                // The beginning went to somebody who died, or was not wanted.
                self.end.publish(piece.words);
                let told = core::mem::replace(&mut self.dropping, piece.left > 0);
                if told {
                    continue;
                }
                return Err(PipeError::Torn { discarded: piece.len.saturating_add(piece.left) });
            };
            if partial.is_complete() && piece.left == 0 {
                return Ok(piece); // It was looked at before.
            }
            if !partial.expects(&piece) {
                return Err(broken(&piece));
            }
            // SAFETY: as in `bytes`, until it is released below.
            let bytes = unsafe { self.places.borrow_bytes(piece.at, piece.len as usize) };
            partial.add(bytes, sink)?;
            if piece.left == 0 {
                // Until the message is received, a successor finds that there was one.
                return Ok(piece);
            }
            self.end.publish(piece.words);
        }
    }

    /// Returns what a wait that ended in `error` is to say: nothing more comes of a message whose sender is gone.
    fn ended(&mut self, error: PipeError) -> PipeError {
        match error {
            // Closed in the middle it was given up before.
            PipeError::Closed => self.partial = None,
            // Unless it was somebody else as long as whose life the wait was to last.
            PipeError::PeerDied { .. }
                if matches!(self.end.peer(&self.keeper, true), Ok(Peer::Dead(_))) =>
            {
                if let Some(partial) = self.partial.take() {
                    return PipeError::Torn { discarded: partial.len() as u64 };
                }
            }
            _ => {}
        }
        error
    }

    /// Keeps what has come to a buffer that is given back; returns what its owner is told.
    #[cold]
    pub(super) fn keep(&mut self, sink: &Sink<'_>, error: PipeError) -> PipeError {
        let Some(partial) = &mut self.partial else { return error };
        // Of a message that did not go there, nothing has come there.
        if sink.takes(partial.total()).is_err() || partial.keep(sink).is_ok() {
            return error;
        }
        let discarded = partial.total();
        (self.partial, self.dropping) = (None, true);
        PipeError::Torn { discarded }
    }
}

/// What the rest of a message is that no sender writes there.
#[cold]
fn broken(piece: &Piece) -> PipeError {
    PipeError::Corrupt { field: "rest of a message", found: piece.left }
}
