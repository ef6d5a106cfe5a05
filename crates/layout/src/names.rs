//! Where in an object participants are named.

use bytemuck::{Pod, Zeroable};

/// Words of an object, at equal distances, that name participants.
///
/// Each is 4 bytes whose lower 30 bits are an owner id or 0, or 8 bytes of which the [upper](Self::upper) or the
/// [lower](Self::lower) half is such a word.
/// An object says where they are when it is made, so that whoever takes part in the region can sweep the names of the
/// dead out of it, even in a program that does not know the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Zeroable, Pod)]
#[repr(C)]
pub struct NameWords {
    /// Where the first one is, in bytes from the object's first; the two lowest bits say of how many bytes they are.
    at: u32,
    /// 31 .. 24 from one to the next, in words of 4 bytes | 23 .. 0 how many there are; 0 for no words.
    row: u32,
}

const _: () = assert!(size_of::<NameWords>() == 8, "part of the segment format");

/// All words of an object that name participants; what it does not need is [`NameWords::NONE`].
pub type Names = [NameWords; 4];

/// Of `at`: the words are of 8 bytes, and the upper half names somebody.
const UPPER: u32 = 1;
/// Of `at`: the words are of 8 bytes, and the lower half names somebody.
const LOWER: u32 = 2;
/// Of `row`: the number of words.
const COUNT: u32 = (1 << 24) - 1;

impl NameWords {
    /// No words.
    pub const NONE: Self = Self { at: 0, row: 0 };

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
    /// If `at` or `stride` is not a multiple of 4, the stride above 1,020, or the count above 2^24-1.
    pub const fn many(at: u32, stride: u32, count: u32) -> Self {
        assert!(at.is_multiple_of(4) && stride.is_multiple_of(4), "words of 4 bytes");
        assert!(stride / 4 <= 255 && count <= COUNT, "a stride of 1,020 and 2^24-1 words at most");
        Self { at, row: (stride / 4) << 24 | count }
    }

    /// `count` words of 8 bytes whose upper half names somebody.
    ///
    /// # Panics
    ///
    /// If `at` or `stride` is not a multiple of 8; otherwise as [`many`](Self::many).
    pub const fn upper(at: u32, stride: u32, count: u32) -> Self {
        assert!(at.is_multiple_of(8) && stride.is_multiple_of(8), "words of 8 bytes");
        let Self { at, row } = Self::many(at, stride, count);
        Self { at: at | UPPER, row }
    }

    /// One word of 8 bytes whose lower half names somebody, at byte `at` of the object.
    ///
    /// # Panics
    ///
    /// If `at` is not a multiple of 8: at compile time in a constant.
    pub const fn lower(at: u32) -> Self {
        Self::lowers(at, 8, 1)
    }

    /// `count` words of 8 bytes whose lower half names somebody.
    ///
    /// # Panics
    ///
    /// As [`upper`](Self::upper).
    pub const fn lowers(at: u32, stride: u32, count: u32) -> Self {
        assert!(at.is_multiple_of(8) && stride.is_multiple_of(8), "words of 8 bytes");
        let Self { at, row } = Self::many(at, stride, count);
        Self { at: at | LOWER, row }
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

    /// These words alone, as all that an object has.
    pub const fn alone(self) -> Names {
        [self, Self::NONE, Self::NONE, Self::NONE]
    }

    /// Returns whether the words are of 8 bytes, and the name is in the upper half.
    pub const fn is_upper(self) -> bool {
        self.at & UPPER != 0
    }

    /// Returns whether the words are of 8 bytes, and the name is in the lower half.
    pub const fn is_lower(self) -> bool {
        self.at & LOWER != 0
    }

    /// Returns where the words are, in bytes from the object's first.
    pub fn offsets(self) -> impl Iterator<Item = u64> {
        let (first, stride) =
            (u64::from(self.at & !(UPPER | LOWER)), u64::from(self.row >> 24) * 4);
        (0..u64::from(self.row & COUNT)).map(move |i| first + i * stride)
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
        assert!(!NameWords::one(12).is_upper() && !NameWords::one(12).is_lower());
        let low = NameWords::lower(24);
        assert_eq!((at(low), low.is_lower(), low.is_upper()), (vec![24], true, false));
        let lows = NameWords::lowers(384, 64, 2);
        assert_eq!((at(lows), lows.is_lower()), (vec![384, 448], true));
    }
}
