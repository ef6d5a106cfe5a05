//! Why a transaction did not take place.

use core::error::Error;
use core::fmt;

use shmkit_sync::LockFailure;

use crate::raw::undo::{Corrupt, Full};

/// Why a transaction did not take place. The data are what they were before it, but if they are `Corrupt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactionError {
    /// The log has no room for what the bytes were that were to be changed next.
    TooLong {
        /// Bytes of the log that it would take.
        needed: u64,
        /// Bytes that are left, of those that the object was made with.
        left: u64,
    },
    /// What was to be changed is no part of the data, or a member of another set.
    Elsewhere,
    /// The set has no room for a member that was to be made.
    NoRoom {
        /// Bytes that it takes.
        needed: u64,
        /// Bytes that are left, of those that the set was made with.
        left: u64,
    },
    /// The set has as many members as it was made for.
    TooManyMembers {
        /// How many.
        most: u64,
    },
    /// A member's name is empty, longer than 64 bytes, or has a NUL in it.
    Name,
    /// The member of this name is of another type.
    OtherType,
    /// The member of this name has another length.
    OtherLength {
        /// How many items it has, or entries it is made for.
        found: u64,
        /// How many were asked for.
        asked: u64,
    },
    /// The map has as many entries as it was made for.
    MapFull {
        /// How many.
        most: u64,
    },
    /// The closure said so: it is for its use, and means that all is to be as it was.
    Aborted,
    /// The lock was not taken.
    Failed(LockFailure),
    /// Something that is no process of this version has written over the log, while a transaction was going on: how the data were
    /// before it is lost.
    Corrupt,
}

impl From<LockFailure> for TransactionError {
    fn from(failure: LockFailure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Full> for TransactionError {
    fn from(Full { needed, left }: Full) -> Self {
        Self::TooLong { needed, left }
    }
}

impl From<Corrupt> for TransactionError {
    fn from(Corrupt: Corrupt) -> Self {
        Self::Corrupt
    }
}

impl fmt::Display for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { needed, left } => write!(
                f,
                "the transaction is too long: {needed} bytes of its log are needed and {left} are left; make the object with a longer one, or change less at a time"
            ),
            Self::NoRoom { needed, left } => write!(
                f,
                "the set has no room for the member: {needed} bytes are needed and {left} are left; make the set with more"
            ),
            Self::TooManyMembers { most } => {
                write!(f, "the set has {most} members, as many as it was made for")
            }
            Self::Name => f.write_str("a member's name has 1 to 64 bytes, and no NUL"),
            Self::OtherType => f.write_str("the member of this name is of another type"),
            Self::OtherLength { found, asked } => {
                write!(f, "the member of this name has a length of {found}, and {asked} was asked for")
            }
            Self::MapFull { most } => {
                write!(f, "the map has {most} entries, as many as it was made for: remove some")
            }
            Self::Elsewhere => f.write_str(
                "what was to be changed is no part of the data, or a member of another set: return a reference to a part of what the closure is given",
            ),
            Self::Aborted => f.write_str("the transaction was aborted, and nothing was changed"),
            Self::Failed(_) => f.write_str("the lock of the data was not taken"),
            Self::Corrupt => f.write_str(
                "the log of an unfinished transaction was written over: make the object anew",
            ),
        }
    }
}

impl Error for TransactionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}
