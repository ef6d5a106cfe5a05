//! What became of a piece.

use std::fmt;
use std::io;

use super::plan::Piece;

/// What became of a piece, as one word: bits 0 to 47 are the bytes of it that were *not* counted, 48 to 61 say why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome(pub(crate) u64);

/// It is known.
const KNOWN: u64 = 1 << 63;
/// There is a zero byte among those that were counted.
const BINARY: u64 = 1 << 62;
const SHORT: u64 = (1 << 48) - 1;
const WHY: u64 = (1 << 14) - 1;
/// Not an error number of the kernel: the file ended before the piece did.
const ENDED: u64 = WHY;
/// An error without a number: the file is no regular file any more.
const REPLACED: u64 = WHY - 1;

impl Outcome {
    /// The outcome of a piece of which `counted` bytes were counted, with or without a zero byte among them, until `error` or the
    /// end of the file came.
    pub(crate) fn new(piece: Piece, counted: u64, binary: bool, error: Option<&io::Error>) -> Self {
        let short = (piece.len - counted).min(SHORT);
        let why = match error {
            Some(error) => error.raw_os_error().map_or(REPLACED, |number| number as u64 & WHY),
            None if short > 0 => ENDED,
            None => 0,
        };
        Self(KNOWN | short | why << 48 | if binary { BINARY } else { 0 })
    }

    /// Returns whether it is one: the piece was counted.
    pub(crate) fn is_known(self) -> bool {
        self.0 & KNOWN != 0
    }

    /// Returns whether a zero byte was found.
    pub(crate) fn is_binary(self) -> bool {
        self.0 & BINARY != 0
    }

    /// Returns how many bytes of `piece` were counted: never more than it has.
    pub(crate) fn counted(self, piece: Piece) -> u64 {
        piece.len.saturating_sub(self.0 & SHORT)
    }

    /// Returns why not all of it was counted.
    pub(crate) fn why(self) -> Option<Why> {
        let why = self.0 >> 48 & WHY;
        (why != 0).then_some(Why(why))
    }
}

/// Why a piece was not counted to its end.
pub(crate) struct Why(u64);

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
        let of =
            |counted, error: Option<io::Error>| Outcome::new(PIECE, counted, true, error.as_ref());
        assert!(of(100, None).counted(PIECE) == 100 && of(100, None).why().is_none());
        let cut = of(30, None);
        assert_eq!(cut.counted(PIECE), 30);
        assert!(cut.why().unwrap().to_string().contains("shorter"));
        let gone = of(0, Some(io::Error::from_raw_os_error(2)));
        assert!(gone.why().unwrap().to_string().contains("No such file"));
        let other = of(0, Some(io::Error::other("x")));
        assert!(other.why().unwrap().to_string().contains("regular"));
        assert_eq!(Outcome(u64::MAX).counted(PIECE), 0, "nonsense counts nothing below zero");
    }
}
