//! What a cell's word and a worker's word say.

use core::fmt;

use shmkit_roster::OwnerId;

/// Where the generation begins.
const GENERATION: u32 = 33;
/// Where the state begins.
const STATE: u32 = 30;
/// The bits of the state.
const STATES: u64 = 7;
/// The bits below it: an owner's id, or a cell's number.
const LOW: u64 = (1 << STATE) - 1;
/// How many generations there are.
const GENERATIONS: u32 = 1 << 31;

/// A number of no cell: a word has room for smaller ones.
pub const MAX_CELLS: u32 = 1 << 24;

/// How far a task has come in its cell.
///
/// Closed: a state more is another layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellState {
    /// Nobody's: the parent may put a task in.
    Free,
    /// A task is in it that nobody runs.
    Queued,
    /// A worker runs it.
    Running,
    /// The worker has answered.
    Done,
    /// The parent wanted it no more before anybody ran it.
    Dropped,
}

/// What a worker does.
///
/// Closed: a state more is another layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// There is no worker in this place.
    Vacant,
    /// It was started, and has not come yet.
    Starting,
    /// It waits for a task.
    Idle,
    /// It has the task in this cell, which it may not have begun.
    Busy(u32),
    /// It had the task in this cell when somebody decided to kill it: it takes no other one.
    Condemned(u32),
    /// It takes no task any more, and ends.
    Leaving,
}

/// A [`CellState::Queued`] or [`CellState::Running`] that somebody looks at.
const WATCHED: [u64; 2] = [5, 6];

/// A word of shared memory: generation, state, and who or which.
///
/// ```text
///          63 .. 33    | 32 .. 30 | 29 .. 0
/// cell     generation  | state    | owner id of the worker, if it is Running; else 0     5 Queued and 6 Running, and watched
/// worker   generation  | state    | number of the cell, if it is Busy or Condemned; else 0
/// ```
///
/// It says everything in one, so that each step is one compare-exchange. A cell's generation counts the tasks that were in
/// it, a worker's the processes that were in its place. All zeros is a free cell and a vacant place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(u64);

impl Word {
    const fn new(generation: u32, state: u64, low: u32) -> Self {
        Self((generation as u64) << GENERATION | state << STATE | low as u64)
    }

    /// What was found in shared memory.
    pub(crate) const fn found(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn generation(self) -> u32 {
        (self.0 >> GENERATION) as u32
    }

    const fn state(self) -> u64 {
        self.0 >> STATE & STATES
    }

    const fn low(self) -> u32 {
        (self.0 & LOW) as u32
    }

    /// A cell that nobody runs.
    pub(crate) const fn cell(generation: u32, state: CellState) -> Self {
        Self::new(generation, state as u64, 0)
    }

    /// A cell that waits for a worker.
    pub(crate) const fn queued(generation: u32, is_watched: bool) -> Self {
        let state = if is_watched { WATCHED[0] } else { CellState::Queued as u64 };
        Self::new(generation, state, 0)
    }

    /// A cell whose task `owner` runs.
    pub(crate) const fn running(generation: u32, owner: OwnerId, is_watched: bool) -> Self {
        let state = if is_watched { WATCHED[1] } else { CellState::Running as u64 };
        Self::new(generation, state, owner.get())
    }

    /// What the word of a cell says, and whether somebody looks at it; `None` if it is none.
    pub(crate) fn as_cell(self) -> Option<(CellState, Option<OwnerId>, bool)> {
        let owner = OwnerId::from_word(self.low());
        let (state, is_watched) = match self.state() {
            0 => (CellState::Free, false),
            1 => (CellState::Queued, false),
            2 => (CellState::Running, false),
            3 => (CellState::Done, false),
            4 => (CellState::Dropped, false),
            state if state == WATCHED[0] => (CellState::Queued, true),
            state if state == WATCHED[1] => (CellState::Running, true),
            _ => return None,
        };
        // Somebody runs what is running, and nobody else.
        ((state == CellState::Running) == owner.is_some()).then_some((state, owner, is_watched))
    }

    /// A worker's.
    pub(crate) const fn worker(generation: u32, state: WorkerState) -> Self {
        let (state, cell) = match state {
            WorkerState::Vacant => (0, 0),
            WorkerState::Starting => (1, 0),
            WorkerState::Idle => (2, 0),
            WorkerState::Busy(cell) => (3, cell),
            WorkerState::Condemned(cell) => (4, cell),
            WorkerState::Leaving => (5, 0),
        };
        Self::new(generation, state, cell)
    }

    /// What the word of a worker says; `None` if it is none.
    pub(crate) fn as_worker(self) -> Option<WorkerState> {
        let cell = self.low();
        match self.state() {
            0 => Some(WorkerState::Vacant),
            1 => Some(WorkerState::Starting),
            2 => Some(WorkerState::Idle),
            3 if cell < MAX_CELLS => Some(WorkerState::Busy(cell)),
            4 if cell < MAX_CELLS => Some(WorkerState::Condemned(cell)),
            5 => Some(WorkerState::Leaving),
            _ => None,
        }
    }
}

/// The generation after this one.
pub(crate) const fn next(generation: u32) -> u32 {
    (generation + 1) % GENERATIONS
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_generation_state_and_who_or_which() {
        let owner = OwnerId::new(OwnerId::LAST).unwrap();
        for generation in [0, 1, GENERATIONS - 1] {
            for state in [CellState::Free, CellState::Queued, CellState::Done, CellState::Dropped] {
                let word = Word::cell(generation, state);
                let said = Some((state, None, false));
                assert_eq!((word.generation(), word.as_cell()), (generation, said));
            }
            for is_watched in [false, true] {
                let queued = Word::queued(generation, is_watched);
                assert_eq!(queued.as_cell(), Some((CellState::Queued, None, is_watched)));
                let running = Word::running(generation, owner, is_watched);
                let said = Some((CellState::Running, Some(owner), is_watched));
                assert_eq!((running.generation(), running.as_cell()), (generation, said));
            }
            for state in [
                WorkerState::Vacant,
                WorkerState::Starting,
                WorkerState::Idle,
                WorkerState::Busy(MAX_CELLS - 1),
                WorkerState::Condemned(7),
                WorkerState::Leaving,
            ] {
                let word = Word::worker(generation, state);
                assert_eq!((word.generation(), word.as_worker()), (generation, Some(state)));
            }
        }
        assert_eq!(next(GENERATIONS - 1), 0);
    }

    #[test]
    fn what_no_participant_writes_is_no_state() {
        for bits in [7 << STATE, 2 << STATE, 6 << STATE, 5 << STATE | 1] {
            assert_eq!(Word::found(bits).as_cell(), None, "{bits:#x}");
        }
        for bits in [6 << STATE, 7 << STATE, 3 << STATE | LOW] {
            assert_eq!(Word::found(bits).as_worker(), None, "{bits:#x}");
        }
        assert_eq!(Word::found(0).as_cell(), Some((CellState::Free, None, false)));
        assert_eq!(Word::found(0).as_worker(), Some(WorkerState::Vacant));
    }
}
