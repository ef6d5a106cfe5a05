//! The words of a semaphore but for its holders' cells.

use shmkit_atomic::Ordering::Relaxed;
#[cfg(not(loom))]
use shmkit_layout::Shared;

use crate::watch::Watch;
use crate::word::{Word, Word64};
use crate::{Doorbell, RawMutex, RawSemaphore};

/// The words of a semaphore that are not its holders' cells. All zero bytes but the numbers of permits and seats are a
/// fresh one.
///
/// `mutex` guards all that follows it; only the bell is used outside.
#[derive(Debug)]
#[repr(C)]
pub struct SemaphoreFrame {
    pub(super) mutex: RawMutex,
    /// Rung with every release.
    pub(super) bell: Doorbell,
    /// How many permits there are, 0 to 2^31-1. Stored once, by who makes the semaphore.
    pub(super) permits: Word,
    /// How many of them nobody holds.
    pub(super) free: Word,
    /// Not 0: somebody sleeps whom a single permit may not help, for he wants several. The next ring is for all.
    pub(super) greedy: Word,
    /// How many wait: a hint. Where it says one at most, a ring for all takes the mark off the bell in the same system call,
    /// and the next release costs none.
    pub(super) waiting: Word,
    /// When one of those who wait asks again whether the holders live.
    pub(super) watch: Watch,
    /// For how many holders it was made. Stored once, by who makes the semaphore.
    pub(super) seats: Word,
    /// A bit for each row of seats: whether one of them may be taken. It goes before the seat.
    pub(super) rows: Word64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<SemaphoreFrame>() == 56, "part of the segment format");

// SAFETY: `repr(C)`, made of `Shared` types: 16, seven times 4, and 8 bytes, with 4 of padding that
// nobody reads.
#[cfg(not(loom))]
unsafe impl Shared for SemaphoreFrame {}

impl SemaphoreFrame {
    /// Makes the frame of a semaphore of `permits` permits and `seats` seats.
    ///
    /// # Panics
    ///
    /// If the permits are more than [`MAX_PERMITS`](RawSemaphore::MAX_PERMITS).
    pub fn new(permits: u32, seats: u32) -> Self {
        let frame = Self {
            mutex: RawMutex::new(),
            bell: Doorbell::new(),
            permits: Word::new(0),
            free: Word::new(0),
            greedy: Word::new(0),
            waiting: Word::new(0),
            watch: Watch::new(),
            seats: Word::new(0),
            rows: Word64::new(0),
        };
        frame.set(permits, seats);
        frame
    }

    /// Gives a frame of all zero bytes, which has none, its permits and seats. Before anybody else uses it.
    ///
    /// # Panics
    ///
    /// If the permits are more than [`MAX_PERMITS`](RawSemaphore::MAX_PERMITS).
    pub fn set(&self, permits: u32, seats: u32) {
        let max = RawSemaphore::MAX_PERMITS;
        assert!(permits <= max, "at most {max} permits");
        // Relaxed: nobody else uses it yet; however it is handed to others orders this.
        self.permits.store(permits, Relaxed);
        self.free.store(permits, Relaxed);
        self.seats.store(seats, Relaxed);
    }

    /// Returns how many permits there are.
    pub fn permits(&self) -> u32 {
        // Relaxed: never changes while the semaphore is used.
        self.permits.load(Relaxed)
    }

    /// Returns how many of them nobody held a moment ago.
    #[cfg(not(loom))]
    pub(crate) fn free(&self) -> u32 {
        self.free.load(Relaxed) // Relaxed, here and below: for people.
    }

    /// Returns about how many waited.
    #[cfg(not(loom))]
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed)
    }

    /// Returns for how many holders it was made.
    pub fn seats(&self) -> u32 {
        // Relaxed: as that of the permits.
        self.seats.load(Relaxed)
    }
}
