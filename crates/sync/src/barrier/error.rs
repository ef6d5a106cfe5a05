//! How meeting at a barrier can end.

use core::error::Error;
use core::fmt;

use shmkit_roster::{OwnerId, PeerId};

use crate::LockFailure;
use crate::patience::GivenUp;

/// Why a party did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BarrierError {
    /// The barrier is broken: somebody's deadline passed, its action failed, or somebody has aborted or reset it.
    Broken,
    /// The barrier is broken, because this participant died after it had arrived or registered.
    PartyDied(OwnerId),
    /// The deadline passed before all had arrived: the barrier is broken by it.
    TimedOut,
    /// Nobody could tell whether those who had arrived are alive, for a second or at the deadline: the barrier is broken
    /// by it.
    CannotJudge,
    /// The caller's [`Patience`](crate::Patience) was told to stop: the barrier is broken by it.
    Interrupted,
    /// The peer died for as long as whose life the caller's [`Patience`](crate::Patience) was to last: the barrier
    /// is broken by it.
    PeerDied(PeerId),
    /// This process is not a participant: it was forked and has not joined, or has lost its place.
    NotJoined,
    /// All places are taken: by parties that have registered, that wait, or that have yet to leave.
    Full,
    /// A word of the barrier names a party that cannot exist.
    Corrupt {
        /// The word found.
        word: u64,
    },
}

impl BarrierError {
    /// Returns whether the barrier is broken, or was when the caller waited at it.
    pub fn is_broken(self) -> bool {
        matches!(
            self,
            Self::Broken
                | Self::PartyDied(_)
                | Self::TimedOut
                | Self::CannotJudge
                | Self::Interrupted
                | Self::PeerDied(_)
        )
    }
}

impl From<GivenUp> for BarrierError {
    fn from(why: GivenUp) -> Self {
        LockFailure::from(why).into()
    }
}

impl From<LockFailure> for BarrierError {
    fn from(failure: LockFailure) -> Self {
        match failure {
            // A mutex that is not recursive is never taken too often, and a barrier's is held for a few instructions.
            LockFailure::TimedOut
            | LockFailure::WouldBlock
            | LockFailure::WouldDeadlock
            | LockFailure::TooDeep
            | LockFailure::TooManyReaders { .. } => Self::TimedOut,
            LockFailure::NotJoined => Self::NotJoined,
            LockFailure::CannotJudge => Self::CannotJudge,
            LockFailure::Interrupted => Self::Interrupted,
            LockFailure::PeerDied(peer) => Self::PeerDied(peer),
            LockFailure::Corrupt { word } => Self::Corrupt { word: word.into() },
        }
    }
}

impl fmt::Display for BarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken => f.write_str(
                "the barrier is broken: a party was late, failed, aborted or reset it; `reset` makes it whole",
            ),
            Self::PartyDied(owner) => write!(
                f,
                "the barrier is broken: its party, participant {owner}, died; `reset` makes it whole"
            ),
            Self::TimedOut => {
                f.write_str("not all parties had arrived at the deadline: the barrier is broken now")
            }
            Self::CannotJudge => f.write_str(
                "not all parties had arrived and the kernel could not be asked whether those who had are alive: keep the shared file's descriptor open",
            ),
            Self::Interrupted => f.write_str("the wait was told to stop: the barrier is broken now"),
            Self::PeerDied(peer) => write!(
                f,
                "{peer} died, as long as whose life the wait was to last: the barrier is broken now"
            ),
            Self::NotJoined => LockFailure::NotJoined.fmt(f),
            Self::Full => f.write_str(
                "the barrier's places are all taken by parties that registered, wait or have yet to leave: try again when one has gone, or make the barrier for more",
            ),
            Self::Corrupt { word } => write!(
                f,
                "a word of the barrier is {word:#018x}, which names no possible party: another program wrote to it, make the object anew"
            ),
        }
    }
}

impl Error for BarrierError {}

/// Why a party that would have done an action did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ActionError<E> {
    /// It arrived last, and its action failed with this: the barrier is broken by it.
    Action(E),
    /// The barrier was not passed; if this party arrived last, its action may have been done.
    Barrier(BarrierError),
}

impl<E> From<BarrierError> for ActionError<E> {
    fn from(error: BarrierError) -> Self {
        Self::Barrier(error)
    }
}

impl<E> fmt::Display for ActionError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Action(_) => "the barrier's action failed",
            Self::Barrier(_) => "the barrier was not passed",
        })
    }
}

impl<E: Error + 'static> Error for ActionError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Action(error) => Some(error),
            Self::Barrier(error) => Some(error),
        }
    }
}
