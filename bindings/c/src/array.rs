//! Numbers in a row, each of which is never seen half-written.

use std::ffi::{c_char, c_void};
use std::fmt::Debug;
use std::ops::Range;
use std::slice;

use shmkit::{Array, Objects};

use crate::pointers::{borrow, free, give, hand_out};
use crate::segment::{place, shmkit_segment};
use crate::status::{Failure, call, shmkit_status};
use crate::types::{Number, by_type};

/// An array of numbers between processes. A Rust program has it as `Array<f64>`, and so on.
#[derive(Debug)]
pub struct shmkit_array {
    array: Box<dyn Row>,
}

/// An array of some type, whose elements C knows by their addresses.
trait Row: Debug {
    fn length(&self) -> usize;

    fn repair(&self) -> Result<(), Failure>;

    /// # Safety
    ///
    /// `count` numbers of the type can be written to `to`, which is aligned for them.
    unsafe fn read(&self, first: usize, count: usize, to: *mut c_void) -> Result<(), Failure>;

    /// # Safety
    ///
    /// There are `count` numbers of the type at `from`, which is aligned for them.
    unsafe fn write(&self, first: usize, count: usize, from: *const c_void) -> Result<(), Failure>;
}

/// Checks that there can be so many numbers of a type at an address.
fn check<T>(at: *const c_void, count: usize) -> Result<(), Failure> {
    let fits =
        count.checked_mul(size_of::<T>()).is_some_and(|bytes| isize::try_from(bytes).is_ok());
    if !fits || count > 0 && at.is_null() {
        return Err(Failure::invalid(format!("there are no {count} numbers at that place")));
    }
    if !at.cast::<T>().is_aligned() {
        return Err(Failure::invalid("the place of the numbers is not aligned for them"));
    }
    Ok(())
}

fn range(first: usize, count: usize) -> Result<Range<usize>, Failure> {
    let end = first.checked_add(count);
    Ok(first..end.ok_or_else(|| Failure::invalid("there are no such numbers in any array"))?)
}

impl<T: Number + Debug> Row for Array<T> {
    fn length(&self) -> usize {
        self.len()
    }

    fn repair(&self) -> Result<(), Failure> {
        drop(self.lock_or_repair(|_| {})?);
        Ok(())
    }

    unsafe fn read(&self, first: usize, count: usize, to: *mut c_void) -> Result<(), Failure> {
        check::<T>(to, count)?;
        if count == 0 {
            return Ok(());
        }
        // SAFETY: so many can be written there, aligned (caller, `check`), and numbers may have any bytes.
        let to = unsafe { slice::from_raw_parts_mut(to.cast::<T>(), count) };
        Ok(self.read_into(range(first, count)?, to)?)
    }

    unsafe fn write(&self, first: usize, count: usize, from: *const c_void) -> Result<(), Failure> {
        check::<T>(from, count)?;
        if count == 0 {
            return Ok(());
        }
        // SAFETY: so many are there, aligned (caller, `check`).
        let from = unsafe { slice::from_raw_parts(from.cast::<T>(), count) };
        Ok(self.write_range(range(first, count)?, from)?)
    }
}

/// Finds the array `name` in the segment, or makes one of `length` numbers that are 0. Fails with `INVALID` if it has another type or
/// length.
///
/// # Safety
///
/// `segment` is a handle that was not freed, `name` ends with a NUL, `array` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_array_open(
    segment: *const shmkit_segment,
    name: *const c_char,
    type_: i32,
    length: usize,
    array: *mut *mut shmkit_array,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let (segment, name) = unsafe { place(segment, name) }?;
        let found: Result<Box<dyn Row>, Failure> =
            by_type!(type_, T => Ok(Box::new(segment.array_with::<T>(name, length, |_| {})?)));
        // SAFETY: as above.
        unsafe { hand_out(array, shmkit_array { array: found? }) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Gives how many numbers there are.
///
/// # Safety
///
/// `array` is a handle that was not freed, `length` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_array_length(
    array: *const shmkit_array,
    length: *mut usize,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let array = unsafe { borrow(array) }?;
        // SAFETY: as above.
        unsafe { give(length, array.array.length()) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Reads `count` numbers, from the one of index `first` on, to `to`. All are of one moment. If a peer is
/// killed that writes many, this fails with `PEER_DIED` until somebody has called `shmkit_array_make_consistent`.
///
/// # Safety
///
/// `array` is a handle that was not freed; `count` numbers of its type can be written to `to`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_array_read(
    array: *const shmkit_array,
    first: usize,
    count: usize,
    to: *mut c_void,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let array = unsafe { borrow(array) }?;
        // SAFETY: as above.
        unsafe { array.array.read(first, count, to) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Writes `count` numbers from `from`, from the one of index `first` on. Killed in the middle, those who read are told.
///
/// # Safety
///
/// `array` is a handle that was not freed; there are `count` numbers of its type at `from`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_array_write(
    array: *const shmkit_array,
    first: usize,
    count: usize,
    from: *const c_void,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let array = unsafe { borrow(array) }?;
        // SAFETY: as above.
        unsafe { array.array.write(first, count, from) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Says that the numbers are good as they are, after a peer was killed that wrote many.
///
/// # Safety
///
/// `array` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_array_make_consistent(array: *const shmkit_array) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let array = unsafe { borrow(array) }?;
        array.array.repair()?;
        Ok(shmkit_status::Ok)
    })
}

/// Frees the handle. Null is ignored.
///
/// # Safety
///
/// `array` is null, or a handle that was not freed and that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_array_close(array: *mut shmkit_array) {
    // SAFETY: the caller's promise.
    unsafe { free(array) };
}
