//! The worker: a freshly executed process that counts chunks until its orders end.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use nix::unistd::Pid;
use shmkit::{PipeError, Segment, Sender};

use super::count::{self, Counts};
use super::message::{order, report};
use super::outcome::Outcome;
use super::parking::{Parking, Place};
use super::plan::Piece;
use super::shared::{Report, Shared, Work};
use super::{KEY, PATIENCE};

/// A worker of the tour. Started by the tour only.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Which worker this is; it names the pipes
    number: u64,
    /// The process of the tour. Who asks for its parent may be told of another one: the tour is dead by then
    tour: i32,
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
