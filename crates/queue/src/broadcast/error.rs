//! Why nothing was published or received.

use core::error::Error;
use core::fmt;
use std::io::{self, ErrorKind};

use shmkit_roster::{OwnerId, PeerId};

/// Why an operation on a [`Broadcast`](crate::Broadcast) did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BroadcastError {
    /// There is no room now: a subscriber is too far behind. From `try_` operations of a publisher.
    Full,
    /// There is nothing to receive now. From `try_` operations of a subscriber.
    Empty,
    /// The time is over.
    TimedOut,
    /// The publisher has closed, and everything that it has published was received.
    Closed,
    /// The publisher's process died, and everything that it has published was received.
    PublisherDied {
        /// Who died. A successor may come.
        peer: OwnerId,
    },
    /// This subscriber was too slow: so many items were overwritten before it had received them. It goes on with a later one.
    Lagged {
        /// How many it has missed.
        missed: u64,
    },
    /// Somebody else is the publisher: another participant that is alive, or this one.
    Taken {
        /// Who it is.
        holder: OwnerId,
    },
    /// All places of subscribers are taken by the living.
    TooManySubscribers {
        /// How many there are.
        most: usize,
    },
    /// Items are not lent where they may be overwritten meanwhile.
    NotInPlace,
    /// The caller's [`Patience`](shmkit_sync::Patience) was told to stop. To the standard library this is *aborted*.
    Interrupted,
    /// The peer died as long as whose life the caller's [`Patience`](shmkit_sync::Patience) was to last.
    PeerDied {
        /// Who died.
        peer: PeerId,
    },
    /// This process is not a participant: it was forked from one and has not joined.
    NotJoined,
    /// The publisher, or the subscriber, belongs to another participant: it was made before a fork, or this process has lost
    /// its place.
    NotMine,
    /// Nobody could tell whether those are alive on whom it depends, for a second or to the end of the time given.
    CannotJudge,
    /// A word of the broadcast has a value that no peer of this version writes.
    Corrupt {
        /// What the word means.
        field: &'static str,
        /// The value found.
        found: u64,
    },
}

impl BroadcastError {
    /// Returns whether the time was over before anything moved.
    pub fn is_timeout(&self) -> bool {
        *self == Self::TimedOut
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Full | Self::Empty => ErrorKind::WouldBlock,
            Self::TimedOut => ErrorKind::TimedOut,
            Self::Closed => ErrorKind::BrokenPipe,
            Self::Interrupted => ErrorKind::ConnectionAborted,
            Self::PublisherDied { .. } | Self::PeerDied { .. } => ErrorKind::ConnectionReset,
            Self::Taken { .. } => ErrorKind::AddrInUse,
            Self::NotInPlace => ErrorKind::Unsupported,
            Self::Corrupt { .. } => ErrorKind::InvalidData,
            Self::Lagged { .. }
            | Self::TooManySubscribers { .. }
            | Self::NotJoined
            | Self::NotMine
            | Self::CannotJudge => ErrorKind::Other,
        }
    }
}

impl fmt::Display for BroadcastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Full => f.write_str("a subscriber has still to receive what would be overwritten"),
            Self::Empty => f.write_str("everything that was published is received"),
            Self::TimedOut => f.write_str("nothing moved in the broadcast within the time given"),
            Self::Closed => f.write_str("the publisher has closed the broadcast"),
            Self::PublisherDied { peer } => {
                write!(f, "participant {peer}, the publisher, died; a successor may come")
            }
            Self::Lagged { missed } => write!(
                f,
                "{missed} items were overwritten before they were received; receive sooner, or make the broadcast larger"
            ),
            Self::Taken { holder } => write!(
                f,
                "participant {holder} is the publisher; there is one at a time, which must close or die first"
            ),
            Self::TooManySubscribers { most } => {
                write!(f, "{most} subscribers are there, for as many as the broadcast was made")
            }
            Self::NotInPlace => {
                f.write_str("this broadcast overwrites what is slow, and lends nothing in place; send and receive copies")
            }
            Self::Interrupted => f.write_str("the wait was told to stop"),
            Self::PeerDied { peer } => {
                write!(f, "{peer} died, as long as whose life the wait was to last")
            }
            Self::NotJoined => f.write_str(
                "this process is no participant (it was forked from one); join before using the broadcast",
            ),
            Self::NotMine => f.write_str(
                "this side of the broadcast belongs to another participant; make one in the process that uses it",
            ),
            Self::CannotJudge => {
                f.write_str("cannot tell whether those are alive who are at the other side of the broadcast")
            }
            Self::Corrupt { field, found } => write!(
                f,
                "the broadcast is corrupt: its {field} is {found:#x}, which no peer of this version writes; make the broadcast anew"
            ),
        }
    }
}

impl Error for BroadcastError {}

impl From<BroadcastError> for io::Error {
    fn from(error: BroadcastError) -> Self {
        Self::new(error.kind(), error)
    }
}
