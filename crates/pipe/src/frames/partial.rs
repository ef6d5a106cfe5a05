//! A streamed message of which some pieces have come.

use shmkit_atomic::copy::{append, copy_slice};

use crate::PipeError;
use crate::raw::Piece;

/// Memory that is taken ahead of what has come: a length that nobody has sent yet is only a number.
const AHEAD: usize = 1 << 20;

/// What has come of a streamed message, in private memory; or in the buffer of who receives it, as long as that waits.
#[derive(Debug)]
pub(super) struct Partial {
    /// Bytes of the whole message.
    total: u64,
    /// How many have come: at most `total`.
    len: u64,
    /// Those of them that do not lie in a buffer: the first ones.
    kept: Vec<u8>,
}

/// Where a message goes.
pub(super) enum Sink<'b> {
    /// To private memory, if it has no more bytes than this.
    Memory(u64),
    /// To a buffer.
    Buffer(&'b mut [u8]),
}

impl Sink<'_> {
    /// # Errors
    ///
    /// [`PipeError::TooLong`] or [`PipeError::TooShort`] if a message of this length does not go there.
    #[inline]
    pub(super) fn takes(&self, length: u64) -> Result<(), PipeError> {
        match self {
            Self::Memory(limit) if length > *limit => {
                Err(PipeError::TooLong { length, limit: *limit })
            }
            Self::Buffer(buffer) if length > buffer.len() as u64 => {
                Err(PipeError::TooShort { length })
            }
            _ => Ok(()),
        }
    }
}

impl Partial {
    /// Returns nothing yet of the message that this piece begins, or `None` if its length is none that a sender writes.
    pub(super) fn begin(first: &Piece) -> Option<Self> {
        let total = first.len.checked_add(first.left)?;
        Some(Self { total, len: 0, kept: Vec::new() })
    }

    /// Returns the length of the whole message, in bytes.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Returns how many bytes have come.
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn is_complete(&self) -> bool {
        self.len == self.total
    }

    /// Returns what has come, which must not lie in a buffer.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.kept
    }

    /// As [`bytes`](Self::bytes).
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.kept
    }

    /// Returns whether a piece of `len` bytes, after which `left` come, is the next one of this message.
    pub(super) fn expects(&self, piece: &Piece) -> bool {
        let before = piece.len.checked_add(piece.left);
        before.is_some_and(|rest| self.total.checked_sub(self.len) == Some(rest))
    }

    /// Takes what has come to a buffer, if it goes there.
    pub(super) fn move_to(&mut self, sink: &mut Sink<'_>) {
        if let Sink::Buffer(buffer) = sink {
            copy_slice(&self.kept, &mut buffer[..self.kept.len()]);
            self.kept = Vec::new();
        }
    }

    /// Keeps what has come to a buffer that is about to be given back.
    ///
    /// # Errors
    ///
    /// [`PipeError::NoMemory`].
    pub(super) fn keep(&mut self, sink: &Sink<'_>) -> Result<(), PipeError> {
        if let Sink::Buffer(buffer) = sink {
            let come = &buffer[..self.len()];
            let no_memory = PipeError::NoMemory { length: self.total };
            self.kept.try_reserve_exact(come.len()).map_err(|_| no_memory)?;
            self.kept.extend_from_slice(come);
        }
        Ok(())
    }

    /// Adds the bytes of the next piece, which it [expects](Self::expects).
    ///
    /// # Errors
    ///
    /// [`PipeError::NoMemory`]; nothing is added then.
    pub(super) fn add(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), PipeError> {
        let len = self.len();
        match sink {
            Sink::Buffer(buffer) => copy_slice(bytes, &mut buffer[len..len + bytes.len()]),
            Sink::Memory(_) => {
                let no_memory = PipeError::NoMemory { length: self.total };
                if self.kept.capacity() - len < bytes.len() {
                    // By doubling, and no more than it will be.
                    let most = (self.total as usize).min((2 * len).max(AHEAD).max(bytes.len()));
                    let more = most.max(len + bytes.len()) - len;
                    self.kept.try_reserve_exact(more).map_err(|_| no_memory)?;
                }
                append(bytes, &mut self.kept);
            }
        }
        self.len += bytes.len() as u64;
        Ok(())
    }
}
