//! Why an operation on a queue did not happen.

use core::error::Error;
use core::fmt;
use std::io::{self, ErrorKind};

use shmkit_heap::HeapError;
use shmkit_roster::PeerId;

use crate::BroadcastError;

/// Why nothing was put or taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueError {
    /// There is no room now. From `try_` operations that put.
    Full,
    /// There is nothing to take now. From `try_` operations that take.
    Empty,
    /// The time is over.
    TimedOut,
    /// Somebody has closed the queue; and, for who takes, nothing is left in it.
    Closed,
    /// The caller's [`Patience`](shmkit_sync::Patience) was told to stop. To the standard library this is *aborted*.
    Interrupted,
    /// The peer died as long as whose life the caller's [`Patience`](shmkit_sync::Patience) was to last.
    PeerDied {
        /// Who died.
        peer: PeerId,
    },
    /// This process is not a participant: it was forked from one and has not joined.
    NotJoined,
    /// The lease belongs to another participant: it was made before a fork, or this process has lost its place.
    NotMine,
    /// Nobody could tell whether those are alive who are at work in the queue, for a second or to the end of the time
    /// given.
    CannotJudge,
    /// The message is longer than the queue could hold if it was empty.
    TooLong {
        /// Its length, in bytes.
        length: u64,
        /// The most that it may have.
        most: u64,
    },
    /// The message is longer than the buffer given for it. It went back, and whoever takes next gets it.
    TooShort {
        /// Its length, in bytes.
        length: u64,
    },
    /// The memory for a message was not to be had, for another reason than that there is none just now.
    Heap(HeapError),
    /// A word of the queue has a value that no peer of this version writes.
    Corrupt {
        /// What the word means.
        field: &'static str,
        /// The value found.
        found: u64,
    },
}

impl QueueError {
    /// Returns whether the time was over before anything moved.
    pub fn is_timeout(&self) -> bool {
        *self == Self::TimedOut
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Full | Self::Empty => ErrorKind::WouldBlock,
            Self::TimedOut => ErrorKind::TimedOut,
            Self::Closed => ErrorKind::BrokenPipe,
            Self::Interrupted => ErrorKind::ConnectionAborted,
            Self::PeerDied { .. } => ErrorKind::ConnectionReset,
            Self::TooLong { .. } | Self::TooShort { .. } => ErrorKind::InvalidInput,
            #[cfg(not(loom))]
            Self::Heap(error) => io::Error::from(*error).kind(),
            #[cfg(loom)]
            Self::Heap(_) => ErrorKind::Other,
            Self::Corrupt { .. } => ErrorKind::InvalidData,
            Self::NotJoined | Self::NotMine | Self::CannotJudge => ErrorKind::Other,
        }
    }
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Full => f.write_str("the queue is full"),
            Self::Empty => f.write_str("the queue is empty"),
            Self::TimedOut => f.write_str("nothing moved in the queue within the time given"),
            Self::Closed => f.write_str("the queue is closed"),
            Self::Interrupted => f.write_str("the wait was told to stop"),
            Self::PeerDied { peer } => {
                write!(f, "{peer} died, as long as whose life the wait was to last")
            }
            Self::NotJoined => f.write_str(
                "this process is no participant (it was forked from one); join before using the queue",
            ),
            Self::NotMine => f.write_str(
                "this lease belongs to another participant; take one in the process that uses it",
            ),
            Self::CannotJudge => f.write_str(
                "cannot tell whether those are alive who are at work in the queue",
            ),
            Self::TooLong { length, most } => write!(
                f,
                "the message has {length} bytes, and the queue holds {most} at most; make it larger, or put the message in parts"
            ),
            Self::TooShort { length } => write!(
                f,
                "the message has {length} bytes, more than there is place for; it is in the queue still"
            ),
            Self::Heap(_) => f.write_str("the queue has not got the memory for a message"),
            Self::Corrupt { field, found } => write!(
                f,
                "the queue is corrupt: its {field} is {found:#x}, which no peer of this version writes; make the queue anew"
            ),
        }
    }
}

impl Error for QueueError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Heap(error) => Some(error),
            _ => None,
        }
    }
}

impl From<QueueError> for io::Error {
    fn from(error: QueueError) -> Self {
        Self::new(error.kind(), error)
    }
}

/// A value was not put, or sent: the value, and why.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PutError<T, E = QueueError> {
    /// The value, given back.
    pub value: T,
    /// Why it was not put.
    pub error: E,
}

impl<T, E: fmt::Debug> fmt::Debug for PutError<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutError").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<T, E> fmt::Display for PutError<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value was not put")
    }
}

impl<T, E: Error + 'static> Error for PutError<T, E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// Only a part of a batch was put, or sent: how much, and why not the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchError<E = QueueError> {
    /// How many items of the batch were put, from its beginning.
    pub put: usize,
    /// Why the next one was not.
    pub error: E,
}

impl<E> fmt::Display for BatchError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "only the first {} items of the batch were put", self.put)
    }
}

impl<E: Error + 'static> Error for BatchError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

macro_rules! with_reason {
    ($($Reason:ty)*) => {$(
        impl<T> PutError<T, $Reason> {
            /// Returns whether the time was over before there was room.
            pub fn is_timeout(&self) -> bool {
                self.error.is_timeout()
            }
        }

        impl<T: Send + Sync + 'static> From<PutError<T, $Reason>> for io::Error {
            fn from(error: PutError<T, $Reason>) -> Self {
                Self::new(error.error.kind(), error)
            }
        }

        impl BatchError<$Reason> {
            /// Returns whether the time was over before there was room for all.
            pub fn is_timeout(&self) -> bool {
                self.error.is_timeout()
            }
        }

        impl From<BatchError<$Reason>> for io::Error {
            fn from(error: BatchError<$Reason>) -> Self {
                Self::new(error.error.kind(), error)
            }
        }
    )*};
}

with_reason! { QueueError BroadcastError }
