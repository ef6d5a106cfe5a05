//! Why an operation on a collection did nothing.

use core::error::Error;
use core::fmt;
use std::io::{self, ErrorKind};

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

impl MapError {
    /// Returns whether a deadline has passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Lock(LockFailure::TimedOut))
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

/// With this error as the inner one.
impl From<MapError> for io::Error {
    fn from(error: MapError) -> Self {
        let kind = match error {
            MapError::Full { .. } => ErrorKind::OutOfMemory,
            MapError::TooLong => ErrorKind::InvalidInput,
            MapError::Lock(failure) => Self::from(failure).kind(),
            MapError::Heap(error) => Self::from(error).kind(),
            MapError::Corrupt { .. } => ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
