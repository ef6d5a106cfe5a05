//! Receiving a message that comes in pieces.

use std::os::fd::RawFd;
use std::process;
use std::sync::{PoisonError, TryLockError};

use shmkit::{LockFailure, Patience};
use shmkit_atomic::Deadline;

use super::failure::Failure;
use super::head::{BEGUN, DONE};
use super::partial::Partial;
use super::piece::Part;
use super::right::{Held, SLICE, acquire_for};
use super::ring::Ring;
use super::sleep::Woken;

impl Ring {
    /// Receives a message in pieces. `None` if somebody else has, or if it was given up by who sent it.
    ///
    /// A wait that a signal ends keeps what has come, and the right to the rest: the next one of this process goes on.
    pub(crate) fn receive(
        &self,
        socket: RawFd,
        patience: Patience<'_>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let Some((held, mut partial)) = self.begin(socket, patience)? else { return Ok(None) };
        let result = self.collect(socket, &mut partial, patience);
        if matches!(result, Err(Failure::Interrupted)) {
            held.keep();
            *self.partial() = Some(partial);
            return Err(Failure::Interrupted);
        }
        self.turn()?.set_taking(false);
        drop(held);
        Ok(result?.then_some(partial.bytes))
    }

    /// Takes the right to receive, if a message in pieces lies in front.
    fn begin(
        &self,
        socket: RawFd,
        patience: Patience<'_>,
    ) -> Result<Option<(Held<'_>, Partial)>, Failure> {
        let pid = process::id();
        if let Some(partial) = self.partial().take_if(|partial| partial.pid == pid) {
            return Ok(Some((Held::new(&self.head.receiving, &self.keeper), partial)));
        }
        // For a slice: another thread of this process may have been interrupted meanwhile, and the right is with what it has left.
        if !acquire_for(SLICE, &self.head.receiving, &self.keeper, patience)? {
            return Ok(None);
        }
        let held = Held::new(&self.head.receiving, &self.keeper);
        let mut turn = self.turn()?;
        // Whoever had it was killed, or gave it up.
        turn.set_taking(false);
        let Some(piece) = turn.beginning(socket)?.filter(|piece| piece.part == Part::First) else {
            return Ok(None);
        };
        let total = piece.len.saturating_add(piece.left);
        let mut bytes = Vec::new();
        let len = usize::try_from(total).unwrap_or(usize::MAX);
        if bytes.try_reserve_exact(len).is_err() {
            // It would stand in front of the others for ever. What follows of it is let go by who looks next.
            turn.drop_front(&piece, socket);
            return Err(Failure::NoMemory(total));
        }
        turn.set_taking(true);
        drop(turn);
        Ok(Some((held, Partial { pid, total, bytes })))
    }

    /// Receives all pieces; returns false if the message was given up.
    fn collect(
        &self,
        socket: RawFd,
        partial: &mut Partial,
        patience: Patience<'_>,
    ) -> Result<bool, Failure> {
        loop {
            let turn = self.turn()?;
            let Some(piece) = turn.front()? else {
                drop(turn);
                match self.sleep(socket, patience.until(Deadline::after(SLICE)), true)? {
                    Woken::Ready => {}
                    Woken::AtEnd => return Err(Failure::CutShort),
                    Woken::Late => match self.is_stopped()? {
                        Some(true) => return Err(Failure::CutShort),
                        Some(false) => return Ok(false),
                        None => {}
                    },
                }
                continue;
            };
            if !partial.expects(&piece) {
                // Another one begins.
                return match piece.part {
                    Part::Next => Err(Failure::Corrupt(piece.left)),
                    _ if piece.died => Err(Failure::CutShort),
                    _ => Ok(false),
                };
            }
            // Not in the turn: what is in front stays there as long as somebody has the right to receive, and the other end sends
            // meanwhile.
            drop(turn);
            let (from, len) = (partial.bytes.len(), piece.len as usize);
            partial.bytes.resize(from + len, 0);
            if let Err(failure) = self.copy_out(&piece, &mut partial.bytes[from..]) {
                partial.bytes.truncate(from);
                return Err(failure);
            }
            self.turn()?.take(&piece, socket);
            if piece.left == 0 {
                return Ok(true);
            }
        }
    }

    /// Whether nobody sends what is left of a message: who did was killed (true), or has given it up.
    fn is_stopped(&self) -> Result<Option<bool>, Failure> {
        match self.head.sending.try_acquire(&self.keeper) {
            Ok(_) => {}
            Err(LockFailure::WouldBlock) => return Ok(None),
            Err(failure) => return Err(failure.into()),
        }
        let _held = Held::new(&self.head.sending, &self.keeper);
        let turn = self.turn()?;
        if !turn.is_empty() {
            return Ok(None);
        }
        let begun = turn.begun();
        turn.set_begun(DONE);
        Ok(Some(begun == BEGUN))
    }

    /// Gives up what has come of a message in pieces, and the right to the rest.
    pub(crate) fn give_up(&self) {
        // Not waited for: in a forked child it is locked for ever, if another thread of its parent was at it.
        let partial = match self.partial.try_lock() {
            Ok(mut partial) => partial.take(),
            Err(TryLockError::Poisoned(error)) => error.into_inner().take(),
            Err(TryLockError::WouldBlock) => return,
        };
        if partial.is_some_and(|partial| partial.pid == process::id()) {
            let held = Held::new(&self.head.receiving, &self.keeper);
            if let Ok(turn) = self.turn() {
                turn.set_taking(false);
            }
            drop(held);
        }
    }

    fn partial(&self) -> std::sync::MutexGuard<'_, Option<Partial>> {
        // Whoever panics under it has changed it, or not.
        self.partial.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
