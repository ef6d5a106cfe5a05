//! Where the two slots lie of which one is the value, and what is done to them.

use core::ptr::NonNull;
use core::slice;

use shmkit_layout::{Kind, Offset, OffsetError, Region, Shape, ShmSafe, TypeTag, align_up};
use shmkit_roster::Judge;
use shmkit_sync::RawMutex;

use crate::LINE;
use crate::held::Held;
use crate::raw::value::RawValue;

/// Where the slots begin that follow words `W`, in bytes from the first of them.
pub(crate) const fn slots_at<W, T>() -> u64 {
    match align_up(size_of::<W>() as u64, align_of::<T>() as u64) {
        Some(at) => at,
        None => panic!("an alignment near 2^64"),
    }
}

/// What words `W` and the two slots behind them take.
pub(crate) fn shape_of<W, T: ShmSafe>(kind: Kind, tag: TypeTag) -> Shape {
    Shape {
        kind,
        tag,
        len: 1,
        bytes: slots_at::<W, T>() + 2 * size_of::<T>() as u64,
        align: LINE.max(align_of::<T>() as u64),
        names: RawMutex::NAMES.alone(),
    }
}

/// Where a value's two slots lie; what is done to them by who holds the lock.
pub(crate) struct Halves<'a, T> {
    pub(crate) raw: &'a RawValue,
    /// The first of two slots, which lie inside the region.
    slots: NonNull<T>,
}

impl<T> Clone for Halves<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Halves<'_, T> {}

// SAFETY: the slots are written under the lock only, and hold plain values (`ShmSafe: Send + Sync`).
unsafe impl<T: ShmSafe> Send for Halves<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ShmSafe> Sync for Halves<'_, T> {}

impl<'a, T: ShmSafe> Halves<'a, T> {
    /// The slots of `raw`, which begin at byte `at` of the region.
    pub(crate) fn new(region: Region<'a>, raw: &'a RawValue, at: u64) -> Result<Self, OffsetError> {
        Ok(Self { raw, slots: region.place(Offset::new(at)?, 2)? })
    }

    /// The first value's slot in bytes that are zero and that nobody else uses.
    pub(crate) fn first(&mut self) -> NonNull<T> {
        self.slots
    }

    /// The value, under the lock.
    #[inline]
    pub(crate) fn current<'h, K: Judge>(self, _held: &'h Held<'_, K>) -> &'h T {
        let slot = self.slot(self.raw.current());
        // SAFETY: mapped and aligned (`new`); the lock is held for as long as the reference, so that nobody
        // writes to this slot; any bytes are a `T` (`Pod`).
        unsafe { slot.as_ref() }
    }

    /// The spare slot, under the lock: it holds a value of some time before, or half of one.
    #[inline]
    pub(crate) fn spare<'h, K: Judge>(self, held: &'h Held<'_, K>) -> &'h mut T {
        self.filling(self.raw.begin(), held)
    }

    /// The same, of who has begun to write to it already.
    #[inline]
    #[expect(
        clippy::mut_from_ref,
        reason = "the lock is the right to it; private, and borrowed at once"
    )]
    pub(crate) fn filling<'h, K: Judge>(self, spare: usize, _held: &'h Held<'_, K>) -> &'h mut T {
        // SAFETY: mapped and aligned (`new`); the lock is held for as long as the reference, and the callers hold
        // no other one of it; any bytes are a `T` (`Pod`). Who peeks at it throws away what it reads.
        unsafe { self.slot(spare).as_mut() }
    }

    /// What was written to the spare slot since the last commit, under the lock.
    #[inline]
    pub(crate) fn written<'h, K: Judge>(self, _held: &'h Held<'_, K>) -> &'h T {
        let slot = self.slot(self.raw.spare());
        // SAFETY: as for the value; the guard that shows this writes to it by mutable use of itself only.
        unsafe { slot.as_ref() }
    }

    /// The spare slot, with a copy of the value.
    #[inline]
    pub(crate) fn copied<'h, K: Judge>(self, held: &'h Held<'_, K>) -> &'h mut T {
        self.copied_to(self.raw.begin(), held)
    }

    /// The same, of who has begun to write to it already.
    #[inline]
    pub(crate) fn copied_to<'h, K: Judge>(self, spare: usize, held: &'h Held<'_, K>) -> &'h mut T {
        let spare = self.filling(spare, held);
        // Not by assignment, which goes through the stack in a build that is not optimised.
        slice::from_mut(spare).copy_from_slice(slice::from_ref(self.current(held)));
        spare
    }

    /// Makes the spare slot the value, under the lock.
    #[inline]
    pub(crate) fn commit<K: Judge>(self, _held: &Held<'_, K>) {
        self.raw.commit();
    }

    /// Copies the value out without the lock, if nobody writes it twice meanwhile, and says how many commits made it.
    #[inline]
    pub(crate) fn peek(self) -> Option<(u64, T)> {
        let (commits, copy) = self.raw.peek(|slot| self.copy(slot))?;
        Some((commits, copy?))
    }

    /// Copies a slot, for who looks afterwards whether it was written meanwhile.
    #[inline]
    pub(crate) fn copy(self, slot: usize) -> Option<T> {
        // SAFETY: mapped and aligned (`new`). It is the value: whoever writes now writes to the other slot.
        // Whoever commits and then writes here is found out; the words are read atomically, each whole.
        let slot = unsafe { Region::from_raw_parts(self.slot(slot).cast(), size_of::<T>()) };
        slot.read(Offset::ZERO).ok()
    }

    /// Where slot 0 or 1 is.
    #[inline]
    fn slot(self, slot: usize) -> NonNull<T> {
        // SAFETY: there are two slots (`new`), and the index is 0 or 1 (`RawValue`).
        unsafe { self.slots.add(slot) }
    }
}
