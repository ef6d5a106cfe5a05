//! A number with a lock of its own, which is never seen half-written.

use std::ffi::{c_char, c_void};
use std::fmt::Debug;

use shmkit::{Objects, Value};

use crate::pointers::{borrow, free, hand_out};
use crate::segment::{place, shmkit_segment};
use crate::status::{Failure, call, shmkit_status};
use crate::timeout::patience;
use crate::types::{Number, by_type};

/// A number between processes. A Rust program has it as `Value<i64>`, and so on.
#[derive(Debug)]
pub struct shmkit_value {
    value: Box<dyn Cell>,
}

/// A value of some type, whose address C knows.
trait Cell: Debug {
    /// # Safety
    ///
    /// A value of the type can be written to `to`.
    unsafe fn get(&self, to: *mut c_void, milliseconds: i64) -> Result<(), Failure>;

    /// # Safety
    ///
    /// There is a value of the type at `from`.
    unsafe fn set(&self, from: *const c_void, milliseconds: i64) -> Result<(), Failure>;

    /// # Safety
    ///
    /// As for `set`; and a value of the type can be written to `sum`, unless it is null.
    unsafe fn add(&self, by: *const c_void, sum: *mut c_void) -> Result<(), Failure>;

    /// # Safety
    ///
    /// `change` keeps to the type.
    unsafe fn update(&self, change: &mut dyn FnMut(*mut c_void)) -> Result<(), Failure>;
}

fn null() -> Failure {
    Failure::invalid("the place of the number is null")
}

impl<T: Number + Debug> Cell for Value<T> {
    unsafe fn get(&self, to: *mut c_void, milliseconds: i64) -> Result<(), Failure> {
        if to.is_null() {
            return Err(null());
        }
        let value = self.get_deadline(patience(milliseconds))?;
        // SAFETY: can be written to (caller); of any alignment.
        unsafe { to.cast::<T>().write_unaligned(value) };
        Ok(())
    }

    unsafe fn set(&self, from: *const c_void, milliseconds: i64) -> Result<(), Failure> {
        if from.is_null() {
            return Err(null());
        }
        // SAFETY: there is one (caller); of any alignment.
        let value = unsafe { from.cast::<T>().read_unaligned() };
        Ok(self.set_deadline(value, patience(milliseconds))?)
    }

    unsafe fn add(&self, by: *const c_void, sum: *mut c_void) -> Result<(), Failure> {
        if by.is_null() {
            return Err(null());
        }
        // SAFETY: there is one (caller); of any alignment.
        let by = unsafe { by.cast::<T>().read_unaligned() };
        let now = Value::update(self, |value| {
            *value = value.plus(by);
            *value
        })?;
        if !sum.is_null() {
            // SAFETY: can be written to (caller); of any alignment.
            unsafe { sum.cast::<T>().write_unaligned(now) };
        }
        Ok(())
    }

    unsafe fn update(&self, change: &mut dyn FnMut(*mut c_void)) -> Result<(), Failure> {
        Ok(Value::update(self, |value| change(std::ptr::from_mut(value).cast()))?)
    }
}

/// Finds the number `name` in the segment, or makes one that is 0. Fails with `INVALID` if it has another type.
///
/// # Safety
///
/// `segment` is a handle that was not freed, `name` ends with a NUL, `value` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_value_open(
    segment: *const shmkit_segment,
    name: *const c_char,
    type_: i32,
    value: *mut *mut shmkit_value,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let (segment, name) = unsafe { place(segment, name) }?;
        let found: Result<Box<dyn Cell>, Failure> =
            by_type!(type_, T => Ok(Box::new(segment.value(name, T::default())?)));
        // SAFETY: as above.
        unsafe { hand_out(value, shmkit_value { value: found? }) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Reads the number, whole, to `to`. If a peer is killed that writes, it is the old one or the new one.
///
/// # Safety
///
/// `value` is a handle that was not freed; a number of its type can be written to `to`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_value_get(
    value: *const shmkit_value,
    to: *mut c_void,
    milliseconds: i64,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let value = unsafe { borrow(value) }?;
        // SAFETY: as above.
        unsafe { value.value.get(to, milliseconds) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Stores the number that is at `from`.
///
/// # Safety
///
/// `value` is a handle that was not freed; there is a number of its type at `from`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_value_set(
    value: *const shmkit_value,
    from: *const c_void,
    milliseconds: i64,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let value = unsafe { borrow(value) }?;
        // SAFETY: as above.
        unsafe { value.value.set(from, milliseconds) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Adds the number that is at `by`, under the lock, and stores the sum to `sum` unless that is null. Integers wrap.
///
/// # Safety
///
/// `value` is a handle that was not freed; there is a number of its type at `by`, and one can be written to `sum`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_value_add(
    value: *const shmkit_value,
    by: *const c_void,
    sum: *mut c_void,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let value = unsafe { borrow(value) }?;
        // SAFETY: as above.
        unsafe { value.value.add(by, sum) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Has `change` change the number, whose address it gets, under the lock. Killed in it, the number is the old one. It must return: it
/// must not jump out, and not use the number otherwise.
///
/// # Safety
///
/// `value` is a handle that was not freed; `change` keeps to its type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_value_update(
    value: *const shmkit_value,
    change: Option<unsafe extern "C" fn(number: *mut c_void, context: *mut c_void)>,
    context: *mut c_void,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let value = unsafe { borrow(value) }?;
        let change = change.ok_or_else(|| Failure::invalid("the function is null"))?;
        let mut change = |number| {
            // SAFETY: the number's address, which the caller's function knows what to do with.
            unsafe { change(number, context) }
        };
        // SAFETY: as above.
        unsafe { value.value.update(&mut change) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Frees the handle. Null is ignored.
///
/// # Safety
///
/// `value` is null, or a handle that was not freed and that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_value_close(value: *mut shmkit_value) {
    // SAFETY: the caller's promise.
    unsafe { free(value) };
}
