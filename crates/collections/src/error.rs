//! Why an operation on a collection did nothing.

use core::error::Error;
use core::fmt;

use shmkit_heap::HeapError;
use shmkit_sync::LockFailure;

/// Why an operation on a [`ShmMap`](crate::ShmMap) did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MapError {
    /// There is no room for the entry.
    Full {
        /// The bytes of the entry, key and value and what is between them.
        entry: u64,
        /// How many entries the map has.
        len: u64,
    },
    /// Key and value together are longer than 2^32-1 bytes.
    TooLong,
    /// The key or the value says that it cannot be serialised.
    Serialize,
    /// The lock of the key's part of the map was not taken.
    Lock(LockFailure),
    /// The map's memory was not to be had, or is damaged.
    Heap(HeapError),
    /// An entry is damaged: it lies nowhere, or its key or its value is none.
    Corrupt {
        /// Which bucket it is in.
        bucket: u64,
    },
}

impl From<LockFailure> for MapError {
    fn from(failure: LockFailure) -> Self {
        Self::Lock(failure)
    }
}

impl From<HeapError> for MapError {
    fn from(error: HeapError) -> Self {
        Self::Heap(error)
    }
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { entry, len } => write!(
                f,
                "no room for an entry of {entry} bytes beside the {len} that there are: remove some, \
                 make the map with more bytes, or as one that evicts"
            ),
            Self::TooLong => f.write_str("key and value are longer than 4 GiB together"),
            Self::Serialize => {
                f.write_str("the key or the value cannot be serialised; nothing was changed")
            }
            Self::Lock(_) => f.write_str("the lock of a part of the map was not taken"),
            Self::Heap(_) => f.write_str("the map's memory was not to be had"),
            Self::Corrupt { bucket } => write!(
                f,
                "the map is corrupt: an entry of bucket {bucket} is none that a peer of this version \
                 writes; make the map anew"
            ),
        }
    }
}

impl Error for MapError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Lock(failure) => Some(failure),
            Self::Heap(error) => Some(error),
            _ => None,
        }
    }
}

/// Why an operation on a sequence did nothing: a [`ShmVec`](crate::ShmVec), [`ShmDeque`](crate::ShmDeque) or
/// [`ShmString`](crate::ShmString).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeqError {
    /// There is no such element.
    OutOfRange {
        /// The index asked for.
        index: usize,
        /// How many elements there are.
        len: usize,
    },
    /// There is no such range.
    NoSuchRange {
        /// First element of the range.
        start: usize,
        /// One past its last element.
        end: usize,
        /// How many elements there are.
        len: usize,
    },
    /// There is no room for a block of this size, beside the one that is to be copied to it.
    Full {
        /// The size asked for, in bytes.
        bytes: u64,
        /// How many elements there are.
        len: usize,
    },
    /// There may be no more elements, as whoever made the sequence has said.
    Bounded {
        /// How many there may be.
        most: usize,
    },
    /// The bytes of a text are none.
    NotUtf8 {
        /// How many of the first bytes are one.
        valid: usize,
    },
    /// There is no character that begins there.
    NotBoundary {
        /// The place asked for, in bytes.
        at: usize,
    },
    /// There would be more than 2^32-2 elements.
    TooLong,
    /// The lock was not taken.
    Lock(LockFailure),
    /// The memory was not to be had, or is damaged.
    Heap(HeapError),
    /// A word has a value that no peer of this version writes.
    Corrupt {
        /// What the word means.
        field: &'static str,
        /// The value found.
        found: u64,
    },
}

impl From<LockFailure> for SeqError {
    fn from(failure: LockFailure) -> Self {
        Self::Lock(failure)
    }
}

impl From<HeapError> for SeqError {
    fn from(error: HeapError) -> Self {
        Self::Heap(error)
    }
}

impl fmt::Display for SeqError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { index, len } => {
                write!(f, "index {index} is out of range for {len} elements")
            }
            Self::NoSuchRange { start, end, len } if start > end => {
                write!(f, "the range {start}..{end} of {len} elements ends before it begins")
            }
            Self::NoSuchRange { start, end, len } => {
                write!(f, "the range {start}..{end} is out of range for {len} elements")
            }
            Self::Full { bytes, len } => write!(
                f,
                "no room for a block of {bytes} bytes, beside the one of the {len} elements that there are: \
                 make it with more bytes"
            ),
            Self::Bounded { most } => {
                write!(f, "it was made for {most} elements at most: remove some")
            }
            Self::NotUtf8 { valid } => write!(
                f,
                "the text is not UTF-8 from byte {valid} on: a peer has written over it; set it anew"
            ),
            Self::NotBoundary { at } => {
                write!(f, "byte {at} is within a character: give a place where one begins")
            }
            Self::TooLong => f.write_str("there can be 4,294,967,294 elements at most"),
            Self::Lock(_) => f.write_str("the lock was not taken"),
            Self::Heap(_) => f.write_str("the memory was not to be had"),
            Self::Corrupt { field, found } => write!(
                f,
                "the elements are corrupt: the {field} is {found}, which no peer of this version \
                 writes; make them anew"
            ),
        }
    }
}

impl Error for SeqError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Lock(failure) => Some(failure),
            Self::Heap(error) => Some(error),
            _ => None,
        }
    }
}
