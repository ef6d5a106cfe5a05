//! The name of a block.

use core::fmt;

use shmkit_layout::ShmSafe;

/// The name of a block, the same in every process: where it lies, and the how manieth block it is that lies there.
///
/// ```text
/// 63 .. 40 generation, from 1 | 39 .. 16 page | 15 .. 0 which block of its slab; 2^16-1 for one of whole pages
/// ```
///
/// A structure keeps it in shared memory in place of a pointer. When its block was freed, it is
/// [stale](crate::HeapError::Stale), also if there is another block at the same place: until 2^24-1 more have been there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ShmSafe)]
#[shm(crate = shmkit_layout)]
#[repr(transparent)]
pub struct BlockId(u64);

impl BlockId {
    /// No block: all zero bytes.
    pub const NONE: Self = Self(0);
    /// Most pages of a heap, plus one.
    pub(crate) const PAGES: u64 = 1 << 24;
    /// In place of the number of a block in its slab: the block is one of whole pages.
    pub(crate) const WHOLE: u32 = (1 << 16) - 1;

    pub(crate) fn new(generation: u32, page: u64, slot: u32) -> Self {
        debug_assert!(page < Self::PAGES && slot <= Self::WHOLE && generation != 0);
        Self(u64::from(generation) << 40 | page << 16 | u64::from(slot))
    }

    /// Returns the id of this number, as [`get`](Self::get) gave it.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number that stands in words.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns whether it names no block.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 40) as u32
    }

    pub(crate) fn page(self) -> u64 {
        self.0 >> 16 & (Self::PAGES - 1)
    }

    pub(crate) fn slot(self) -> u32 {
        self.0 as u32 & Self::WHOLE
    }
}

impl fmt::Debug for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("BlockId::NONE");
        }
        write!(f, "BlockId(page {}, ", self.page())?;
        if self.slot() != Self::WHOLE {
            write!(f, "slot {}, ", self.slot())?;
        }
        write!(f, "generation {})", self.generation())
    }
}
