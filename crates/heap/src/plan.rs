//! Where the parts of a heap lie.

use shmkit_layout::{ShapeError, align_up};
use shmkit_roster::OwnerId;

use crate::RawHeap;
use crate::raw::frame::{HazardLine, HeapFrame, SeatWords};

/// Where the seats begin, in bytes.
pub(crate) const SEATS: u64 = 128;
/// The alignment of the pages, in bytes.
pub(crate) const ALIGN: u64 = 4096;
/// Fewest bytes of a heap, tables included.
pub(crate) const MIN: u64 = 1 << 16;
/// Most bytes of a heap.
pub(crate) const MAX: u64 = 1 << 43;

const _: () = assert!(size_of::<HeapFrame>() <= SEATS as usize);

/// How large a heap is, and may become, tables included.
///
/// A number of bytes is one that is as large as it may become from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapSpec {
    pub(crate) initial: u64,
    pub(crate) limit: u64,
}

impl HeapSpec {
    /// A heap of `initial` bytes that grows when it would be full, up to `limit` bytes.
    ///
    /// Its tables, a hundredth of the limit at most in a large heap, are there from the beginning. Where the segment has all
    /// its memory from the beginning, so has the heap, and only learns of it by and by.
    pub fn growing(initial: u64, limit: u64) -> Self {
        Self { initial: initial.min(limit), limit }
    }
}

impl From<u64> for HeapSpec {
    fn from(bytes: u64) -> Self {
        Self::growing(bytes, bytes)
    }
}

/// Where the parts of a heap lie, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) bytes: u64,
    pub(crate) seats: u32,
    /// How many threads of a seat have a hazard of their own.
    pub(crate) own: u32,
    pub(crate) shift: u32,
    pub(crate) pages: u64,
    pub(crate) hazards: u64,
    pub(crate) hints: u64,
    pub(crate) words: u64,
    pub(crate) area: u64,
}

impl Plan {
    /// Lays out a heap of `bytes` bytes, with as many pages as there is room for.
    pub(crate) fn new(bytes: u64, seats: u32) -> Result<Self, ShapeError> {
        let length = ShapeError::Length { found: bytes, min: MIN, max: MAX };
        let seats = seats.clamp(1, OwnerId::MAX_SLOTS);
        if !(MIN..=MAX).contains(&bytes) {
            return Err(length);
        }
        // Few enough pages that who looks for some finds them, and no more than an id can name.
        let shift = (12..20).find(|shift| bytes >> shift <= 1 << 21).unwrap_or(20);
        let mut pages = bytes >> shift;
        loop {
            let plan = Self::of(bytes, seats, shift, pages);
            match plan.end().saturating_sub(bytes) {
                0 if pages > 0 => return Ok(plan),
                over => pages = pages.saturating_sub(over.div_ceil(1 << shift)),
            }
            if pages == 0 {
                return Err(length);
            }
        }
    }

    fn of(bytes: u64, seats: u32, shift: u32, pages: u64) -> Self {
        // A sixteenth of the heap at most is for hazards.
        let line = u64::from(seats) * size_of::<HazardLine>() as u64;
        let own = [8, 4, 2, 1].into_iter().find(|own| line * own <= bytes / 16).unwrap_or(0);
        let seats_end = SEATS + u64::from(seats) * size_of::<SeatWords>() as u64;
        let hazards = seats_end.next_multiple_of(align_of::<HazardLine>() as u64);
        let hints = hazards + line * own;
        let words = hints + RawHeap::hints(pages as usize) as u64 * 8;
        let area = align_up(words + pages * 16, ALIGN).unwrap_or(u64::MAX);
        Self { bytes, seats, own: own as u32, shift, pages, hazards, hints, words, area }
    }

    /// Returns how many hazards there are that lie in lines of their own.
    pub(crate) fn lines(&self) -> usize {
        self.seats as usize * self.own as usize
    }

    /// Returns how many pages a heap has whose first `bytes` bytes are there; one at least.
    pub(crate) fn pages_in(&self, bytes: u64) -> u64 {
        (bytes.saturating_sub(self.area) >> self.shift).clamp(1, self.pages)
    }

    /// Returns where so many pages end, in bytes.
    pub(crate) fn end_of(&self, pages: u64) -> u64 {
        self.area.saturating_add(pages << self.shift)
    }

    fn end(&self) -> u64 {
        self.end_of(self.pages)
    }
}
