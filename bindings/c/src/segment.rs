//! Segments: shared memory with a name.

use std::ffi::c_char;

use shmkit::{OpenOptions, Options, Segment, SegmentError};

use crate::pointers::{borrow, free, hand_out, text};
use crate::status::{Failure, call, shmkit_status};

/// A segment that this process takes part in.
#[derive(Debug)]
pub struct shmkit_segment {
    pub(crate) segment: Segment,
}

/// Makes the segment `name` of `size` bytes, and takes part in it. The last participant out removes it, however that ends; what is
/// left when all are killed at once is removed by the next one who comes.
///
/// Fails with `EXISTS` if somebody lives in one of this name.
///
/// # Safety
///
/// `name` ends with a NUL; `segment` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_segment_create(
    name: *const c_char,
    size: u64,
    segment: *mut *mut shmkit_segment,
) -> shmkit_status {
    // SAFETY: the caller's promise.
    unsafe { take_part(name, segment, |name| Options::new(size).create(name)) }
}

/// Takes part in the segment `name`.
///
/// Fails with `NOT_FOUND` if there is none.
///
/// # Safety
///
/// As for `shmkit_segment_create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_segment_open(
    name: *const c_char,
    segment: *mut *mut shmkit_segment,
) -> shmkit_status {
    // SAFETY: the caller's promise.
    unsafe { take_part(name, segment, |name| OpenOptions::new().open(name)) }
}

/// Takes part in the segment `name`, which is made if there is none. If a peer is killed while it makes it, another one does.
///
/// # Safety
///
/// As for `shmkit_segment_create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_segment_open_or_create(
    name: *const c_char,
    size: u64,
    segment: *mut *mut shmkit_segment,
) -> shmkit_status {
    // SAFETY: the caller's promise.
    unsafe { take_part(name, segment, |name| Options::new(size).open_or_create(name)) }
}

/// Returns how many bytes there are; 0 of a null pointer.
///
/// # Safety
///
/// `segment` is null, or a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_segment_size(segment: *const shmkit_segment) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { borrow(segment) }.map_or(0, |segment| segment.segment.len())
}

/// Frees the handle. This process takes part until the handles of its objects are freed, too; null is ignored.
///
/// # Safety
///
/// `segment` is null, or a handle that was not freed and that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_segment_close(segment: *mut shmkit_segment) {
    // SAFETY: the caller's promise.
    unsafe { free(segment) };
}

/// Gives a handle of the segment that `find` finds or makes.
///
/// # Safety
///
/// As for `shmkit_segment_create`.
unsafe fn take_part(
    name: *const c_char,
    segment: *mut *mut shmkit_segment,
    find: impl FnOnce(&str) -> Result<Segment, SegmentError>,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let name = unsafe { text(name) }?;
        let found = shmkit_segment { segment: find(name)? };
        // SAFETY: as above.
        unsafe { hand_out(segment, found) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Borrows what most functions begin with: a segment, and the name of an object in it.
///
/// # Safety
///
/// As for [`borrow`] and [`text`].
pub(crate) unsafe fn place<'a>(
    segment: *const shmkit_segment,
    name: *const c_char,
) -> Result<(&'a Segment, &'a str), Failure> {
    // SAFETY: the caller's promise.
    let segment = unsafe { borrow(segment) }?;
    // SAFETY: as above.
    let name = unsafe { text(name) }?;
    Ok((&segment.segment, name))
}
