//! What lies in front, for who receives.

use std::os::fd::RawFd;

use super::failure::Failure;
use super::piece::{Part, Piece};
use super::ring::Ring;
use super::turn::Turn;

/// What lies in front.
pub(crate) enum Look<'r> {
    /// A message in one piece, and the turn to take it.
    Whole(Turn<'r>, Piece),
    /// The first piece of a message of so many bytes; or somebody else is at one, of which is not known how long it is.
    Streamed(Option<u64>),
    /// Nothing.
    Empty,
}

impl Ring {
    /// Looks what lies in front.
    pub(crate) fn look(&self, socket: RawFd) -> Result<Look<'_>, Failure> {
        let mut turn = self.turn()?;
        if turn.is_taking() {
            return Ok(Look::Streamed(None));
        }
        match turn.beginning(socket)? {
            None => {
                // It is readable for nothing if somebody was killed who was about to send.
                turn.settle(socket);
                Ok(Look::Empty)
            }
            Some(piece) if piece.part == Part::Whole => Ok(Look::Whole(turn, piece)),
            Some(piece) => Ok(Look::Streamed(Some(piece.len.saturating_add(piece.left)))),
        }
    }
}

impl Turn<'_> {
    /// Returns the piece in front, which begins a message: what is left of one whose beginning somebody has taken along is let go.
    pub(super) fn beginning(&mut self, socket: RawFd) -> Result<Option<Piece>, Failure> {
        loop {
            match self.front()? {
                Some(piece) if piece.part == Part::Next => self.drop_front(&piece, socket),
                front => return Ok(front),
            }
        }
    }
}
