//! How far a segment reaches, and having the memory for more.

use std::ptr;

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::crash::in_program_order;
use shmkit_layout::{Commit, Region, align_up};

use super::Directory;
use super::error::Reason;
use super::table::WRITTEN;

/// What a segment grows by, in bytes: files have whole pages of memory.
pub(crate) const STEP: u64 = 4096;

/// The bytes that an object or a table is about to have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Where they begin, in bytes from the base of the segment.
    pub(super) start: u64,
    /// Up to where they are to be there.
    pub(super) committed: u64,
    /// One past the last.
    pub(super) end: u64,
}

impl<'a> Directory<'a> {
    /// Returns how many bytes of the segment there are. In one that grows, whoever has seen an entry or a table sees a length
    /// that it lies in.
    pub(super) fn len(self) -> u64 {
        let most = self.most();
        // Acquire: pairs with the Release in `have`: the file was as long before the length was.
        self.length.map_or(most, |length| length.load(Acquire).min(most))
    }

    /// Returns how many bytes there may be.
    pub(super) fn most(self) -> u64 {
        self.reserved.len() as u64
    }

    /// Returns all bytes that there are.
    pub(super) fn region(self) -> Region<'a> {
        // Cannot fail: `len` is at most that of the region.
        self.reserved.sub(0, self.len()).unwrap_or(self.reserved)
    }

    /// Has the memory of a place that nobody uses yet, and zeroes what a killed or failed maker may have written there. With
    /// the lock.
    ///
    /// The file grows first, then the length: killed in between, a file is longer than its segment, as before it is made.
    pub(super) fn have<K: Commit>(self, place: Place, keeper: &K) -> Result<(), Reason> {
        if let Some(length) = self.length {
            // Relaxed: who holds the lock alone stores it.
            let there = length.load(Relaxed);
            let most = self.most();
            let all = align_up(place.end, STEP).map_or(most, |end| end.min(most));
            let end = if place.end > there { all } else { place.end };
            self.commit(place, end, keeper).map_err(|error| {
                // Nobody uses what lies behind the segment's end, and nobody else has the lock.
                keeper.discard(self.reserved, there.max(place.start), end);
                Reason::Commit(error)
            })?;
            if end > there {
                in_program_order();
                // Release: pairs with the Acquire in `len`.
                length.store(end, Release);
                in_program_order();
            }
        }
        self.zero(place, keeper)
    }

    /// Gives the whole pages of an object that was just freed back, in a segment that grows: whoever lies there next has them
    /// anew. Elsewhere all memory is there from the beginning, and promised for ever. With the lock.
    ///
    /// Killed before it, the memory stays with the segment, until somebody lies there.
    pub(super) fn give_back<C: Commit>(self, entry: u32, keeper: &C) -> Result<(), Reason> {
        if self.length.is_none() {
            return Ok(());
        }
        let record = self.record(entry)?;
        let (start, end) = (record.rest().0, record.end());
        if let Some(first) = align_up(start, STEP)
            && first < end / STEP * STEP
        {
            // If it is refused, the memory is there still.
            keeper.discard(self.reserved, first, end / STEP * STEP);
        }
        Ok(())
    }

    /// Has the memory of a place of which the last byte is to be `end` - 1, so that the file is as long.
    fn commit<K: Commit>(
        self,
        place: Place,
        end: u64,
        keeper: &K,
    ) -> Result<(), shmkit_layout::CommitError> {
        if place.committed >= place.end {
            return keeper.commit(self.reserved, place.start, end);
        }
        keeper.commit(self.reserved, place.start, place.committed)?;
        // One page more makes the file as long as it is to be: what lies between takes no memory.
        keeper.commit(self.reserved, end - 1, end)
    }

    /// Zeroes those bytes of a place that a killed or failed maker may have written to. The others have been zero from the
    /// beginning, and a gigabyte of them need not be looked at.
    fn zero<K: Commit>(self, place: Place, keeper: &K) -> Result<(), Reason> {
        let Place { start, committed, end } = place;
        let written: &AtomicU64 = self.word(WRITTEN)?;
        // Relaxed: who holds the lock alone stores it.
        let before = written.load(Relaxed);
        let dirty = before.min(end);
        // What is only reserved gives its memory back, or has it before it is touched.
        let given_back = committed < dirty && keeper.discard(self.reserved, committed, dirty);
        let dirty = if given_back { committed } else { dirty };
        if committed < dirty {
            keeper.commit(self.reserved, committed, dirty).map_err(Reason::Commit)?;
        }
        if start < dirty {
            let region = self.region().sub(start, dirty - start).map_err(Reason::Place)?;
            // SAFETY: the bytes are there (`have`), mapped for writing (`Region::from_raw_parts`), and nobody else uses them: no
            // published object or table has them, and only the holder of the lock, which is us, uses such bytes.
            unsafe { ptr::write_bytes(region.base().as_ptr(), 0, region.len()) };
        }
        written.store(before.max(end), Relaxed);
        // The mark is there before the object's first byte is, so that the next maker zeroes what this one has left.
        in_program_order();
        Ok(())
    }
}
