//! The words of a value, and which of its two slots is the value.

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::crash::{in_program_order, step};
use shmkit_atomic::{AtomicU64, fence};
#[cfg(not(loom))]
use shmkit_layout::Shared;
use shmkit_sync::RawMutex;

/// The words of a value; its two slots follow.
///
/// ```text
///  0 mutex  16 commits  24 … padding to T's alignment … slot 0 | slot 1
/// ```
#[repr(C)]
pub(crate) struct RawValue {
    pub(crate) mutex: RawMutex,
    /// How often the value was written. Bit 0 is the slot that is the value; the other one is spare: the
    /// holder of the lock writes there, then adds one by one store. Stored by the holder only.
    commits: AtomicU64,
}

// SAFETY: `repr(C)`, a `Shared` mutex and an atomic; any bit pattern of `commits` means a slot.
#[cfg(not(loom))]
unsafe impl Shared for RawValue {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawValue>() == 24, "part of the segment format");

impl RawValue {
    #[cfg(test)]
    pub(crate) fn new() -> Self {
        Self { mutex: RawMutex::new(), commits: AtomicU64::new(0) }
    }

    /// Returns how often the value was written. Acquire: the slot is whole that was the value then.
    #[inline]
    pub(crate) fn commits(&self) -> u64 {
        // Acquire: pairs with the Release in `commit`.
        self.commits.load(Acquire)
    }

    /// The slot that is the value, under the lock.
    #[inline]
    pub(crate) fn current(&self) -> usize {
        slot(self.commits.load(Relaxed))
    }

    /// The other slot, under the lock: it holds a value of some time before, or half of one, or what was written there
    /// since the last commit.
    #[inline]
    pub(crate) fn spare(&self) -> usize {
        slot(self.commits.load(Relaxed).wrapping_add(1))
    }

    /// The spare slot to write to, under the lock.
    #[inline]
    pub(crate) fn begin(&self) -> usize {
        let spare = self.spare();
        // Release: who peeked at this slot, and sees what is written from here on, sees that it is the value no more:
        // pairs with the Acquire fence in `peek`. It keeps a write behind the commit before it, too.
        fence(Release);
        in_program_order();
        spare
    }

    /// Makes the spare slot the value, under the lock.
    #[inline]
    pub(crate) fn commit(&self) {
        let commits = self.commits.load(Relaxed).wrapping_add(1);
        step();
        // Release: the slot is whole before it becomes the value. It pairs with the Acquire in `peek`, and with the
        // kernel's word that this process is dead (`ask`); the lock keeps the others apart.
        self.commits.store(commits, Release);
        // The slot that was the value is spare only from here on: a second write under this lock stays behind it.
        in_program_order();
    }

    /// Copies the value out of its slot without the lock, word by word, each atomically, and says how many commits made
    /// it; `None` if it was written twice meanwhile.
    #[inline]
    pub(crate) fn peek<T>(&self, copy: impl FnOnce(usize) -> T) -> Option<(u64, T)> {
        let before = self.commits();
        let copy = copy(slot(before));
        // Acquire: pairs with the Release fence in `begin`. If the copy has anything of a later write to this slot, the
        // commit before that write is seen here.
        fence(Acquire);
        (self.commits.load(Relaxed) == before).then_some((before, copy))
    }
}

/// The slot that is the value after so many commits.
#[inline]
fn slot(commits: u64) -> usize {
    (commits & 1) as usize
}

#[cfg(all(test, loom))]
mod model;
