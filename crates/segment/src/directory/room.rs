//! Where a new object can lie: in what others have left, or behind all of them.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU32, AtomicU64};
use shmkit_layout::{Commit, Shape, align_up};
use shmkit_roster::Judge;

use super::Directory;
use super::entry::Name;
use super::error::Reason;
use super::held::Held;
use super::table::{GAP, UNLINKED, WRITTEN};
use crate::index::{self, State};

/// What a place is needed for: bytes at a multiple of `align`, with `before` of them before that, at a multiple of 8.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    before: u64,
    bytes: u64,
    align: u64,
}

impl Need {
    /// For an object and the rest of its name.
    pub(super) fn object(name: Name<'_>, shape: &Shape) -> Self {
        let before = name.rest_bytes();
        let align = if before == 0 { shape.align } else { shape.align.max(8) };
        Self { before, bytes: shape.bytes, align }
    }

    /// For a table.
    pub(super) fn table(bytes: u64, align: u64) -> Self {
        Self { before: 0, bytes, align }
    }

    fn all(self) -> u64 {
        self.bytes.saturating_add(self.before)
    }

    /// Where it begins, if it lies before `end` whole.
    fn fits(self, (start, end): (u64, u64)) -> Option<u64> {
        let at = align_up(start.checked_add(self.before)?, self.align)?;
        (at.checked_add(self.bytes)? <= end).then_some(at)
    }

    /// What is said if there is no place, where the largest gap has so many bytes.
    pub(super) fn no_room(self, free: u64, len: u64) -> Reason {
        Reason::NoRoom { needed: self.all(), align: self.align, free, len }
    }
}

impl Directory<'_> {
    /// Returns a place for what is needed: in the smallest gap that holds it, below what was ever written; else above it;
    /// else where an object lies that nobody uses any more. With the lock.
    pub(super) fn place<J: Judge + Commit>(
        self,
        held: &Held<'_, J>,
        need: Need,
    ) -> Result<u64, Reason> {
        let (written, gap) = (self.written()?, self.word::<AtomicU64>(GAP)?);
        // An upper bound, so that all that is there is looked at only if something was freed that is large enough.
        if need.all() <= gap.load(Relaxed) {
            let (found, largest) = self.gap(need, written)?;
            gap.store(largest, Relaxed);
            if let Some(at) = found {
                return Ok(at);
            }
        }
        if let Some(at) = need.fits((written, self.most())) {
            return Ok(at);
        }
        self.collect(held)?;
        let (found, largest) = self.gap(need, self.most())?;
        found.ok_or_else(|| need.no_room(largest, self.most()))
    }

    /// One past the last byte that any maker may have written to.
    fn written(self) -> Result<u64, Reason> {
        let written = self.word::<AtomicU64>(WRITTEN)?.load(Relaxed);
        if written > self.most() {
            return Err(Reason::Corrupt { field: "end", index: 0, found: written });
        }
        Ok(written.max(self.start))
    }

    /// Returns a place in the smallest gap before `end` that holds what is needed, and the size of the largest gap.
    fn gap(self, need: Need, end: u64) -> Result<(Option<u64>, u64), Reason> {
        let mut taken = self.tables()?;
        for entry in 0..self.used()?.load(Relaxed) {
            if index::state(&self, entry)?.phase() != State::FREE {
                let record = self.record(entry)?;
                taken.push((record.rest().0, record.end()));
            }
        }
        taken.sort_unstable();
        taken.push((end, end));
        let (mut last, mut largest, mut best) = (self.start, 0, None::<(u64, u64)>);
        for (from, to) in taken {
            let from = from.min(end);
            if from < last && from < to {
                return Err(Reason::Corrupt { field: "offset", index: 0, found: from });
            }
            let size = from.saturating_sub(last);
            largest = largest.max(size);
            if let Some(at) = need.fits((last, from))
                && best.is_none_or(|(smallest, _)| size < smallest)
            {
                best = Some((size, at));
            }
            last = last.max(to);
        }
        Ok((best.map(|(_, at)| at), largest))
    }

    /// Frees what has lost its name and is used by nobody any more. With the lock.
    pub(super) fn collect<J: Judge + Commit>(self, held: &Held<'_, J>) -> Result<(), Reason> {
        if self.word::<AtomicU32>(UNLINKED)?.load(Relaxed) == 0 {
            return Ok(());
        }
        for entry in 0..self.used()?.load(Relaxed) {
            let state = index::state(&self, entry)?;
            if state.phase() == State::UNLINKED {
                self.release(held, entry, state)?;
            }
        }
        Ok(())
    }
}
