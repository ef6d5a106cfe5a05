//! The words that say what a block, or a page, is.

use crate::class::{CLASSES, Class};

/// Of both words: the generation.
const GENERATION: u32 = (1 << 24) - 1;

/// A participant, as the words of its blocks name it: its seat in the heap, and the how manieth it is that has it.
///
/// Not its owner id: those are given anew when all words that name the dead were swept, and a heap may have many millions
/// of them. Its [seats](crate::SeatWords) have the ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tenant {
    /// Which seat, below 2^14.
    pub(crate) seat: u32,
    /// The how manieth that has it, modulo 2^18.
    pub(crate) tenure: u32,
}

impl Tenant {
    /// The bits of a tenure.
    pub(crate) const TENURE: u32 = (1 << 18) - 1;

    fn bits(self) -> u64 {
        u64::from(self.seat) << 18 | u64::from(self.tenure)
    }
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Anybody may reserve it.
    Free,
    /// Somebody is about to use it: free, if he is dead.
    Reserved(Tenant),
    /// It belongs to a structure.
    Kept,
}

/// What a block is, and the how manieth at its place.
///
/// ```text
/// 63 .. 40 generation | 39 38: 0 free, 1 reserved, 2 kept | 31 .. 18 seat | 17 .. 0 tenure
/// ```
///
/// The generation goes up when a block is reserved. All zero bytes are a free place that never held one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockWord(u64);

const RESERVED: u64 = 1 << 38;
const KEPT: u64 = 2 << 38;

impl BlockWord {
    pub(crate) fn from_number(number: u64) -> Self {
        Self(number)
    }

    pub(crate) fn get(self) -> u64 {
        self.0
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 40) as u32
    }

    #[inline]
    pub(crate) fn is_free(self) -> bool {
        self.0 & (RESERVED | KEPT) == 0
    }

    /// Returns what the block is. (3 is no state: it counts as kept, and so is left alone.)
    pub(crate) fn state(self) -> State {
        match self.0 >> 38 & 3 {
            0 => State::Free,
            1 => State::Reserved(Tenant {
                seat: (self.0 >> 18) as u32 & ((1 << 14) - 1),
                tenure: self.0 as u32 & Tenant::TENURE,
            }),
            _ => State::Kept,
        }
    }

    /// The next block at this place, reserved.
    #[inline]
    pub(crate) fn reserve(self, tenant: Tenant) -> Self {
        let next = (self.generation() + 1) & GENERATION;
        Self(u64::from(next.max(1)) << 40 | RESERVED | tenant.bits())
    }

    /// The same block, kept.
    pub(crate) fn kept(generation: u32) -> Self {
        Self(u64::from(generation) << 40 | KEPT)
    }

    /// Returns how many blocks have been at this place since the word was `base`: of fewer than 2^23. Negative, if that is
    /// later.
    pub(crate) fn since(self, base: Self) -> i32 {
        (self.generation().wrapping_sub(base.generation()) << 8).cast_signed() >> 8
    }

    /// A free place where so many more blocks have been.
    pub(crate) fn later(self, blocks: i32) -> Self {
        Self::free(self.generation().wrapping_add_signed(blocks) & GENERATION)
    }

    /// The same place, free.
    pub(crate) fn free(generation: u32) -> Self {
        Self(u64::from(generation) << 40)
    }
}

/// What begins at a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// Nothing: the page is free, or a later one of what began before it.
    Free,
    /// A slab of small blocks.
    Slab(Class),
    /// A slab whose pages somebody is about to give back: nobody reserves a block of it, and who frees one takes the mark away.
    Leaving(Class),
    /// One block of so many pages.
    Whole(u64),
}

/// What begins at a page, and the how manieth.
///
/// ```text
/// 63 .. 40 generation | 39 .. 32: 0 free, 1 to 27 a slab of this class, the same plus 64 one that leaves, 255 whole pages | 31 .. 0 how many, of whole ones
/// ```
///
/// To store it is to take the pages, or to give them back: whoever goes from one span to the next sees them all at every
/// instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageWord(u64);

const WHOLE: u8 = 255;
const LEAVING: u8 = 64;

impl PageWord {
    pub(crate) fn from_number(number: u64) -> Self {
        Self(number)
    }

    pub(crate) fn get(self) -> u64 {
        self.0
    }

    /// Returns what it says, or `None` if no page's word is so.
    pub(crate) fn span(self) -> Option<Span> {
        match (self.0 >> 32) as u8 {
            0 => Some(Span::Free),
            WHOLE => match self.0 as u32 {
                0 => None,
                pages => Some(Span::Whole(pages.into())),
            },
            kind if kind > LEAVING => Class::new(kind - LEAVING - 1).map(Span::Leaving),
            kind => Class::new(kind - 1).map(Span::Slab),
        }
    }

    /// The next word of this page: what begins there now.
    pub(crate) fn next(self, span: Span) -> Self {
        let generation = ((self.0 >> 40) as u32 + 1) & GENERATION;
        let rest = match span {
            Span::Free => 0,
            Span::Slab(class) => (class.number() as u64 + 1) << 32,
            Span::Leaving(class) => (class.number() as u64 + 1 + u64::from(LEAVING)) << 32,
            Span::Whole(pages) => u64::from(WHOLE) << 32 | pages,
        };
        Self(u64::from(generation) << 40 | rest)
    }
}

const _: () = assert!(CLASSES < LEAVING as usize, "a class is no mark");

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const TENANT: Tenant = Tenant { seat: 16_383, tenure: Tenant::TENURE };

    #[test]
    fn a_block_word_says_what_was_put_in() {
        let fresh = BlockWord::from_number(0);
        assert!(fresh.is_free() && fresh.state() == State::Free);
        let first = fresh.reserve(TENANT);
        assert_eq!((first.generation(), first.state()), (1, State::Reserved(TENANT)));
        assert!(!first.is_free() && !BlockWord::kept(1).is_free());
        assert_eq!(BlockWord::kept(7).state(), State::Kept);
        assert_eq!(BlockWord::free(7).reserve(TENANT).generation(), 8);
        assert_eq!(BlockWord::free(GENERATION).reserve(TENANT).generation(), 1, "never 0");
        let (early, late) = (BlockWord::free(GENERATION - 2), BlockWord::free(5));
        assert_eq!((late.since(early), early.since(late)), (8, -8));
        assert_eq!((early.later(8), late.later(0)), (late, late));
        assert_eq!(BlockWord::from_number(3 << 38).state(), State::Kept, "no state: left alone");
    }

    #[test]
    fn a_page_word_says_what_was_put_in() {
        let mut word = PageWord::from_number(0);
        let slab = Span::Slab(Class::new(26).unwrap());
        let leaving = Span::Leaving(Class::new(26).unwrap());
        for span in [Span::Whole(u32::MAX.into()), Span::Free, slab, leaving, Span::Whole(1)] {
            let next = word.next(span);
            assert_eq!(next.span(), Some(span));
            assert_ne!(next, word);
            word = next;
        }
        for bad in [28 << 32, 64 << 32, 92 << 32, 254 << 32, 255 << 32] {
            assert_eq!(PageWord::from_number(bad).span(), None, "{bad:#x}");
        }
    }
}
