//! The names of participants.

use core::fmt;
use core::num::NonZeroU32;

/// The name of a participant: an address space that joined a roster.
///
/// ```text
/// 31 30 | 29 .. 0
/// free  | 1 to 2^30-3: the participant's; 2^30-2: NOBODY; 2^30-1: GONE
/// ```
///
/// It is never 0. A roster issues the numbers one after the other, each **once**, so that an id that stands in a lock
/// word means one participant. Only when a place of the roster has given out all its share of them does it begin anew,
/// and not before every word of the memory that names one of those was swept: see [`Spent`](crate::Spent). The two upper
/// bits of a word are free for the primitives.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnerId(NonZeroU32);

impl OwnerId {
    /// The bits of a word that an id takes.
    pub const MASK: u32 = (1 << 30) - 1;
    /// The greatest number that a roster issues.
    pub const LAST: u32 = Self::MASK - 2;
    /// A number that nobody is ever called by and no word is swept of, for words that need to say *free* in a second way.
    pub const NOBODY: u32 = Self::MASK - 1;
    /// Most slots of a roster.
    pub const MAX_SLOTS: u32 = 1 << 14;
    /// Somebody who is dead, and whose own name may be somebody else's by now. Nobody is ever called so.
    pub const GONE: Self = match NonZeroU32::new(Self::MASK) {
        Some(number) => Self(number),
        None => unreachable!(),
    };

    /// Returns the name of this number, or `None` if no participant can have it: 1 to [`LAST`](Self::LAST) are possible.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(id) if number <= Self::LAST => Some(Self(id)),
            _ => None,
        }
    }

    /// Returns the id in the lower 30 bits of a word, [`GONE`](Self::GONE) included, or `None` if they are 0.
    #[inline]
    pub const fn from_word(word: u32) -> Option<Self> {
        match NonZeroU32::new(word & Self::MASK) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// Returns the id whose number this process put into its own page itself.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) const fn from_own(number: NonZeroU32) -> Self {
        Self(number)
    }

    /// Returns the number that stands in words.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// Returns at which of `cells` cells this participant begins to look for its own, 0 to `cells - 1`.
    ///
    /// Participants that are there at the same time mostly begin at different ones; if there are as many cells as places
    /// in the roster, always.
    ///
    /// # Panics
    ///
    /// If there are no cells.
    #[inline]
    pub const fn home(self, cells: usize) -> usize {
        (self.get() - 1) as usize % cells
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::GONE { f.write_str("gone") } else { self.get().fmt(f) }
    }
}

impl fmt::Debug for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnerId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_number_of_thirty_bits() {
        let id = OwnerId::new(OwnerId::LAST).unwrap();
        assert_eq!(id.get(), OwnerId::MASK - 2);
        assert_eq!(OwnerId::from_word(id.get() | 3 << 30), Some(id));
        assert_eq!(OwnerId::from_word(u32::MAX), Some(OwnerId::GONE));
        assert_eq!(OwnerId::new(7).unwrap().to_string(), "7");
        assert_eq!(format!("{:?}", OwnerId::GONE), "OwnerId(gone)");
    }

    #[test]
    fn what_nobody_is_called_is_no_id() {
        for number in [0, OwnerId::NOBODY, OwnerId::MASK, 1 << 30, 1 << 31 | 1] {
            assert_eq!(OwnerId::new(number), None, "{number:#x}");
        }
        for word in [0, 1 << 30, 1 << 31, 3 << 30] {
            assert_eq!(OwnerId::from_word(word), None, "{word:#x}");
        }
    }

    #[test]
    fn the_first_id_begins_at_the_first_cell() {
        let homes =
            |cells| (1..=4).map(|n| OwnerId::new(n).unwrap().home(cells)).collect::<Vec<_>>();
        assert_eq!(homes(4), [0, 1, 2, 3]);
        assert_eq!(homes(3), [0, 1, 2, 0]);
    }
}
