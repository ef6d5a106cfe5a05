//! What the elements of a sequence are like.

use core::alloc::Layout;

use shmkit_layout::ShmSafe;

use super::frame::BlockHead;

/// What the elements of a sequence are like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element {
    /// In bytes, as the next.
    pub(super) size: usize,
    pub(super) align: usize,
    /// The first one is always in the first place, so that all lie in a row from there.
    pub(super) straight: bool,
}

impl Element {
    pub(crate) const fn of<T: ShmSafe>(straight: bool) -> Self {
        const {
            assert!(size_of::<T>() > 0, "elements of no bytes: count them in an `Atomic`");
            assert!(align_of::<T>() <= 4096, "nothing in a heap is aligned to more");
        }
        Self { size: size_of::<T>(), align: align_of::<T>(), straight }
    }

    /// Where the first one lies in its block.
    pub(super) fn first(&self) -> usize {
        size_of::<BlockHead>().next_multiple_of(self.align)
    }

    /// How many places there are in a block of so many bytes, without the spare one.
    pub(super) fn places(&self, block: usize) -> usize {
        (block.saturating_sub(self.first()) / self.size).saturating_sub(1)
    }

    /// The block for so many places and the spare one.
    pub(super) fn layout(&self, places: usize) -> Option<Layout> {
        let bytes = places.checked_add(1)?.checked_mul(self.size)?.checked_add(self.first())?;
        Layout::from_size_align(bytes, self.align.max(align_of::<BlockHead>())).ok()
    }
}
