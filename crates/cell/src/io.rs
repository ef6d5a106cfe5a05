//! What each error is to those who speak of [`io::Error`], and whether it is a time-out.

use core::error::Error;
use std::io::{self, ErrorKind};

use shmkit_sync::LockFailure;

use crate::{ArrayError, OutOfRange, SetError, SnapshotError, TransactionError, UnknownTypeCode};

impl ArrayError {
    /// Returns whether the deadline passed before the lock was free.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.is_timeout())
    }
}

impl SnapshotError {
    /// Returns whether the deadline passed before the value was written.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut)
    }
}

impl TransactionError {
    /// Returns whether the deadline passed before the lock was free.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.is_timeout())
    }
}

impl<C> SetError<C, LockFailure> {
    /// Returns whether the deadline passed before the lock was free.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.is_timeout())
    }
}

impl<C> SetError<C, ArrayError> {
    /// Returns whether the deadline passed before the lock was free.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Failed(error) if error.is_timeout())
    }
}

impl From<OutOfRange> for io::Error {
    fn from(error: OutOfRange) -> Self {
        Self::new(ErrorKind::InvalidInput, error)
    }
}

impl From<UnknownTypeCode> for io::Error {
    fn from(error: UnknownTypeCode) -> Self {
        Self::new(ErrorKind::InvalidInput, error)
    }
}

impl From<ArrayError> for io::Error {
    fn from(error: ArrayError) -> Self {
        let kind = match error {
            ArrayError::OutOfRange(_)
            | ArrayError::NoSuchRange { .. }
            | ArrayError::Count { .. }
            | ArrayError::Shape { .. }
            | ArrayError::ZeroStep => ErrorKind::InvalidInput,
            ArrayError::OwnerDied | ArrayError::Poisoned => ErrorKind::Other,
            ArrayError::Failed(failure) => Self::from(failure).kind(),
        };
        Self::new(kind, error)
    }
}

impl From<SnapshotError> for io::Error {
    fn from(error: SnapshotError) -> Self {
        let kind = match error {
            SnapshotError::Overtaken => ErrorKind::WouldBlock,
            SnapshotError::TimedOut => ErrorKind::TimedOut,
            SnapshotError::Interrupted => ErrorKind::Interrupted,
            SnapshotError::PeerDied(_) => ErrorKind::ConnectionReset,
            SnapshotError::NotJoined | SnapshotError::CannotJudge => ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl From<TransactionError> for io::Error {
    fn from(error: TransactionError) -> Self {
        let kind = match error {
            TransactionError::Elsewhere
            | TransactionError::Name
            | TransactionError::OtherType
            | TransactionError::OtherLength { .. } => ErrorKind::InvalidInput,
            TransactionError::TooLong { .. }
            | TransactionError::NoRoom { .. }
            | TransactionError::TooManyMembers { .. }
            | TransactionError::MapFull { .. } => ErrorKind::OutOfMemory,
            TransactionError::Aborted => ErrorKind::Other,
            TransactionError::Failed(failure) => Self::from(failure).kind(),
            TransactionError::Corrupt => ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// With the kind of what kept the number from being stored.
impl<C, E> From<SetError<C, E>> for io::Error
where
    C: Error + Send + Sync + 'static,
    E: Error + Send + Sync + Copy + Into<Self> + 'static,
{
    fn from(error: SetError<C, E>) -> Self {
        let kind = match &error {
            SetError::Conversion(_) => ErrorKind::InvalidInput,
            SetError::Failed(failure) => (*failure).into().kind(),
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(error: impl Into<io::Error>) -> ErrorKind {
        error.into().kind()
    }

    #[test]
    fn every_error_is_an_error_of_io_with_its_text() {
        let range = OutOfRange { index: 3, len: 3 };
        assert_eq!(kind(range), ErrorKind::InvalidInput);
        assert_eq!(kind(ArrayError::from(range)), ErrorKind::InvalidInput);
        assert_eq!(kind(ArrayError::OwnerDied), ErrorKind::Other);
        for (failure, expected) in [
            (LockFailure::TimedOut, ErrorKind::TimedOut),
            (LockFailure::WouldBlock, ErrorKind::WouldBlock),
            (LockFailure::Interrupted, ErrorKind::Interrupted),
        ] {
            let timed_out = failure == LockFailure::TimedOut;
            let transaction = TransactionError::Failed(failure);
            assert_eq!((kind(transaction), transaction.is_timeout()), (expected, timed_out));
            let array = ArrayError::Failed(failure);
            assert_eq!((kind(array), array.is_timeout()), (expected, timed_out));
            let set = SetError::<std::num::TryFromIntError, _>::Failed(failure);
            assert_eq!((kind(set), set.is_timeout()), (expected, timed_out));
            let set = SetError::<std::num::TryFromIntError, _>::Failed(array);
            assert_eq!((kind(set), set.is_timeout()), (expected, timed_out));
        }
        assert_eq!(kind(SnapshotError::TimedOut), ErrorKind::TimedOut);
        assert!(SnapshotError::TimedOut.is_timeout() && !SnapshotError::Overtaken.is_timeout());
        assert_eq!(kind(SnapshotError::Overtaken), ErrorKind::WouldBlock);
        assert_eq!(kind(TransactionError::Corrupt), ErrorKind::InvalidData);
        assert_eq!(kind(TransactionError::Elsewhere), ErrorKind::InvalidInput);
        assert_eq!(kind(TransactionError::TooLong { needed: 24, left: 0 }), ErrorKind::OutOfMemory);
        let conversion = u8::try_from(256_u32).unwrap_err();
        let set = SetError::<_, LockFailure>::Conversion(conversion);
        assert!(!set.is_timeout());
        assert!(io::Error::from(set).to_string().contains("does not fit"));
        assert_eq!(kind(set), ErrorKind::InvalidInput);
    }
}
