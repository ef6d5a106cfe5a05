//! What became of a piece: one word in shared memory, written with the update that counts the piece.

use std::fmt;
use std::io;

use super::plan::Piece;

/// Bits 0 to 47: bytes of the piece that were *not* counted.
const SHORT: u64 = (1 << 48) - 1;
/// Bits 48 to 62: why.
const WHY_SHIFT: u32 = 48;
const WHY: u64 = (1 << 15) - 1;
/// Bit 63: there is a zero byte among those that were counted.
const BINARY: u64 = 1 << 63;

/// Not an error number of the kernel: the file ended before the piece did.
const ENDED: u64 = WHY;
/// An error without a number: the file is no regular file any more.
const REPLACED: u64 = WHY - 1;

/// What became of a piece. Zero: all of it was counted, and it looks like text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome(pub(super) u64);

impl Outcome {
    /// The outcome of a piece of which `counted` bytes were counted, with or without a zero byte among them, until
    /// `error` or the end of the file came.
    pub(super) fn new(piece: Piece, counted: u64, binary: bool, error: Option<&io::Error>) -> Self {
        let short = (piece.len - counted).min(SHORT);
        let why = match error {
            Some(error) => error.raw_os_error().map_or(REPLACED, |number| number as u64 & WHY),
            None if short > 0 => ENDED,
            None => 0,
        };
        Self(short | why << WHY_SHIFT | if binary { BINARY } else { 0 })
    }

    /// Returns how many bytes of `piece` were counted: never more than it has.
    pub(super) fn counted(self, piece: Piece) -> u64 {
        piece.len.saturating_sub(self.0 & SHORT)
    }

    /// Returns whether a zero byte was found.
    pub(super) fn is_binary(self) -> bool {
        self.0 & BINARY != 0
    }

    /// Returns why not all of it was counted.
    pub(super) fn why(self) -> Option<Why> {
        let why = self.0 >> WHY_SHIFT & WHY;
        (why != 0).then_some(Why(why))
    }
}

/// Why a piece was not counted to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Why(u64);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ENDED => f.write_str("it became shorter after it was listed"),
            REPLACED => f.write_str("it is not a regular file any more"),
            number => io::Error::from_raw_os_error(number as i32).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: Piece = Piece { file: 0, start: 10, len: 100 };

    #[test]
    fn an_outcome_is_read_as_it_was_written() {
        let outcome = Outcome::new(PIECE, 100, false, None);
        assert_eq!((outcome, outcome.counted(PIECE), outcome.why()), (Outcome(0), 100, None));
        let outcome = Outcome::new(PIECE, 100, true, None);
        assert_eq!((outcome.is_binary(), outcome.counted(PIECE), outcome.why()), (true, 100, None));
        let outcome = Outcome::new(PIECE, 30, false, None);
        assert_eq!((outcome.is_binary(), outcome.counted(PIECE)), (false, 30));
        assert!(outcome.why().unwrap().to_string().contains("shorter"));
    }

    #[test]
    fn an_empty_piece_may_fail_too() {
        let empty = Piece { len: 0, ..PIECE };
        let gone = io::Error::from_raw_os_error(2);
        let outcome = Outcome::new(empty, 0, false, Some(&gone));
        assert_eq!(outcome.counted(empty), 0);
        assert!(outcome.why().unwrap().to_string().contains("No such file"));
        let other = Outcome::new(PIECE, 0, false, Some(&io::Error::other("x")));
        assert!(other.why().unwrap().to_string().contains("regular"));
    }

    #[test]
    fn nonsense_counts_nothing_below_zero() {
        assert_eq!(Outcome(u64::MAX).counted(PIECE), 0);
    }
}
