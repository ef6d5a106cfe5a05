//! A pipe of messages with one sender and one receiver.

use std::ffi::c_char;
use std::sync::{Mutex as Slot, PoisonError};

use shmkit::Objects;
use shmkit::pipe::{FrameReceiver, FrameSender};

use crate::message::{failure, received};
use crate::pointers::{borrow, bytes, bytes_mut, free, hand_out};
use crate::segment::{place, shmkit_segment};
use crate::status::{call, shmkit_status};
use crate::timeout::patience;

/// The end of a pipe that sends. One thread sends at a time: another one waits for it.
#[derive(Debug)]
pub struct shmkit_sender {
    end: Slot<FrameSender>,
}

/// The end of a pipe that receives. One thread receives at a time: another one waits for it.
#[derive(Debug)]
pub struct shmkit_receiver {
    end: Slot<FrameReceiver>,
}

/// Claims the end that sends of the pipe `name` in the segment, which is made for `size` bytes of messages if there is none. A Rust
/// program has it as `Frames`. Fails with `BUSY` if somebody living has it; that of a dead one is taken over, and nothing that was
/// sent is lost or comes twice.
///
/// # Safety
///
/// `segment` is a handle that was not freed, `name` ends with a NUL, `end` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_sender_open(
    segment: *const shmkit_segment,
    name: *const c_char,
    size: u64,
    end: *mut *mut shmkit_sender,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let (segment, name) = unsafe { place(segment, name) }?;
        let claimed = segment.frames(name, size)?.sender()?;
        let handle = shmkit_sender { end: Slot::new(claimed) };
        // SAFETY: as above.
        unsafe { hand_out(end, handle) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Sends a message of `len` bytes: waits for room for so many milliseconds, for ever if negative, not at all if 0. Killed in the middle,
/// the receiver sees nothing of it, or all.
///
/// Fails with `CLOSED` or `PEER_DIED` if nobody is there who will receive it.
///
/// # Safety
///
/// `end` is a handle that was not freed, there are `len` bytes at `message`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_sender_send(
    end: *const shmkit_sender,
    message: *const u8,
    len: usize,
    milliseconds: i64,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let end = unsafe { borrow(end) }?;
        // SAFETY: as above.
        let message = unsafe { bytes(message.cast(), len) }?;
        let mut end = end.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.send_deadline(message, patience(milliseconds)).map_err(failure)?;
        Ok(shmkit_status::Ok)
    })
}

/// Waits until somebody has the other end: for so many milliseconds, for ever if negative.
///
/// # Safety
///
/// `end` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_sender_wait_for_receiver(
    end: *const shmkit_sender,
    milliseconds: i64,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let end = unsafe { borrow(end) }?;
        let mut end = end.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.wait_for_peer_deadline(patience(milliseconds)).map_err(failure)?;
        Ok(shmkit_status::Ok)
    })
}

/// Gives the end up, after which the receiver is told `CLOSED` when it has received all. Null is ignored.
///
/// # Safety
///
/// `end` is null, or a handle that was not freed and that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_sender_close(end: *mut shmkit_sender) {
    // SAFETY: the caller's promise.
    unsafe { free(end) };
}

/// Claims the end that receives of the pipe `name` in the segment, which is made for `size` bytes of messages if there is none. A Rust
/// program has it as `Frames`. Fails with `BUSY` if somebody living has it; that of a dead one is taken over, and nothing that was
/// sent is lost or comes twice.
///
/// # Safety
///
/// `segment` is a handle that was not freed, `name` ends with a NUL, `end` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_receiver_open(
    segment: *const shmkit_segment,
    name: *const c_char,
    size: u64,
    end: *mut *mut shmkit_receiver,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let (segment, name) = unsafe { place(segment, name) }?;
        let claimed = segment.frames(name, size)?.receiver()?;
        let handle = shmkit_receiver { end: Slot::new(claimed) };
        // SAFETY: as above.
        unsafe { hand_out(end, handle) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Receives a message into `buffer`, which has room for `size` bytes, and tells its length by `len`: waits for so many milliseconds, for
/// ever if negative, not at all if 0.
///
/// Fails with `TOO_SHORT` if the message is longer, whose length is told: it is still there. `CLOSED` after the last message of a sender
/// that has given up its end; `PEER_DIED` after that of one that was killed: all that it had sent was received.
///
/// # Safety
///
/// `end` is a handle that was not freed,
/// there is room for `size` bytes at `buffer`, `len` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_receiver_recv(
    end: *const shmkit_receiver,
    buffer: *mut u8,
    size: usize,
    len: *mut usize,
    milliseconds: i64,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let end = unsafe { borrow(end) }?;
        // SAFETY: as above.
        let buffer = unsafe { bytes_mut(buffer.cast(), size) }?;
        let mut end = end.end.lock().unwrap_or_else(PoisonError::into_inner);
        let done = end.recv_into_deadline(buffer, patience(milliseconds));
        // SAFETY: as above.
        unsafe { received(done, len) }
    })
}

/// Gives the end up, after which the sender is told `CLOSED`. Null is ignored.
///
/// # Safety
///
/// `end` is null, or a handle that was not freed and that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_receiver_close(end: *mut shmkit_receiver) {
    // SAFETY: the caller's promise.
    unsafe { free(end) };
}
