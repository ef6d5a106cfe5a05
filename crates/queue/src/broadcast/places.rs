//! Where the items of a broadcast lie.

use core::ptr::NonNull;

use shmkit_layout::{Offset, OffsetError, Region, ShmSafe, align_up};

use super::raw::{RawBroadcast, SubscriberCell};

/// Most bytes that a broadcast may take.
const MAX_BYTES: u64 = 1 << 46;
/// Most items, and most subscribers.
pub(super) const MAX_CAPACITY: u64 = 1 << 32;
pub(super) const MAX_CELLS: u64 = 1 << 16;

/// Where the cells begin.
pub(crate) const CELLS: u64 = size_of::<RawBroadcast>() as u64;

/// Returns where the items begin behind so many cells, what all takes, and how it is aligned.
pub(super) fn plan<T>(capacity: u64, cells: u64) -> Option<(u64, u64, u64)> {
    let align = (align_of::<T>() as u64).max(128);
    let at = align_up(CELLS + cells * size_of::<SubscriberCell>() as u64, align)?;
    let bytes = capacity.checked_mul(size_of::<T>() as u64)?.checked_add(at)?;
    (bytes <= MAX_BYTES).then_some((at, bytes, align))
}

/// The places of the items. Who may touch which is the business of the two sides.
#[derive(Debug)]
pub(super) struct Places<T> {
    region: Region<'static>,
    /// The first byte of the first one.
    at: u64,
    first: NonNull<T>,
    /// A power of two.
    count: u64,
}

impl<T> Clone for Places<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Places<T> {}

// SAFETY: an address in a region, which is `Send`; all access to what lies there is `unsafe`, or atomic, and `T: Send` may be
// moved there by any thread.
unsafe impl<T: ShmSafe> Send for Places<T> {}
// SAFETY: as above.
unsafe impl<T: ShmSafe> Sync for Places<T> {}

impl<T: ShmSafe> Places<T> {
    /// Finds `count` items, a power of two, from byte `at` of the region on.
    ///
    /// # Errors
    ///
    /// [`OffsetError`] if they do not lie inside, or are not aligned there.
    pub(super) fn find(region: Region<'static>, at: u64, count: u64) -> Result<Self, OffsetError> {
        // A count that is no usize is out of bounds.
        let first = region.place(Offset::new(at)?, usize::try_from(count).unwrap_or(usize::MAX))?;
        Ok(Self { region, at, first, count })
    }

    /// Returns how many there are.
    pub(super) fn count(self) -> u64 {
        self.count
    }

    /// Returns the address of the item at `position`: aligned, and valid for as long as the region.
    #[inline]
    pub(super) fn address(self, position: u64) -> NonNull<T> {
        let index = (position & (self.count - 1)) as usize;
        // SAFETY: below the count, so that it lies inside the region (`find`).
        unsafe { self.first.add(index) }
    }

    #[inline]
    fn offset(self, position: u64) -> Result<Offset<T>, OffsetError> {
        Offset::new(self.at + (position & (self.count - 1)) * size_of::<T>() as u64)
    }

    /// Copies the item at `position` out, while others may write to it: then it is of no use.
    #[inline]
    pub(super) fn read(self, position: u64, to: &mut T) {
        let read = self.offset(position).and_then(|at| self.region.read_into(at, to));
        debug_assert!(read.is_ok(), "inside the region (`find`)");
    }

    /// Copies an item in at `position`, while others may read it.
    #[inline]
    pub(super) fn write(self, position: u64, value: &T) {
        let written = self.offset(position).and_then(|at| self.region.write_from(at, value));
        debug_assert!(written.is_ok(), "inside the region (`find`)");
    }
}
