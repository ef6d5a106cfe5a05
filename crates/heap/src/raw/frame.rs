//! The words of a heap that are not the blocks'.

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::crash::step;
use shmkit_atomic::{AtomicU32, AtomicU64};
#[cfg(not(loom))]
use shmkit_layout::Shared;
use shmkit_roster::OwnerId;
use shmkit_sync::RawMutex;

use crate::word::Tenant;

/// The head of a heap. All zero bytes but four numbers are a fresh one.
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
    rest: AtomicU64,
    /// How many pages there are by now; the others are only reserved. It only ever grows, and lies in another cache line than
    /// what is written often.
    committed: AtomicU64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<HeapFrame>() == 72, "part of the segment format");

// SAFETY: `repr(C)`, made of `Shared` types: 16, twice 4, and six times 8 bytes.
#[cfg(not(loom))]
unsafe impl Shared for HeapFrame {}

impl HeapFrame {
    /// Makes the frame of a heap, all of which is there.
    pub fn new(seats: u32, shift: u32, pages: u64) -> Self {
        let frame = Self {
            mutex: RawMutex::new(),
            seats: AtomicU32::new(0),
            shift: AtomicU32::new(0),
            pages: AtomicU64::new(0),
            low: AtomicU64::new(0),
            end: AtomicU64::new(0),
            freed: AtomicU64::new(0),
            rest: AtomicU64::new(0),
            committed: AtomicU64::new(0),
        };
        frame.set(seats, shift, pages, pages);
        frame
    }

    /// Gives a frame of all zero bytes its numbers. Before anybody else uses it.
    pub(crate) fn set(&self, seats: u32, shift: u32, pages: u64, committed: u64) {
        // Relaxed, all: nobody else uses it yet; however it is handed to others orders this.
        self.seats.store(seats, Relaxed);
        self.shift.store(shift, Relaxed);
        self.pages.store(pages, Relaxed);
        self.committed.store(committed, Relaxed);
    }

    /// Returns how many pages there are by now.
    #[inline]
    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(Acquire) // Acquire: pairs with the Release in `commit`: they are there.
    }

    /// So many pages are there. For who holds the mutex.
    #[cfg(not(loom))]
    pub(crate) fn commit(&self, pages: u64) {
        step();
        self.committed.store(pages, Release); // Release: pairs with the Acquire in `committed`.
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
    /// 31: whoever needs this one's fences has the kernel put them in | 17 .. 0 the how manieth
    tenure: AtomicU32,
    /// The hazard of threads that have none of their own, one at a time.
    pub(crate) shared: Hazard,
}

// SAFETY: `repr(C)`, two atomic numbers and a hazard.
#[cfg(not(loom))]
unsafe impl Shared for SeatWords {}

/// Of a tenure's word: its participant has called [`register`](shmkit_atomic::barrier::register).
const LIGHT: u32 = 1 << 31;

impl SeatWords {
    /// Makes a seat that nobody has.
    pub fn new() -> Self {
        Self { owner: AtomicU32::new(0), tenure: AtomicU32::new(0), shared: Hazard::new() }
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

    /// Returns whether who has it leaves its fences to the kernel.
    pub(crate) fn is_light(&self) -> bool {
        self.tenure.load(Relaxed) & LIGHT != 0 // Relaxed: for who holds the heap's mutex, as who takes the seat does.
    }

    /// `me` takes it from who is dead, or from nobody. For who holds the heap's mutex.
    pub(crate) fn take(&self, me: OwnerId, light: bool) -> u32 {
        let tenure = self.tenure().wrapping_add(1) & Tenant::TENURE;
        step();
        // Release, both: pair with the Acquire in `tenure` and `owner`. Killed between the two, the one before has lost
        // what it had reserved, and the next one counts on.
        self.tenure.store(tenure | if light { LIGHT } else { 0 }, Release);
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

/// Which slab a thread is about to change a word of: its page, plus 1; 0 for none.
///
/// As long as it stands there, and its participant lives, the slab's pages are given back by nobody who looks.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Hazard(AtomicU64);

// SAFETY: an atomic number.
#[cfg(not(loom))]
unsafe impl Shared for Hazard {}

impl Hazard {
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Sets that of the calling thread, which no other one uses, and returns whether nothing stood there: else this is a
    /// signal's handler, which has interrupted the thread there.
    #[inline]
    pub(crate) fn set_own(&self, page: u64) -> bool {
        // Relaxed, both: ours alone; the fence that follows orders it.
        let free = self.0.load(Relaxed) == 0;
        if free {
            step();
            self.0.store(page + 1, Relaxed);
        }
        free
    }

    /// Sets one that several threads use, and returns whether nothing stood there.
    pub(crate) fn set_shared(&self, page: u64) -> bool {
        step();
        // Acquire: pairs with the Release in `clear`, of another thread. Relaxed: then it is not ours.
        self.0.compare_exchange(0, page + 1, Acquire, Relaxed).is_ok()
    }

    /// The slab may go.
    #[inline]
    pub(crate) fn clear(&self) {
        step();
        // Release: pairs with the Acquire in `page`: who finds nothing here sees what was done to the slab.
        self.0.store(0, Release);
    }

    /// Returns which slab must stay.
    pub(crate) fn page(&self) -> Option<u64> {
        self.0.load(Acquire).checked_sub(1) // Acquire: pairs with the Release in `clear`.
    }

    /// Takes away what a dead one has left. For who holds the heap's mutex, and has the seat by then.
    pub(crate) fn wipe(&self) {
        step();
        self.0.store(0, Relaxed); // Relaxed: read by others under the mutex.
    }
}

/// A thread's hazard, in a cache line of its own.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct HazardLine {
    pub(crate) hazard: Hazard,
    rest: [AtomicU64; 7],
}

// SAFETY: `repr(C)`, a hazard and seven atomic numbers: 64 bytes.
#[cfg(not(loom))]
unsafe impl Shared for HazardLine {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<SeatWords>() == 16 && size_of::<HazardLine>() == 64);

impl HazardLine {
    /// Makes one of which nothing is said.
    pub fn new() -> Self {
        Self { hazard: Hazard::new(), rest: core::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Default for HazardLine {
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
