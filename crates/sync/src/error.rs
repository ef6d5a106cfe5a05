//! How taking a lock or a permit can end.

use core::error::Error;
use core::fmt;

use shmkit_roster::PeerId;

use crate::patience::GivenUp;

/// Why a lock was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockFailure {
    /// The deadline passed while somebody alive held the lock.
    TimedOut,
    /// Somebody alive holds the lock, and the caller did not want to wait.
    WouldBlock,
    /// This process is not a participant: it was forked and has not joined, or has lost its place.
    NotJoined,
    /// Nobody could tell whether the owner is alive, for a second or at the deadline. It was not robbed.
    CannotJudge,
    /// The caller's [`Patience`](crate::Patience) was told to stop.
    Interrupted,
    /// The peer died for as long as whose life the caller's [`Patience`](crate::Patience) was to last.
    PeerDied(PeerId),
    /// This process holds the lock, or what keeps the caller out, and no thread of it but the caller could give it up: it
    /// would wait for itself for ever. Told to who waits without an end, in a process of one thread.
    WouldDeadlock,
    /// This thread has taken the lock 2^32-1 times already. Only of locks that a thread may take again.
    TooDeep,
    /// As many processes read as the lock has seats for readers, all of them alive. Only of readers-writer locks that were
    /// made with fewer seats than the roster has places.
    TooManyReaders {
        /// How many can read at a time.
        seats: u32,
    },
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
                "this process has no place in the roster: a forked child joins before its first operation",
            ),
            Self::CannotJudge => f.write_str(
                "the lock was held and the kernel could not be asked whether its owner is alive: keep the shared file's descriptor open",
            ),
            Self::Interrupted => f.write_str("the wait was told to stop"),
            Self::PeerDied(peer) => {
                write!(f, "{peer} died, as long as whose life the wait was to last")
            }
            Self::WouldDeadlock => f.write_str(
                "this process holds the lock already, and has no other thread that could release it: end the guard before the lock is asked for again",
            ),
            Self::TooDeep => f.write_str(
                "this thread has taken the lock 2^32-1 times: release it as often as it is taken",
            ),
            Self::TooManyReaders { seats } => write!(
                f,
                "{seats} processes read already, which is as many as the lock has seats for: make it with more, as `Seated::new(value).seats(n)`"
            ),
            Self::Corrupt { word } => write!(
                f,
                "the lock's word is {word:#010x}, which names no possible owner: another program wrote to it, make the object anew"
            ),
        }
    }
}

impl Error for LockFailure {}

impl From<GivenUp> for LockFailure {
    fn from(why: GivenUp) -> Self {
        match why {
            GivenUp::TimedOut => Self::TimedOut,
            GivenUp::CannotJudge => Self::CannotJudge,
            GivenUp::Interrupted => Self::Interrupted,
            GivenUp::PeerDied(peer) => Self::PeerDied(peer),
        }
    }
}

/// What a [`LockError`] carries while the lock is held: one of this crate's guards, or another's that stands on them.
///
/// It is what tells such an error from one [without](LockError::detach), so that `?` works with both.
pub trait Guard {}

/// How taking a lock ended, if not well.
///
/// In the first three cases the lock **is held**: the error carries the guard `G`, and dropping the error releases it.
///
/// `?` turns it into a boxed error, without the guard. Where that is not the error that a function returns (`anyhow`'s,
/// one of its own), `.map_err(LockError::detach)?` does. Who can repair the data wants neither, but the guard, or
/// [`Mutex::lock_or_repair`](crate::Mutex::lock_or_repair).
#[non_exhaustive]
pub enum LockError<G = ()> {
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

    /// Has `repair` make good what is wrong with the data of a lock that was taken: for `lock_or_repair` and its like, which
    /// tell how.
    ///
    /// # Errors
    ///
    /// The failure, if the lock was not taken.
    pub fn repaired(taken: Result<G, Self>, repair: impl FnOnce(&mut G)) -> Result<G, LockFailure> {
        let mut guard = match taken {
            Ok(guard) => return Ok(guard),
            Err(error) => error.into_guard()?,
        };
        repair(&mut guard);
        Ok(guard)
    }

    /// Returns the error without the guard: the lock is released, if it was taken. It lives as long as it likes, and goes to
    /// any thread.
    ///
    /// Data that a death has left, and that nobody has repaired, are given up by it, as by dropping the guard.
    pub fn detach(self) -> LockError {
        match self {
            Self::OwnerDied(_) => LockError::OwnerDied(()),
            Self::NotRecoverable(_) => LockError::NotRecoverable(()),
            Self::Poisoned(_) => LockError::Poisoned(()),
            Self::Failed(failure) => LockError::Failed(failure),
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

impl Error for LockError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

impl<G: Guard> From<LockError<G>> for Box<dyn Error> {
    fn from(error: LockError<G>) -> Self {
        Box::new(error.detach())
    }
}

impl<G: Guard> From<LockError<G>> for Box<dyn Error + Send + Sync> {
    fn from(error: LockError<G>) -> Self {
        Box::new(error.detach())
    }
}

/// The caller (this process, or this thread where a thread is the owner) does not hold the lock: nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOwner;

impl fmt::Display for NotOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lock is not held by the caller: take it first")
    }
}

impl Error for NotOwner {}

/// Why a lock that anybody may release was not released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnlockError {
    /// Nobody holds the lock: it was released too many times.
    NotLocked,
    /// This process may not, or the lock's word is corrupt.
    Failed(LockFailure),
}

impl fmt::Display for UnlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotLocked => {
                "the lock was released too many times: nobody holds it, or somebody has acquired it since"
            }
            Self::Failed(_) => "the lock was not released",
        })
    }
}

impl Error for UnlockError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::NotLocked => None,
        }
    }
}

/// Why no permit was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SemaphoreError {
    /// The deadline passed while living processes held too many permits.
    TimedOut,
    /// Living processes hold too many permits, and the caller did not want to wait.
    WouldBlock,
    /// This process is not a participant: it was forked and has not joined, or has lost its place.
    NotJoined,
    /// Nobody could tell whether the holders are alive, for a second or at the deadline. They were not robbed.
    CannotJudge,
    /// The caller's [`Patience`](crate::Patience) was told to stop.
    Interrupted,
    /// The peer died for as long as whose life the caller's [`Patience`](crate::Patience) was to last.
    PeerDied(PeerId),
    /// This process holds so many permits that there can never be enough, and no thread of it but the caller could give them
    /// back. Told to who waits without an end, in a process of one thread.
    WouldDeadlock,
    /// More permits were asked for than there are.
    TooMany {
        /// How many were asked for.
        asked: u32,
        /// How many there are.
        permits: u32,
    },
    /// As many processes hold permits as the semaphore has seats for holders, all of them alive. Only of a semaphore that was
    /// made with fewer seats than the roster has places.
    TooManyHolders {
        /// How many can hold permits at a time.
        seats: u32,
    },
    /// The semaphore's own lock names an owner that cannot exist.
    Corrupt {
        /// The word found.
        word: u32,
    },
}

impl From<GivenUp> for SemaphoreError {
    fn from(why: GivenUp) -> Self {
        LockFailure::from(why).into()
    }
}

impl From<LockFailure> for SemaphoreError {
    fn from(failure: LockFailure) -> Self {
        match failure {
            LockFailure::TimedOut => Self::TimedOut,
            // A semaphore's own lock has no depth, and no readers.
            LockFailure::WouldBlock | LockFailure::TooDeep | LockFailure::TooManyReaders { .. } => {
                Self::WouldBlock
            }
            LockFailure::NotJoined => Self::NotJoined,
            LockFailure::CannotJudge => Self::CannotJudge,
            LockFailure::Interrupted => Self::Interrupted,
            LockFailure::PeerDied(peer) => Self::PeerDied(peer),
            LockFailure::WouldDeadlock => Self::WouldDeadlock,
            LockFailure::Corrupt { word } => Self::Corrupt { word },
        }
    }
}

impl fmt::Display for SemaphoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => {
                f.write_str("living processes still held too many permits at the deadline")
            }
            Self::WouldBlock => f.write_str("living processes hold too many permits"),
            Self::NotJoined => LockFailure::NotJoined.fmt(f),
            Self::CannotJudge => f.write_str(
                "too many permits were held and the kernel could not be asked whether their holders are alive: keep the shared file's descriptor open",
            ),
            Self::Interrupted => LockFailure::Interrupted.fmt(f),
            Self::PeerDied(peer) => LockFailure::PeerDied(*peer).fmt(f),
            Self::WouldDeadlock => f.write_str(
                "this process itself holds permits that are missing, and has no other thread that could give them back: give them back before more are asked for",
            ),
            Self::TooMany { asked, permits } => write!(
                f,
                "{asked} permits were asked for and the semaphore has {permits}: ask for fewer, or make it with more"
            ),
            Self::TooManyHolders { seats } => write!(
                f,
                "{seats} processes hold permits, which is as many as the semaphore has seats for: make it with more, as `Seated::new(permits).seats(n)`"
            ),
            Self::Corrupt { word } => LockFailure::Corrupt { word: *word }.fmt(f),
        }
    }
}

impl Error for SemaphoreError {}

/// Why permits were not given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReleaseError {
    /// This process holds fewer permits than it wants to give back. None was given back.
    NotHeld {
        /// How many were to be given back.
        asked: u32,
        /// How many this process holds.
        held: u32,
    },
    /// The semaphore's own lock was not taken.
    Failed(LockFailure),
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHeld { asked, held } => write!(
                f,
                "{asked} permits were to be given back and this process holds {held}: release what was acquired, once"
            ),
            Self::Failed(_) => f.write_str("the semaphore's own lock was not taken"),
        }
    }
}

impl Error for ReleaseError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::NotHeld { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_was_found_and_what_to_do() {
        let word = LockFailure::Corrupt { word: 0x3ff };
        assert!(word.to_string().contains("0x000003ff"), "{word}");
        let many = SemaphoreError::TooMany { asked: 5, permits: 2 };
        assert!(many.to_string().starts_with("5 permits were asked for and the semaphore has 2"));
        let not_held = ReleaseError::NotHeld { asked: 2, held: 1 };
        assert!(not_held.to_string().contains("this process holds 1"));
        let failed = LockError::<()>::from(LockFailure::TimedOut);
        assert_eq!(failed.to_string(), "the lock was not taken");
        assert_eq!(failed.source().unwrap().to_string(), LockFailure::TimedOut.to_string());
    }

    #[test]
    fn a_guard_comes_out_of_every_error_that_has_one() {
        assert_eq!(LockError::OwnerDied(1).into_guard(), Ok(1));
        assert_eq!(LockError::NotRecoverable(2).into_guard(), Ok(2));
        assert_eq!(LockError::Poisoned(3).into_guard(), Ok(3));
        let failed = LockError::<u8>::Failed(LockFailure::TimedOut);
        assert_eq!(failed.failure(), Some(LockFailure::TimedOut));
        assert_eq!(failed.into_guard(), Err(LockFailure::TimedOut));
    }
}
