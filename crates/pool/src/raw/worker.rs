//! A worker's word: what it does, and whether it may go on.

use core::fmt;

use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shmkit_atomic::{AtomicU32, AtomicU64, const_unless_loom, crash};
use shmkit_roster::OwnerId;

use super::Corrupt;
use super::word::{Word, WorkerState, next};

/// The words of a worker's place. All zeros is a vacant one.
///
/// ```text
/// byte 0  word  u64  see `Word`: which process, what it does, which cell
///      8  who   u32  the worker's owner id; stored by it before it says that it has come
///     12  pid   u32  the worker's, for people
///     16  done  u64  how many calls it has answered; stored by it
///     24  told  u64  1: the parent wants it to leave after the task that it is at
/// ```
#[repr(C)]
pub struct RawWorker {
    word: AtomicU64,
    who: AtomicU32,
    pub(crate) pid: AtomicU32,
    done: AtomicU64,
    told: AtomicU64,
    reserved: [AtomicU64; 4],
}

// SAFETY: repr(C) of atomics.
#[cfg(not(loom))]
unsafe impl shmkit_layout::Shared for RawWorker {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawWorker>() == 64, "part of the segment format");

impl RawWorker {
    const_unless_loom! {
        /// Makes a vacant one.
        pub fn new() -> RawWorker {
            RawWorker {
                word: AtomicU64::new(0),
                who: AtomicU32::new(0),
                pid: AtomicU32::new(0),
                done: AtomicU64::new(0),
                told: AtomicU64::new(0),
                reserved: [
                    AtomicU64::new(0),
                    AtomicU64::new(0),
                    AtomicU64::new(0),
                    AtomicU64::new(0),
                ],
            }
        }
    }

    fn load(&self) -> Result<(Word, WorkerState), Corrupt> {
        // Acquire: pairs with the Release in `exchange`.
        let word = Word::found(self.word.load(Acquire));
        let corrupt = Corrupt { field: "worker's word", found: word.bits() };
        word.as_worker().map(|state| (word, state)).ok_or(corrupt)
    }

    fn exchange(&self, generation: u32, from: WorkerState, to: WorkerState) -> bool {
        let (from, to) = (Word::worker(generation, from), Word::worker(generation, to));
        crash::step();
        // AcqRel: pairs with the Acquire in `load` and here: who condemns a worker sees what it has done, and the worker
        // why.
        self.word.compare_exchange(from.bits(), to.bits(), AcqRel, Relaxed).is_ok()
    }

    /// Returns what it does, and which process it is.
    ///
    /// # Errors
    ///
    /// [`Corrupt`].
    pub fn look(&self) -> Result<(u32, WorkerState), Corrupt> {
        self.load().map(|(word, state)| (word.generation(), state))
    }

    /// Returns whether the worker that has come is this one.
    pub fn is(&self, owner: OwnerId) -> bool {
        // Relaxed: it was stored before the word that its reader has seen.
        self.who.load(Relaxed) == owner.get()
    }

    /// K4: the parent is about to start a process for this place, in which none is. Returns its generation.
    pub fn prepare(&self) -> u32 {
        let generation = next(Word::found(self.word.load(Relaxed)).generation());
        // Relaxed: nobody reads it before the worker has come.
        self.who.swap(0, Relaxed);
        self.done.swap(0, Relaxed);
        self.told.swap(0, Relaxed);
        crash::step();
        // Release: as in `exchange`. Nobody else writes to the word of a vacant place, or of a dead one.
        self.word.swap(Word::worker(generation, WorkerState::Starting).bits(), Release);
        generation
    }

    /// The parent has seen the worker's end.
    pub fn vacate(&self) {
        let generation = Word::found(self.word.load(Relaxed)).generation();
        self.word.swap(Word::worker(generation, WorkerState::Vacant).bits(), Release);
    }

    /// The worker has come. Returns false if it is to leave at once.
    #[must_use]
    pub fn arrive(&self, generation: u32, me: OwnerId) -> bool {
        crash::step();
        // Relaxed: the exchange publishes it.
        self.who.swap(me.get(), Relaxed);
        self.exchange(generation, WorkerState::Starting, WorkerState::Idle)
    }

    /// W2: the worker has taken a cell's number. Returns false if it is to leave.
    #[must_use]
    pub fn begin(&self, generation: u32, cell: u32) -> bool {
        self.exchange(generation, WorkerState::Idle, WorkerState::Busy(cell))
    }

    /// W8: the worker is done with the cell. Returns false if it was condemned, and is to leave.
    #[must_use]
    pub fn end(&self, generation: u32, cell: u32) -> bool {
        self.exchange(generation, WorkerState::Busy(cell), WorkerState::Idle)
    }

    /// The worker takes no task any more, or the parent wants it to leave when it is idle. Returns false if it is not idle.
    pub fn leave(&self, generation: u32) -> bool {
        self.exchange(generation, WorkerState::Idle, WorkerState::Leaving)
    }

    /// The parent wants the worker to leave: at once, if it is idle, or after its task.
    pub fn dismiss(&self, generation: u32) {
        crash::step();
        // Before the exchange. Relaxed: who is not idle reads it after its own exchange, or after the next; it is only a wish.
        self.told.swap(1, Relaxed);
        self.leave(generation);
    }

    /// The worker has answered so many more calls: for who looks.
    #[cfg(not(loom))]
    pub(crate) fn count(&self, calls: u64) {
        // Relaxed, both, and no exchange: nobody else stores it while the worker is there, and it is a number for people.
        self.done.store(self.done.load(Relaxed).wrapping_add(calls), Relaxed);
    }

    /// Returns how many calls it has answered.
    #[cfg(not(loom))]
    pub(crate) fn answered(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Returns whether the parent wants this worker to leave.
    pub fn is_dismissed(&self) -> bool {
        self.told.load(Relaxed) != 0
    }

    /// T1: whoever is about to kill the worker for what it does with this cell says so first. Returns false if it does that no
    /// more, and is not to be killed for it.
    #[must_use]
    pub fn condemn(&self, generation: u32, cell: u32) -> bool {
        self.exchange(generation, WorkerState::Busy(cell), WorkerState::Condemned(cell))
    }
}

#[cfg(not(loom))]
impl Default for RawWorker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawWorker").field("look", &self.look()).finish_non_exhaustive()
    }
}
