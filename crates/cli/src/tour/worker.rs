//! The worker: a freshly executed process that counts chunks until its orders end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::unistd::{Pid, getppid};
use shmkit::{Atomic, PipeError, Segment, Sender};

use super::board::Place;
use super::count::{self, Counts};
use super::outcome::Outcome;
use super::plan::Piece;
use super::shared::{Report, Shared, Work};
use super::{KEY, PATIENCE};

/// What to do with a chunk.
pub(super) mod order {
    /// Count it.
    pub(crate) const COUNT: u64 = 0;
    /// Count it, and stop half-way through the update, with the mutex held, to be killed.
    pub(crate) const DIE_IN_MUTEX: u64 = 1;
    /// Count it, and stop half-way through the report, with a part of it in the pipe, to be killed.
    pub(crate) const DIE_IN_PIPE: u64 = 2;
}

/// What is reported of a chunk: four items in one batch, of which the tour sees all or none.
pub(super) mod report {
    pub(crate) const BYTES: u64 = 0;
    pub(crate) const LINES: u64 = 1;
    pub(crate) const WORDS: u64 = 2;
    /// The chunk is finished. The amount is 1 if this worker counted it, 0 if that had been done before.
    pub(crate) const FINISHED: u64 = 3;
    /// Items of a batch.
    pub(crate) const ITEMS: usize = 4;
}

/// A worker of the tour. Started by the tour only.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Which worker this is; it names the pipes
    number: u64,
    /// The process of the tour. Who asks for its parent may be told of another one: the tour is dead by then
    tour: i32,
}

/// Where a worker stops to be killed.
#[derive(Clone, Debug)]
pub(super) struct Parking {
    /// 1 more than the number of the worker that stands there.
    parked: Atomic<u64>,
    number: u64,
    tour: Pid,
}

impl Parking {
    /// Announces that this process stands where it is to be killed, and waits for it.
    ///
    /// If a living tour does not kill it, it ends itself here, which is as good a death as any.
    ///
    /// # Errors
    ///
    /// If the tour is dead. Then the worker must leave in good order: it may be the last one out, who removes the
    /// segment.
    pub(super) fn stop(&self) -> Result<()> {
        self.parked.store(self.number + 1);
        let begun = Instant::now();
        while getppid() == self.tour {
            if begun.elapsed() > PATIENCE {
                std::process::exit(3);
            }
            thread::park_timeout(Duration::from_millis(50));
        }
        bail!("the tour is dead")
    }
}

/// Works until the orders end.
///
/// # Errors
///
/// If it was not started by a tour, or a shared object cannot be used.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let segment = Segment::inherited(KEY)
        .context("`tour-worker` is started by `shmkit tour` only, which hands it a segment")?;
    let shared = Shared::find(&segment)?;
    let (orders, reports) = shared.pipes(args.number)?;
    let (mut orders, mut reports) = (orders.receiver()?, reports.sender()?);
    let tour = Pid::from_raw(args.tour);
    let parking = |place| Parking {
        parked: shared.parked[place as usize].clone(),
        number: args.number,
        tour,
    };
    let (in_mutex, in_pipe) = (parking(Place::Mutex), parking(Place::Pipe));
    let mut buffer = Vec::new();
    loop {
        let [chunk, what] = match orders.recv_timeout(PATIENCE) {
            Ok(order) => order,
            Err(PipeError::Closed) => return Ok(ExitCode::SUCCESS),
            // The tour was killed, or interrupted: there is nobody to tell.
            Err(PipeError::PeerDied { .. }) => return Ok(ExitCode::FAILURE),
            Err(error) => return Err(error).context("no order came"),
        };
        // Dropped after the report, or by death: then whoever needs it finds that out.
        let _permit = shared.permits.acquire_timeout(PATIENCE).context("no permit came")?;
        let work = shared.work(chunk)?;
        let (counts, outcomes) = count(&work, &mut buffer);
        let half_way = (what == order::DIE_IN_MUTEX).then_some(&in_mutex);
        let new = shared.finish(chunk, work.first, &counts, &outcomes, half_way)?;
        let batch = [
            [chunk, report::BYTES, counts.bytes],
            [chunk, report::LINES, counts.lines],
            [chunk, report::WORDS, counts.words],
            [chunk, report::FINISHED, u64::from(new)],
        ];
        let half_way = (what == order::DIE_IN_PIPE).then_some(&in_pipe);
        send(&mut reports, &batch, half_way)?;
    }
}

/// Counts the pieces of a chunk, and says what became of each.
fn count(work: &Work, buffer: &mut Vec<u8>) -> (Counts, Vec<Outcome>) {
    let mut counts = Counts::default();
    let outcome = |(&piece, path): (&Piece, &PathBuf)| {
        let zeros = counts.histogram[0];
        let (counted, error) = match count::open(path) {
            Ok(file) => count::range(&file, piece.start, piece.len, buffer, &mut counts),
            Err(error) => (0, Err(error)),
        };
        Outcome::new(piece, counted, counts.histogram[0] > zeros, error.err().as_ref())
    };
    let outcomes = work.pieces.iter().zip(&work.paths).map(outcome).collect();
    (counts, outcomes)
}

/// Reports a chunk: all items of `batch` become visible at once, or none does.
fn send(
    reports: &mut Sender<Report>,
    batch: &[Report; report::ITEMS],
    parking: Option<&Parking>,
) -> Result<()> {
    let mut slots =
        reports.reserve_timeout(batch.len(), PATIENCE).context("no room for a report")?;
    for (at, &item) in batch.iter().enumerate() {
        if at == report::ITEMS / 2
            && let Some(parking) = parking
        {
            // The places are reserved and half of them filled; nothing is committed.
            parking.stop()?;
        }
        slots.write(at, item);
    }
    slots.commit(batch.len()).context("cannot report")
}

#[cfg(test)]
mod tests {
    use shmkit::{Objects, Options};

    use super::*;

    /// It may be the last one out, whose drops remove the segment.
    #[test]
    fn who_stands_to_be_killed_by_a_dead_tour_goes_on_to_leave() {
        let segment = Options::new(1 << 14).anonymous().unwrap();
        let parked = segment.atomic("parked", 0).unwrap();
        // Nobody's parent.
        let tour = Pid::from_raw(i32::MAX);
        let error = Parking { parked: parked.clone(), number: 6, tour }.stop().unwrap_err();
        assert_eq!((error.to_string(), parked.load()), ("the tour is dead".into(), 7));
    }
}
