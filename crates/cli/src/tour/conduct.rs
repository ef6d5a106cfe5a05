//! The count with worker processes: makes the segment, lets threads attend to the workers, gathers what they counted.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use indicatif::ProgressBar;
use shmkit::Options;

use super::attend::attend;
use super::board::{Board, End};
use super::count::Counts;
use super::outcome::Outcome;
use super::plan::Plan;
use super::record::{Record, Totals};
use super::shared::Shared;
use super::walk::Listed;
use super::{PATIENCE, left};
use crate::signals;

/// Workers that may die of something else than the tour before it gives up.
const SPARE: u64 = 8;
/// How long the last permits may take to come back.
const PERMITS: Duration = Duration::from_secs(10);
/// How often the bar is drawn.
const FRAME: Duration = Duration::from_millis(50);

/// What the workers counted, and what happened.
#[derive(Debug)]
pub(super) struct Parallel {
    pub(super) counts: Counts,
    pub(super) finished: u64,
    pub(super) outcomes: Vec<Outcome>,
    /// Deaths of owners of the mutex; updates redone; updates dropped or complete.
    pub(super) deaths: (u64, u64, u64),
    pub(super) heir: Option<Heir>,
    /// Permits there are, and whether all of them came back.
    pub(super) permits: (u32, bool),
    pub(super) end: End,
    /// The segment's file, while it was there, and its size in bytes.
    pub(super) file: PathBuf,
    pub(super) bytes: u64,
    /// Whether the file was seen under its name while the workers ran.
    pub(super) was_named: bool,
}

/// Who repaired the record after the kill.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heir {
    pub(super) pid: u32,
    /// From the kill to the repaired record.
    pub(super) after: Duration,
}

/// Counts with `workers` processes. When it returns, they have ended and the segment is gone.
pub(super) fn count(
    files: &[Listed],
    plan: &Plan,
    workers: u32,
    kill: bool,
    bar: &ProgressBar,
) -> Result<Parallel> {
    let starts = u64::from(workers) + 2 * u64::from(kill) + SPARE;
    let (bytes, objects) = Shared::room(files, plan, starts as u32);
    let segment = Options::new(bytes)
        .objects(objects)
        .participants(2 * workers + 2)
        .content("shmkit.tour/1")
        .create(&format!("tour-{}", std::process::id()))
        .context("cannot make the segment of the tour")?;
    let file = segment.path().context("a named segment has no path")?.to_owned();
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    let permits = workers.min(cores);
    let shared = Shared::make(&segment, files, plan, permits)?;
    let was_named = file.exists();

    let board = Board::new(plan.chunks.len() as u64, starts, kill);
    thread::scope(|scope| {
        let attend = || attend(&board, &shared, &segment);
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(attend)).collect();
        while !threads.iter().all(|thread| thread.is_finished()) {
            let (bytes, still) = board.progress();
            bar.set_position(bytes);
            if let Err(interrupted) = signals::look() {
                board.fail(interrupted.into());
            }
            if still > 2 * PATIENCE {
                board.fail(anyhow!("no chunk was finished for {} s", still.as_secs()));
            }
            board.wait(FRAME);
        }
    });
    let end = board.end()?;

    // All workers have ended: what is said now is final.
    let all_back = shared.permits.acquire_many_timeout(permits, PERMITS).is_ok();
    let mut guard = shared.ledger.lock()?;
    let record = Record(&mut guard);
    let recovery = &shared.ledger.recovery;
    let heir = (recovery.healed_at.load() != 0).then(|| Heir {
        pid: recovery.heir.load(),
        after: Duration::from_nanos(
            recovery.healed_at.load().saturating_sub(recovery.killed_at.load()),
        ),
    });
    Ok(Parallel {
        counts: shared.ledger.totals.read()?,
        finished: record.finished(),
        outcomes: shared.outcomes()?,
        deaths: record.deaths(),
        heir,
        permits: (permits, all_back),
        end,
        bytes: segment.header().size,
        file,
        was_named,
    })
}

/// Returns the segment's file, if it is still there, and the tour's children that are left.
pub(super) fn leftovers(parallel: &Parallel) -> (Vec<String>, Vec<u32>) {
    let names = left::name(&parallel.file).into_iter().collect();
    (names, left::children(parallel.end.done.iter().map(|done| done.pid)))
}
