//! The words of a heap that are not the blocks'.

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::crash::step;
use shmkit_atomic::{AtomicU32, AtomicU64};
#[cfg(not(loom))]
use shmkit_layout::Shared;
use shmkit_roster::OwnerId;
use shmkit_sync::RawMutex;

use crate::word::Tenant;

/// The head of a heap. All zero bytes but the first three numbers are a fresh one.
///
/// `mutex` guards the rest, and who takes pages. A block is freed, and a small one reserved, without it.
#[derive(Debug)]
#[repr(C)]
pub struct HeapFrame {
    pub(crate) mutex: RawMutex,
    /// How many seats there are. Stored once, by who makes the heap, as the next two.
    pub(crate) seats: AtomicU32,
    /// A page is of `1 << shift` bytes.
    pub(crate) shift: AtomicU32,
    /// How many pages there are.
    pub(crate) pages: AtomicU64,
    /// The first page where something is worth a look, for who holds the mutex: what lies before it was found taken.
    pub(crate) low: AtomicU64,
    /// The first page that never was anything.
    pub(crate) end: AtomicU64,
    /// About how many pages were freed since somebody went through all. A hint.
    pub(crate) freed: AtomicU64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<HeapFrame>() == 56, "part of the segment format");

// SAFETY: `repr(C)`, made of `Shared` types: 16, twice 4, and four times 8 bytes.
#[cfg(not(loom))]
unsafe impl Shared for HeapFrame {}

impl HeapFrame {
    /// Makes the frame of a heap.
    pub fn new(seats: u32, shift: u32, pages: u64) -> Self {
        let frame = Self {
            mutex: RawMutex::new(),
            seats: AtomicU32::new(0),
            shift: AtomicU32::new(0),
            pages: AtomicU64::new(0),
            low: AtomicU64::new(0),
            end: AtomicU64::new(0),
            freed: AtomicU64::new(0),
        };
        frame.set(seats, shift, pages);
        frame
    }

    /// Gives a frame of all zero bytes its numbers. Before anybody else uses it.
    pub(crate) fn set(&self, seats: u32, shift: u32, pages: u64) {
        // Relaxed, all: nobody else uses it yet; however it is handed to others orders this.
        self.seats.store(seats, Relaxed);
        self.shift.store(shift, Relaxed);
        self.pages.store(pages, Relaxed);
    }

    /// Returns how many seats there are, of `1 << this` bytes a page, and how many of those.
    #[cfg(not(loom))]
    pub(crate) fn numbers(&self) -> (u32, u32, u64) {
        // Relaxed: they never change while the heap is used.
        (self.seats.load(Relaxed), self.shift.load(Relaxed), self.pages.load(Relaxed))
    }
}

/// A seat: who has it, and the how manieth that is.
///
/// Written under the heap's mutex: the tenure first, so that what the one before reserved is nobody's before there is
/// somebody who reserves.
#[derive(Debug)]
#[repr(C)]
pub struct SeatWords {
    owner: AtomicU32,
    tenure: AtomicU32,
}

// SAFETY: `repr(C)`, two atomic numbers.
#[cfg(not(loom))]
unsafe impl Shared for SeatWords {}

impl SeatWords {
    /// Makes a seat that nobody has.
    pub fn new() -> Self {
        Self { owner: AtomicU32::new(0), tenure: AtomicU32::new(0) }
    }

    /// Returns who has it: nobody, somebody, or (`Err`) a number that nobody is called by.
    pub(crate) fn owner(&self) -> Option<OwnerId> {
        // Acquire: pairs with the Release in `take`: who has read a block's tenure there finds who that is.
        OwnerId::from_word(self.owner.load(Acquire))
    }

    /// Returns the how manieth has it.
    pub(crate) fn tenure(&self) -> u32 {
        // Acquire: pairs with the Release in `take`, through the word of a block.
        self.tenure.load(Acquire) & Tenant::TENURE
    }

    /// `me` takes it from who is dead, or from nobody. For who holds the heap's mutex.
    pub(crate) fn take(&self, me: OwnerId) -> u32 {
        let tenure = self.tenure().wrapping_add(1) & Tenant::TENURE;
        step();
        // Release, both: pair with the Acquire in `tenure` and `owner`. Killed between the two, the one before has lost
        // what it had reserved, and the next one counts on.
        self.tenure.store(tenure, Release);
        step();
        self.owner.store(me.get(), Release);
        tenure
    }
}

impl Default for SeatWords {
    fn default() -> Self {
        Self::new()
    }
}

/// The two words of a page.
#[derive(Debug)]
#[repr(C)]
pub struct PageWords {
    /// What begins here.
    pub(crate) word: AtomicU64,
    /// The block that begins here, if it is one of whole pages.
    pub(crate) block: AtomicU64,
}

// SAFETY: `repr(C)`, two atomic numbers.
#[cfg(not(loom))]
unsafe impl Shared for PageWords {}

impl PageWords {
    /// Makes the words of a page that never was anything.
    pub fn new() -> Self {
        Self { word: AtomicU64::new(0), block: AtomicU64::new(0) }
    }
}

impl Default for PageWords {
    fn default() -> Self {
        Self::new()
    }
}
