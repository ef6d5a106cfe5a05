//! What lies in front, for who receives.

use std::os::fd::RawFd;
use std::sync::atomic::Ordering::Relaxed;

use super::failure::Failure;
use super::head::GIVEN_UP;
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
    /// Somebody has the turn for longer than a turn takes: he was stopped.
    Stopped,
}

impl Ring {
    /// Looks what lies in front.
    pub(crate) fn look(&self, socket: RawFd) -> Result<Look<'_>, Failure> {
        let Some(mut turn) = self.turn_soon()? else { return Ok(Look::Stopped) };
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

    /// Returns whether the last message was given up by its sender, a moment ago.
    pub(crate) fn is_given_up(&self) -> bool {
        // Relaxed: the turn says what follows from it.
        self.head.begun.load(Relaxed) == GIVEN_UP
    }

    /// Lets go of what lies there of a message that its sender has given up; returns whether nothing else does.
    pub(crate) fn let_go(&self, socket: RawFd) -> Result<bool, Failure> {
        if !self.is_given_up() {
            return Ok(false);
        }
        let mut turn = self.turn()?;
        if turn.begun() != GIVEN_UP || turn.is_taking() {
            return Ok(false);
        }
        // Whatever is sent after it is sent when it is not given up any more, but forgotten.
        while let Some(piece) = turn.front()? {
            if piece.part == Part::Whole {
                return Ok(false);
            }
            turn.drop_front(&piece, socket);
        }
        Ok(true)
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
