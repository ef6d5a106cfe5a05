//! What the tour's workers do, and what they share.
//!
//! A chunk counts exactly once, whoever is killed at whatever instruction: what it adds, and what became of its pieces, is one
//! transaction. Whoever is handed the chunk again finds that it is done, or that nothing of it is.

use std::ffi::OsString;
use std::sync::OnceLock;
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use shmkit::process::parent;
use shmkit::{
    Atomic, Failure, Objects, Pipe, Queue, Segment, Semaphore, TransactionError, Transactional,
    task,
};

use super::{LOOK, PATIENCE};
use crate::text::count::{Counts, FIGURES, open, range};
use crate::text::outcome::Outcome;
use crate::text::plan::{Piece, Plan};

/// Items of a report: one batch, of which the tour would see all or none.
const REPORT: usize = 4;

/// The record: what was counted; then whose changes were undone, and by whom when; then an [`Outcome`] for each piece.
const UNDONE: usize = FIGURES;
const HEIR: usize = FIGURES + 1;
const UNDONE_AT: usize = FIGURES + 2;
const OUTCOMES: usize = FIGURES + 3;
/// Bytes of its log: all of it, a chunk's outcomes, and what goes with each.
const LOG: usize = 8 * OUTCOMES + 64 * (16 + 8) + 8 * crate::text::plan::MAX_PIECES;

/// What all have in common.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Shared {
    record: Transactional<[u64]>,
    /// One for each chunk that may be counted at a time.
    pub(super) permits: Semaphore,
    /// With the lock of the record, half-way through what is added; half-way through filling a pipe.
    pub(super) spots: [Spot; 2],
}

/// Where somebody stands to be killed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Spot {
    /// Somebody has stood there: whoever comes again goes on.
    taken: Atomic<u32>,
    /// The process that stands there.
    pub(super) who: Queue<u32>,
    /// What it was about to say.
    pub(super) report: Pipe<u64>,
}

/// What is read out of the record.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) counts: Counts,
    /// Transactions of the dead that were undone; by whom first, and when, in ns of the monotonic clock.
    pub(super) undone: u64,
    pub(super) heir: Option<(u32, u64)>,
    pub(super) outcomes: Vec<Outcome>,
}

/// A chunk, as a worker gets it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Work {
    /// Its first piece's number.
    first: usize,
    /// The file of each, and the piece.
    pieces: Vec<(OsString, Piece)>,
    /// Whether to stop at each of the spots.
    stops: [bool; 2],
}

/// What a worker answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) pid: u32,
    /// 1, or 0 if the chunk had been counted before.
    pub(super) chunks: u64,
    pub(super) bytes: u64,
}

static SHARED: OnceLock<Shared> = OnceLock::new();

/// What each worker does first.
#[task]
pub(super) fn begin(shared: Shared) -> Result<(), Failure> {
    // Blocked in the tour, which hears of signals otherwise; this one is how the pool ends its workers.
    SigSet::from(Signal::SIGTERM).thread_unblock()?;
    SHARED.get_or_init(|| shared);
    Ok(())
}

/// Counts a chunk.
#[task]
pub(super) fn count_chunk(work: Work) -> Result<Done, Failure> {
    let shared = SHARED.get().ok_or_else(|| Failure::new("the worker was not prepared"))?;
    // Given back by its drop, or by its holder's death.
    let _permit = shared.permits.acquire_timeout(PATIENCE)?;
    let (mut counts, mut buffer) = (Counts::default(), Vec::new());
    let outcomes: Vec<_> = work
        .pieces
        .iter()
        .map(|(path, piece)| {
            let zeros = counts.bins()[0];
            let (counted, error) = match open(path.as_ref()) {
                Ok(file) => range(&file, piece.start, piece.len, &mut buffer, &mut counts),
                Err(error) => (0, Err(error)),
            };
            Outcome::new(*piece, counted, counts.bins()[0] > zeros, error.err().as_ref())
        })
        .collect();
    let [in_update, in_report] = [0, 1].map(|n| work.stops[n].then_some(&shared.spots[n]));
    let is_new = shared.add(work.first, &counts, &outcomes, in_update)?;
    if let Some(spot) = in_report.filter(|spot| spot.is_free()) {
        let mut report = spot.report.sender()?;
        let mut slots = report.reserve_timeout(REPORT, PATIENCE)?;
        (0..REPORT / 2).for_each(|at| slots.write(at, counts.bytes()));
        // The places are reserved and half of them filled; nothing is committed.
        spot.stand()?;
    }
    let pid = std::process::id();
    Ok(Done { pid, chunks: is_new.into(), bytes: if is_new { counts.bytes() } else { 0 } })
}

/// Outlives a killed tour, and removes its segment's name then.
#[task]
pub(super) fn see_out(name: String) -> Result<(), Failure> {
    while parent().is_some_and(|tour| tour.is_alive()) {
        thread::sleep(LOOK);
    }
    // The kernel ends the workers; until it has, somebody lives there.
    while Segment::remove_if_dead(&name)? == shmkit::segment::RemoveOutcome::InUse {
        thread::sleep(LOOK);
    }
    Ok(())
}

impl Shared {
    /// Bytes that all of it takes.
    pub(super) fn room(plan: &Plan) -> u64 {
        (8 * (OUTCOMES + plan.pieces.len()) + LOG) as u64 + 64 * 1024
    }

    pub(super) fn make(segment: &Segment, plan: &Plan, permits: u32) -> anyhow::Result<Self> {
        let words = OUTCOMES + plan.pieces.len();
        let spot = |place: &str| {
            anyhow::Ok(Spot {
                taken: segment.atomic(&format!("taken.{place}"), 0)?,
                who: segment.queue(&format!("who.{place}"), 1)?,
                report: segment.pipe(&format!("report.{place}"), REPORT as u64)?,
            })
        };
        Ok(Self {
            record: segment.transactional("record", words, LOG as u64)?,
            permits: segment.semaphore("permits", permits)?,
            spots: [spot("in-update")?, spot("in-report")?],
        })
    }

    /// Adds what was counted, unless that has been done. Stops half-way at `spot`, for a worker that is to be killed there.
    fn add(
        &self,
        first: usize,
        counts: &Counts,
        outcomes: &[Outcome],
        spot: Option<&Spot>,
    ) -> Result<bool, Failure> {
        let mut stood = Ok(());
        let add = |record: &mut shmkit::Transaction<'_, [u64]>| {
            if record.has_undone() {
                let undone = record.change(|all| &all[UNDONE..OUTCOMES])?;
                undone[0] += 1;
                if undone[0] == 1 {
                    undone[1..].copy_from_slice(&[std::process::id().into(), now()]);
                }
            }
            let first = OUTCOMES + first;
            if record[first] != 0 {
                return Ok(false);
            }
            let half = FIGURES / 2;
            add(record.change(|all| &all[..half])?, &counts.0[..half]);
            if let Some(spot) = spot.filter(|spot| spot.is_free()) {
                // Half of the figures are new, half are old.
                let _report = spot.report.sender().map_err(|_| TransactionError::Aborted)?;
                stood = spot.stand();
                return Err(TransactionError::Aborted);
            }
            add(record.change(|all| &all[half..FIGURES])?, &counts.0[half..]);
            let places = record.change(|all| &all[first..first + outcomes.len()])?;
            places.iter_mut().zip(outcomes).for_each(|(place, outcome)| *place = outcome.0);
            Ok(true)
        };
        let added = self.record.transaction_timeout(add, PATIENCE);
        stood?;
        Ok(added?)
    }

    /// Reads all of the record.
    pub(super) fn read(&self) -> Result<Read, TransactionError> {
        self.record.read_timeout(
            |all| Read {
                counts: Counts::from(&all[..FIGURES]),
                undone: all[UNDONE],
                heir: (all[UNDONE] > 0).then(|| (all[HEIR] as u32, all[UNDONE_AT])),
                outcomes: all[OUTCOMES..].iter().map(|&word| Outcome(word)).collect(),
            },
            PATIENCE,
        )
    }
}

fn add(to: &mut [u64], more: &[u64]) {
    to.iter_mut().zip(more).for_each(|(to, more)| *to += more);
}

impl Spot {
    /// Whether nobody has stood there; from now on somebody has.
    fn is_free(&self) -> bool {
        self.taken.swap(1) == 0
    }

    /// Says who stands there, and waits to be killed. A living tour does that; if it is dead, the kernel does.
    fn stand(&self) -> Result<(), Failure> {
        self.who.put(std::process::id())?;
        thread::sleep(PATIENCE);
        Err(Failure::new("nobody came to kill this worker"))
    }
}

impl Work {
    /// The work of a plan's chunks, in their order, with stops in a quarter and in a half of it if `kill`.
    pub(super) fn of<'p>(
        plan: &'p Plan,
        files: &'p [crate::text::walk::Listed],
        kill: bool,
    ) -> impl Iterator<Item = Self> + 'p {
        let chunks = plan.chunks.len();
        plan.chunks.iter().enumerate().map(move |(n, chunk)| {
            let path = |piece: &Piece| files[piece.file].path.clone().into();
            Self {
                first: chunk.start,
                pieces: plan.pieces[chunk.clone()].iter().map(|p| (path(p), *p)).collect(),
                stops: [kill && n == chunks / 4, kill && n == chunks / 2],
            }
        })
    }
}

/// Nanoseconds of the clock that all processes share; 0 if nobody says.
pub(super) fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| std::time::Duration::from(time).as_nanos() as u64)
}
