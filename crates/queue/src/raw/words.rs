//! Where the slots' words lie.

use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

use shmkit_atomic::{AtomicU64, prefetch_to_write};

/// Bytes of a cache line.
const LINE: usize = 64;

/// The words of a queue's slots, at equal distances.
#[derive(Clone, Copy)]
pub struct Words<'q> {
    first: NonNull<AtomicU64>,
    /// From one to the next, in bytes.
    stride: usize,
    count: u32,
    _slots: PhantomData<&'q AtomicU64>,
}

// SAFETY: it lends atomics, which any thread may use.
unsafe impl Send for Words<'_> {}
// SAFETY: as above.
unsafe impl Sync for Words<'_> {}

impl<'q> Words<'q> {
    /// Makes those of `count` words, `stride` bytes from one to the next.
    ///
    /// # Safety
    ///
    /// From `first` on there must be that many, each aligned and valid for `'q`, and touched by atomic operations of 8 bytes
    /// only.
    pub unsafe fn new(first: NonNull<AtomicU64>, stride: usize, count: u32) -> Self {
        Self { first, stride, count, _slots: PhantomData }
    }

    /// Makes those of words that lie one after the other.
    ///
    /// # Panics
    ///
    /// If there are more than a queue can have.
    pub fn of(words: &'q [AtomicU64]) -> Self {
        let count = u32::try_from(words.len()).expect("fewer slots than 2^32");
        // SAFETY: a slice, borrowed for as long.
        unsafe { Self::new(NonNull::from(words).cast(), size_of::<AtomicU64>(), count) }
    }

    /// Returns how many there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Starts to bring one here, and what lies behind it up to the next, to be written: the first two lines of it.
    #[inline(always)]
    pub(super) fn fetch(&self, slot: u32) {
        let word = self.first.as_ptr().wrapping_byte_add(slot as usize * self.stride);
        prefetch_to_write(word);
        if self.stride > LINE {
            prefetch_to_write(word.wrapping_byte_add(LINE));
        }
    }

    /// Returns one.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[inline]
    pub(super) fn at(&self, slot: u32) -> &'q AtomicU64 {
        assert!(slot < self.count, "no such slot");
        // SAFETY: below the count, so that one lies there (`new`).
        let word = unsafe { self.first.byte_add(slot as usize * self.stride) };
        // SAFETY: aligned, valid and atomic (`new`).
        unsafe { word.as_ref() }
    }
}

impl fmt::Debug for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Words").field("count", &self.count).finish_non_exhaustive()
    }
}
