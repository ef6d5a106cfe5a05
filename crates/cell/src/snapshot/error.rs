//! Why a snapshot was not read, or no change of it was seen.

use core::error::Error;
use core::fmt;

use shmkit_roster::PeerId;
use shmkit_sync::{GivenUp, LockFailure};

/// Why a [`Snapshot`](crate::Snapshot) was not read, or no change of it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The value was written each time that it was looked at.
    Overtaken,
    /// The deadline passed, and nobody had written the value.
    TimedOut,
    /// This process is not a participant: it was forked and has not joined, or has lost its place.
    NotJoined,
    /// The caller's [`Patience`](shmkit_sync::Patience) was told to stop.
    Interrupted,
    /// The peer died for as long as whose life the caller's [`Patience`](shmkit_sync::Patience) was to last.
    PeerDied(PeerId),
    /// Nobody could tell for a second whether those live on whom it depends.
    CannotJudge,
}

impl From<GivenUp> for SnapshotError {
    fn from(why: GivenUp) -> Self {
        match why {
            GivenUp::TimedOut => Self::TimedOut,
            GivenUp::CannotJudge => Self::CannotJudge,
            GivenUp::Interrupted => Self::Interrupted,
            GivenUp::PeerDied(peer) => Self::PeerDied(peer),
        }
    }
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overtaken => f.write_str(
                "the value was written each time that it was looked at: look again, or write it less often",
            ),
            Self::TimedOut => f.write_str("nobody had written the value by the deadline"),
            Self::NotJoined => LockFailure::NotJoined.fmt(f),
            Self::Interrupted => LockFailure::Interrupted.fmt(f),
            Self::PeerDied(peer) => LockFailure::PeerDied(*peer).fmt(f),
            Self::CannotJudge => {
                f.write_str("nobody can tell whether those live on whom the wait depends")
            }
        }
    }
}

impl Error for SnapshotError {}
