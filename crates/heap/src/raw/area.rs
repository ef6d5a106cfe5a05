//! The bytes that blocks are made of.

use shmkit_atomic::AtomicU64;
#[cfg(not(loom))]
use shmkit_layout::{Offset, Region};

use crate::class::Slab;

/// The pages of a heap, and in those that are slabs the words of their blocks.
#[derive(Clone, Copy, Debug)]
pub struct Area<'a> {
    #[cfg(not(loom))]
    region: Region<'a>,
    /// A model has the words of each page, and no blocks.
    #[cfg(loom)]
    words: &'a [Vec<AtomicU64>],
}

#[cfg(not(loom))]
impl<'a> Area<'a> {
    /// Uses the bytes of a region, aligned to the size of a page.
    pub fn new(region: Region<'a>) -> Self {
        Self { region }
    }

    /// Returns the words of the blocks of the slab at byte `at`. None if it does not lie in the area.
    #[inline]
    pub(crate) fn words(self, at: u64, slab: &Slab) -> &'a [AtomicU64] {
        Offset::new(at)
            .and_then(|at| self.region.slice(at, slab.slots as usize))
            .unwrap_or_default()
    }

    /// Returns the `len` bytes at byte `at`.
    #[inline]
    pub(crate) fn bytes(self, at: u64, len: u64) -> Option<Region<'a>> {
        self.region.sub(at, len).ok()
    }
}

#[cfg(loom)]
impl<'a> Area<'a> {
    /// Uses the words of each page.
    pub fn new(words: &'a [Vec<AtomicU64>]) -> Self {
        Self { words }
    }

    pub(crate) fn words(self, at: u64, slab: &Slab) -> &'a [AtomicU64] {
        let words = self.words.get((at >> 12) as usize).map_or(&[][..], |words| &words[..]);
        &words[..words.len().min(slab.slots as usize)]
    }
}
