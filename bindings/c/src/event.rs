//! The event: a flag that is set, cleared and waited for.

use std::ffi::c_char;

use shmkit::{Event, Objects};

use crate::pointers::{borrow, free, give, hand_out};
use crate::segment::{place, shmkit_segment};
use crate::status::{call, shmkit_status};
use crate::timeout::patience;

/// An event between processes.
#[derive(Debug)]
pub struct shmkit_event {
    event: Event,
}

/// Finds the event `name` in the segment, or makes one that is not set.
///
/// # Safety
///
/// `segment` is a handle that was not freed, `name` ends with a NUL, `event` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_event_open(
    segment: *const shmkit_segment,
    name: *const c_char,
    event: *mut *mut shmkit_event,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let (segment, name) = unsafe { place(segment, name) }?;
        let handle = shmkit_event { event: segment.event(name)? };
        // SAFETY: as above.
        unsafe { hand_out(event, handle) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Sets the event, and wakes all who wait for it. If a peer is killed in the middle, it is done or not done.
///
/// # Safety
///
/// `event` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_event_set(event: *const shmkit_event) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let event = unsafe { borrow(event) }?;
        event.event.set()?;
        Ok(shmkit_status::Ok)
    })
}

/// Clears the event.
///
/// # Safety
///
/// `event` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_event_clear(event: *const shmkit_event) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let event = unsafe { borrow(event) }?;
        event.event.clear()?;
        Ok(shmkit_status::Ok)
    })
}

/// Waits until the event is set: for so many milliseconds, for ever if negative. Whoever was to set it may have been killed: this
/// does not find that out.
///
/// # Safety
///
/// `event` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_event_wait(
    event: *const shmkit_event,
    milliseconds: i64,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let event = unsafe { borrow(event) }?;
        event.event.wait_deadline(patience(milliseconds))?;
        Ok(shmkit_status::Ok)
    })
}

/// Gives whether the event is set.
///
/// # Safety
///
/// `event` is a handle that was not freed, `set` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_event_is_set(
    event: *const shmkit_event,
    set: *mut bool,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let event = unsafe { borrow(event) }?;
        // SAFETY: as above.
        unsafe { give(set, event.event.is_set()) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Frees the handle. Null is ignored.
///
/// # Safety
///
/// `event` is null, or a handle that was not freed and that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_event_close(event: *mut shmkit_event) {
    // SAFETY: the caller's promise.
    unsafe { free(event) };
}
