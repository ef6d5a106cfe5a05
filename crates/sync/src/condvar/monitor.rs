//! What a condition variable does with a lock, of whichever kind.

use shmkit_roster::OwnerId;

use crate::outcome::Taken;
use crate::{NotOwner, Outcome, RawLock, RawMutex, RawReentrantMutex, ThreadToken};

/// The lock of a condition variable.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Monitor<'m> {
    /// One that a process holds.
    Mutex(&'m RawMutex),
    /// One that a thread holds, however often: it is given up altogether, and then held as often again.
    Reentrant(&'m RawReentrantMutex),
    /// One that a process holds, and that others may release: who waits or notifies meanwhile is not excluded any more.
    Lock(&'m RawLock),
}

impl<'m> From<&'m RawMutex> for Monitor<'m> {
    fn from(mutex: &'m RawMutex) -> Self {
        Self::Mutex(mutex)
    }
}

impl<'m> From<&'m RawReentrantMutex> for Monitor<'m> {
    fn from(mutex: &'m RawReentrantMutex) -> Self {
        Self::Reentrant(mutex)
    }
}

impl<'m> From<&'m RawLock> for Monitor<'m> {
    fn from(lock: &'m RawLock) -> Self {
        Self::Lock(lock)
    }
}

impl<'m> Monitor<'m> {
    /// Returns the mutex that excludes.
    pub(crate) fn mutex(self) -> &'m RawMutex {
        match self {
            Self::Mutex(mutex) => mutex,
            Self::Reentrant(mutex) => mutex.mutex(),
            Self::Lock(lock) => lock.mutex(),
        }
    }

    /// Returns whether the caller holds it, as far as it has an owner of that kind: this process, or this thread.
    pub(crate) fn is_held(self, me: OwnerId) -> bool {
        match self {
            Self::Mutex(_) | Self::Lock(_) => self.mutex().owner() == Some(me),
            Self::Reentrant(mutex) => mutex.is_mine(me, ThreadToken::current()),
        }
    }

    /// Returns how often the caller, who holds it, has taken it.
    pub(crate) fn levels(self) -> u32 {
        match self {
            Self::Mutex(_) | Self::Lock(_) => 1,
            Self::Reentrant(mutex) => mutex.levels(),
        }
    }

    /// Releases it, however often the caller has taken it.
    pub(crate) fn let_go(self, me: OwnerId) -> Result<(), NotOwner> {
        match self {
            Self::Mutex(mutex) => mutex.release(me),
            Self::Reentrant(mutex) => mutex.end(me),
            // Not another's: somebody may have released ours meanwhile, and a third have acquired it.
            Self::Lock(lock) => lock.give_up(Some(me)).map_err(|_| NotOwner),
        }
    }

    /// Returns how it was found by who has taken it again.
    pub(crate) fn outcome(self, taken: Taken) -> Outcome {
        match self {
            Self::Mutex(_) | Self::Reentrant(_) => taken.outcome(),
            // Its state is not looked at: told once, to who takes it from the dead.
            Self::Lock(_) if taken.dead.is_some() => Outcome::OwnerDied,
            Self::Lock(_) => Outcome::Clean,
        }
    }

    /// Makes it the caller's again, who has taken the mutex, as often as before.
    pub(crate) fn retake(self, me: OwnerId, levels: u32) {
        if let Self::Reentrant(mutex) = self {
            mutex.begin(me, ThreadToken::current(), levels);
        }
    }
}
