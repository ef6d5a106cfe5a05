//! How far a worker has come with the calls in a cell.

use core::fmt;

/// How many calls are answered, in how many bytes, and where those are.
///
/// ```text
/// 63 .. 62                          | 61 .. 40       | 39 .. 0
/// 0 in the cell, 1 and 2 in a block | calls answered | bytes of their answers
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Progress(u64);

/// The most calls in a cell.
pub const MOST_CALLS: u64 = (1 << 22) - 1;
/// The most bytes of arguments, or of answers, in a cell.
pub const MOST_BYTES: u64 = (1 << 40) - 1;

impl Progress {
    /// None is answered.
    pub const NONE: Self = Self(0);

    /// Makes one: `place` 0 is the cell, 1 and 2 are its blocks.
    ///
    /// # Panics
    ///
    /// If it is more than a word has room for.
    pub const fn new(place: u64, calls: u64, bytes: u64) -> Self {
        assert!(place <= 2 && calls <= MOST_CALLS && bytes <= MOST_BYTES);
        Self(place << 62 | calls << 40 | bytes)
    }

    /// What was found in shared memory.
    pub const fn found(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns all of it.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Returns where the answers are: 0 in the cell, 1 and 2 in its blocks, 3 is corrupt.
    pub const fn place(self) -> u64 {
        self.0 >> 62
    }

    /// Returns how many calls are answered.
    pub const fn calls(self) -> u64 {
        self.0 >> 40 & MOST_CALLS
    }

    /// Returns how many bytes their answers have.
    pub const fn bytes(self) -> u64 {
        self.0 & MOST_BYTES
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls, {} bytes in place {}", self.calls(), self.bytes(), self.place())
    }
}
