//! What the tour and its workers share: a segment's objects, by name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use shmkit::{Array, Atomic, LockError, Mutex, Objects, Pipe, Segment, Semaphore, Value};

use super::PATIENCE;
use super::count::{Counts, Histogram};
use super::ledger::{Ledger, Recovery, SharedTotals};
use super::outcome::Outcome;
use super::parking::Parking;
use super::plan::{Piece, Plan};
use super::record::{Record, WORDS, Words};
use super::walk::Listed;

/// Orders that fit in a worker's pipe: more than are ever under way.
const ORDERS: u64 = 8;
/// Reports that fit in a worker's pipe: those of some chunks.
const REPORTS: u64 = 32;
/// Objects besides the pipes, at most.
const OBJECTS: u32 = 25;
/// Where victims say that they stand, in the order of [`Place`](super::parking::Place).
const PARKED: [&str; 2] = ["parked-in-mutex", "parked-in-pipe"];

/// Chunk and what to do with it: see [`order`](super::message::order).
pub(super) type Order = [u64; 2];
/// Chunk, figure and amount: see [`report`](super::message::report).
pub(super) type Report = [u64; 3];

/// The objects of a tour.
#[derive(Debug)]
pub(super) struct Shared {
    segment: Segment,
    /// Where each path begins and how long it is, in bytes.
    files: Array<[u64; 2]>,
    paths: Array<u8>,
    /// File, start and length of each piece.
    pieces: Array<[u64; 3]>,
    /// First piece and number of pieces of each chunk.
    chunks: Array<[u64; 2]>,
    /// [`Outcome`] of each piece.
    outcomes: Array<u64>,
    pub(super) ledger: Ledger,
    /// One for each chunk that may be counted at a time.
    pub(super) permits: Semaphore,
    /// 1 more than the number of the worker that stands where it is to be killed, for each place in the order of
    /// [`Place`](super::parking::Place): both victims may stand there at the same time.
    pub(super) parked: [Atomic<u64>; 2],
}

/// The work of one chunk, copied out of shared memory.
#[derive(Debug)]
pub(super) struct Work {
    /// Index of the first piece.
    pub(super) first: usize,
    pub(super) pieces: Vec<Piece>,
    /// Path of each piece's file.
    pub(super) paths: Vec<PathBuf>,
}

impl Shared {
    /// Returns the bytes that the objects of a tour take, and how many there are, if `workers` are started in all.
    pub(super) fn room(files: &[Listed], plan: &Plan, workers: u32) -> (u64, u32) {
        let paths: usize = files.iter().map(|file| file.path.as_os_str().len()).sum();
        let arrays = paths + 16 * files.len() + 32 * plan.pieces.len() + 16 * plan.chunks.len();
        let fixed = size_of::<Words>() + size_of::<Histogram>() + 64 * 1024;
        // Their words and the gaps between them as well.
        let orders = 512 + ORDERS * size_of::<Order>() as u64;
        let reports = 512 + REPORTS * size_of::<Report>() as u64;
        let bytes = (arrays + fixed) as u64 + (orders + reports) * u64::from(workers);
        (bytes, OBJECTS + 2 * workers)
    }

    /// Makes the objects in a new segment.
    pub(super) fn make(
        segment: &Segment,
        files: &[Listed],
        plan: &Plan,
        permits: u32,
    ) -> Result<Self> {
        let mut paths = Vec::new();
        let mut places = Vec::with_capacity(files.len());
        for file in files {
            let path = file.path.as_os_str().as_bytes();
            places.push([paths.len() as u64, path.len() as u64]);
            paths.extend_from_slice(path);
        }
        let pieces: Vec<_> = plan.pieces.iter().map(|p| [p.file, p.start, p.len]).collect();
        let chunks: Vec<_> = plan.chunks.iter().map(|c| [c.first, c.pieces]).collect();
        segment.array("files", places)?;
        segment.array("paths", paths)?;
        segment.array::<u64>("outcomes", pieces.len())?;
        segment.array("pieces", pieces)?;
        segment.array("chunks", chunks)?;
        segment.semaphore("permits", permits)?;
        segment.mutex::<Words>("record", [0; WORDS])?;
        for name in ["bytes", "lines", "words"] {
            segment.value(name, 0_u64)?;
        }
        segment.array::<u64>("histogram", 256)?;
        for name in ["mark", "killed-at", "healed-at", PARKED[0], PARKED[1]] {
            segment.atomic(name, 0_u64)?;
        }
        segment.atomic("heir", 0_u32)?;
        Self::find(segment)
    }

    /// Finds the objects that [`make`](Self::make) made.
    pub(super) fn find(segment: &Segment) -> Result<Self> {
        let value = |name| segment.find::<Value<u64>>(name);
        let atomic = |name| segment.find::<Atomic<u64>>(name);
        let totals = SharedTotals {
            bytes: value("bytes")?,
            lines: value("lines")?,
            words: value("words")?,
            histogram: segment.find("histogram")?,
            mark: atomic("mark")?,
            half_way: None,
        };
        let recovery = Recovery {
            killed_at: atomic("killed-at")?,
            healed_at: atomic("healed-at")?,
            heir: segment.find("heir")?,
        };
        let record = segment.find::<Mutex<Words>>("record")?;
        Ok(Self {
            segment: segment.clone(),
            files: segment.find("files")?,
            paths: segment.find("paths")?,
            pieces: segment.find("pieces")?,
            chunks: segment.find("chunks")?,
            outcomes: segment.find("outcomes")?,
            ledger: Ledger { record, totals, recovery },
            permits: segment.find("permits")?,
            parked: [atomic(PARKED[0])?, atomic(PARKED[1])?],
        })
    }

    /// The pipe that worker `number` gets its orders from, and the one that it reports over.
    pub(super) fn pipes(&self, number: u64) -> Result<(Pipe<Order>, Pipe<Report>)> {
        let orders = self.segment.pipe(&format!("work.{number}"), ORDERS)?;
        let reports = self.segment.pipe(&format!("report.{number}"), REPORTS)?;
        Ok((orders, reports))
    }

    /// Copies out what there is to do for `chunk`.
    pub(super) fn work(&self, chunk: u64) -> Result<Work> {
        let index = usize::try_from(chunk)?;
        let [first, count] = self.chunks.get(index).context("there is no such chunk")?;
        let first = usize::try_from(first)?;
        let end = first.saturating_add(usize::try_from(count)?);
        let pieces: Vec<_> = self.pieces.read_range(first..end)?;
        let pieces: Vec<_> =
            pieces.into_iter().map(|[file, start, len]| Piece { file, start, len }).collect();
        // The files of a chunk are neighbours, and so are their paths.
        let (Some(one), Some(last)) = (pieces.first(), pieces.last()) else {
            anyhow::bail!("chunk {chunk} is empty");
        };
        let (one, last) = (usize::try_from(one.file)?, usize::try_from(last.file)?);
        let places = self.files.read_range(one..=last)?;
        let base = places.first().map_or(0, |place| place[0]);
        let len = places.iter().map(|place| place[1]).sum::<u64>();
        let bytes = self.paths.read_range(usize::try_from(base)?..usize::try_from(base + len)?)?;
        let path = |piece: &Piece| {
            let [start, len] = *places.get(usize::try_from(piece.file).ok()? - one)?;
            let start = usize::try_from(start - base).ok()?;
            let bytes = bytes.get(start..start + usize::try_from(len).ok()?)?;
            Some(PathBuf::from(OsStr::from_bytes(bytes)))
        };
        let paths: Option<Vec<_>> = pieces.iter().map(path).collect();
        Ok(Work { first, paths: paths.context("a piece's file is not in the table")?, pieces })
    }

    /// Adds what a worker counted of `chunk`, and what became of its pieces, unless that has been done before.
    ///
    /// `parking` is where to stop half-way, for a worker that is to be killed there.
    pub(super) fn finish(
        &self,
        chunk: u64,
        first: usize,
        counts: &Counts,
        outcomes: &[Outcome],
        parking: Option<&Parking>,
    ) -> Result<bool> {
        let mut guard = self.ledger.lock()?;
        let mut record = Record(&mut guard);
        if record.is_finished(chunk) {
            return Ok(false);
        }
        // Before the update, which makes them final: until then the next one who counts the chunk writes them anew.
        let outcomes: Vec<u64> = outcomes.iter().map(|outcome| outcome.0).collect();
        let mut shared = match self.outcomes.lock_timeout(PATIENCE) {
            Ok(shared) => shared,
            Err(LockError::Failed(failure)) => return Err(failure.into()),
            // Who died here wrote outcomes of an unfinished chunk.
            Err(error) => error.into_guard()?,
        };
        shared
            .get_mut(first..first + outcomes.len())
            .context("a piece has no outcome")?
            .copy_from_slice(&outcomes);
        shared.make_consistent();
        drop(shared);
        let totals = SharedTotals { half_way: parking.cloned(), ..self.ledger.totals.clone() };
        record.finish(&totals, chunk, counts)
    }

    /// Returns what became of each piece.
    pub(super) fn outcomes(&self) -> Result<Vec<Outcome>> {
        Ok(self.outcomes.to_vec()?.into_iter().map(Outcome).collect())
    }
}
