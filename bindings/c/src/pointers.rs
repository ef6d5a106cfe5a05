//! What C hands over: pointers, texts, and places for what is given.

use std::ffi::{CStr, c_char};
use std::slice;

use crate::status::Failure;

/// Borrows what a handle points to.
///
/// # Safety
///
/// It is null, or was given by this library and is not freed before `'a` is over.
pub(crate) unsafe fn borrow<'a, T>(handle: *const T) -> Result<&'a T, Failure> {
    // SAFETY: null, or valid (caller).
    unsafe { handle.as_ref() }.ok_or_else(|| Failure::invalid("the handle is null"))
}

/// Reads a name.
///
/// # Safety
///
/// It is null, or ends with a NUL and stays as it is for `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(Failure::invalid("the name is null"));
    }
    // SAFETY: ends with a NUL (caller).
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| Failure::invalid("the name is no UTF-8"))
}

/// Borrows bytes to be read.
///
/// # Safety
///
/// There are `len` bytes at `bytes`, which stay as they are for `'a`; of no bytes it may be null.
pub(crate) unsafe fn bytes<'a>(bytes: *const u8, len: usize) -> Result<&'a [u8], Failure> {
    if len == 0 {
        return Ok(&[]);
    }
    if bytes.is_null() || isize::try_from(len).is_err() {
        return Err(Failure::invalid(format!("there are no {len} bytes to read")));
    }
    // SAFETY: so many bytes are there (caller), no more than an allocation can have.
    Ok(unsafe { slice::from_raw_parts(bytes, len) })
}

/// Borrows bytes to be written to.
///
/// # Safety
///
/// There are `len` bytes at `bytes`, which nobody else uses for `'a`; of no bytes it may be null.
pub(crate) unsafe fn bytes_mut<'a>(bytes: *mut u8, len: usize) -> Result<&'a mut [u8], Failure> {
    if len == 0 {
        return Ok(&mut []);
    }
    if bytes.is_null() || isize::try_from(len).is_err() {
        return Err(Failure::invalid(format!("there is no room for {len} bytes")));
    }
    // SAFETY: so many bytes are there, and nobody else's (caller).
    Ok(unsafe { slice::from_raw_parts_mut(bytes, len) })
}

/// Stores what is given where the caller wants it.
///
/// # Safety
///
/// It is null, or a `T` can be written there.
pub(crate) unsafe fn give<T>(to: *mut T, value: T) -> Result<(), Failure> {
    if to.is_null() {
        return Err(Failure::invalid("the place for the result is null"));
    }
    // SAFETY: can be written to (caller).
    unsafe { to.write(value) };
    Ok(())
}

/// The same, if the caller wants it.
///
/// # Safety
///
/// As for [`give`].
pub(crate) unsafe fn tell<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: can be written to (caller).
        unsafe { to.write(value) };
    }
}

/// Gives a new handle.
///
/// # Safety
///
/// As for [`give`].
pub(crate) unsafe fn hand_out<T>(to: *mut *mut T, handle: T) -> Result<(), Failure> {
    if to.is_null() {
        return Err(Failure::invalid("the place for the handle is null"));
    }
    // SAFETY: can be written to (caller).
    unsafe { to.write(Box::into_raw(Box::new(handle))) };
    Ok(())
}

/// Frees a handle.
///
/// # Safety
///
/// It is null, or was handed out, and nobody uses it any more.
pub(crate) unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: from `hand_out`, once (caller).
        drop(unsafe { Box::from_raw(handle) });
    }
}
