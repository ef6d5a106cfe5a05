//! The semaphore whose permits come back from the dead.

use std::ffi::c_char;

use shmkit::{Objects, Semaphore};

use crate::pointers::{borrow, free, give, hand_out};
use crate::segment::{place, shmkit_segment};
use crate::status::{call, shmkit_status};
use crate::timeout::patience;

/// A semaphore between processes. Permits belong to the process that has acquired them.
#[derive(Debug)]
pub struct shmkit_semaphore {
    semaphore: Semaphore,
}

/// Finds the semaphore `name` in the segment, or makes one of so many permits.
///
/// # Safety
///
/// `segment` is a handle that was not freed, `name` ends with a NUL, `semaphore` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_semaphore_open(
    segment: *const shmkit_segment,
    name: *const c_char,
    permits: u32,
    semaphore: *mut *mut shmkit_semaphore,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let (segment, name) = unsafe { place(segment, name) }?;
        let handle = shmkit_semaphore { semaphore: segment.semaphore(name, permits)? };
        // SAFETY: as above.
        unsafe { hand_out(semaphore, handle) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Acquires `count` permits at once: waits for so many milliseconds, for ever if negative, not at all if 0. If a peer is killed that
/// has some, they come back within some 40 ms.
///
/// # Safety
///
/// `semaphore` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_semaphore_acquire(
    semaphore: *const shmkit_semaphore,
    count: u32,
    milliseconds: i64,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let semaphore = unsafe { borrow(semaphore) }?;
        semaphore.semaphore.acquire_many_deadline(count, patience(milliseconds))?.forget();
        Ok(shmkit_status::Ok)
    })
}

/// Gives `count` permits back. Fails with `NOT_OWNER` or `INVALID` if this process does not have so many.
///
/// # Safety
///
/// `semaphore` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_semaphore_release(
    semaphore: *const shmkit_semaphore,
    count: u32,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let semaphore = unsafe { borrow(semaphore) }?;
        semaphore.semaphore.release(count)?;
        Ok(shmkit_status::Ok)
    })
}

/// Gives how many permits nobody had a moment ago.
///
/// # Safety
///
/// `semaphore` is a handle that was not freed, `available` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_semaphore_available(
    semaphore: *const shmkit_semaphore,
    available: *mut u32,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let semaphore = unsafe { borrow(semaphore) }?;
        // SAFETY: as above.
        unsafe { give(available, semaphore.semaphore.available()) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Frees the handle. Permits that this process has stay acquired until it releases them by another handle, or ends. Null is ignored.
///
/// # Safety
///
/// `semaphore` is null, or a handle that was not freed and that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_semaphore_close(semaphore: *mut shmkit_semaphore) {
    // SAFETY: the caller's promise.
    unsafe { free(semaphore) };
}
