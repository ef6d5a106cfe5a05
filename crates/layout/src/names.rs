//! Where in an object participants are named.

use bytemuck::{Pod, Zeroable};

/// Words of an object, at equal distances, that name participants.
///
/// Each is 4 bytes whose lower 30 bits are an owner id or 0, or 8 bytes whose [upper](Self::upper) half is such a word.
/// An object says where they are when it is made, so that whoever takes part in the region can sweep the names of the
/// dead out of it, even in a program that does not know the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Zeroable, Pod)]
#[repr(C)]
pub struct NameWords {
    /// Where the first one is, in bytes from the object's first; bit 0 says that they are of 8 bytes.
    at: u32,
    /// From one to the next, in bytes.
    stride: u16,
    /// How many there are; 0 for no words.
    count: u16,
}

const _: () = assert!(size_of::<NameWords>() == 8, "part of the segment format");

/// Of `at`: the words are of 8 bytes.
const UPPER: u32 = 1;

impl NameWords {
    /// No words.
    pub const NONE: Self = Self { at: 0, stride: 0, count: 0 };

    /// One word of 4 bytes, at byte `at` of the object.
    ///
    /// # Panics
    ///
    /// If `at` is not a multiple of 4: at compile time in a constant.
    pub const fn one(at: u32) -> Self {
        Self::many(at, 4, 1)
    }

    /// `count` words of 4 bytes, the first at byte `at` of the object, each `stride` bytes after the one before.
    ///
    /// # Panics
    ///
    /// If `at` or `stride` is not a multiple of 4: at compile time in a constant.
    pub const fn many(at: u32, stride: u16, count: u16) -> Self {
        assert!(at.is_multiple_of(4) && stride.is_multiple_of(4), "words of 4 bytes");
        Self { at, stride, count }
    }

    /// `count` words of 8 bytes whose upper half names somebody.
    ///
    /// # Panics
    ///
    /// If `at` or `stride` is not a multiple of 8: at compile time in a constant.
    pub const fn upper(at: u32, stride: u16, count: u16) -> Self {
        assert!(at.is_multiple_of(8) && stride.is_multiple_of(8), "words of 8 bytes");
        Self { at: at | UPPER, stride, count }
    }

    /// Returns these words as they lie in an object that has the first one's object at its byte `by`.
    ///
    /// # Panics
    ///
    /// If `by` is not a multiple of 8, or too large: at compile time in a constant.
    pub const fn moved(self, by: u32) -> Self {
        assert!(by.is_multiple_of(8), "as aligned as before");
        Self { at: self.at + by, ..self }
    }

    /// Returns whether the words are of 8 bytes, and the name is in the upper half.
    pub const fn is_upper(self) -> bool {
        self.at & UPPER != 0
    }

    /// Returns where the words are, in bytes from the object's first.
    pub fn offsets(self) -> impl Iterator<Item = u64> {
        let (first, stride) = (u64::from(self.at & !UPPER), u64::from(self.stride));
        (0..u64::from(self.count)).map(move |i| first + i * stride)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_where_they_say() {
        let at = |words: NameWords| words.offsets().collect::<Vec<_>>();
        assert_eq!(at(NameWords::NONE), []);
        assert_eq!(at(NameWords::one(12)), [12]);
        assert_eq!(at(NameWords::many(4, 128, 3)), [4, 132, 260]);
        let cells = NameWords::upper(64, 8, 2);
        assert_eq!((at(cells), cells.is_upper()), (vec![64, 72], true));
        assert_eq!((at(cells.moved(16)), cells.moved(16).is_upper()), (vec![80, 88], true));
        assert!(!NameWords::one(12).is_upper());
    }
}
