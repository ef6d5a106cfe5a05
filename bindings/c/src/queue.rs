//! A queue of messages with many who put and many who get.

use std::ffi::c_char;

use shmkit::{MessageQueue, MessageSpec, Objects};

use crate::message::{failure, received};
use crate::pointers::{borrow, bytes, bytes_mut, free, give, hand_out};
use crate::segment::{place, shmkit_segment};
use crate::status::{call, shmkit_status};
use crate::timeout::patience;

/// A queue between processes: bounded, first in first out for each who puts.
#[derive(Debug)]
pub struct shmkit_queue {
    queue: MessageQueue,
}

/// Finds the queue `name` in the segment, or makes one of so many messages, of `size` bytes together. A Rust program has it as
/// `MessageQueue`.
///
/// # Safety
///
/// `segment` is a handle that was not freed, `name` ends with a NUL, `queue` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_queue_open(
    segment: *const shmkit_segment,
    name: *const c_char,
    capacity: u64,
    size: u64,
    queue: *mut *mut shmkit_queue,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let (segment, name) = unsafe { place(segment, name) }?;
        let found = segment.message_queue(name, MessageSpec::new(capacity, size))?;
        let handle = shmkit_queue { queue: found };
        // SAFETY: as above.
        unsafe { hand_out(queue, handle) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Puts a message of `len` bytes in: waits for room for so many milliseconds, for ever if negative, not at all if 0. Killed in the middle,
/// it is in, whole, or not.
///
/// Fails with `CLOSED` if the queue was closed, `TOO_LONG` if there can never be room for it.
///
/// # Safety
///
/// `queue` is a handle that was not freed, there are `len` bytes at `message`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_queue_put(
    queue: *const shmkit_queue,
    message: *const u8,
    len: usize,
    milliseconds: i64,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let queue = unsafe { borrow(queue) }?;
        // SAFETY: as above.
        let message = unsafe { bytes(message.cast(), len) }?;
        queue.queue.put_deadline(message, patience(milliseconds)).map_err(failure)?;
        Ok(shmkit_status::Ok)
    })
}

/// Gets a message into `buffer`, which has room for `size` bytes, and tells its length by `len`: waits for so many milliseconds, for ever
/// if negative, not at all if 0. If a peer is killed that was getting one, it comes again to another.
///
/// Fails with `TOO_SHORT` if the message is longer, whose length is told: it is still there. `CLOSED` if the queue was closed and is
/// empty.
///
/// # Safety
///
/// `queue` is a handle that was not freed,
/// there is room for `size` bytes at `buffer`, `len` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_queue_get(
    queue: *const shmkit_queue,
    buffer: *mut u8,
    size: usize,
    len: *mut usize,
    milliseconds: i64,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let queue = unsafe { borrow(queue) }?;
        // SAFETY: as above.
        let buffer = unsafe { bytes_mut(buffer.cast(), size) }?;
        let done = queue.queue.get_into_deadline(buffer, patience(milliseconds));
        // SAFETY: as above.
        unsafe { received(done, len) }
    })
}

/// Gives about how many messages there are.
///
/// # Safety
///
/// `queue` is a handle that was not freed, `len` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_queue_len(
    queue: *const shmkit_queue,
    len: *mut usize,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let queue = unsafe { borrow(queue) }?;
        let count = queue.queue.len()?;
        // SAFETY: as above.
        unsafe { give(len, count) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Closes the queue for all: nothing is put any more, and who gets is told `CLOSED` when nothing is left.
///
/// # Safety
///
/// `queue` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_queue_shut(queue: *const shmkit_queue) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let queue = unsafe { borrow(queue) }?;
        queue.queue.close()?;
        Ok(shmkit_status::Ok)
    })
}

/// Frees the handle. Null is ignored.
///
/// # Safety
///
/// `queue` is null, or a handle that was not freed and that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_queue_close(queue: *mut shmkit_queue) {
    // SAFETY: the caller's promise.
    unsafe { free(queue) };
}
