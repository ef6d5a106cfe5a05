//! Boost.Interprocess's managed segment, where its headers were there when this was built.

use std::ffi::{CString, c_char, c_void};
use std::ptr::NonNull;

use anyhow::{Context, Result};

unsafe extern "C" {
    fn boost_segment_new(name: *const c_char, bytes: usize) -> *mut c_void;
    fn boost_segment_take(segment: *mut c_void, bytes: usize) -> *mut c_void;
    fn boost_segment_give(segment: *mut c_void, block: *mut c_void);
}

/// A segment with the default algorithm, a best fit under a mutex that processes share. It stays until this process ends.
pub(crate) struct Boost(NonNull<c_void>);

// SAFETY: the segment's mutex guards what its threads do.
unsafe impl Send for Boost {}
// SAFETY: as above.
unsafe impl Sync for Boost {}

impl Boost {
    pub(crate) fn new(bytes: usize) -> Result<Self> {
        let name = CString::new(format!("shmkit-bench-boost-{}", std::process::id()))?;
        // SAFETY: a string that ends with zero.
        let segment = unsafe { boost_segment_new(name.as_ptr(), bytes) };
        NonNull::new(segment).map(Self).context("Boost makes no segment")
    }

    pub(crate) fn take(&self, bytes: usize) -> Result<NonNull<u8>> {
        // SAFETY: `new` made the segment.
        let block = unsafe { boost_segment_take(self.0.as_ptr(), bytes) };
        NonNull::new(block.cast()).context("Boost's segment is full")
    }

    /// Gives a block back.
    ///
    /// # Safety
    ///
    /// [`take`](Self::take) returned it, and nobody uses it from now on.
    pub(crate) unsafe fn give(&self, block: *mut u8) {
        // SAFETY: `new` made the segment; the rest is the caller's promise.
        unsafe { boost_segment_give(self.0.as_ptr(), block.cast()) };
    }
}
