//! Where the items of an ordered queue lie.

use core::ptr::NonNull;

use shmkit_layout::{Offset, OffsetError, Region, ShmSafe, align_up};

use super::{OrderedRing, OrderedSlot, RawOrdered};

/// Most items, and most bytes, that a queue may take.
pub(super) const MAX_CAPACITY: u64 = (1 << 24) - 1;
const MAX_BYTES: u64 = 1 << 46;

/// Where the parts of a queue lie, in bytes from its first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    slots_at: u64,
    items_at: u64,
    pub(super) bytes: u64,
    pub(super) align: u64,
}

const LINE_AT: u64 = size_of::<RawOrdered>() as u64;

impl Plan {
    /// Returns that of `capacity` items, if a queue may have so many.
    pub(super) fn of<T>(capacity: u64) -> Option<Self> {
        if capacity == 0 || capacity > MAX_CAPACITY {
            return None;
        }
        let align = (align_of::<T>() as u64).max(128);
        let slots_at = align_up(LINE_AT + capacity * 4, align_of::<OrderedSlot>() as u64)?;
        let items_at = align_up(
            slots_at + capacity * size_of::<OrderedSlot>() as u64,
            align_of::<T>() as u64,
        )?;
        let bytes = capacity.checked_mul(size_of::<T>() as u64)?.checked_add(items_at)?;
        (bytes <= MAX_BYTES).then_some(Self { slots_at, items_at, bytes, align })
    }
}

/// The places of a queue's items. Which of them may be touched is the business of who has the lock.
#[derive(Debug)]
pub(super) struct Places<T> {
    first: NonNull<T>,
    count: usize,
}

impl<T> Clone for Places<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Places<T> {}

// SAFETY: an address in a region, which is `Send`; all access to what lies there is `unsafe`, and `T: Send` may be moved there
// by any thread.
unsafe impl<T: ShmSafe> Send for Places<T> {}
// SAFETY: as above.
unsafe impl<T: ShmSafe> Sync for Places<T> {}

impl<T: ShmSafe> Places<T> {
    /// Finds the parts of a queue of `count` items in `region`.
    ///
    /// # Errors
    ///
    /// [`OffsetError`] if they do not lie inside, or are not aligned there.
    pub(super) fn find(
        region: Region<'static>,
        plan: Plan,
        count: usize,
        newest_first: bool,
    ) -> Result<(OrderedRing<'static>, Self), OffsetError> {
        let raw = region.get(Offset::ZERO)?;
        let line = region.slice(Offset::new(LINE_AT)?, count)?;
        let slots = region.slice(Offset::new(plan.slots_at)?, count)?;
        let first = region.place(Offset::new(plan.items_at)?, count)?;
        Ok((OrderedRing::new(raw, line, slots, newest_first), Self { first, count }))
    }

    /// Returns the address of a slot's item: aligned, and valid for as long as the region.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[inline]
    pub(super) fn at(self, slot: u32) -> NonNull<T> {
        let slot = slot as usize;
        assert!(slot < self.count, "no such slot");
        // SAFETY: below the count, so that it lies inside the region (`find`).
        unsafe { self.first.add(slot) }
    }
}
