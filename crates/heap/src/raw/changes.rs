//! The changes of a structure, counted for those who look at it without its lock.

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::crash::step;
use shmkit_atomic::{AtomicU64, fence};
#[cfg(not(loom))]
use shmkit_layout::Shared;

/// How many changes a structure has seen, each of which may have freed a block of it. Whoever copies from its blocks without
/// its lock knows by that whether what it copied was still the structure's: a sequence lock, whose reader never waits.
///
/// A copy is whole if [`seen`](Self::seen) said a number before the first word that led to it was read, and that
/// [`is_still`](Self::is_still) true after its last byte. Each word that leads to a block is stored with Release, and read with
/// Acquire; whoever fills a block calls [`before_filling`](Self::before_filling). Who is told that there is a change takes
/// the lock.
///
/// Odd within a change, all zero bytes are a fresh one. *If a peer dies* in a change, it is odd until the heir of the lock has
/// called [`end`](Self::end).
#[derive(Debug)]
#[repr(transparent)]
pub struct Changes(AtomicU64);

// SAFETY: an atomic number.
#[cfg(not(loom))]
unsafe impl Shared for Changes {}

impl Changes {
    /// Makes one of a structure that was not changed yet.
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// A change begins. Under the structure's lock, before the first store that others see.
    #[inline]
    pub fn begin(&self) {
        // Relaxed, both: the stores that lead others to what is changed are Release, and so is a free.
        let count = self.0.load(Relaxed);
        step();
        self.0.store(count | 1, Relaxed);
    }

    /// A change has ended, or what a dead one has begun was undone or finished. Under the structure's lock.
    #[inline]
    pub fn end(&self) {
        let count = self.0.load(Relaxed);
        step();
        // Release: pairs with the Acquire in `seen`: who begins after a change does not come by a word of before it, to a
        // block that was freed in it.
        self.0.store((count | 1).wrapping_add(1), Release);
    }

    /// Returns how many changes there were, or `None` in the middle of one.
    #[inline]
    pub fn seen(&self) -> Option<u64> {
        let count = self.0.load(Acquire); // Acquire: pairs with the Release in `end`.
        count.is_multiple_of(2).then_some(count)
    }

    /// Returns whether no change has begun since that number was seen.
    #[inline]
    pub fn is_still(&self, seen: u64) -> bool {
        // Acquire: pairs with the Release fence in `before_filling`. Who has copied a byte of somebody's who was given a block of
        // ours sees here that it was freed.
        fence(Acquire);
        self.0.load(Relaxed) == seen
    }

    /// Between reserving a block and writing to it.
    #[inline]
    pub fn before_filling() {
        fence(Release); // Release: pairs with the Acquire fence in `is_still`.
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self::new()
    }
}
