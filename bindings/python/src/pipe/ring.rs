//! A ring of messages in shared memory, one lock for all who change it.

use std::sync::Mutex;
use std::sync::atomic::AtomicU32 as Hint;

use shmkit::Seat;
use shmkit::layout::Region;
use shmkit_atomic::Ordering::Acquire;

use super::failure::Failure;
use super::head::{Ends, Head};
use super::partial::Partial;
use super::piece::{Part, Piece};

/// Words of a ring, of 8 bytes each: a power of two.
pub(super) const WORDS: u32 = 1 << 15;
/// Bytes of a ring. As many are had as were used at a time.
pub(super) const BYTES: u64 = WORDS as u64 * 8;
/// Bytes that are had first; then twice as many.
pub(super) const FIRST: u64 = 1 << 13;
/// Longest message that is put in one piece, in bytes: half of the ring, less its header.
pub(super) const WHOLE: usize = BYTES as usize / 2 - 8;

/// So many looks in vain, one after the other, and an end sleeps at once.
pub(super) const HOPE: u32 = 8;

/// The ring of one direction.
pub(crate) struct Ring {
    pub(super) head: &'static Head,
    pub(super) bytes: Region<'static>,
    /// The message in pieces that this process has begun to receive.
    pub(super) partial: Mutex<Option<Partial>>,
    /// How often more it looks in vain before it sleeps at once.
    pub(super) hope: Hint,
    /// Keeps mapped what the others lead to.
    pub(super) keeper: Seat,
}

impl Ring {
    pub(super) fn new(head: &'static Head, bytes: Region<'static>, keeper: Seat) -> Self {
        let hope = Hint::new(HOPE);
        Self { head, bytes, partial: Mutex::default(), hope, keeper }
    }

    /// Returns whether there was something to be received, a moment ago.
    pub(crate) fn has_some(&self) -> bool {
        // Acquire: pairs with the Release in `publish`; though whoever takes has the turn.
        Ends::of(self.head.ends.load(Acquire)).used() != 0
    }

    /// Copies the bytes of a piece out.
    pub(crate) fn copy_out(&self, piece: &Piece, to: &mut [u8]) -> Result<(), Failure> {
        let (first, near) = Self::place(piece.at, to.len());
        let (near, far) = to.split_at_mut(near);
        self.bytes.read_words(first, near)?;
        Ok(self.bytes.read_words(0, far)?)
    }

    /// Copies bytes in, from this word on.
    pub(super) fn copy_in(&self, at: u32, from: &[u8]) -> Result<(), Failure> {
        let (first, near) = Self::place(at, from.len());
        let (near, far) = from.split_at(near);
        self.bytes.write_words(first, near)?;
        Ok(self.bytes.write_words(0, far)?)
    }

    /// Where a word is, and how many of `len` bytes from there on lie before the end of the ring.
    fn place(at: u32, len: usize) -> (u64, usize) {
        let first = u64::from(at % WORDS) * 8;
        (first, len.min((BYTES - first) as usize))
    }

    pub(super) fn word(&self, at: u32) -> Result<u64, Failure> {
        let mut word = [0; 8];
        self.bytes.read_words(Self::place(at, 0).0, &mut word)?;
        Ok(u64::from_ne_bytes(word))
    }

    /// Writes the header of a piece whose bytes begin at this word.
    pub(super) fn write_header(
        &self,
        part: Part,
        died: bool,
        at: u32,
        len: u64,
        left: u64,
    ) -> Result<(), Failure> {
        let first = at.wrapping_sub(part.header());
        self.copy_in(first, &part.word(died, len).to_ne_bytes())?;
        if part != Part::Whole {
            self.copy_in(at.wrapping_sub(1), &left.to_ne_bytes())?;
        }
        Ok(())
    }
}
