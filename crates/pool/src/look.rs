//! What the bytes of a pool's table say of it, for who looks without taking part.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::{Facts, Object, Offset, Region, Shape};
use shmkit_roster::Seat;

use crate::raw::{CellState, RawCell, RawWorker, WorkerState};
use crate::table::{Head, Table, cell_at};

/// A pool, seen from outside. Each part was so at some moment, and not all at the same one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Look {
    /// How many tasks can be under way.
    pub cells: u64,
    /// How many of them wait for a worker.
    pub queued: u64,
    /// How many calls the workers that there are have answered.
    pub answered: u64,
    /// The workers that there are, in the order of their places.
    pub workers: Vec<Worker>,
}

/// A worker of a pool, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Worker {
    /// Which place it has.
    pub place: u32,
    /// The how manieth process in that place it is.
    pub generation: u32,
    /// The process; 0 as long as it has not come.
    pub pid: u32,
    /// What it does.
    pub state: WorkerState,
    /// How many calls it has answered.
    pub answered: u64,
    /// The task that it is at.
    pub task: Option<Task>,
}

/// A task that a worker is at, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Task {
    /// Its fingerprint, which stands for its name and its signature.
    pub print: u64,
    /// When the worker began with the call that it is at, in nanoseconds of the monotonic clock; 0 if it has not said yet.
    pub started: u64,
    /// How many calls it is.
    pub calls: u64,
    /// How many of them are answered.
    pub answered: u64,
}

/// Returns what the bytes of a pool's table say: nothing of another kind, and of bytes that make no sense. `region` begins at the
/// table's first byte; of cells that a copy does not have, nothing is said.
pub fn look(shape: &Shape, region: Region<'_>) -> Option<Look> {
    if shape.kind != <Table as Object<Seat>>::KIND {
        return None;
    }
    let head: &Head = region.get(Offset::ZERO).ok()?;
    let (cells, places) = head.counts()?;
    let places: &[RawWorker] =
        region.slice(Offset::new(size_of::<Head>() as u64).ok()?, places as usize).ok()?;
    let cell = |number: u32| -> Option<&RawCell> {
        let at = Offset::new(cell_at(places.len() as u32, number)).ok()?;
        region.get(at).ok().filter(|_| number < cells)
    };
    let is_queued = |cell: &&RawCell| cell.look().is_ok_and(|seen| seen.state == CellState::Queued);
    let workers: Vec<_> =
        places.iter().zip(0..).filter_map(|(place, number)| worker(place, number, cell)).collect();
    Some(Look {
        cells: cells.into(),
        queued: (0..cells).map_while(cell).filter(is_queued).count() as u64,
        answered: workers.iter().fold(0, |sum, worker| sum.saturating_add(worker.answered)),
        workers,
    })
}

fn worker<'r>(
    place: &RawWorker,
    number: u32,
    cell: impl Fn(u32) -> Option<&'r RawCell>,
) -> Option<Worker> {
    let (generation, state) = place.look().ok().filter(|seen| seen.1 != WorkerState::Vacant)?;
    let task = match state {
        WorkerState::Busy(number) | WorkerState::Condemned(number) => {
            cell(number).map(|cell| Task {
                // Relaxed, all: numbers for people.
                print: cell.print.load(Relaxed),
                started: cell.started.load(Relaxed),
                calls: cell.calls(),
                answered: cell.progress().calls(),
            })
        }
        _ => None,
    };
    let (pid, answered) = (place.pid.load(Relaxed), place.answered());
    Some(Worker { place: number, generation, pid, state, answered, task })
}

/// Returns what the bytes of a pool's table say, in numbers: as [`look`], without who does what.
pub fn facts(shape: &Shape, region: Region<'_>) -> Option<Facts> {
    let Look { cells, queued, answered, workers } = look(shape, region)?;
    let busy = workers.iter().filter(|worker| matches!(worker.state, WorkerState::Busy(_)));
    let facts = Facts::new().say("queued", queued).say("of", cells);
    let facts = facts.say("workers", workers.len() as u64).say("busy", busy.count() as u64);
    Some(facts.say("answered", answered))
}
