//! Pieces of messages, and how their headers say what they are.

use super::failure::Failure;

/// Bits of a length, in bytes.
pub(super) const LENGTH: u32 = 48;
/// In a header: who had begun the message before this one was killed.
const DIED: u64 = 1 << 55;
/// Where the kind of a piece stands in its header.
const KIND: u32 = 56;

/// How much of its message a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole = 1,
    /// The beginning.
    First = 2,
    /// What comes after the piece before it.
    Next = 3,
}

impl Part {
    /// Words of its header.
    pub(super) fn header(self) -> u32 {
        if self == Self::Whole { 1 } else { 2 }
    }
}

/// A piece of a message in the ring.
///
/// ```text
/// word 0   63 .. 56 part | 55 who sent the one before it was killed | 54 .. 48 0 | 47 .. 0 bytes in this piece
///      1   of First and Next: bytes of the message that come after this piece
///      …   the bytes, up to a whole word, going on at the ring's first one
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(super) part: Part,
    pub(super) died: bool,
    /// How many bytes it has.
    pub(crate) len: u64,
    /// How many bytes of the message come after it.
    pub(super) left: u64,
    /// The first word of its bytes.
    pub(super) at: u32,
    /// All words that it takes.
    pub(super) words: u32,
}

impl Part {
    /// Returns the first word of the header of a piece of so many bytes.
    pub(super) fn word(self, died: bool, len: u64) -> u64 {
        (self as u64) << KIND | if died { DIED } else { 0 } | len
    }

    /// Returns what the first word of a header says: the part, whether the one before was cut short by a death, and the bytes.
    pub(super) fn of_word(word: u64) -> Result<(Self, bool, u64), Failure> {
        let len = word & ((1 << LENGTH) - 1);
        let part = match (word & !DIED) >> LENGTH << LENGTH {
            kind if kind == Self::Whole.word(false, 0) => Self::Whole,
            kind if kind == Self::First.word(false, 0) => Self::First,
            kind if kind == Self::Next.word(false, 0) => Self::Next,
            _ => return Err(Failure::Corrupt(word)),
        };
        Ok((part, word & DIED != 0, len))
    }
}
