//! Where a value lies: its words and its two slots.

use core::ptr::NonNull;
use core::slice;

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::{AtomicU32, fence};
use shmkit_layout::{Offset, Region, Shared, ShmSafe, align_up};
use shmkit_roster::Judge;
use shmkit_sync::RawMutex;

use crate::held::Held;
use crate::in_program_order;

/// The words of a value; its two slots follow.
///
/// ```text
///  0 mutex  16 commits  20 reserved  24 … padding to T's alignment … slot 0 | slot 1
/// ```
#[repr(C)]
pub(super) struct RawValue {
    pub(super) mutex: RawMutex,
    /// How often the value was written, modulo 2^32. Bit 0 is the slot that is the value; the other one is spare: the
    /// holder of the lock writes there, then adds one by one store. Stored by the holder only.
    commits: AtomicU32,
    reserved: AtomicU32,
}

// SAFETY: `repr(C)`, a `Shared` mutex and two atomics; any bit pattern of `commits` means a slot.
unsafe impl Shared for RawValue {}

const _: () = assert!(size_of::<RawValue>() == 24, "part of the segment format");

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
        let slot = self.slot(self.raw.commits.load(Relaxed));
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
        let spare = self.raw.commits.load(Relaxed).wrapping_add(1);
        // Release: who peeked at this slot, and sees what is written from here on, sees that it is the value no more:
        // pairs with the Acquire fence in `peek`. It keeps a write behind the commit before it, too.
        fence(Release);
        in_program_order();
        // SAFETY: mapped and aligned (`Value::place`); the lock is held for as long as the reference, and the callers hold
        // no other one of it; any bytes are a `T` (`Pod`). Who peeks at it throws away what it reads.
        unsafe { self.slot(spare).as_mut() }
    }

    /// What was written to the spare slot since the last commit, under the lock.
    #[inline]
    pub(super) fn written<'h, K: Judge>(self, _held: &'h Held<'_, K>) -> &'h T {
        let slot = self.slot(self.raw.commits.load(Relaxed).wrapping_add(1));
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
        let commits = self.raw.commits.load(Relaxed).wrapping_add(1);
        // Release: the slot is whole before it becomes the value. It pairs with the Acquire in `peek`, and with the
        // kernel's word that this process is dead (`ask`); the lock keeps the others apart.
        self.raw.commits.store(commits, Release);
        // The slot that was the value is spare only from here on: a second write under this lock stays behind it.
        in_program_order();
    }

    /// Copies the value out without the lock, if nobody writes it twice meanwhile.
    #[inline]
    pub(super) fn peek(self) -> Option<T> {
        // Acquire: pairs with the Release in `commit`, so that the slot is whole.
        let before = self.raw.commits.load(Acquire);
        // SAFETY: mapped and aligned (`Value::place`). It is the value: whoever writes now writes to the other slot. Whoever
        // commits and then writes here is found out below; the words are read atomically, each whole.
        let slot = unsafe { Region::from_raw_parts(self.slot(before).cast(), size_of::<T>()) };
        let copy = slot.read(Offset::ZERO).ok()?;
        // Acquire: pairs with the Release fence in `spare`. If the copy has anything of a later write to this slot, the
        // commit before that write is seen here.
        fence(Acquire);
        (self.raw.commits.load(Relaxed) == before).then_some(copy)
    }

    /// The slot that is the value after so many commits.
    #[inline]
    fn slot(self, commits: u32) -> NonNull<T> {
        // SAFETY: there are two slots (`Value::place`), and the index is 0 or 1.
        unsafe { self.slots.add((commits & 1) as usize) }
    }
}
