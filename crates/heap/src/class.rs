//! The sizes that small blocks come in.

use core::alloc::Layout;

/// How many sizes there are.
pub(crate) const CLASSES: usize = 27;

/// The sizes, in bytes: four to each doubling, so that a block is a fifth too large at most.
const SIZES: [u32; CLASSES] = [
    32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024,
    1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096,
];

/// What the first block of a slab is aligned to, and so the most that a block of a slab can be.
const ALIGN: u32 = 128;
/// Most pages of a slab.
const PAGES: u32 = 8;

/// A size of small blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class(u8);

impl Class {
    /// Returns the smallest one that has room for such a block, or `None` if it is not small.
    #[inline]
    pub(crate) fn of(layout: Layout) -> Option<Self> {
        let align = layout.align() as u32;
        if layout.size() > SIZES[CLASSES - 1] as usize || layout.align() > ALIGN as usize {
            return None;
        }
        let size = layout.size() as u32;
        let first = match size {
            0..=128 => size.max(17).div_ceil(16) as usize - 2,
            // Four to each doubling above 128.
            _ => {
                let power = (size - 1).ilog2();
                6 + 4 * (power - 7) as usize + (((size - 1) >> (power - 2)) & 3) as usize + 1
            }
        };
        if align <= 16 {
            return Some(Self(first as u8)); // As all sizes are.
        }
        (first..CLASSES)
            .find(|&class| SIZES[class].is_multiple_of(align))
            .map(|class| Self(class as u8))
    }

    /// Returns the one of this number, 0 to [`CLASSES`]` - 1`.
    pub(crate) fn new(number: u8) -> Option<Self> {
        (usize::from(number) < CLASSES).then_some(Self(number))
    }

    #[inline]
    pub(crate) fn number(self) -> usize {
        usize::from(self.0)
    }

    /// Returns the size of its blocks, in bytes.
    pub(crate) fn size(self) -> u32 {
        SIZES[self.number()]
    }
}

/// How blocks of one size lie in a slab of some pages.
///
/// ```text
/// word of each block, 8 bytes | padding to 128 | block | block | …
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slab {
    /// How many pages it takes.
    pub(crate) pages: u32,
    /// How many blocks it has.
    pub(crate) slots: u32,
    /// Where the first block begins, in bytes.
    pub(crate) start: u32,
    /// The size of a block, in bytes.
    pub(crate) size: u32,
}

impl Slab {
    /// Lays out the blocks of a class in as few pages of `1 << shift` bytes as waste no more than an eighth.
    pub(crate) fn new(class: Class, shift: u32) -> Self {
        let page = 1 << shift;
        let slab = |pages| Self::of(class.size(), pages, page);
        let fits =
            |slab: &Self| slab.slots * slab.size >= slab.pages * (page / 8) * 7 - slab.slots * 8;
        (1..PAGES).map(slab).find(fits).unwrap_or_else(|| slab(PAGES))
    }

    /// Returns where a block begins, in bytes of its slab.
    #[inline]
    pub(crate) fn at(&self, slot: u32) -> u64 {
        u64::from(self.start) + u64::from(slot) * u64::from(self.size)
    }

    fn of(size: u32, pages: u32, page: u32) -> Self {
        let room = pages * page;
        let mut slots = room / (size + 8);
        let start = |slots: u32| (slots * 8).next_multiple_of(ALIGN);
        while start(slots) + slots * size > room {
            slots -= 1;
        }
        Self { pages, slots, start: start(slots), size }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_as_large_as_asked_and_a_fifth_larger_at_most() {
        for size in 0..=4096_usize {
            let class = Class::of(Layout::from_size_align(size, 1).unwrap()).unwrap();
            assert!(class.size() as usize >= size, "{size}");
            assert!(
                size < 64 || class.size() as usize <= size + size / 4,
                "{size}: {}",
                class.size()
            );
            let smaller = class.number().checked_sub(1).map(|before| SIZES[before] as usize);
            assert!(smaller.is_none_or(|smaller| smaller < size.max(17)), "{size}: {class:?}");
        }
        assert_eq!(Class::of(Layout::from_size_align(4097, 1).unwrap()), None);
        assert_eq!(Class::of(Layout::from_size_align(64, 256).unwrap()), None);
    }

    #[test]
    fn a_block_is_aligned_as_asked() {
        for align in [1, 2, 4, 8, 16, 32, 64, 128] {
            for size in 0..=4096 {
                let class = Class::of(Layout::from_size_align(size, align).unwrap()).unwrap();
                assert!(class.size() as usize >= size && class.size().is_multiple_of(align as u32));
            }
        }
    }

    #[test]
    fn a_slab_wastes_an_eighth_beside_its_words_at_most() {
        for shift in [12, 14, 16, 20] {
            for class in (0..CLASSES as u8).map(|n| Class::new(n).unwrap()) {
                let slab = Slab::new(class, shift);
                let room = slab.pages << shift;
                assert!(slab.start >= slab.slots * 8 && slab.start.is_multiple_of(ALIGN));
                assert!(slab.start + slab.slots * slab.size <= room, "{class:?}: {slab:?}");
                assert!(slab.slots * (slab.size + 8) >= room / 8 * 7, "{class:?}: {slab:?}");
            }
        }
        assert_eq!(Class::new(CLASSES as u8), None);
    }
}
