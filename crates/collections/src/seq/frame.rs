//! The words of a sequence.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU32, AtomicU64};
use shmkit_heap::Swap;
use shmkit_layout::Shared;
use shmkit_sync::RawMutex;

/// The head of a sequence.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct SeqFrame {
    pub(super) mutex: RawMutex,
    pub(super) swap: Swap,
    /// The block of the elements; 0 as long as there never were any. Changed by `swap`.
    pub(super) root: AtomicU64,
    /// How many elements there were a moment ago, for who asks without the lock.
    pub(super) len: AtomicU64,
    /// Most elements that there may be, plus 1; 0 for no bound. Stored once, by who makes the sequence.
    bound: AtomicU64,
}

// SAFETY: `repr(C)`, made of `Shared` types.
unsafe impl Shared for SeqFrame {}

const _: () = assert!(size_of::<SeqFrame>() == 64, "part of the segment format");

impl SeqFrame {
    pub(super) fn set_bound(&self, bound: Option<u32>) {
        // Relaxed: nobody else uses it yet; however it is handed to others orders this.
        self.bound.store(bound.map_or(0, |most| u64::from(most) + 1), Relaxed);
    }

    /// How many elements there were a moment ago.
    pub(crate) fn len(&self) -> u64 {
        self.len.load(Relaxed) // Relaxed: a count that others change as it is read.
    }

    /// Most elements that there may be, if that was said.
    pub(crate) fn bound(&self) -> Option<u64> {
        self.bound.load(Relaxed).checked_sub(1) // Relaxed: it never changes while the sequence is used.
    }
}

/// What the block of the elements begins with. They follow from the next multiple of their alignment on: as many as there is
/// room for, as a ring, and behind them the spare one.
#[derive(Debug)]
#[repr(C)]
pub(super) struct BlockHead {
    /// Which elements count: `63 .. 32` the place of the first one, `31 .. 0` how many there are, around the end. One store to
    /// it is a push or a pop.
    pub(super) ends: AtomicU64,
    /// Not 0: the spare element is to be copied to this place, less 1, and then `after` is what counts.
    pub(super) redo: AtomicU64,
    /// What `ends` will be. Stored before `redo`.
    pub(super) after: AtomicU64,
    /// How many places there are, without the spare one. Does not change.
    pub(super) places: AtomicU32,
    pad: AtomicU32,
}

// SAFETY: `repr(C)`, atomic numbers.
unsafe impl Shared for BlockHead {}

const _: () = assert!(size_of::<BlockHead>() == 32, "part of the segment format");

/// Which elements of a block count: `start` is below the number of places, `len` at most that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) start: usize,
    pub(super) len: usize,
}

impl Ends {
    pub(super) fn word(self) -> u64 {
        (self.start as u64) << 32 | self.len as u64
    }

    pub(super) fn of(word: u64) -> Self {
        Self { start: (word >> 32) as usize, len: word as u32 as usize }
    }
}
