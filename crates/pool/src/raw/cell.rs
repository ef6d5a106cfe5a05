//! A cell's words: what becomes of one task.

use core::fmt;

use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shmkit_atomic::{AtomicU32, AtomicU64, const_unless_loom, crash};
use shmkit_roster::OwnerId;

use super::word::{CellState, Word, next};
use super::{Corrupt, Progress};

/// The words of one cell, in front of its bytes. All zeros is a free one.
///
/// ```text
/// byte  0  word      u64     see `Word`: which task, what is done with it, by whom
///       8  print     u64     the task's fingerprint
///      16  started   u64     when the worker began, in ns of CLOCK_MONOTONIC; 0: it has not said yet
///      24  laden     u32     1: the parent has something that goes with the arguments; else 0
///      28  worker    u32     the place of the worker that has answered
///      32  length    u64     63..40 how many calls | 39..0 how many bytes of arguments
///      40  block     u64     the block that has the arguments; 0: they are in the cell
///      48  progress  u64     see `Progress`: how many calls are answered, in how many bytes, and where those are
///      56  blocks    2 x u64 the blocks that have, or had, the answers; 0: none
///      72  brings    u64     1: the worker has sent something that goes with an answer; else 0
///      80  bytes     176     arguments; then answers
/// ```
///
/// What is in front of and behind the word belongs to who has the cell: the parent, until it is queued; the worker that runs
/// it; the parent again.
#[repr(C)]
pub struct RawCell {
    word: AtomicU64,
    pub(crate) print: AtomicU64,
    pub(crate) started: AtomicU64,
    pub(crate) laden: AtomicU32,
    pub(crate) worker: AtomicU32,
    pub(crate) length: AtomicU64,
    pub(crate) block: AtomicU64,
    progress: AtomicU64,
    pub(crate) blocks: [AtomicU64; 2],
    pub(crate) brings: AtomicU64,
}

// SAFETY: repr(C) of atomics.
#[cfg(not(loom))]
unsafe impl shmkit_layout::Shared for RawCell {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawCell>() == 80, "part of the segment format");

/// What a cell's word says, as of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which of the tasks that were in the cell.
    pub generation: u32,
    /// How far it has come.
    pub state: CellState,
    /// Who runs it.
    pub owner: Option<OwnerId>,
    /// Somebody looks at it, and is told by its word when it is done.
    pub is_watched: bool,
}

/// What a worker's answer came to.
///
/// Closed: there is nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// It counts, and the parent is to be told.
    Tell,
    /// It counts, and somebody sees it.
    Seen,
    /// The worker does not run the task any more: it has lost its place, and was taken for dead.
    Lost,
}

impl RawCell {
    const_unless_loom! {
        /// Makes a free one.
        pub fn new() -> RawCell {
            RawCell {
                word: AtomicU64::new(0),
                print: AtomicU64::new(0),
                started: AtomicU64::new(0),
                laden: AtomicU32::new(0),
                worker: AtomicU32::new(0),
                length: AtomicU64::new(0),
                block: AtomicU64::new(0),
                progress: AtomicU64::new(0),
                blocks: [AtomicU64::new(0), AtomicU64::new(0)],
                brings: AtomicU64::new(0),
            }
        }
    }

    /// Returns what its word says.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if it is nothing that anybody writes.
    pub fn look(&self) -> Result<Seen, Corrupt> {
        self.load().map(|(_, seen)| seen)
    }

    fn load(&self) -> Result<(Word, Seen), Corrupt> {
        // Acquire: pairs with the Release in `exchange`: whatever its maker did with the cell before is visible.
        let word = Word::found(self.word.load(Acquire));
        let corrupt = Corrupt { field: "cell's word", found: word.bits() };
        let (state, owner, is_watched) = word.as_cell().ok_or(corrupt)?;
        Ok((word, Seen { generation: word.generation(), state, owner, is_watched }))
    }

    fn exchange(&self, from: Word, to: Word) -> bool {
        crash::step();
        // AcqRel: hands the cell over with all that is in it; pairs with the Acquire here and in `load`.
        // Relaxed: who fails looks again, or gives up.
        self.word.compare_exchange(from.bits(), to.bits(), AcqRel, Relaxed).is_ok()
    }

    /// S1: the parent has put a task into a free cell of its own; workers may run it from now on.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the cell is not free in this generation: nobody else writes to a free one.
    pub fn queue(&self, generation: u32) -> Result<(), Corrupt> {
        let free = Word::cell(generation, CellState::Free);
        if self.exchange(free, Word::cell(generation, CellState::Queued)) {
            return Ok(());
        }
        Err(Corrupt { field: "free cell's word", found: self.word.load(Relaxed) })
    }

    /// The parent does not want the task any more: nobody runs it, if this returns true. The cell is free when its number has
    /// come out of the line of those that wait.
    pub fn drop_queued(&self, generation: u32) -> bool {
        // Whoever looks begins and ends with that at any time.
        while let Ok((word, seen)) = self.load() {
            if (seen.generation, seen.state) != (generation, CellState::Queued) {
                return false;
            }
            if self.exchange(word, Word::cell(generation, CellState::Dropped)) {
                return true;
            }
        }
        false
    }

    /// W3: a worker begins with the task. Returns the generation, or `None` if there is nothing to run any more: then `Seen` is
    /// what is there.
    ///
    /// # Errors
    ///
    /// [`Corrupt`].
    pub fn start(&self, me: OwnerId) -> Result<Result<u32, Seen>, Corrupt> {
        loop {
            let (word, seen) = self.load()?;
            if seen.state != CellState::Queued {
                return Ok(Err(seen));
            }
            if self.exchange(word, Word::running(seen.generation, me, seen.is_watched)) {
                return Ok(Ok(seen.generation));
            }
        }
    }

    /// W6: the worker has answered; the answer counts from now on.
    pub fn commit(&self, generation: u32, me: OwnerId) -> Commit {
        // As above.
        while let Ok((word, seen)) = self.load() {
            if (seen.generation, seen.owner) != (generation, Some(me)) {
                break;
            }
            if self.exchange(word, Word::cell(generation, CellState::Done)) {
                return if seen.is_watched { Commit::Seen } else { Commit::Tell };
            }
        }
        Commit::Lost
    }

    /// S3: somebody is about to look at the task's word until it is answered, and nobody has to tell of it. Returns false if it
    /// is not under way any more. One at a time: who looks ends that (S4) before it waits for anything else.
    ///
    /// # If a peer dies
    ///
    /// A task that dies with its worker is told of by who settles that. Who looks is of the parent, without which there is nobody
    /// to tell.
    pub fn watch(&self, generation: u32) -> bool {
        self.look_or_not(generation, true)
    }

    /// S4: nobody looks any more. Returns false if the task is answered, called off, or its cell another's: of the answer nobody
    /// tells but who has looked, or settles a death.
    pub fn unwatch(&self, generation: u32) -> bool {
        self.look_or_not(generation, false)
    }

    fn look_or_not(&self, generation: u32, is_watched: bool) -> bool {
        // It comes from Queued to Running to Done, and seldom back.
        while let Ok((word, seen)) = self.load() {
            let to = match (seen.state, seen.owner) {
                _ if seen.generation != generation => return false,
                (CellState::Queued, _) => Word::queued(generation, is_watched),
                (CellState::Running, Some(owner)) => Word::running(generation, owner, is_watched),
                _ => return false,
            };
            if self.exchange(word, to) {
                return true;
            }
        }
        false
    }

    /// Returns whether the task is answered: for who looks often.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) fn is_done(&self, generation: u32) -> bool {
        // Acquire: as in `load`.
        self.word.load(Acquire) == Word::cell(generation, CellState::Done).bits()
    }

    /// F1: the parent has read the answer, or found the task dropped, and the cell is free. Returns the generation of the next
    /// task, or `None` if it was not so.
    pub fn free(&self, generation: u32, from: CellState) -> Option<u32> {
        let next = next(generation);
        self.exchange(Word::cell(generation, from), Word::cell(next, CellState::Free))
            .then_some(next)
    }

    /// K2: the parent takes the task from a worker that is dead, as the roster says: the cell is free, and the death is the
    /// task's answer. Returns the generation of the next task.
    ///
    /// `seen` is what [`look`](Self::look) has shown.
    pub fn bury(&self, seen: Seen) -> Option<u32> {
        let next = next(seen.generation);
        self.take_from_dead(seen, |_| Word::cell(next, CellState::Free)).then_some(next)
    }

    /// K2: the same, but another worker may run the task. Its arguments must be in the cell again: the dead one may have
    /// overwritten them.
    pub fn queue_again(&self, seen: Seen) -> bool {
        self.take_from_dead(seen, |is_watched| Word::queued(seen.generation, is_watched))
    }

    fn take_from_dead(&self, seen: Seen, to: impl Fn(bool) -> Word) -> bool {
        let Some(owner) = seen.owner else { return false };
        // A sweep of names may have come in between; and as above.
        while let Ok((word, now)) = self.load() {
            let is_it = now.owner == Some(owner) || now.owner == Some(OwnerId::GONE);
            if now.generation != seen.generation || !is_it {
                return false;
            }
            if self.exchange(word, to(now.is_watched)) {
                return true;
            }
        }
        false
    }

    /// Returns how many calls are in it: a number for people.
    #[cfg(not(loom))]
    pub(crate) fn calls(&self) -> u64 {
        self.length.load(Relaxed) >> 40
    }

    /// Says how many calls are answered, and where. Their bytes were written before.
    pub fn advance(&self, to: Progress) {
        crash::step();
        // Release: pairs with the Acquire in `progress`: the bytes of what is answered are visible. The parent of a dead
        // worker reads as much as was answered. A store, for whose the cell is writes it alone.
        self.progress.store(to.bits(), Release);
    }

    /// Returns how many calls are answered, and where: an input, to be checked.
    pub fn progress(&self) -> Progress {
        // Acquire: pairs with the Release in `advance`.
        Progress::found(self.progress.load(Acquire))
    }
}

#[cfg(not(loom))]
impl Default for RawCell {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawCell").field("seen", &self.look()).finish_non_exhaustive()
    }
}
