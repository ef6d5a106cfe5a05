//! The items of a ring in shared memory: moving values in and out.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::slice;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::copy::copy;
use shmkit_atomic::{AtomicU64, prefetch, prefetch_to_write};
use shmkit_layout::ShmSafe;

use crate::raw::Words;

/// How far ahead of an item the lines of later ones are fetched, in bytes. One line after the other takes longer to come
/// than the items in it to be used; the processor looks less far ahead by itself.
const AHEAD: usize = 1024;
/// Bytes of a cache line.
const LINE: usize = 64;

/// The places of a ring's items. Which of them may be touched is the business of its two ends.
///
/// Places are counted from any position and wrap around, so that none is out of bounds.
#[derive(Debug)]
pub(crate) struct Places<'a, T> {
    first: NonNull<T>,
    /// A power of two.
    count: usize,
    _region: PhantomData<&'a ()>,
}

impl<T> Clone for Places<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Places<'_, T> {}

// SAFETY: an address in a region, which is `Send`; all access to what lies there is `unsafe`, and `T: Send` may be
// moved there by any thread.
unsafe impl<T: ShmSafe> Send for Places<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ShmSafe> Sync for Places<'_, T> {}

impl<'a, T: ShmSafe> Places<'a, T> {
    /// # Safety
    ///
    /// `first` must be aligned, and valid for reads and writes of `count` values for `'a`; `count` must be a power of
    /// two.
    pub(crate) unsafe fn new(first: NonNull<T>, count: usize) -> Self {
        Self { first, count, _region: PhantomData }
    }

    /// Returns how many there are.
    pub(crate) fn count(self) -> usize {
        self.count
    }

    /// Returns the address of the place at `index`.
    #[inline]
    fn at(self, index: u64) -> NonNull<T> {
        // Truncation keeps the lower bits, and the mask has no others.
        let index = index as usize & (self.count - 1);
        // SAFETY: `index < count`, and `count` values lie there (`new`).
        unsafe { self.first.add(index) }
    }

    /// Starts to bring the lines of an item some way after the one at `index` here, if it is among the `ready` ones from
    /// `index` on.
    #[inline(always)]
    pub(crate) fn fetch_ahead(self, index: u64, ready: u64) {
        self.ahead(index, ready, prefetch);
    }

    /// As [`fetch_ahead`](Self::fetch_ahead), to be written.
    #[inline(always)]
    pub(crate) fn take_ahead(self, index: u64, ready: u64) {
        self.ahead(index, ready, prefetch_to_write);
    }

    #[inline(always)]
    fn ahead(self, index: u64, ready: u64, fetch: impl Fn(*const u8)) {
        let size = size_of::<T>();
        if size == 0 || size > AHEAD {
            return;
        }
        let items = (AHEAD / size) as u64;
        // Of items that share a line, one of them is enough.
        let sharing = (LINE / size).max(1) as u64;
        if ready > items && (!sharing.is_power_of_two() || index & (sharing - 1) == 0) {
            let first = self.at(index.wrapping_add(items)).cast::<u8>().as_ptr();
            for byte in (0..size).step_by(LINE) {
                fetch(first.wrapping_add(byte));
            }
        }
    }

    /// Writes one value.
    ///
    /// # Safety
    ///
    /// Nobody else may touch the place at `index` now.
    #[inline]
    pub(crate) unsafe fn write(self, index: u64, value: T) {
        let at = self.at(index);
        // SAFETY: aligned and valid (`new`), and nobody else touches it (the caller).
        unsafe { at.write(value) };
    }

    /// Reads one value.
    ///
    /// # Safety
    ///
    /// Nobody else may write to the place at `index` now.
    #[inline]
    pub(crate) unsafe fn read(self, index: u64) -> T {
        let at = self.at(index);
        // SAFETY: aligned and valid (`new`), nobody else writes to it (the caller), and any bytes are a `T` (`Pod`).
        unsafe { at.read() }
    }

    /// Copies `values` in.
    ///
    /// # Safety
    ///
    /// `values` must not be more than [`count`](Self::count), and nobody else may touch their places from `index` on.
    pub(crate) unsafe fn copy_in(self, index: u64, values: &[T]) {
        let (near, far) = self.halves(index, values.len());
        let (to_near, to_far) = values.split_at(near.len());
        // SAFETY: `near.len()` values lie at `near`, which nobody else touches (the caller), so that `values`, which
        // is borrowed, is elsewhere.
        unsafe { copy(to_near.as_ptr(), near.cast().as_ptr(), near.len()) };
        // SAFETY: likewise for the rest: `far.len() == values.len() - near.len()`.
        unsafe { copy(to_far.as_ptr(), far.cast().as_ptr(), far.len()) };
    }

    /// Copies as many values out as `values` has.
    ///
    /// # Safety
    ///
    /// `values` must not be more than [`count`](Self::count), and nobody else may write to their places from `index`
    /// on.
    pub(crate) unsafe fn copy_out(self, index: u64, values: &mut [T]) {
        let (near, far) = self.halves(index, values.len());
        let (to_near, to_far) = values.split_at_mut(near.len());
        // SAFETY: `near.len()` values lie at `near`, to which nobody else writes (the caller); `values` is ours alone
        // and so elsewhere; any bytes are a `T` (`Pod`).
        unsafe { copy(near.cast().as_ptr(), to_near.as_mut_ptr(), near.len()) };
        // SAFETY: likewise for the rest: `far.len() == values.len() - near.len()`.
        unsafe { copy(far.cast().as_ptr(), to_far.as_mut_ptr(), far.len()) };
    }

    /// Borrows `len` values in place, to the end of the ring and from its beginning.
    ///
    /// # Safety
    ///
    /// `len` must not be more than [`count`](Self::count), and nobody may write to those places during `'s`.
    pub(crate) unsafe fn borrow<'s>(self, index: u64, len: usize) -> (&'s [T], &'s [T])
    where
        'a: 's,
    {
        let (near, far) = self.halves(index, len);
        // SAFETY: valid and aligned for `'a` (`new`), inside the ring (`halves`), and not written to (the caller).
        let near = unsafe { slice::from_raw_parts(near.cast().as_ptr(), near.len()) };
        // SAFETY: as above.
        let far = unsafe { slice::from_raw_parts(far.cast().as_ptr(), far.len()) };
        (near, far)
    }

    /// Borrows `len` values in place for writing, to the end of the ring and from its beginning.
    ///
    /// # Safety
    ///
    /// `len` must not be more than [`count`](Self::count), and nobody else may touch those places during `'s`.
    pub(crate) unsafe fn borrow_mut<'s>(self, index: u64, len: usize) -> (&'s mut [T], &'s mut [T])
    where
        'a: 's,
    {
        let (near, far) = self.halves(index, len);
        // SAFETY: valid and aligned for `'a` (`new`), inside the ring (`halves`), and touched by nobody else (the
        // caller).
        let near = unsafe { slice::from_raw_parts_mut(near.cast().as_ptr(), near.len()) };
        // SAFETY: as above; the two do not overlap, since together they are at most `count` (the caller).
        let far = unsafe { slice::from_raw_parts_mut(far.cast().as_ptr(), far.len()) };
        (near, far)
    }

    /// Returns where `len` values from `index` on lie: up to the end of the ring, and from its beginning. The first
    /// part is inside the ring whatever `len` is, the second if `len` is at most the count.
    #[inline]
    fn halves(self, index: u64, len: usize) -> (NonNull<[T]>, NonNull<[T]>) {
        debug_assert!(len <= self.count);
        let to_end = self.count - (index as usize & (self.count - 1));
        let near = len.min(to_end);
        (
            NonNull::slice_from_raw_parts(self.at(index), near),
            NonNull::slice_from_raw_parts(self.first, len - near),
        )
    }
}

impl Words for Places<'_, u64> {
    #[inline(always)]
    fn load(&self, at: u64) -> u64 {
        // Relaxed: whoever uses it has seen the position of its sender, with Acquire.
        self.word(at).load(Relaxed)
    }

    #[inline(always)]
    fn store(&self, at: u64, word: u64) {
        // Relaxed: published by the position, with Release.
        self.word(at).store(word, Relaxed);
    }
}

impl<'a> Places<'a, u64> {
    /// A word of a header: loaded once, whatever a peer does to it.
    #[inline(always)]
    fn word(&self, at: u64) -> &AtomicU64 {
        let at = self.at(at).as_ptr();
        // SAFETY: aligned and valid for `'a` (`new`). A reference to the same bytes exists on a side only while a loan of
        // them does, and headers are not lent.
        unsafe { AtomicU64::from_ptr(at) }
    }

    /// Returns the address of `len` bytes that begin with the word at `at`, if they all lie before the end of the ring.
    #[inline(always)]
    fn bytes(self, at: u64, len: usize) -> *mut u8 {
        let first = at as usize & (self.count - 1);
        assert!(len <= (self.count - first) * size_of::<u64>(), "bytes beyond the end of the ring");
        self.at(at).as_ptr().cast()
    }

    /// Starts to bring the lines of bytes some way after those at `at` here, if they are among the `ready` words from there on.
    #[inline(always)]
    pub(crate) fn fetch_bytes_ahead(self, at: u64, len: u64, ready: u64) {
        self.bytes_ahead(at, len, ready, prefetch);
    }

    /// As [`fetch_bytes_ahead`](Self::fetch_bytes_ahead), to be written.
    #[inline(always)]
    pub(crate) fn take_bytes_ahead(self, at: u64, len: u64, ready: u64) {
        self.bytes_ahead(at, len, ready, prefetch_to_write);
    }

    #[inline(always)]
    fn bytes_ahead(self, at: u64, len: u64, ready: u64, fetch: impl Fn(*const u8)) {
        let ahead = (AHEAD / size_of::<u64>()) as u64;
        let bytes = len as usize;
        if bytes <= AHEAD && ready > 2 * ahead {
            let first = self.at(at.wrapping_add(ahead)).cast::<u8>().as_ptr();
            for byte in (0..=bytes).step_by(LINE) {
                fetch(first.wrapping_add(byte));
            }
        }
    }

    /// Borrows bytes in place.
    ///
    /// # Safety
    ///
    /// Nobody may write to them during `'s`.
    ///
    /// # Panics
    ///
    /// If they do not all lie before the end of the ring.
    #[inline(always)]
    pub(crate) unsafe fn borrow_bytes<'s>(self, at: u64, len: usize) -> &'s [u8]
    where
        'a: 's,
    {
        let bytes = self.bytes(at, len);
        // SAFETY: inside the ring (`bytes`), valid for `'a` (`new`), and not written to (the caller).
        unsafe { slice::from_raw_parts(bytes, len) }
    }

    /// Borrows bytes in place for writing.
    ///
    /// # Safety
    ///
    /// Nobody else may touch them during `'s`.
    ///
    /// # Panics
    ///
    /// If they do not all lie before the end of the ring.
    #[inline(always)]
    pub(crate) unsafe fn borrow_bytes_mut<'s>(self, at: u64, len: usize) -> &'s mut [u8]
    where
        'a: 's,
    {
        let bytes = self.bytes(at, len);
        // SAFETY: inside the ring (`bytes`), valid for `'a` (`new`), and nobody else touches them (the caller).
        unsafe { slice::from_raw_parts_mut(bytes, len) }
    }
}
