//! Where a queue's slots and their items lie.

use core::ptr::NonNull;

use shmkit_layout::{
    Offset, OffsetError, Region, ShapeError, ShmSafe, align_up, copy_in, copy_out,
};

use crate::raw::{MAX_CAPACITY, RawQueue, Words};

/// Bytes of the largest slot, word included, that is one piece: sweeps of names step no further.
const TOGETHER: u64 = 1016;
/// From one word to the next where the items lie apart.
const APART: u64 = 64;
/// Most bytes that a queue may take.
const MAX_BYTES: u64 = 1 << 46;

/// Where the slots of a queue of `T`s lie, in bytes from the queue's first.
///
/// ```text
/// small items   384  word 0 | item 0 | word 1 | item 1 | …
/// large items   384  word 0 | … | word 1 | …  item 0 | item 1 | …        words 64 bytes from each other
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// From one word to the next.
    pub(crate) stride: u64,
    /// From one item to the next.
    item_stride: u64,
    items_at: u64,
    /// Of all of it.
    pub(crate) bytes: u64,
    pub(crate) align: u64,
}

/// Where the first word lies.
pub(crate) const fn words_at<T>() -> u64 {
    up(size_of::<RawQueue>() as u64, align::<T>())
}

/// The most items that a queue of `T`s can have.
const fn most<T>() -> u64 {
    let fit = MAX_BYTES / (size_of::<T>() as u64 + APART);
    if fit < MAX_CAPACITY as u64 { fit } else { MAX_CAPACITY as u64 }
}

/// Checks a capacity.
///
/// # Errors
///
/// [`ShapeError::Length`] if no queue of `T`s has it.
pub(crate) fn checked<T>(capacity: u64) -> Result<u32, ShapeError> {
    let max = most::<T>();
    if capacity == 0 || capacity > max {
        return Err(ShapeError::Length { found: capacity, min: 1, max });
    }
    Ok(capacity as u32) // `most` is below 2^24.
}

const fn align<T>() -> u64 {
    let (own, word) = (align_of::<T>() as u64, align_of::<u64>() as u64);
    if own > word { own } else { word }
}

const fn up(bytes: u64, align: u64) -> u64 {
    match align_up(bytes, align) {
        Some(bytes) => bytes,
        None => panic!("an item is too large for a queue"),
    }
}

impl Plan {
    /// Returns that of `capacity` items: not more than [`most`].
    pub(crate) const fn of<T>(capacity: u64) -> Self {
        let (align, size, words) = (align::<T>(), size_of::<T>() as u64, words_at::<T>());
        let behind_word = up(8, align);
        let together = up(behind_word + size, align);
        let (stride, item_stride, items_at) = if together <= TOGETHER {
            (together, together, words + behind_word)
        } else {
            (APART, size, up(words + capacity * APART, align))
        };
        let end = if together <= TOGETHER { words } else { items_at };
        let align = if align > 128 { align } else { 128 };
        Self { stride, item_stride, items_at, bytes: end + capacity * item_stride, align }
    }
}

/// The places of a queue's items. Which of them may be touched is the business of who has the slot.
#[derive(Debug)]
pub(crate) struct Places<T> {
    first: NonNull<T>,
    /// From one to the next, in bytes.
    stride: usize,
    count: u32,
}

impl<T> Clone for Places<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Places<T> {}

// SAFETY: an address in a region, which is `Send`; all access to what lies there is `unsafe`, and `T: Send` may be moved
// there by any thread.
unsafe impl<T: ShmSafe> Send for Places<T> {}
// SAFETY: as above.
unsafe impl<T: ShmSafe> Sync for Places<T> {}

impl<T: ShmSafe> Places<T> {
    /// Finds words and items of a queue of `count` in `region`.
    ///
    /// # Errors
    ///
    /// [`OffsetError`] if they do not fit, or are not aligned there.
    pub(crate) fn find(
        region: Region<'static>,
        count: u32,
    ) -> Result<(Words<'static>, Self), OffsetError> {
        let plan = Plan::of::<T>(count.into());
        // All bytes, from the first on: in bounds.
        region.sub(0, plan.bytes)?;
        let first = region.place(Offset::<u64>::new(words_at::<T>())?, 1)?;
        let items = region.place(Offset::<T>::new(plan.items_at)?, 1)?;
        // Both were checked against the region, whose length is a usize.
        let (stride, item_stride) = (plan.stride as usize, plan.item_stride as usize);
        // SAFETY: `count` of them lie inside the region (`Plan::of`, and the look above), each aligned, since the first is
        // and the stride is a multiple of 8; they are used as words only (`Object::attach`).
        let words = unsafe { Words::new(first.cast(), stride, count) };
        Ok((words, Self { first: items, stride: item_stride, count }))
    }

    /// Returns the address of a slot's item: aligned, and valid for as long as the region.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[inline]
    pub(crate) fn at(self, slot: u32) -> NonNull<T> {
        assert!(slot < self.count, "no such slot");
        // SAFETY: below the count, so that it lies inside the region (`find`).
        unsafe { self.first.byte_add(slot as usize * self.stride) }
    }

    /// Writes a slot's item, word by word.
    ///
    /// # Safety
    ///
    /// The slot must be claimed: nobody else writes to the item, nor uses what it reads there.
    #[inline]
    pub(crate) unsafe fn write(self, slot: u32, value: &T) {
        // SAFETY: aligned and valid (`at`); who else is there reads word by word (`read`, caller).
        unsafe { copy_in(self.at(slot).as_ptr(), value) };
    }

    /// Reads a slot's item, word by word: whole if nobody writes to it meanwhile.
    #[inline]
    pub(crate) fn read(self, slot: u32, value: &mut T) {
        // SAFETY: aligned and valid (`at`), and written to word by word (`write`).
        unsafe { copy_out(self.at(slot).as_ptr(), value) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_items_lie_beside_their_words_and_large_ones_apart() {
        let small = Plan::of::<u64>(6);
        assert_eq!((small.stride, small.items_at, small.bytes), (16, 392, 384 + 6 * 16));
        let line = Plan::of::<[u64; 7]>(2);
        assert_eq!((line.stride, line.bytes), (64, 384 + 128));
        let byte = Plan::of::<u8>(3);
        assert_eq!((byte.stride, byte.items_at, byte.bytes), (16, 392, 384 + 48));
        let large = Plan::of::<[u8; 4096]>(2);
        assert_eq!((large.stride, large.items_at, large.bytes), (64, 512, 512 + 8192));
        let wide = Plan::of::<u128>(1);
        assert_eq!((wide.stride, wide.items_at % 16), (32, 0));
    }
}
