//! The condition variable.

use std::ffi::c_char;

use shmkit::sync::Wakeup;
use shmkit::{Condvar, LockError, Objects, WaitError};

use crate::mutex::shmkit_mutex;
use crate::pointers::{borrow, free, hand_out};
use crate::segment::{place, shmkit_segment};
use crate::status::{Failure, call, shmkit_status};
use crate::timeout::patience;

/// A condition variable between processes. All use it with one mutex of the same segment.
#[derive(Debug)]
pub struct shmkit_condvar {
    condvar: Condvar,
}

/// Finds the condition variable `name` in the segment, or makes it.
///
/// # Safety
///
/// `segment` is a handle that was not freed, `name` ends with a NUL, `condvar` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_condvar_open(
    segment: *const shmkit_segment,
    name: *const c_char,
    condvar: *mut *mut shmkit_condvar,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let (segment, name) = unsafe { place(segment, name) }?;
        let handle = shmkit_condvar { condvar: segment.condvar(name)? };
        // SAFETY: as above.
        unsafe { hand_out(condvar, handle) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Unlocks the mutex, which this thread has locked, waits until somebody notifies, and locks it again: for so many milliseconds, for
/// ever if negative. `TIMED_OUT` means that the mutex is locked again, too. It may wake for no reason: look whether what is waited
/// for is so.
///
/// `OWNER_DIED`, `NOT_RECOVERABLE` and `POISONED` are as of `shmkit_mutex_lock`. After `INVALID` it is locked, as before; after any other failure it is not. If a
/// peer is killed that was notified, the notification goes to another one.
///
/// # Safety
///
/// `condvar` and `mutex` are handles that were not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_condvar_wait(
    condvar: *const shmkit_condvar,
    mutex: *const shmkit_mutex,
    milliseconds: i64,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let condvar = unsafe { borrow(condvar) }?;
        // SAFETY: as above.
        let mutex = unsafe { borrow(mutex) }?;
        let guard = mutex.take()?;
        match condvar.condvar.wait_deadline(guard, patience(milliseconds)) {
            Ok((guard, wakeup)) => {
                let status = mutex.keep(Ok(guard))?;
                match wakeup {
                    Wakeup::TimedOut => Err(timed_out()),
                    _ => Ok(status),
                }
            }
            Err(WaitError::OwnerDied(guard, _)) => mutex.keep(Err(LockError::OwnerDied(guard))),
            Err(WaitError::NotRecoverable(guard, _)) => {
                mutex.keep(Err(LockError::NotRecoverable(guard)))
            }
            Err(WaitError::Poisoned(guard, _)) => mutex.keep(Err(LockError::Poisoned(guard))),
            Err(error) => {
                let mut failure = Failure::invalid(error.to_string());
                match error.into_guard() {
                    // It is locked, as before.
                    Ok(guard) => _ = mutex.keep(Ok(guard))?,
                    Err(lost) => failure = lost.into(),
                }
                Err(failure)
            }
        }
    })
}

fn timed_out() -> Failure {
    Failure::new(shmkit_status::TimedOut, "nobody notified in time; the mutex is locked")
}

/// Wakes one who waits. The mutex is locked by this process.
///
/// # Safety
///
/// `condvar` and `mutex` are handles that were not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_condvar_notify_one(
    condvar: *const shmkit_condvar,
    mutex: *const shmkit_mutex,
) -> shmkit_status {
    // SAFETY: the caller's promise.
    unsafe { notify(condvar, mutex, 1) }
}

/// Wakes all who wait. The mutex is locked by this process.
///
/// # Safety
///
/// `condvar` and `mutex` are handles that were not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_condvar_notify_all(
    condvar: *const shmkit_condvar,
    mutex: *const shmkit_mutex,
) -> shmkit_status {
    // SAFETY: the caller's promise.
    unsafe { notify(condvar, mutex, u32::MAX) }
}

/// Frees the handle. Null is ignored.
///
/// # Safety
///
/// `condvar` is null, or a handle that was not freed and that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_condvar_close(condvar: *mut shmkit_condvar) {
    // SAFETY: the caller's promise.
    unsafe { free(condvar) };
}

/// Wakes so many.
///
/// # Safety
///
/// As for `shmkit_condvar_notify_one`.
unsafe fn notify(
    condvar: *const shmkit_condvar,
    mutex: *const shmkit_mutex,
    count: u32,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let condvar = unsafe { borrow(condvar) }?;
        // SAFETY: as above.
        let mutex = unsafe { borrow(mutex) }?;
        mutex.with(|guard| condvar.condvar.notify(guard, count))??;
        Ok(shmkit_status::Ok)
    })
}
