//! The readers-writer lock that survives its holders.

use std::ffi::c_char;
use std::sync::{Mutex as Slot, PoisonError};

use shmkit::{LockError, Objects, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::pointers::{borrow, free, hand_out};
use crate::segment::{place, shmkit_segment};
use crate::status::{Failure, call, shmkit_status};
use crate::timeout::patience;

/// A readers-writer lock between processes. A Rust program has it as `RwLock<u64>`.
#[derive(Debug)]
pub struct shmkit_rwlock {
    lock: RwLock<u64>,
    /// Of this process's threads.
    held: Slot<Held>,
}

#[derive(Debug, Default)]
struct Held {
    readers: Vec<OwnedRwLockReadGuard<u64>>,
    writer: Option<OwnedRwLockWriteGuard<u64>>,
}

impl shmkit_rwlock {
    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says what who has taken the lock was told, and returns the guard.
fn told<G>(taken: Result<G, LockError<G>>) -> Result<(shmkit_status, G), Failure> {
    let status = match &taken {
        Ok(_) => shmkit_status::Ok,
        Err(LockError::OwnerDied(_)) => shmkit_status::OwnerDied,
        Err(LockError::NotRecoverable(_)) => shmkit_status::NotRecoverable,
        Err(_) => shmkit_status::Poisoned,
    };
    match taken {
        Ok(guard) => Ok((status, guard)),
        Err(error) => Ok((status, error.into_guard()?)),
    }
}

/// Finds the readers-writer lock `name` in the segment, or makes it.
///
/// # Safety
///
/// `segment` is a handle that was not freed, `name` ends with a NUL, `lock` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_rwlock_open(
    segment: *const shmkit_segment,
    name: *const c_char,
    lock: *mut *mut shmkit_rwlock,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let (segment, name) = unsafe { place(segment, name) }?;
        let handle = shmkit_rwlock { lock: segment.rwlock(name, 0_u64)?, held: Slot::default() };
        // SAFETY: as above.
        unsafe { hand_out(lock, handle) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Locks for reading: waits for so many milliseconds, for ever if negative, not at all if 0.
///
/// If a peer is killed that reads, nobody minds. If one is killed that writes, readers and writers are told `OWNER_DIED` until a writer
/// has answered for what the lock guards; it is locked then. `NOT_RECOVERABLE` and `POISONED` mean that it is locked, too.
///
/// # Safety
///
/// `lock` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_rwlock_read(
    lock: *const shmkit_rwlock,
    milliseconds: i64,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let lock = unsafe { borrow(lock) }?;
        let (status, guard) = told(lock.lock.read_owned_deadline(patience(milliseconds)))?;
        lock.held().readers.push(guard);
        Ok(status)
    })
}

/// Locks for writing; as `shmkit_rwlock_read` otherwise.
///
/// # Safety
///
/// `lock` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_rwlock_write(
    lock: *const shmkit_rwlock,
    milliseconds: i64,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let lock = unsafe { borrow(lock) }?;
        let (status, guard) = told(lock.lock.write_owned_deadline(patience(milliseconds)))?;
        lock.held().writer = Some(guard);
        Ok(status)
    })
}

/// Says that what the lock guards is good again, after `OWNER_DIED` or `NOT_RECOVERABLE`. Whoever writes calls this.
///
/// # Safety
///
/// `lock` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_rwlock_make_consistent(
    lock: *const shmkit_rwlock,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let lock = unsafe { borrow(lock) }?;
        let held = lock.held();
        held.writer.as_ref().ok_or_else(not_held)?.make_consistent();
        Ok(shmkit_status::Ok)
    })
}

/// Unlocks: what this process has locked for writing, or else one of its readers.
///
/// # Safety
///
/// `lock` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_rwlock_unlock(lock: *const shmkit_rwlock) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let lock = unsafe { borrow(lock) }?;
        // Dropped behind the other lock: to unlock may be a system call.
        let mut held = lock.held();
        let (writer, reader) = match held.writer.take() {
            Some(writer) => (Some(writer), None),
            None => (None, Some(held.readers.pop().ok_or_else(not_held)?)),
        };
        drop(held);
        drop((writer, reader));
        Ok(shmkit_status::Ok)
    })
}

fn not_held() -> Failure {
    let text = "nobody has locked it so by this handle: lock it first";
    Failure::new(shmkit_status::NotOwner, text)
}

/// Frees the handle; what was locked by it is unlocked. Null is ignored.
///
/// # Safety
///
/// `lock` is null, or a handle that was not freed and that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_rwlock_close(lock: *mut shmkit_rwlock) {
    // SAFETY: the caller's promise.
    unsafe { free(lock) };
}
