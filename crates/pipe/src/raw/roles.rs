//! Who holds the two sides of a ring.

use shmkit_atomic::Ordering::{self, Acquire};
use shmkit_atomic::{AtomicU64, const_unless_loom};
#[cfg(not(loom))]
use shmkit_layout::Shared;
use shmkit_roster::OwnerId;

/// In a role: the holder closed its end. The id above it says who that was.
pub(super) const CLOSED: u32 = 1 << 30;
/// In a role: the holder calls [`heavy`](shmkit_atomic::barrier::heavy) before it sleeps, so that whoever wakes it may do
/// without a fence.
pub(super) const HEAVY: u32 = 1 << 31;

/// A role that its holder has handed over: nobody has it, and whoever claims it next goes on with the session. No participant is
/// called so.
pub(super) const HANDED: u32 = OwnerId::NOBODY;

/// The sender's half.
pub(super) const SENDER: usize = 0;
/// The receiver's half.
pub(super) const RECEIVER: usize = 1;

/// The roles of both sides in one word, so that one look at it tells each side that nothing has changed.
///
/// ```text
/// 63    | 62     | 61 .. 32 | 31    | 30     | 29 .. 0
/// HEAVY | CLOSED | owner id | HEAVY | CLOSED | owner id
/// receiver                  | sender
/// ```
///
/// A half that is 0 was never held, and one that is [`HANDED`] is on its way to who claims it next. Each changes by compare-exchange of the whole.
#[repr(transparent)]
pub(super) struct Roles(AtomicU64);

// SAFETY: one atomic word.
#[cfg(not(loom))]
unsafe impl Shared for Roles {}

/// The roles at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair(u64);

impl Pair {
    /// Returns one side's role.
    pub(super) fn of(self, side: usize) -> u32 {
        (self.0 >> (32 * side)) as u32
    }

    /// Returns the pair with another role at one side.
    pub(super) fn with(self, side: usize, role: u32) -> Self {
        let shift = 32 * side;
        Self(self.0 & !(u64::from(u32::MAX) << shift) | u64::from(role) << shift)
    }
}

impl Roles {
    const_unless_loom! {
        /// Makes roles that nobody has.
        pub(super) fn new() -> Roles {
            Roles(AtomicU64::new(0))
        }
    }

    #[inline(always)]
    pub(super) fn load(&self, order: Ordering) -> Pair {
        Pair(self.0.load(order))
    }

    /// Changes the role of one side, whatever the other's does meanwhile; or returns what was found instead of `from`.
    pub(super) fn exchange(
        &self,
        side: usize,
        from: u32,
        to: u32,
        order: Ordering,
    ) -> Result<Pair, u32> {
        // Acquire, both: pair with the Release in `RawEnd::close`: what the one found published is visible.
        let mut found = self.load(Acquire);
        loop {
            if found.of(side) != from {
                return Err(found.of(side));
            }
            let wanted = found.with(side, to);
            match self.0.compare_exchange(found.0, wanted.0, order, Acquire) {
                Ok(_) => return Ok(wanted),
                Err(other) => found = Pair(other),
            }
        }
    }
}

/// Returns whether a role has no holder, and has not been closed.
pub(super) fn is_vacant(role: u32) -> bool {
    role == 0 || role == HANDED
}

/// Returns whom a role names as its living or dead holder: nobody if it was closed, or handed over.
pub(super) fn holder(role: u32) -> Option<OwnerId> {
    if role & CLOSED != 0 || role == HANDED { None } else { OwnerId::from_word(role) }
}
