//! What a condition variable does with a lock, of either kind.

use shmkit_roster::OwnerId;

use crate::{NotOwner, RawMutex, RawReentrantMutex, ThreadToken};

/// The lock of a condition variable.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(loom, expect(unreachable_pub, reason = "for guards, which are not modelled"))]
pub enum Monitor<'m> {
    Mutex(&'m RawMutex),
    Reentrant(&'m RawReentrantMutex),
}

impl<'m> Monitor<'m> {
    /// Returns the mutex that excludes.
    pub(crate) fn mutex(self) -> &'m RawMutex {
        match self {
            Self::Mutex(mutex) => mutex,
            Self::Reentrant(mutex) => mutex.mutex(),
        }
    }

    /// Returns whether the caller holds it, as far as it has an owner of that kind: this process, or this thread.
    pub(crate) fn is_held(self, me: OwnerId) -> bool {
        match self {
            Self::Mutex(mutex) => mutex.owner() == Some(me),
            Self::Reentrant(mutex) => mutex.is_mine(me, ThreadToken::current()),
        }
    }

    /// Returns how often the caller, who holds it, has taken it.
    pub(crate) fn levels(self) -> u32 {
        match self {
            Self::Mutex(_) => 1,
            Self::Reentrant(mutex) => mutex.levels(),
        }
    }

    /// Releases it, however often the caller has taken it.
    pub(crate) fn let_go(self, me: OwnerId) -> Result<(), NotOwner> {
        match self {
            Self::Mutex(mutex) => mutex.release(me),
            Self::Reentrant(mutex) => mutex.end(me),
        }
    }

    /// Makes it the caller's again, who has taken the mutex, as often as before.
    pub(crate) fn retake(self, me: OwnerId, levels: u32) {
        if let Self::Reentrant(mutex) = self {
            mutex.begin(me, ThreadToken::current(), levels);
        }
    }
}
