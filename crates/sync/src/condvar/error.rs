//! How a wait on a condition variable can end.

use core::error::Error;
use core::fmt;

use shmkit_roster::PeerId;

use crate::{Guard, LockFailure, Outcome};

/// Why a wait ended. In all cases the lock is held again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wakeup {
    /// Somebody notified this thread: it is one of those that the notifier counted.
    Notified,
    /// The deadline passed, and nobody had notified this thread.
    TimedOut,
    /// Somebody died while it held the lock, and might have notified: look at the condition again.
    ///
    /// Who took the lock over is told so by [`WaitError::OwnerDied`], which carries this. To all others this is all that
    /// there is to say, once that one has answered for the data; if it did not, they get it with
    /// [`WaitError::NotRecoverable`].
    OwnerDied,
    /// The caller's [`Patience`](crate::Patience) was told to stop. If somebody had notified this thread, that went on to
    /// the next one who slept at the time.
    Interrupted,
    /// The peer died for as long as whose life the caller's [`Patience`](crate::Patience) was to last, and nobody
    /// had notified this thread.
    PeerDied(PeerId),
}

/// Why a thread did not wait, or did not get its lock back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unwaited {
    /// The caller does not hold the lock. It did not wait.
    NotOwner,
    /// The condition variable belongs to another lock. The caller did not wait, and holds what it held.
    OtherLock,
    /// As many threads wait already as there are seats for. The caller did not wait, and holds the lock.
    TooManyWaiters,
    /// Somebody has written to this thread's place who must not, so that nobody knows why it woke. The caller holds the
    /// lock again.
    Corrupt {
        /// The word found.
        word: u32,
        /// In which condition the lock was found: who is told here of a death is the only one.
        outcome: Outcome,
    },
    /// The lock was given up, and could not be taken again.
    Lost(LockFailure),
}

impl fmt::Display for Unwaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOwner => NotifyError::NotOwner.fmt(f),
            Self::OtherLock => NotifyError::OtherLock.fmt(f),
            Self::TooManyWaiters => f.write_str(
                "as many threads wait for this condition as it has seats for: make it with more, as `Seated::new(()).seats(n)`",
            ),
            Self::Corrupt { word, .. } => write!(
                f,
                "the place of a waiting thread was {word:#010x} when it woke, which nobody writes there: another program wrote to it, make the object anew"
            ),
            Self::Lost(_) => f.write_str("the lock was given up to wait, and could not be taken again"),
        }
    }
}

impl Error for Unwaited {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Lost(failure) => Some(failure),
            _ => None,
        }
    }
}

/// Why nobody was notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotifyError {
    /// The caller does not hold the lock.
    NotOwner,
    /// The condition variable belongs to another lock.
    OtherLock,
    /// The lock lies in another segment than the condition variable, or was found through another participant.
    OtherSegment,
}

impl fmt::Display for NotifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOwner => "the caller does not hold the lock: take it first",
            Self::OtherLock => {
                "the condition belongs to another lock, which it was made with or first waited for with: use that one"
            }
            Self::OtherSegment => {
                "the lock lies in another segment than the condition variable, or both were found through different participants: make them in one segment, and find them through the same `Segment`"
            }
        })
    }
}

impl Error for NotifyError {}

/// How waiting for a condition ended, if not well.
///
/// Whenever there is a guard `G`, the lock **is held**; but for [`NotOwner`](Self::NotOwner), which gives back what was not.
///
/// In the first three cases the [`Wakeup`] says why the thread woke, as if there were nothing to complain of: who goes on
/// with the data nevertheless has got a notification, or has not.
#[non_exhaustive]
pub enum WaitError<G = ()> {
    /// An owner of the lock died meanwhile, and this thread is its heir: the data may be half-written. As with
    /// [`LockError::OwnerDied`](crate::LockError::OwnerDied), repair it and call `make_consistent` on the guard.
    OwnerDied(G, Wakeup),
    /// An owner of the lock died, and somebody took the lock after it and gave up on the data; or this thread waited with
    /// data that it had not repaired.
    NotRecoverable(G, Wakeup),
    /// A thread panicked while it held the lock, now or earlier.
    Poisoned(G, Wakeup),
    /// The thread did not wait, or not any longer: what it gave is not a lock that it holds.
    NotOwner(G),
    /// The thread did not wait: the condition variable belongs to another lock.
    OtherLock(G),
    /// The thread did not wait: the lock lies in another segment than the condition variable, or was found through another
    /// participant.
    OtherSegment(G),
    /// The thread did not wait: it has taken the [`ReentrantMutex`](crate::ReentrantMutex) more than once, and other guards
    /// may have lent the data. (An [`RLock`](crate::RLock), which has none, is given up however often it was acquired.)
    NotAlone(G),
    /// The thread did not wait: as many do already as the condition variable has seats for.
    TooManyWaiters(G),
    /// The thread has waited, and nobody knows why it woke: somebody has written to its place in the condition variable
    /// who must not. What is wrong with the data is told by the next lock; the heir of a dead owner is told of that
    /// instead ([`OwnerDied`](Self::OwnerDied)).
    Corrupt(G),
    /// The caller's [`Patience`](crate::Patience) was told to stop before the condition held. A notification that this
    /// thread had got went on to the next one.
    Interrupted(G),
    /// The peer died for as long as whose life the caller's [`Patience`](crate::Patience) was to last, and the
    /// condition does not hold.
    PeerDied(G, PeerId),
    /// The lock was given up, and could not be taken again.
    Lost(LockFailure),
}

impl<G> WaitError<G> {
    /// Returns the guard, whatever is wrong.
    ///
    /// # Errors
    ///
    /// The failure, if the lock could not be taken again.
    pub fn into_guard(self) -> Result<G, LockFailure> {
        match self {
            Self::OwnerDied(guard, _)
            | Self::NotRecoverable(guard, _)
            | Self::Poisoned(guard, _)
            | Self::NotOwner(guard)
            | Self::OtherLock(guard)
            | Self::OtherSegment(guard)
            | Self::NotAlone(guard)
            | Self::TooManyWaiters(guard)
            | Self::Corrupt(guard)
            | Self::Interrupted(guard)
            | Self::PeerDied(guard, _) => Ok(guard),
            Self::Lost(failure) => Err(failure),
        }
    }

    /// Returns the error without the guard: the lock is released, if it is held. See
    /// [`LockError::detach`](crate::LockError::detach).
    pub fn detach(self) -> WaitError {
        match self {
            Self::OwnerDied(_, wakeup) => WaitError::OwnerDied((), wakeup),
            Self::NotRecoverable(_, wakeup) => WaitError::NotRecoverable((), wakeup),
            Self::Poisoned(_, wakeup) => WaitError::Poisoned((), wakeup),
            Self::NotOwner(_) => WaitError::NotOwner(()),
            Self::OtherLock(_) => WaitError::OtherLock(()),
            Self::OtherSegment(_) => WaitError::OtherSegment(()),
            Self::NotAlone(_) => WaitError::NotAlone(()),
            Self::TooManyWaiters(_) => WaitError::TooManyWaiters(()),
            Self::Corrupt(_) => WaitError::Corrupt(()),
            Self::Interrupted(_) => WaitError::Interrupted(()),
            Self::PeerDied(_, peer) => WaitError::PeerDied((), peer),
            Self::Lost(failure) => WaitError::Lost(failure),
        }
    }

    /// The data of a lock that was taken again is not as it should be.
    #[cfg(not(loom))]
    pub(crate) fn complain(complaint: Outcome, guard: G, wakeup: Wakeup) -> Self {
        match complaint {
            Outcome::Clean => Self::Poisoned(guard, wakeup),
            Outcome::OwnerDied => Self::OwnerDied(guard, wakeup),
            Outcome::NotRecoverable => Self::NotRecoverable(guard, wakeup),
        }
    }

    #[cfg(not(loom))]
    pub(crate) fn new(why: Unwaited, guard: G) -> Self
    where
        G: crate::Waitable,
    {
        match why {
            Unwaited::NotOwner => Self::NotOwner(guard),
            Unwaited::OtherLock => Self::OtherLock(guard),
            Unwaited::TooManyWaiters => Self::TooManyWaiters(guard),
            Unwaited::Corrupt { .. } => Self::Corrupt(guard),
            Unwaited::Lost(failure) => {
                guard.lost();
                Self::Lost(failure)
            }
        }
    }

    /// The name of the case.
    fn name(&self) -> &'static str {
        match self {
            Self::OwnerDied(..) => "OwnerDied",
            Self::NotRecoverable(..) => "NotRecoverable",
            Self::Poisoned(..) => "Poisoned",
            Self::NotOwner(_) => "NotOwner",
            Self::OtherLock(_) => "OtherLock",
            Self::OtherSegment(_) => "OtherSegment",
            Self::NotAlone(_) => "NotAlone",
            Self::TooManyWaiters(_) => "TooManyWaiters",
            Self::Corrupt(_) => "Corrupt",
            Self::Interrupted(_) => "Interrupted",
            Self::PeerDied(..) => "PeerDied",
            Self::Lost(_) => "Lost",
        }
    }
}

impl<G> fmt::Debug for WaitError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(failure) => f.debug_tuple("Lost").field(failure).finish(),
            Self::OwnerDied(_, wakeup)
            | Self::NotRecoverable(_, wakeup)
            | Self::Poisoned(_, wakeup) => write!(f, "{}(.., {wakeup:?})", self.name()),
            Self::PeerDied(_, peer) => write!(f, "PeerDied(.., {peer:?})"),
            other => write!(f, "{}(..)", other.name()),
        }
    }
}

impl<G> fmt::Display for WaitError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnerDied(..) => crate::LockError::OwnerDied(()).fmt(f),
            Self::NotRecoverable(..) => crate::LockError::NotRecoverable(()).fmt(f),
            Self::Poisoned(..) => crate::LockError::Poisoned(()).fmt(f),
            Self::NotOwner(_) => Unwaited::NotOwner.fmt(f),
            Self::OtherLock(_) => Unwaited::OtherLock.fmt(f),
            Self::OtherSegment(_) => NotifyError::OtherSegment.fmt(f),
            Self::NotAlone(_) => f.write_str(
                "this thread has taken the lock more than once, so that its data may be lent: wait with the only guard, or use an `RLock` beside the data",
            ),
            Self::TooManyWaiters(_) => Unwaited::TooManyWaiters.fmt(f),
            Self::Corrupt(_) => f.write_str(
                "the place of a waiting thread was overwritten by another program: make the object anew",
            ),
            Self::Interrupted(_) => LockFailure::Interrupted.fmt(f),
            Self::PeerDied(_, peer) => LockFailure::PeerDied(*peer).fmt(f),
            Self::Lost(failure) => Unwaited::Lost(*failure).fmt(f),
        }
    }
}

impl<G: Guard> From<WaitError<G>> for Box<dyn Error> {
    fn from(error: WaitError<G>) -> Self {
        Box::new(error.detach())
    }
}

impl<G: Guard> From<WaitError<G>> for Box<dyn Error + Send + Sync> {
    fn from(error: WaitError<G>) -> Self {
        Box::new(error.detach())
    }
}

impl Error for WaitError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Lost(failure) => Some(failure),
            _ => None,
        }
    }
}
