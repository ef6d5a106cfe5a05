//! The right to change a ring.

use std::os::fd::RawFd;
use std::time::Duration;

use shmkit::layout::Commit;
use shmkit::{LockFailure, Patience};
use shmkit_atomic::Ordering::{Relaxed, Release};
use shmkit_atomic::{Deadline, futex};

use super::failure::Failure;
use super::head::{DONE, Ends, Head, LOOKED_FOR, QUIET, RINGING, RUNG};
use super::piece::{LENGTH, Part, Piece};
use super::right::{SLICE, acquire_for};
use super::ring::{BYTES, FIRST, Ring, WORDS};
use super::socket;

/// A thousand times what a turn takes.
const SOON: Duration = Duration::from_millis(1);

/// The right to change a ring. Nothing is waited for with it: not for the interpreter, either.
pub(crate) struct Turn<'r> {
    pub(super) ring: &'r Ring,
    pub(super) ends: Ends,
}

impl Ring {
    /// Waits for the turn, which nobody has for long.
    pub(super) fn turn(&self) -> Result<Turn<'_>, Failure> {
        self.head.turn.acquire(&self.keeper, Deadline::NEVER)?;
        self.in_turn()
    }

    /// Waits for the turn no longer than whoever has it needs unless he is stopped: for who keeps the interpreter from others.
    pub(super) fn turn_soon(&self) -> Result<Option<Turn<'_>>, Failure> {
        let Head { turn, .. } = self.head;
        let acquired = match turn.try_acquire(&self.keeper) {
            Err(LockFailure::WouldBlock) => turn.acquire(&self.keeper, Deadline::after(SOON)),
            tried => tried,
        };
        match acquired {
            Ok(_) => self.in_turn().map(Some),
            Err(LockFailure::TimedOut) => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Waits for the turn as long as there is patience. `None` if the time is over, which somebody who is stopped may take.
    pub(crate) fn turn_for(&self, patience: Patience<'_>) -> Result<Option<Turn<'_>>, Failure> {
        if let Some(turn) = self.turn_soon()? {
            return Ok(Some(turn));
        }
        while !acquire_for(SLICE, &self.head.turn, &self.keeper, patience)? {
            if patience.deadline().has_passed() {
                return Ok(None);
            }
        }
        self.in_turn().map(Some)
    }

    /// The turn, when its lock is held.
    fn in_turn(&self) -> Result<Turn<'_>, Failure> {
        // Whoever died in its turn has left what is right at each instruction.
        // Relaxed: the lock orders it.
        let ends = Ends::of(self.head.ends.load(Relaxed));
        let turn = Turn { ring: self, ends };
        if ends.used() > WORDS {
            return Err(Failure::Corrupt(ends.word()));
        }
        Ok(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Refused in no process that has it.
        let _ = self.ring.head.turn.release(&self.ring.keeper);
    }
}

impl Turn<'_> {
    // Relaxed, all loads and stores but the one of `ends`: the lock orders them.

    pub(super) fn begun(&self) -> u32 {
        self.ring.head.begun.load(Relaxed)
    }

    pub(super) fn set_begun(&self, state: u32) {
        self.ring.head.begun.store(state, Relaxed);
    }

    pub(super) fn is_taking(&self) -> bool {
        self.ring.head.taking.load(Relaxed) != 0
    }

    pub(super) fn set_taking(&self, taking: bool) {
        self.ring.head.taking.store(taking.into(), Relaxed);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.used() == 0
    }

    /// How many words are free.
    pub(super) fn room(&self) -> u32 {
        WORDS - self.ends.used()
    }

    /// The first free word.
    pub(super) fn tail(&self) -> u32 {
        self.ends.tail
    }

    /// Says that somebody waits for room; returns what changes when there is some.
    pub(super) fn want_room(&self) -> u32 {
        self.ring.head.wanted.store(1, Relaxed);
        self.ring.head.room.load(Relaxed)
    }

    /// Has the memory of so many words from the tail on.
    pub(super) fn have(&self, words: u32) -> Result<(), Failure> {
        let Ring { head, bytes, keeper, .. } = self.ring;
        let end = BYTES.min(u64::from(self.ends.tail % WORDS + words) * 8);
        let had = head.had.load(Relaxed).min(BYTES);
        if end > had {
            let more = end.max(2 * had).clamp(FIRST, BYTES);
            keeper.commit(*bytes, had, more).map_err(Failure::NoRoom)?;
            head.had.store(more, Relaxed);
        }
        Ok(())
    }

    /// Has whoever waits for the next message be told of it, which is put then.
    ///
    /// In this order: who is killed in between has told somebody of nothing, and not put something of which nobody is told.
    pub(super) fn announce(&self, socket: RawFd) -> Result<(), Failure> {
        let Head { bell, until, .. } = self.ring.head;
        let state = bell.load(Relaxed);
        if state == LOOKED_FOR {
            let now = Deadline::now().as_nanos().unwrap_or(u64::MAX);
            if now < until.load(Relaxed) {
                bell.store(QUIET, Relaxed);
                return Ok(());
            }
            // It was killed, or has slept over it.
        }
        if state == RUNG {
            // Nothing is written that would fail.
            return match socket::listen(socket, Deadline::PASSED)?.hung_up {
                true => Err(Failure::Gone),
                false => Ok(()),
            };
        }
        bell.store(RINGING, Relaxed);
        socket::tell(socket)?;
        if state != RINGING {
            bell.store(RUNG, Relaxed);
        }
        Ok(())
    }

    /// Publishes so many words behind the tail.
    pub(super) fn publish(&mut self, words: u32) {
        self.ends.tail = self.ends.tail.wrapping_add(words);
        // Release: pairs with the Acquire in `has_some`.
        self.ring.head.ends.store(self.ends.word(), Release);
    }

    /// Says that the caller is about to look for the next message for so long, and takes it if it comes: nobody else is told of it.
    pub(super) fn look_for(&self, until: Deadline) {
        let Head { bell, until: word, .. } = self.ring.head;
        if bell.load(Relaxed) == QUIET {
            word.store(until.as_nanos().unwrap_or(0), Relaxed);
            bell.store(LOOKED_FOR, Relaxed);
        }
    }

    /// Says that nobody looks for it.
    pub(super) fn look_away(&self) {
        let bell = &self.ring.head.bell;
        if bell.load(Relaxed) == LOOKED_FOR {
            bell.store(QUIET, Relaxed);
        }
    }

    /// Makes the socket of who receives unreadable, if nothing is there.
    pub(super) fn settle(&self, socket: RawFd) {
        let bell = &self.ring.head.bell;
        let state = bell.load(Relaxed);
        if self.is_empty() && (state == RUNG || state == RINGING) {
            // Killed from here on: nobody knows whether it is readable.
            bell.store(RINGING, Relaxed);
            socket::hush(socket, state == RINGING);
            bell.store(QUIET, Relaxed);
        }
    }

    /// Returns the piece in front.
    pub(super) fn front(&self) -> Result<Option<Piece>, Failure> {
        self.piece(self.ends.head)
    }

    /// Returns whether all of the message in front lies there.
    pub(super) fn is_whole(&self) -> Result<bool, Failure> {
        let mut next = self.front()?;
        while let Some(piece) = next {
            if piece.left == 0 {
                return Ok(true);
            }
            next = self.piece(piece.at.wrapping_add(piece.words - piece.part.header()))?;
            next = next.filter(|next| next.part == Part::Next);
        }
        Ok(false)
    }

    /// Returns the piece that begins at a word between head and tail.
    fn piece(&self, first: u32) -> Result<Option<Piece>, Failure> {
        let (ring, used) = (self.ring, self.ends.tail.wrapping_sub(first));
        if used == 0 {
            return Ok(None);
        }
        let header = ring.word(first)?;
        let (part, died, len) = Part::of_word(header)?;
        let words = u64::from(part.header()) + len.div_ceil(8);
        if words > u64::from(used) {
            return Err(Failure::Corrupt(header));
        }
        let left = match part {
            Part::Whole => 0,
            _ => ring.word(first.wrapping_add(1))?,
        };
        if left >> LENGTH != 0 {
            return Err(Failure::Corrupt(left));
        }
        let at = first.wrapping_add(part.header());
        // No more than are used.
        Ok(Some(Piece { part, died, len, left, at, words: words as u32 }))
    }

    /// Takes the piece that is in front.
    pub(crate) fn take(mut self, piece: &Piece, socket: RawFd) {
        self.drop_front(piece, socket);
    }

    /// The same, for who goes on.
    pub(super) fn drop_front(&mut self, piece: &Piece, socket: RawFd) {
        let head = self.ring.head;
        self.ends.head = self.ends.head.wrapping_add(piece.words);
        if self.is_empty() && self.begun() == DONE && !self.is_taking() {
            // The first words are still in the cache, and no more memory is needed than for them.
            self.ends = Ends { head: 0, tail: 0 };
        }
        // Release: whoever writes there next has the turn; this is for `has_some`.
        head.ends.store(self.ends.word(), Release);
        if head.wanted.load(Relaxed) != 0 && (self.is_empty() || self.room() >= WORDS / 2) {
            head.wanted.store(0, Relaxed);
            head.room.fetch_add(1, Relaxed);
            futex::wake(&head.room, u32::MAX);
        }
        self.settle(socket);
    }
}
