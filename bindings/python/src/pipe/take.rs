//! What lies in front, for who receives.

use std::os::fd::RawFd;

use super::failure::Failure;
use super::head::GIVEN_UP;
use super::piece::{Part, Piece};
use super::right::Held;
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

    /// Returns whether a message lies in front, or the beginning of one, and lets go of what is left of others: of one whose receiver
    /// was killed, and of one that its sender has given up. `None` if somebody who has the turn is stopped.
    pub(crate) fn holds_message(&self, socket: RawFd) -> Result<Option<bool>, Failure> {
        let Some(mut turn) = self.turn_soon()? else { return Ok(None) };
        if turn.is_taking() {
            match self.head.receiving.try_acquire(&self.keeper) {
                Ok(_) => drop(Held::new(&self.head.receiving, &self.keeper)),
                // Somebody is at one, of this process perhaps.
                Err(_) => return Ok(Some(!turn.is_empty())),
            }
            turn.set_taking(false);
        }
        while let Some(piece) = turn.beginning(socket)? {
            // Whatever is sent after it is sent when the last one is not given up any more, but done or begun.
            if turn.begun() != GIVEN_UP || turn.is_whole()? {
                return Ok(Some(true));
            }
            turn.drop_front(&piece, socket);
        }
        Ok(Some(false))
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
