//! What each error is to those who speak of [`io::Error`], and whether it is a time-out.

use std::io::{self, ErrorKind};

use shmkit_heap::HeapError;
use shmkit_sync::LockFailure;

use crate::{MapError, SeqError};

impl MapError {
    /// Returns whether a deadline has passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Lock(failure) if failure.is_timeout())
    }
}

impl SeqError {
    /// Returns whether the deadline passed before the lock was free.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Lock(failure) if failure.is_timeout())
    }
}

impl From<MapError> for io::Error {
    fn from(error: MapError) -> Self {
        let kind = match error {
            MapError::Full { .. } => ErrorKind::OutOfMemory,
            MapError::TooLong | MapError::Serialize => ErrorKind::InvalidInput,
            MapError::Corrupt { .. } => ErrorKind::InvalidData,
            MapError::Lock(failure) => of_lock(failure),
            MapError::Heap(error) => of_heap(error),
        };
        Self::new(kind, error)
    }
}

impl From<SeqError> for io::Error {
    fn from(error: SeqError) -> Self {
        let kind = match error {
            SeqError::OutOfRange { .. }
            | SeqError::NoSuchRange { .. }
            | SeqError::NotBoundary { .. }
            | SeqError::TooLong => ErrorKind::InvalidInput,
            SeqError::Full { .. } | SeqError::Bounded { .. } => ErrorKind::OutOfMemory,
            SeqError::Corrupt { .. } | SeqError::NotUtf8 { .. } => ErrorKind::InvalidData,
            SeqError::Lock(failure) => of_lock(failure),
            SeqError::Heap(error) => of_heap(error),
        };
        Self::new(kind, error)
    }
}

fn of_lock(failure: LockFailure) -> ErrorKind {
    io::Error::from(failure).kind()
}

fn of_heap(error: HeapError) -> ErrorKind {
    io::Error::from(error).kind()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_an_error_of_io_with_its_text() {
        for (failure, expected) in [
            (LockFailure::TimedOut, ErrorKind::TimedOut),
            (LockFailure::WouldBlock, ErrorKind::WouldBlock),
            (LockFailure::Interrupted, ErrorKind::Interrupted),
        ] {
            let timed_out = failure == LockFailure::TimedOut;
            let (map, seq) = (MapError::Lock(failure), SeqError::Lock(failure));
            assert_eq!((map.is_timeout(), seq.is_timeout()), (timed_out, timed_out));
            assert_eq!(io::Error::from(map).kind(), expected);
            assert_eq!(io::Error::from(seq).kind(), expected);
        }
        let full = SeqError::Full { bytes: 4096, len: 7 };
        let text = io::Error::from(full).to_string();
        assert!(text.contains("4096 bytes") && text.contains("7 elements"), "{text}");
        let range = SeqError::OutOfRange { index: 5, len: 5 };
        assert_eq!(io::Error::from(range).kind(), ErrorKind::InvalidInput);
    }
}
