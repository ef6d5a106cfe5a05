//! How taking a lock can end.

use core::error::Error;
use core::fmt;

/// Why a lock was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockFailure {
    /// The deadline passed while somebody alive held the lock.
    TimedOut,
    /// Somebody alive holds the lock, and the caller did not want to wait.
    WouldBlock,
    /// This process is not a participant: it was forked and has not joined.
    NotJoined,
    /// The deadline passed, and nobody could tell whether the owner is alive. It was not robbed.
    CannotJudge,
    /// The lock's word names an owner that cannot exist.
    Corrupt {
        /// The word found.
        word: u32,
    },
}

impl fmt::Display for LockFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("the lock was still held by a living process at the deadline"),
            Self::WouldBlock => f.write_str("the lock is held by a living process"),
            Self::NotJoined => f.write_str(
                "this process has not joined the roster: a forked child joins before its first operation",
            ),
            Self::CannotJudge => f.write_str(
                "the lock was still held at the deadline and the kernel could not be asked whether its owner is alive: keep the shared file's descriptor open",
            ),
            Self::Corrupt { word } => write!(
                f,
                "the lock's word is {word:#010x}, which names no possible owner: another program wrote to it, make the object anew"
            ),
        }
    }
}

impl Error for LockFailure {}

/// How taking a lock ended, if not well.
///
/// In the first three cases the lock **is held**: the error carries the guard `G`, and dropping the error releases it.
#[non_exhaustive]
pub enum LockError<G> {
    /// The owner died while it held the lock: the data may be half-written.
    ///
    /// Repair the data and call `make_consistent` on the guard. A guard that is dropped without it leaves the lock
    /// [`NotRecoverable`](Self::NotRecoverable).
    OwnerDied(G),
    /// An owner died, and somebody took the lock after it and gave up on the data.
    ///
    /// Who can make the data good nevertheless calls `make_consistent` on the guard.
    NotRecoverable(G),
    /// A thread panicked while it held the lock. Nobody died: the data is what the panic left.
    Poisoned(G),
    /// The lock was not taken.
    Failed(LockFailure),
}

impl<G> LockError<G> {
    /// Returns the guard, whatever is wrong with the data.
    ///
    /// # Errors
    ///
    /// The failure, if the lock was not taken.
    pub fn into_guard(self) -> Result<G, LockFailure> {
        match self {
            Self::OwnerDied(guard) | Self::NotRecoverable(guard) | Self::Poisoned(guard) => {
                Ok(guard)
            }
            Self::Failed(failure) => Err(failure),
        }
    }

    /// Returns why the lock was not taken; `None` if it was.
    pub fn failure(&self) -> Option<LockFailure> {
        match self {
            Self::Failed(failure) => Some(*failure),
            _ => None,
        }
    }
}

impl<G> From<LockFailure> for LockError<G> {
    fn from(failure: LockFailure) -> Self {
        Self::Failed(failure)
    }
}

impl<G> fmt::Debug for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnerDied(_) => f.write_str("OwnerDied(..)"),
            Self::NotRecoverable(_) => f.write_str("NotRecoverable(..)"),
            Self::Poisoned(_) => f.write_str("Poisoned(..)"),
            Self::Failed(failure) => f.debug_tuple("Failed").field(failure).finish(),
        }
    }
}

impl<G> fmt::Display for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnerDied(_) => {
                "the process that held the lock died: repair the data, then call `make_consistent` on the guard"
            }
            Self::NotRecoverable(_) => {
                "the data was given up after the death of an owner: make it good and call `make_consistent` on the guard, or make the object anew"
            }
            Self::Poisoned(_) => {
                "a thread panicked while it held the lock: look at the data, then call `clear_poison`"
            }
            Self::Failed(_) => "the lock was not taken",
        })
    }
}

impl<G> Error for LockError<G> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

/// The caller is not the owner of the lock: nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOwner;

impl fmt::Display for NotOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lock is not held by this process: take it first")
    }
}

impl Error for NotOwner {}
