//! Keeping two writers out of each other's cache lines.

use core::fmt;
use core::ops::Deref;

use crate::Shared;

/// A value alone in 128 bytes.
///
/// Two lines of 64, because x86's prefetcher fetches lines in pairs and some ARM cores have lines of 128; the same on
/// every target, because it is part of the format. All zero if `T` is all zero.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(C, align(128))]
pub struct CachePadded<T> {
    value: T,
}

impl<T> CachePadded<T> {
    /// Pads a value.
    pub const fn new(value: T) -> Self {
        Self { value }
    }
}

impl<T> Deref for CachePadded<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for CachePadded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

// SAFETY: the value at offset 0, which is `Shared`, and padding that is never read.
unsafe impl<T: Shared> Shared for CachePadded<T> {}

const _: () = assert!(size_of::<CachePadded<u32>>() == 128, "part of the segment format");
