//! The names of participants.

use core::fmt;
use core::num::NonZeroU32;

/// Bits of an id that are the slot's number.
const SLOT_BITS: u32 = 10;

/// The name of a participant: an address space that joined a roster.
///
/// ```text
/// 31 30 | 29 .. 10              | 9 .. 0
/// free  | generation, 1 to 2^20-1 | slot, 0 to 1023
/// ```
///
/// It is never 0 and **never issued twice** in the life of a roster, so that an id that stands in a lock word means
/// one participant for ever. The two upper bits are free for the primitives.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnerId(NonZeroU32);

impl OwnerId {
    /// The bits of a word that an id takes.
    pub const MASK: u32 = (1 << 30) - 1;
    /// Most slots of a roster.
    pub const MAX_SLOTS: u32 = 1 << SLOT_BITS;
    /// The last generation of a slot; then it is retired.
    pub const MAX_GENERATION: u32 = (1 << 20) - 1;

    /// Makes the id of a slot's generation, or `None` if either is out of range.
    pub const fn new(slot: u32, generation: u32) -> Option<Self> {
        if slot >= Self::MAX_SLOTS || generation == 0 || generation > Self::MAX_GENERATION {
            return None;
        }
        match NonZeroU32::new((generation << SLOT_BITS) | slot) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// Returns the id in the lower 30 bits of a word, or `None` if no participant can have it (0 above all).
    #[inline]
    pub const fn from_word(word: u32) -> Option<Self> {
        let id = word & Self::MASK;
        if id >> SLOT_BITS == 0 {
            return None;
        }
        match NonZeroU32::new(id) {
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

    /// Returns the slot, 0 to 1023.
    pub const fn slot(self) -> u32 {
        self.get() & (Self::MAX_SLOTS - 1)
    }

    /// Returns the generation of the slot, from 1.
    pub const fn generation(self) -> u32 {
        self.get() >> SLOT_BITS
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot(), self.generation())
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
    fn an_id_is_its_slot_and_generation() {
        let id = OwnerId::new(1023, OwnerId::MAX_GENERATION).unwrap();
        assert_eq!(id.get(), OwnerId::MASK);
        assert_eq!((id.slot(), id.generation()), (1023, OwnerId::MAX_GENERATION));
        assert_eq!(OwnerId::from_word(id.get() | 3 << 30), Some(id));
        assert_eq!(OwnerId::new(5, 7).unwrap().to_string(), "5.7");
    }

    #[test]
    fn what_nobody_is_called_is_no_id() {
        assert_eq!(OwnerId::new(1024, 1), None);
        assert_eq!(OwnerId::new(0, 0), None);
        assert_eq!(OwnerId::new(0, 1 << 20), None);
        assert_eq!(OwnerId::from_word(0), None);
        assert_eq!(OwnerId::from_word(1 << 31), None);
        assert_eq!(OwnerId::from_word(1023), None, "generation 0");
    }
}
