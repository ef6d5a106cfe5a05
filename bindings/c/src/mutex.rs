//! The mutex that survives its owner.

use std::ffi::c_char;
use std::sync::{Mutex as Slot, PoisonError};

use shmkit::{LockError, Mutex, Objects, OwnedMutexGuard};

use crate::pointers::{borrow, free, give, hand_out};
use crate::segment::{place, shmkit_segment};
use crate::status::{Failure, call, shmkit_status};
use crate::timeout::patience;

/// A mutex between processes. A Rust program has it as `Mutex<u64>`: a number of eight bytes lies beside it, for whoever holds it.
///
/// It excludes threads and processes. Any thread of the process that holds it may unlock it.
#[derive(Debug)]
pub struct shmkit_mutex {
    mutex: Mutex<u64>,
    /// That of who holds it, if that is this process and it did not give it to a condition variable meanwhile.
    held: Slot<Option<OwnedMutexGuard<u64>>>,
}

impl shmkit_mutex {
    /// Keeps the guard of who has just taken the lock, and says what it was told.
    pub(crate) fn keep(
        &self,
        taken: Result<OwnedMutexGuard<u64>, LockError<OwnedMutexGuard<u64>>>,
    ) -> Result<shmkit_status, Failure> {
        let status = match &taken {
            Ok(_) => shmkit_status::Ok,
            Err(LockError::OwnerDied(_)) => shmkit_status::OwnerDied,
            Err(LockError::NotRecoverable(_)) => shmkit_status::NotRecoverable,
            Err(_) => shmkit_status::Poisoned,
        };
        let guard = match taken {
            Ok(guard) => guard,
            Err(error) => error.into_guard()?,
        };
        *self.slot() = Some(guard);
        Ok(status)
    }

    /// Takes the guard of who holds the lock.
    pub(crate) fn take(&self) -> Result<OwnedMutexGuard<u64>, Failure> {
        self.slot().take().ok_or_else(not_held)
    }

    /// Looks at the guard of who holds the lock.
    pub(crate) fn with<R>(
        &self,
        look: impl FnOnce(&mut OwnedMutexGuard<u64>) -> R,
    ) -> Result<R, Failure> {
        self.slot().as_mut().map(look).ok_or_else(not_held)
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<OwnedMutexGuard<u64>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_held() -> Failure {
    Failure::new(
        shmkit_status::NotOwner,
        "nobody has locked the mutex by this handle: lock it first",
    )
}

/// Finds the mutex `name` in the segment, or makes it.
///
/// # Safety
///
/// `segment` is a handle that was not freed, `name` ends with a NUL, `mutex` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_mutex_open(
    segment: *const shmkit_segment,
    name: *const c_char,
    mutex: *mut *mut shmkit_mutex,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let (segment, name) = unsafe { place(segment, name) }?;
        let found = segment.mutex(name, 0_u64)?;
        let handle = shmkit_mutex { mutex: found, held: Slot::new(None) };
        // SAFETY: as above.
        unsafe { hand_out(mutex, handle) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Locks the mutex: waits for so many milliseconds, for ever if negative, not at all if 0.
///
/// If a peer is killed that holds it, this gets it within some 40 ms, and says `OWNER_DIED`: it is locked then, and what it guards
/// may be half changed. `NOT_RECOVERABLE` and `POISONED` mean that it is locked, too.
///
/// # Safety
///
/// `mutex` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_mutex_lock(
    mutex: *const shmkit_mutex,
    milliseconds: i64,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let mutex = unsafe { borrow(mutex) }?;
        mutex.keep(mutex.mutex.lock_owned_deadline(patience(milliseconds)))
    })
}

/// Says that what the mutex guards is good again, after `OWNER_DIED` or `NOT_RECOVERABLE`. Whoever holds it calls this.
///
/// # Safety
///
/// `mutex` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_mutex_make_consistent(mutex: *const shmkit_mutex) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let mutex = unsafe { borrow(mutex) }?;
        mutex.with(|guard| guard.make_consistent())?;
        Ok(shmkit_status::Ok)
    })
}

/// Unlocks the mutex, which was locked by this handle.
///
/// # Safety
///
/// `mutex` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_mutex_unlock(mutex: *const shmkit_mutex) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let mutex = unsafe { borrow(mutex) }?;
        drop(mutex.take()?);
        Ok(shmkit_status::Ok)
    })
}

/// Gives the address of the number beside the mutex, to be used by whoever holds it, until it unlocks it.
///
/// # Safety
///
/// `mutex` is a handle that was not freed, `data` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_mutex_data(
    mutex: *const shmkit_mutex,
    data: *mut *mut u64,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let mutex = unsafe { borrow(mutex) }?;
        let address = mutex.with(|guard| std::ptr::from_mut(&mut **guard))?;
        // SAFETY: as above.
        unsafe { give(data, address) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Frees the handle; a mutex that was locked by it is unlocked. Null is ignored.
///
/// # Safety
///
/// `mutex` is null, or a handle that was not freed and that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_mutex_close(mutex: *mut shmkit_mutex) {
    // SAFETY: the caller's promise.
    unsafe { free(mutex) };
}
