//! A party's place at a barrier, in one word.

use core::fmt;

use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed};
#[cfg(not(loom))]
use shmkit_layout::Shared;
use shmkit_roster::OwnerId;

use crate::word::Word64;

/// Of a cell: its party has registered, and is expected at every pass.
const REGISTERED: u64 = 1 << 62;
/// Of the lower half: the party has arrived at the pass that stands there.
const ARRIVED: u32 = 1;

/// A party's place at a [`RawBarrier`](crate::RawBarrier).
///
/// ```text
/// 63 always 0 | 62 REGISTERED | 61 .. 32 owner id, 0 = free | 31 .. 1 pass | 0 ARRIVED
/// ```
///
/// An arrival **names its pass**: the moment the barrier's word moves on, by a pass or a reset, all arrivals that named
/// the one before are history, whatever becomes of who was to take them away.
#[repr(transparent)]
pub struct BarrierCell {
    word: Word64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<BarrierCell>() == 8, "part of the segment format");

// SAFETY: one atomic word.
#[cfg(not(loom))]
unsafe impl Shared for BarrierCell {}

/// What stands in a cell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    word: u64,
}

impl Place {
    pub(crate) const FREE: Self = Self { word: 0 };

    /// `owner` has registered and not arrived.
    pub(crate) fn registered(owner: OwnerId) -> Self {
        Self { word: u64::from(owner.get()) << 32 | REGISTERED }
    }

    /// `owner` has arrived at the pass of this word of the barrier, and was here before as `self`.
    pub(crate) fn arrived(self, owner: OwnerId, word: u32) -> Self {
        let lower = u64::from(word | ARRIVED);
        Self { word: self.word & REGISTERED | u64::from(owner.get()) << 32 | lower }
    }

    /// Returns whose place it is, or the word itself if nobody's can be.
    pub(crate) fn owner(self) -> Result<Option<OwnerId>, u64> {
        let id = (self.word & !REGISTERED) >> 32;
        match u32::try_from(id) {
            Ok(0) if self.word == 0 => Ok(None),
            Ok(id) if id <= OwnerId::MASK => OwnerId::from_word(id).map(Some).ok_or(self.word),
            _ => Err(self.word),
        }
    }

    pub(crate) fn is_registered(self) -> bool {
        self.word & REGISTERED != 0
    }

    /// Returns whether its party has arrived at the pass of this word of the barrier, broken or not.
    pub(crate) fn has_arrived(self, word: u32) -> bool {
        self.word as u32 == word | ARRIVED
    }

    /// Returns whether the pass of this word waits for its party, or counts on it.
    pub(crate) fn matters(self, word: u32) -> bool {
        self.word != 0 && (self.is_registered() || self.has_arrived(word))
    }
}

impl BarrierCell {
    shmkit_atomic::const_unless_loom! {
        /// Makes a cell of nobody. All zero bytes are one.
        pub fn new() -> BarrierCell {
            BarrierCell { word: Word64::new(0) }
        }
    }

    pub(crate) fn load(&self) -> Place {
        // Acquire: pairs with the Release in `replace`: its owner has joined, so that the roster can be asked.
        Place { word: self.word.load(Acquire) }
    }

    /// Puts `new` into the cell if `current` stands there. Nobody changes a living party's place but itself.
    pub(crate) fn replace(&self, current: Place, new: Place) -> bool {
        // AcqRel: Release pairs with the Acquire in `load`; Acquire with the Release of who left the cell as `current`.
        self.word.compare_exchange(current.word, new.word, AcqRel, Relaxed).is_ok()
    }
}

impl Default for BarrierCell {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for BarrierCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.load();
        match place.owner() {
            Ok(None) => return f.write_str("free"),
            Ok(Some(owner)) => write!(f, "{owner}")?,
            Err(word) => return write!(f, "nonsense {word:#x}"),
        }
        f.write_str(if place.is_registered() { ", registered" } else { "" })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_arrival_names_its_pass() {
        let me = OwnerId::new(3).unwrap();
        let place = Place::FREE.arrived(me, 6);
        assert_eq!(place.owner(), Ok(Some(me)));
        assert!(place.has_arrived(6) && place.has_arrived(7), "broken or not");
        assert!(!place.has_arrived(8) && !place.has_arrived(10) && !place.is_registered());
        let registered = Place::registered(me);
        assert!(registered.is_registered() && !registered.has_arrived(0));
        assert!(registered.arrived(me, 2).is_registered());
        assert!(registered.matters(0) && place.matters(6) && !place.matters(8));
    }

    #[test]
    fn a_word_of_nobody_is_nonsense() {
        assert_eq!(Place::FREE.owner(), Ok(None));
        assert!(!Place::FREE.matters(0) && !Place::FREE.has_arrived(0));
        for word in [1, 1 << 63 | 1 << 42, REGISTERED, u64::MAX] {
            assert_eq!(Place { word }.owner(), Err(word), "{word:#x}");
        }
    }
}
