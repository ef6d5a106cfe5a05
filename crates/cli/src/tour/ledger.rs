//! The totals and the record in shared memory.

use anyhow::{Context, Result, anyhow};
use nix::time::{ClockId, clock_gettime};
use shmkit::{Array, Atomic, LockError, Mutex, MutexGuard, Value};

use super::PATIENCE;
use super::count::{Counts, Histogram};
use super::parking::Parking;
use super::record::{Record, Totals, Words};

/// The mutex with the record, and the totals that are changed under it.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) record: Mutex<Words>,
    pub(super) totals: SharedTotals,
    pub(super) recovery: Recovery,
}

/// When the tour killed the holder of the mutex, and when somebody held it again.
#[derive(Debug)]
pub(super) struct Recovery {
    /// In nanoseconds of the monotonic clock, or 0.
    pub(super) killed_at: Atomic<u64>,
    /// In nanoseconds of the monotonic clock, or 0: the record is repaired and the mutex consistent.
    pub(super) healed_at: Atomic<u64>,
    /// The process that repaired it.
    pub(super) heir: Atomic<u32>,
}

impl Ledger {
    /// Takes the mutex. If its owner died, repairs the record first: whoever comes next is the heir.
    pub(super) fn lock(&self) -> Result<MutexGuard<'_, Words>> {
        let mut guard = match self.record.lock_timeout(PATIENCE) {
            Ok(guard) => return Ok(guard),
            Err(LockError::Failed(failure)) => {
                return Err(failure).context("cannot lock the record");
            }
            // Not recoverable: an heir died or gave up. A panic leaves no more behind than a kill.
            Err(error) => error.into_guard().context("cannot lock the record")?,
        };
        Record(&mut guard).heal(&self.totals).context("cannot repair the record")?;
        guard.make_consistent();
        self.record.clear_poison();
        let Recovery { killed_at, healed_at, heir } = &self.recovery;
        if killed_at.load() != 0 && healed_at.load() == 0 {
            heir.store(std::process::id());
            healed_at.store(now());
        }
        Ok(guard)
    }
}

/// Nanoseconds of the clock that all processes share.
pub(super) fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has this clock");
    std::time::Duration::from(time).as_nanos() as u64
}

/// The totals: three values and an array.
#[derive(Clone, Debug)]
pub(super) struct SharedTotals {
    pub(super) bytes: Value<u64>,
    pub(super) lines: Value<u64>,
    pub(super) words: Value<u64>,
    pub(super) histogram: Array<u64>,
    /// The mark of the journal. A cell of its own: a store to an atomic keeps its place in the program, one to the
    /// memory under a mutex need not.
    pub(super) mark: Atomic<u64>,
    /// Where a writer that is to be killed stops, half-way through the update.
    pub(super) half_way: Option<Parking>,
}

impl Totals for SharedTotals {
    type Error = anyhow::Error;

    fn read(&self) -> Result<Counts> {
        let histogram: Box<Histogram> =
            self.histogram.to_vec()?.try_into().map_err(|bins: Vec<_>| {
                anyhow!("the histogram has {} bins, not 256", bins.len())
            })?;
        Ok(Counts {
            bytes: self.bytes.get_timeout(PATIENCE)?,
            lines: self.lines.get_timeout(PATIENCE)?,
            words: self.words.get_timeout(PATIENCE)?,
            histogram,
        })
    }

    fn write(&self, after: &Counts) -> Result<()> {
        self.bytes.set_timeout(after.bytes, PATIENCE)?;
        self.lines.set_timeout(after.lines, PATIENCE)?;
        // All bins are stored, so that whoever died in the middle of them is made good.
        let mut bins = match self.histogram.lock_timeout(PATIENCE) {
            Ok(bins) => bins,
            Err(LockError::Failed(failure)) => return Err(failure.into()),
            Err(error) => error.into_guard()?,
        };
        let (front, back) = bins.split_at_mut(128);
        front.copy_from_slice(&after.histogram[..128]);
        if let Some(parking) = &self.half_way {
            // Bytes and lines are new, words are old, and half of the histogram: we hold its lock, too.
            parking.stop()?;
        }
        back.copy_from_slice(&after.histogram[128..]);
        bins.make_consistent();
        drop(bins);
        self.words.set_timeout(after.words, PATIENCE)?;
        Ok(())
    }

    fn mark(&self) -> Result<u64> {
        Ok(self.mark.load())
    }

    fn set_mark(&self, mark: u64) -> Result<()> {
        self.mark.store(mark);
        Ok(())
    }
}
