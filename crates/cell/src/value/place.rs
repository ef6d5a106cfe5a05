//! Where a value lies: its words and its two slots.

use core::ptr::NonNull;
use core::slice;

use shmkit_layout::{Offset, Region, ShmSafe, align_up};
use shmkit_roster::Judge;

use crate::held::Held;
use crate::raw::value::RawValue;

/// Where the slots begin, in bytes from the first byte of the value.
pub(super) const fn slots_at<T>() -> u64 {
    match align_up(size_of::<RawValue>() as u64, align_of::<T>() as u64) {
        Some(at) => at,
        None => panic!("an alignment near 2^64"),
    }
}

/// Where a value lies; what is done to it by who holds the lock.
pub(super) struct Place<'a, T> {
    pub(super) raw: &'a RawValue,
    /// The first of two slots, which lie inside the region.
    pub(super) slots: NonNull<T>,
}

impl<T> Clone for Place<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Place<'_, T> {}

// SAFETY: the slots are written under the lock only, and hold plain values (`ShmSafe: Send + Sync`).
unsafe impl<T: ShmSafe> Send for Place<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ShmSafe> Sync for Place<'_, T> {}

impl<T: ShmSafe> Place<'_, T> {
    /// The value, under the lock.
    #[inline]
    pub(super) fn current<'h, K: Judge>(self, _held: &'h Held<'_, K>) -> &'h T {
        let slot = self.slot(self.raw.current());
        // SAFETY: mapped and aligned (`Value::place`); the lock is held for as long as the reference, so that nobody
        // writes to this slot; any bytes are a `T` (`Pod`).
        unsafe { slot.as_ref() }
    }

    /// The spare slot, under the lock: it holds a value of some time before, or half of one.
    #[inline]
    #[expect(
        clippy::mut_from_ref,
        reason = "the lock is the right to it; private, and borrowed at once"
    )]
    pub(super) fn spare<'h, K: Judge>(self, _held: &'h Held<'_, K>) -> &'h mut T {
        let spare = self.raw.begin();
        // SAFETY: mapped and aligned (`Value::place`); the lock is held for as long as the reference, and the callers hold
        // no other one of it; any bytes are a `T` (`Pod`). Who peeks at it throws away what it reads.
        unsafe { self.slot(spare).as_mut() }
    }

    /// What was written to the spare slot since the last commit, under the lock.
    #[inline]
    pub(super) fn written<'h, K: Judge>(self, _held: &'h Held<'_, K>) -> &'h T {
        let slot = self.slot(self.raw.spare());
        // SAFETY: as for the value; the guard that shows this writes to it by mutable use of itself only.
        unsafe { slot.as_ref() }
    }

    /// The spare slot, with a copy of the value.
    #[inline]
    pub(super) fn copied<'h, K: Judge>(self, held: &'h Held<'_, K>) -> &'h mut T {
        let spare = self.spare(held);
        // Not by assignment, which goes through the stack in a build that is not optimised.
        slice::from_mut(spare).copy_from_slice(slice::from_ref(self.current(held)));
        spare
    }

    /// Makes the spare slot the value, under the lock.
    #[inline]
    pub(super) fn commit<K: Judge>(self, _held: &Held<'_, K>) {
        self.raw.commit();
    }

    /// Copies the value out without the lock, if nobody writes it twice meanwhile.
    #[inline]
    pub(super) fn peek(self) -> Option<T> {
        let copy = |slot| {
            // SAFETY: mapped and aligned (`Value::place`). It is the value: whoever writes now writes to the other slot.
            // Whoever commits and then writes here is found out; the words are read atomically, each whole.
            let slot = unsafe { Region::from_raw_parts(self.slot(slot).cast(), size_of::<T>()) };
            slot.read(Offset::ZERO).ok()
        };
        self.raw.peek(copy).flatten()
    }

    /// Where slot 0 or 1 is.
    #[inline]
    fn slot(self, slot: usize) -> NonNull<T> {
        // SAFETY: there are two slots (`Value::place`), and the index is 0 or 1 (`RawValue`).
        unsafe { self.slots.add(slot) }
    }
}
