//! The control: the same harness over glibc's process-shared locks. It must find what they do not promise.
//!
//! Robust mutex, readers-writer lock, semaphore, condition variable, barrier ([pthreads(7)], [sem_overview(7)]). A scene
//! is stopped after its third failure, so that the survivors' time-outs add up to little.
//!
//! [pthreads(7)]: https://man7.org/linux/man-pages/man7/pthreads.7.html
//! [sem_overview(7)]: https://man7.org/linux/man-pages/man7/sem_overview.7.html

mod locks;
mod meeting;

use std::cell::UnsafeCell;

use shmkit_layout::Offset;

use super::lock::{self, Company};
use crate::{Arena, Fault, Scene};
pub(crate) use meeting::{condvar, reader};

/// Returns the scenes.
pub fn all() -> Vec<Scene> {
    vec![
        lock::alone(locks::MUTEX),
        lock::unlock_queued(locks::MUTEX, Company::Barger),
        lock::woken_waiter(locks::MUTEX, Company::Barger),
        lock::alone(locks::RWLOCK),
        reader(),
        lock::alone(locks::SEMAPHORE),
        lock::woken_waiter(locks::SEMAPHORE, Company::Nobody),
        condvar(),
        meeting::barrier(),
    ]
}

/// Something of glibc's in shared memory: `T` is one of its types, of which all zero bytes are a value.
#[repr(transparent)]
struct Shared<T>(UnsafeCell<T>);

// SAFETY: glibc's own: any number of processes may call its functions on it at a time.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Finds it at `at` in the arena.
    fn at(arena: &Arena, at: u64) -> Result<&Self, Fault> {
        let object = arena.object();
        let place = Offset::new(at).and_then(|at| object.slice::<shmkit_atomic::AtomicU64>(at, 16));
        let place = place.map_err(|e| Fault::broken(e.to_string()))?;
        const { assert!(size_of::<T>() <= 128 && align_of::<T>() <= 8) };
        let this = place.as_ptr().cast::<Self>();
        // SAFETY: 128 mapped bytes, aligned to 8, that are atomics or in an `UnsafeCell` for everybody.
        Ok(unsafe { &*this })
    }

    fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// Turns the answer of a function of pthreads into a result.
fn check(what: &str, answer: i32) -> Result<(), Fault> {
    if answer == 0 {
        return Ok(());
    }
    Err(Fault::hung(format!("{what}: {}", std::io::Error::from_raw_os_error(answer))))
}

/// Turns an answer that comes with `errno` into a result; `false` if it is `busy`.
fn check_errno(what: &str, answer: i32, busy: i32) -> Result<bool, Fault> {
    if answer == 0 {
        return Ok(true);
    }
    let error = std::io::Error::last_os_error();
    if error.raw_os_error() == Some(busy) {
        Ok(false)
    } else {
        Err(Fault::hung(format!("{what}: {error}")))
    }
}
