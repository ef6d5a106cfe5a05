//! Who holds how many.

use core::fmt;

use shmkit_atomic::Ordering::{AcqRel, Acquire};
#[cfg(not(loom))]
use shmkit_layout::Shared;
use shmkit_roster::OwnerId;

use crate::word::Word64;

/// A cell that says which participant holds how many of something.
///
/// ```text
/// 63 .. 32                  | 31 .. 0
/// owner id, 0 if never used | how many it holds
/// ```
///
/// The threads of a process share one cell. It may be claimed for another participant if it holds nothing or its
/// owner is dead, by one compare-exchange that names the new owner: a reused slot of the roster inherits nothing.
#[repr(transparent)]
pub struct HolderCell {
    word: Word64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<HolderCell>() == 8, "part of the segment format");

// SAFETY: one atomic word.
#[cfg(not(loom))]
unsafe impl Shared for HolderCell {}

/// What stands in a [`HolderCell`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// As in the cell.
    word: u64,
}

impl Holding {
    /// Nobody, nothing.
    pub const NOTHING: Self = Self { word: 0 };

    /// `owner` holds `count`.
    pub const fn new(owner: OwnerId, count: u32) -> Self {
        Self { word: (owner.get() as u64) << 32 | count as u64 }
    }

    /// Returns who holds; `None` for nobody, and for a number that is nobody's id.
    pub const fn owner(self) -> Option<OwnerId> {
        let id = (self.word >> 32) as u32;
        if id > OwnerId::MASK { None } else { OwnerId::from_word(id) }
    }

    /// Returns how many are held. Nobody holds nothing, whatever the cell says.
    pub const fn count(self) -> u32 {
        match self.owner() {
            Some(_) => self.word as u32,
            None => 0,
        }
    }

    /// Returns how many `owner` holds by this cell: nothing, if it is another's.
    pub fn count_of(self, owner: OwnerId) -> u32 {
        if self.owner() == Some(owner) { self.count() } else { 0 }
    }
}

impl fmt::Debug for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.owner() {
            Some(owner) => write!(f, "{owner} holds {}", self.count()),
            None if self.word == 0 => f.write_str("free"),
            None => write!(f, "nonsense {:#x}", self.word),
        }
    }
}

impl HolderCell {
    shmkit_atomic::const_unless_loom! {
        /// Makes a cell of nobody. All zero bytes are one.
        pub fn new() -> HolderCell {
            HolderCell { word: Word64::new(0) }
        }
    }

    /// Returns what stands in the cell.
    #[inline]
    pub fn load(&self) -> Holding {
        // Acquire: pairs with the Release in `replace`: what its owner did before it took or gave back is visible,
        // its join above all, so that the roster can be asked about it.
        Holding { word: self.word.load(Acquire) }
    }

    /// Puts `new` into the cell if `current` stands there.
    ///
    /// # Errors
    ///
    /// What stands there instead.
    #[inline]
    pub fn replace(&self, current: Holding, new: Holding) -> Result<(), Holding> {
        // AcqRel: Release pairs with the Acquire in `load`; Acquire with the Release of who left the cell as
        // `current`: what it did with what it held has happened.
        match self.word.compare_exchange(current.word, new.word, AcqRel, Acquire) {
            Ok(_) => Ok(()),
            Err(word) => Err(Holding { word }),
        }
    }
}

impl Default for HolderCell {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HolderCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load().fmt(f)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_cell_says_who_holds_how_many() {
        let me = OwnerId::new(3).unwrap();
        let cell = HolderCell::new();
        assert_eq!(cell.load(), Holding::NOTHING);
        cell.replace(Holding::NOTHING, Holding::new(me, 5)).unwrap();
        assert_eq!((cell.load().owner(), cell.load().count()), (Some(me), 5));
        assert_eq!(format!("{cell:?}"), "3 holds 5");
        let other = OwnerId::new(7).unwrap();
        assert_eq!(cell.load().count_of(other), 0, "another inherits nothing");
        assert_eq!(
            cell.replace(Holding::NOTHING, Holding::new(other, 1)),
            Err(Holding::new(me, 5))
        );
    }

    #[test]
    fn a_number_that_is_nobodys_id_holds_nothing() {
        for word in [7, 1 << 62 | 7, 1 << 63 | 7, u64::MAX] {
            let nonsense = Holding { word };
            assert_eq!((nonsense.owner(), nonsense.count()), (None, 0), "{word:#x}");
        }
    }
}
