//! The atomics of this crate's machines, with a place for a crash before every step.
//!
//! Outside loom both types are the atomic itself. Under loom every operation that others can see (all but loads) is a
//! *step* of [`crash`](crate::crash): a model can end the participant before it, and can seed a fault into it.

use core::fmt;

#[cfg(not(loom))]
use shmkit_atomic::futex;
use shmkit_atomic::futex::{Op, Wake};
use shmkit_atomic::{AtomicU32, AtomicU64, Deadline, Ordering};
#[cfg(not(loom))]
use shmkit_layout::Shared;

#[cfg(loom)]
use crate::crash::{self, futex};

/// Steps are only counted in models.
#[cfg(not(loom))]
mod crash {
    #[inline(always)]
    pub(super) fn step() {}

    #[inline(always)]
    pub(super) fn seeded(_: u32, new: u32) -> u32 {
        new
    }

    #[inline(always)]
    pub(super) fn trusts() -> bool {
        false
    }

    #[inline(always)]
    pub(super) fn skips(_: u32, _: u32) -> bool {
        false
    }

    #[inline(always)]
    pub(super) fn forgets(_: u64) -> bool {
        false
    }
}

/// A `u32` in shared memory that can be slept on.
#[repr(transparent)]
pub(crate) struct Word(AtomicU32);

// SAFETY: one atomic number, for which every bit pattern is valid.
#[cfg(not(loom))]
unsafe impl Shared for Word {}

impl Word {
    #[cfg(not(loom))]
    pub(crate) const fn new(value: u32) -> Self {
        Self(AtomicU32::new(value))
    }

    #[cfg(loom)]
    pub(crate) fn new(value: u32) -> Self {
        Self(AtomicU32::new(value))
    }

    #[inline(always)]
    pub(crate) fn load(&self, order: Ordering) -> u32 {
        self.0.load(order)
    }

    /// Loads the word again, to see whether it is still `before`.
    #[inline(always)]
    pub(crate) fn reload(&self, before: u32, order: Ordering) -> u32 {
        if crash::trusts() { before } else { self.0.load(order) }
    }

    #[inline(always)]
    pub(crate) fn store(&self, value: u32, order: Ordering) {
        crash::step();
        self.0.store(value, order);
    }

    #[inline(always)]
    pub(crate) fn swap(&self, value: u32, order: Ordering) -> u32 {
        crash::step();
        self.0.swap(value, order)
    }

    #[inline(always)]
    pub(crate) fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        crash::step();
        if crash::skips(current, new) {
            return Ok(current);
        }
        self.0.compare_exchange(current, crash::seeded(current, new), success, failure)
    }

    #[inline(always)]
    pub(crate) fn fetch_or(&self, bits: u32, order: Ordering) -> u32 {
        crash::step();
        self.0.fetch_or(bits, order)
    }

    /// Adds, wrapping.
    #[inline(always)]
    pub(crate) fn fetch_add(&self, n: u32, order: Ordering) -> u32 {
        crash::step();
        self.0.fetch_add(n, order)
    }

    #[inline(always)]
    pub(crate) fn fetch_and(&self, bits: u32, order: Ordering) -> u32 {
        crash::step();
        self.0.fetch_and(bits, order)
    }

    /// [`futex::wait`](shmkit_atomic::futex::wait).
    pub(crate) fn wait(&self, expected: u32, deadline: Deadline) -> Wake {
        crash::step();
        futex::wait(&self.0, expected, deadline)
    }

    /// [`Waiter::new`](shmkit_atomic::futex::Waiter::new).
    #[cfg(not(loom))]
    pub(crate) fn waiter(&self, expected: u32) -> futex::Waiter {
        futex::Waiter::new(&self.0, expected)
    }

    /// [`futex::sleepers`](shmkit_atomic::futex::sleepers).
    pub(crate) fn sleepers(&self, expected: u32) -> Option<u32> {
        shmkit_atomic::futex::sleepers(&self.0, expected)
    }

    /// [`futex::wake`](shmkit_atomic::futex::wake).
    pub(crate) fn wake(&self, n: u32) -> u32 {
        crash::step();
        futex::wake(&self.0, n)
    }

    /// [`futex::wake_op`](shmkit_atomic::futex::wake_op).
    pub(crate) fn wake_op(&self, op: Op, n: u32) -> u32 {
        crash::step();
        futex::wake_op(&self.0, op, n)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0.load(Ordering::Relaxed))
    }
}

/// A `u64` in shared memory.
#[repr(transparent)]
pub(crate) struct Word64(AtomicU64);

// SAFETY: one atomic number, for which every bit pattern is valid.
#[cfg(not(loom))]
unsafe impl Shared for Word64 {}

impl Word64 {
    #[cfg(not(loom))]
    pub(crate) const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    #[cfg(loom)]
    pub(crate) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    #[inline(always)]
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    #[inline(always)]
    pub(crate) fn store(&self, value: u64, order: Ordering) {
        crash::step();
        if !crash::forgets(value) {
            self.0.store(value, order);
        }
    }

    #[inline(always)]
    pub(crate) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        crash::step();
        self.0.compare_exchange(current, new, success, failure)
    }

    #[inline(always)]
    pub(crate) fn fetch_or(&self, bits: u64, order: Ordering) -> u64 {
        crash::step();
        self.0.fetch_or(bits, order)
    }
}

impl fmt::Debug for Word64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0.load(Ordering::Relaxed))
    }
}
