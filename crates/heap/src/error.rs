//! Why a block is not to be had, or is none.

use core::error::Error;
use core::fmt;
#[cfg(not(loom))]
use std::io::{self, ErrorKind};

use shmkit_layout::CommitError;
use shmkit_sync::LockFailure;

use crate::BlockId;

/// Why a heap did not do what it was asked for. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeapError {
    /// This process is no participant, or not any more: it was forked and has not joined.
    NotJoined,
    /// There is no room for such a block.
    Full {
        /// The size asked for, in bytes.
        asked: u64,
        /// The largest block that there is room for, in bytes: whole pages.
        largest: u64,
        /// How many bytes of whole pages are free.
        free: u64,
    },
    /// The heap may become larger, and the system has no memory for that.
    Memory(CommitError),
    /// No block can be aligned so, or be so large.
    Layout {
        /// The size asked for, in bytes.
        size: u64,
        /// The alignment asked for, in bytes.
        align: u64,
        /// The largest alignment, in bytes.
        max_align: u64,
    },
    /// The block was freed, or never was one of this heap.
    Stale {
        /// The block.
        id: BlockId,
    },
    /// The block is not reserved by this process.
    NotReserved {
        /// The block.
        id: BlockId,
    },
    /// More participants use the heap at a time than it has seats.
    TooManyUsers {
        /// How many seats there are.
        seats: u32,
    },
    /// The lock under which pages are taken was not to be had.
    Lock(LockFailure),
    /// A word of the heap has a value that no peer of this version writes.
    Corrupt {
        /// The page it is of.
        page: u64,
        /// The value found.
        found: u64,
    },
}

impl From<LockFailure> for HeapError {
    fn from(failure: LockFailure) -> Self {
        match failure {
            LockFailure::NotJoined => Self::NotJoined,
            failure => Self::Lock(failure),
        }
    }
}

impl fmt::Display for HeapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJoined => f.write_str("this process has not joined: join after the fork"),
            Self::Full { asked, largest, free } => write!(
                f,
                "no room for a block of {asked} bytes: {free} bytes are free in whole pages, \
                 {largest} of them in one piece; free some, or make the heap larger"
            ),
            Self::Memory(_) => f.write_str("the heap did not get the memory to become larger"),
            Self::Layout { size, align, max_align } => write!(
                f,
                "no block can have {size} bytes aligned to {align}: the alignment is {max_align} at most"
            ),
            Self::Stale { id } => {
                write!(f, "{id:?} is no block of this heap, or was freed before")
            }
            Self::NotReserved { id } => {
                write!(f, "{id:?} is not reserved by this process: it is kept, or another's")
            }
            Self::TooManyUsers { seats } => {
                write!(f, "more participants use the heap than it was made for, which is {seats}")
            }
            Self::Lock(_) => f.write_str("the heap's lock was not taken"),
            Self::Corrupt { page, found } => write!(
                f,
                "the heap is corrupt: a word of page {page} is {found:#x}, which no peer of this \
                 version writes; make the segment anew"
            ),
        }
    }
}

impl Error for HeapError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Lock(failure) => Some(failure),
            Self::Memory(error) => Some(error),
            _ => None,
        }
    }
}

/// With this error as the inner one.
#[cfg(not(loom))]
impl From<HeapError> for io::Error {
    fn from(error: HeapError) -> Self {
        let kind = match error {
            HeapError::Full { .. } => ErrorKind::OutOfMemory,
            HeapError::Layout { .. } | HeapError::Stale { .. } | HeapError::NotReserved { .. } => {
                ErrorKind::InvalidInput
            }
            HeapError::Lock(failure) => Self::from(failure).kind(),
            HeapError::Memory(error) => Self::from(error).kind(),
            HeapError::Corrupt { .. } => ErrorKind::InvalidData,
            HeapError::NotJoined | HeapError::TooManyUsers { .. } => ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
