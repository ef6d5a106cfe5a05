//! What was found by who took a mutex.

use shmkit_roster::OwnerId;

#[cfg(not(loom))]
use crate::LockError;

/// Of the state: an owner died; nobody has answered for the data yet.
pub(crate) const INCONSISTENT: u32 = 1;
/// Of the state: the heir of a dead owner released the lock without answering for the data, too.
pub(crate) const UNRECOVERABLE: u32 = 2;
/// Of the state: a thread panicked while it held the lock.
pub(crate) const POISONED: u32 = 4;

/// In which condition a state says the data are, in a word.
pub(crate) fn condition(state: u32) -> &'static str {
    match state & !POISONED {
        0 => "clean",
        INCONSISTENT => "inconsistent",
        _ => "unrecoverable",
    }
}

/// In which condition the data was found. In all three cases the caller holds the lock.
///
/// Closed: these are all that the state of a robust lock can say, in POSIX as here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As the last holder left it.
    Clean,
    /// An owner died in the middle. Repair, then [`RawMutex::make_consistent`](crate::RawMutex::make_consistent).
    OwnerDied,
    /// An owner died in the middle, and its heir did not repair what it left.
    NotRecoverable,
}

/// How a lock was acquired that guards no data of its own. In both cases the caller holds it.
///
/// Closed: somebody died, or nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// Nobody died while it held the lock.
    Clean,
    /// This process died while it held the lock: what the program guards by it may be half-changed. The roster knows who
    /// it was.
    OwnerDied(OwnerId),
}

impl Acquired {
    /// Returns who died while it held the lock.
    pub fn dead_owner(self) -> Option<OwnerId> {
        match self {
            Self::Clean => None,
            Self::OwnerDied(owner) => Some(owner),
        }
    }
}

impl From<Option<OwnerId>> for Acquired {
    fn from(dead: Option<OwnerId>) -> Self {
        dead.map_or(Self::Clean, Self::OwnerDied)
    }
}

/// A lock that was taken.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(loom, expect(unreachable_pub, reason = "for guards, which are not modelled"))]
pub struct Taken {
    state: u32,
    /// The dead owner that it was taken from.
    pub(crate) dead: Option<OwnerId>,
}

impl Taken {
    /// A lock whose word was free and clean.
    pub(crate) const PLAIN: Self = Self { state: 0, dead: None };

    #[inline]
    pub(crate) fn new(state: u32, dead: Option<OwnerId>) -> Self {
        Self { state, dead }
    }

    /// Returns whether nothing has happened: nobody died, nobody panicked.
    #[inline]
    #[cfg_attr(loom, expect(dead_code, reason = "for the guard, which is not modelled"))]
    pub(crate) fn is_plain(self) -> bool {
        self.state == 0
    }

    /// Says in which condition the data was found, to who gets the guard.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) fn tell<G>(self, guard: G) -> Result<G, LockError<G>> {
        if self.is_plain() { Ok(guard) } else { Err(self.complain(guard)) }
    }

    #[cfg(not(loom))]
    #[cold]
    fn complain<G>(self, guard: G) -> LockError<G> {
        match self.outcome() {
            Outcome::Clean => LockError::Poisoned(guard),
            Outcome::OwnerDied => LockError::OwnerDied(guard),
            Outcome::NotRecoverable => LockError::NotRecoverable(guard),
        }
    }

    #[inline]
    pub(crate) fn outcome(self) -> Outcome {
        match self.state & !POISONED {
            0 => Outcome::Clean,
            INCONSISTENT => Outcome::OwnerDied,
            // A value that nobody writes counts as the worst.
            _ => Outcome::NotRecoverable,
        }
    }
}
