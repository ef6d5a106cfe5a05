//! The mapping of a segment's file, and its bytes.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use shmkit_layout::Region;

use crate::error::Failure;

/// Maps all that a segment may ever have. No access to the bytes that there are can fail, as they are allocated; the others
/// are there as soon as the file has them.
pub(crate) fn map(file: BorrowedFd<'_>, size: u64) -> Result<MmapRaw, Failure> {
    let map = || {
        let size = usize::try_from(size).map_err(|_| Errno::ENOMEM)?;
        let mapping = MmapOptions::new().len(size).map_raw(file.as_raw_fd());
        mapping.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
    };
    map().map_err(|errno| Failure::os(errno, format_args!("mapping {size} bytes")))
}

/// Returns a mapping's bytes.
///
/// # Safety
///
/// The mapping must not be dropped while the region is in use.
pub(crate) unsafe fn whole(mapping: &MmapRaw) -> Region<'static> {
    let base = NonNull::new(mapping.as_mut_ptr()).expect("a mapping is not at 0");
    // SAFETY: `len` bytes, readable and writable, kept by the caller; only regions lead to them.
    unsafe { Region::from_raw_parts(base, mapping.len()) }
}
