//! Where an array lies: its words, its journal's slot, its elements.

use core::ops::{Bound, RangeBounds};
use core::ptr::NonNull;

use shmkit_layout::ShmSafe;
use shmkit_roster::Judge;

use crate::error::{ArrayError, OutOfRange};
use crate::held::Held;
use crate::raw::array::RawArray;

/// Where an array lies; what is done to the elements by who holds the lock.
pub(super) struct Place<'a, T> {
    pub(super) raw: &'a RawArray,
    /// The slot before the elements.
    pub(super) journal: NonNull<T>,
    /// How many elements there are; they lie inside the region.
    pub(super) len: usize,
}

impl<T> Clone for Place<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Place<'_, T> {}

// SAFETY: the elements are read and written under the lock only, and are plain values (`ShmSafe: Send + Sync`).
unsafe impl<T: ShmSafe> Send for Place<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ShmSafe> Sync for Place<'_, T> {}

impl<T> Place<'_, T> {
    pub(super) fn in_range(self, index: usize) -> Result<(), OutOfRange> {
        if index < self.len { Ok(()) } else { Err(OutOfRange { index, len: self.len }) }
    }

    /// Returns first element and number of elements of a range.
    pub(super) fn resolve(
        self,
        range: impl RangeBounds<usize>,
    ) -> Result<(usize, usize), ArrayError> {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.len,
        };
        if start > end || end > self.len {
            return Err(ArrayError::NoSuchRange { start, end, len: self.len });
        }
        Ok((start, end - start))
    }
}

impl<T: ShmSafe> Place<'_, T> {
    /// To be called by whoever has just taken the lock: carries out what a dead owner had decided, and returns the mark.
    ///
    /// # Safety
    ///
    /// The caller holds the lock.
    pub(super) unsafe fn enter(self) -> u32 {
        // SAFETY: the caller's promise, and `enter`'s that there is such an element.
        self.raw.enter(self.len, |index| unsafe { self.carry_out(index) })
    }

    /// Copies the journal's value to an element.
    ///
    /// # Safety
    ///
    /// The caller holds the lock, and there is such an element.
    unsafe fn carry_out(self, index: usize) {
        // SAFETY: one slot and `len` elements lie inside the region (`Array::place`), and `index < len` (caller).
        let element = unsafe { self.journal.add(1 + index) };
        // SAFETY: both mapped and aligned, and nobody else uses them: the lock is held (caller). Any bytes are a `T` (`Pod`).
        unsafe { self.journal.copy_to_nonoverlapping(element, 1) };
    }

    /// Returns the address of the first element.
    pub(super) fn first(self) -> NonNull<T> {
        // SAFETY: one slot and `len` elements lie inside the region (`Array::place`).
        unsafe { self.journal.add(1) }
    }

    /// Copies one element out, under the lock.
    pub(super) fn read<K: Judge>(self, held: &Held<'_, K>, index: usize) -> T {
        self.elements(held)[index]
    }

    /// Writes one element, under the lock.
    pub(super) fn write<K: Judge>(self, held: &Held<'_, K>, index: usize, value: T) {
        *self.draft(held) = value;
        self.commit(held, index);
    }

    /// The journal's slot, under the lock: what [`commit`](Self::commit) makes of an element is written here.
    #[expect(
        clippy::mut_from_ref,
        reason = "the lock is the right to it; private, and borrowed at once"
    )]
    pub(super) fn draft<'h, K: Judge>(self, _held: &'h Held<'_, K>) -> &'h mut T {
        let mut journal = self.journal;
        // SAFETY: mapped and aligned (`Array::place`); the lock is held for as long as the reference, the callers hold no
        // other one, and any bytes are a `T` (`Pod`).
        unsafe { journal.as_mut() }
    }

    /// Makes the draft an element, under the lock.
    pub(super) fn commit<K: Judge>(self, _held: &Held<'_, K>, index: usize) {
        assert!(index < self.len, "checked by the callers, before they took the lock");
        // SAFETY: the lock is held, and `index` is in range.
        self.raw.commit(index, |index| unsafe { self.carry_out(index) });
    }

    pub(super) fn elements<'h, K: Judge>(self, _held: &'h Held<'_, K>) -> &'h [T] {
        let (first, len) = (self.first().as_ptr(), self.len);
        // SAFETY: mapped and aligned (`Array::place`); the lock is held for as long as the slice, so that nobody writes;
        // any bytes are `T`s (`Pod`).
        unsafe { core::slice::from_raw_parts(first, len) }
    }

    #[expect(
        clippy::mut_from_ref,
        reason = "the lock is the right to it; private, and borrowed at once"
    )]
    pub(super) fn elements_mut<'h, K: Judge>(self, _held: &'h Held<'_, K>) -> &'h mut [T] {
        let (first, len) = (self.first().as_ptr(), self.len);
        // SAFETY: as in `elements`; the callers hold no other slice of them, and nobody else reads or writes.
        unsafe { core::slice::from_raw_parts_mut(first, len) }
    }
}
