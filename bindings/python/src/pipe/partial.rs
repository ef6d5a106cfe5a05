//! What a process has of a message that comes in pieces.

use super::piece::{Part, Piece};

/// What has come of a message in pieces. Whoever has it has the right to receive.
pub(crate) struct Partial {
    /// Whose it is: a forked child has a copy, and not the right.
    pub(super) pid: u32,
    /// Bytes of the whole message.
    pub(super) total: u64,
    pub(super) bytes: Vec<u8>,
}

impl Partial {
    pub(super) fn expects(&self, piece: &Piece) -> bool {
        let part = if self.bytes.is_empty() { Part::First } else { Part::Next };
        let come = self.bytes.len() as u64;
        piece.part == part
            && piece.len > 0
            && Some(come) == self.total.checked_sub(piece.len + piece.left)
    }
}
