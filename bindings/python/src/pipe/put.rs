//! Sending.

use std::os::fd::RawFd;

use shmkit::Patience;
use shmkit::sync::Slices;
use shmkit_atomic::Deadline;
use shmkit_atomic::futex::{self, Wake};

use super::failure::Failure;
use super::head::{BEGUN, DONE, GIVEN_UP};
use super::piece::Part;
use super::right::{Held, SLICE, acquire_for};
use super::ring::{Ring, WHOLE, WORDS};
use super::socket;
use super::turn::Turn;

/// Words of a piece of a message that is sent in several, at most: the other end receives some while others are sent.
const PIECE: u32 = WORDS / 8;
/// And at least, unless it is the last one.
const LEAST: u32 = 64;

impl Ring {
    /// Sends a message if that goes at once, and returns whether it did.
    pub(crate) fn try_put(&self, socket: RawFd, message: &[u8]) -> Result<bool, Failure> {
        if message.len() > WHOLE {
            return Ok(false);
        }
        let Some(mut turn) = self.turn_soon()? else { return Ok(false) };
        Ok(turn.begun() == DONE && turn.put(socket, message)?)
    }

    /// Sends a message; waits for room.
    pub(crate) fn put(
        &self,
        socket: RawFd,
        message: &[u8],
        patience: Patience<'_>,
    ) -> Result<(), Failure> {
        if message.len() > WHOLE {
            return self.stream(socket, message, patience);
        }
        let (mut alone, mut slices) = (None, Slices::new());
        loop {
            let mut turn = self.turn_for(patience)?.ok_or(Failure::Interrupted)?;
            if turn.begun() != DONE && alone.is_none() {
                drop(turn);
                alone = Some(self.alone(patience)?);
                continue;
            }
            if turn.put(socket, message)? {
                return Ok(());
            }
            let seen = turn.want_room();
            drop(turn);
            self.sleep_for_room(socket, seen, &mut slices, patience)?;
        }
    }

    /// Waits until nobody else is in the middle of a message.
    fn alone(&self, patience: Patience<'_>) -> Result<Held<'_>, Failure> {
        while !acquire_for(SLICE, &self.head.sending, &self.keeper, patience)? {}
        Ok(Held::new(&self.head.sending, &self.keeper))
    }

    /// Sends a message in pieces, while the other end receives.
    fn stream(&self, socket: RawFd, message: &[u8], patience: Patience<'_>) -> Result<(), Failure> {
        let _alone = self.alone(patience)?;
        // Nobody but the holder of `sending` changes it when it is not `DONE`, or makes it something else.
        let before = self.turn()?.begun();
        let mut sent = 0;
        let result = self.pieces(socket, message, before, &mut sent, patience);
        if result.is_err() {
            self.turn()?.set_begun(if sent == 0 { before } else { GIVEN_UP });
        }
        result
    }

    fn pieces(
        &self,
        socket: RawFd,
        message: &[u8],
        before: u32,
        sent: &mut usize,
        patience: Patience<'_>,
    ) -> Result<(), Failure> {
        let mut slices = Slices::new();
        while *sent < message.len() {
            let part = if *sent == 0 { Part::First } else { Part::Next };
            let rest = &message[*sent..];
            let turn = self.turn()?;
            // Longer than half of the ring as a whole; of what is left any number of words.
            let want = u32::try_from(rest.len().div_ceil(8)).unwrap_or(u32::MAX);
            let words = want.saturating_add(part.header()).min(PIECE).min(turn.room());
            if words < want.saturating_add(part.header()).min(LEAST) {
                let seen = turn.want_room();
                drop(turn);
                self.sleep_for_room(socket, seen, &mut slices, patience)?;
                continue;
            }
            turn.have(words)?;
            turn.set_begun(BEGUN);
            let at = turn.tail().wrapping_add(part.header());
            // Not in the turn: what is free is nobody else's as long as a message is begun, and the other end receives meanwhile.
            drop(turn);
            let piece = &rest[..rest.len().min((words - part.header()) as usize * 8)];
            let left = rest.len() - piece.len();
            self.copy_in(at, piece)?;
            let died = part == Part::First && before == BEGUN;
            self.write_header(part, died, at, piece.len() as u64, left as u64)?;
            let mut turn = self.turn()?;
            turn.announce(socket)?;
            turn.publish(words);
            *sent += piece.len();
            if left == 0 {
                turn.set_begun(DONE);
            }
        }
        Ok(())
    }

    /// Sleeps until somebody has made room, or a little.
    fn sleep_for_room(
        &self,
        socket: RawFd,
        seen: u32,
        slices: &mut Slices,
        patience: Patience<'_>,
    ) -> Result<(), Failure> {
        let wake = futex::wait(&self.head.room, seen, slices.next(patience.deadline()));
        if matches!(wake, Wake::Interrupted | Wake::TimedOut) {
            if socket::listen(socket, Deadline::PASSED)?.hung_up {
                return Err(Failure::Gone);
            }
            if patience.says_stop() {
                return Err(Failure::Interrupted);
            }
        }
        Ok(())
    }
}

impl Turn<'_> {
    /// Puts a message that is no longer than half of the ring, if there is room, by whom nobody is in the middle of one.
    fn put(&mut self, socket: RawFd, message: &[u8]) -> Result<bool, Failure> {
        let words = 1 + message.len().div_ceil(8) as u32;
        if self.room() < words {
            return Ok(false);
        }
        self.have(words)?;
        let (ring, begun) = (self.ring, self.begun());
        let at = self.tail().wrapping_add(1);
        ring.copy_in(at, message)?;
        ring.write_header(Part::Whole, begun == BEGUN, at, message.len() as u64, 0)?;
        self.announce(socket)?;
        self.publish(words);
        if begun != DONE {
            self.set_begun(DONE);
        }
        Ok(true)
    }
}
