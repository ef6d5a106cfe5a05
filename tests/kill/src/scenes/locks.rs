//! The locks of the workspace, as gates of the lock scenes.

use std::hint::black_box;

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::{Object, Offset, Region};
use shmkit_sync::{LockError, LockFailure, Mutex, MutexGuard, Semaphore, SemaphoreError};

use super::lock::{Entry, Gate, Inside, Kind, Use};
use crate::arena::{Me, NOBODY};
use crate::{Arena, Fault};

pub(crate) const MUTEX: Kind = Kind {
    name: "mutex",
    make: |arena| {
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        let made = unsafe { Mutex::<[u64; 2], _>::init(arena.object(), [0, 0], &NOBODY) };
        made.map(drop).map_err(|e| Fault::broken(e.to_string()))
    },
    open: open_mutex,
    tells: true,
    floors: [40, 60, 30, 60],
};

fn open_mutex(arena: &Arena, then: Use<'_>) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make` made a mutex of this type here.
    let mutex = unsafe { Mutex::<[u64; 2], _>::attach(arena.object(), 1, &me) };
    then(&mutex.map_err(|e| Fault::broken(e.to_string()))?)
}

impl Gate for Mutex<[u64; 2], Me<'_>> {
    fn pass(&self, inside: Inside<'_>) -> Result<(), Fault> {
        match self.lock() {
            Ok(guard) => inside(&mut Held { guard, told: false }),
            Err(LockError::OwnerDied(guard)) => inside(&mut Held { guard, told: true }),
            Err(other) => Err(Fault::hung(format!("lock: {other}"))),
        }
    }

    fn try_pass(&self, inside: Inside<'_>) -> Result<bool, Fault> {
        match self.try_lock() {
            Ok(guard) => inside(&mut Held { guard, told: false }).map(|()| true),
            Err(LockError::OwnerDied(guard)) => {
                inside(&mut Held { guard, told: true }).map(|()| true)
            }
            Err(LockError::Failed(LockFailure::WouldBlock)) => Ok(false),
            Err(other) => Err(Fault::hung(format!("try_lock: {other}"))),
        }
    }
}

struct Held<'a> {
    guard: MutexGuard<'a, [u64; 2], &'a Me<'a>>,
    told: bool,
}

impl Entry for Held<'_> {
    fn told(&self) -> Option<bool> {
        Some(self.told)
    }

    fn get(&self, i: usize) -> u64 {
        black_box(&*self.guard)[i]
    }

    fn set(&mut self, i: usize, value: u64) {
        // The compiler must believe that each write is seen.
        black_box(&mut *self.guard)[i] = value;
        black_box(&mut *self.guard);
    }

    fn make_consistent(&self) {
        self.guard.make_consistent();
    }
}

pub(crate) const SEMAPHORE: Kind = Kind {
    name: "semaphore",
    make: |arena| {
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        let made = unsafe { Semaphore::<_>::init(arena.object(), 1.into(), &NOBODY) };
        made.map(drop).map_err(|e| Fault::broken(e.to_string()))
    },
    open: open_semaphore,
    tells: false,
    floors: [60, 100, 60, 0],
};

fn open_semaphore(arena: &Arena, then: Use<'_>) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make` made a semaphore here.
    let semaphore = unsafe { Semaphore::attach(arena.object(), 1, &me) };
    let semaphore = semaphore.map_err(|e| Fault::broken(e.to_string()))?;
    then(&OnePermit { semaphore, data: data(arena.object())? })
}

/// A semaphore of one permit guards two words beside it.
struct OnePermit<'a> {
    semaphore: Semaphore<Me<'a>>,
    data: &'a [AtomicU64],
}

impl Gate for OnePermit<'_> {
    fn pass(&self, inside: Inside<'_>) -> Result<(), Fault> {
        let permit = self.semaphore.acquire().map_err(|e| Fault::hung(format!("acquire: {e}")))?;
        inside(&mut Words { data: self.data, told: None })?;
        drop(permit);
        Ok(())
    }

    fn try_pass(&self, inside: Inside<'_>) -> Result<bool, Fault> {
        match self.semaphore.try_acquire() {
            Ok(permit) => {
                inside(&mut Words { data: self.data, told: None })?;
                drop(permit);
                Ok(true)
            }
            Err(SemaphoreError::WouldBlock) => Ok(false),
            Err(other) => Err(Fault::hung(format!("try_acquire: {other}"))),
        }
    }
}

/// Data of a lock that has none of its own: two words in the middle of the object's bytes.
pub(crate) struct Words<'a> {
    pub(crate) data: &'a [AtomicU64],
    pub(crate) told: Option<bool>,
}

impl Entry for Words<'_> {
    fn told(&self) -> Option<bool> {
        self.told
    }

    fn get(&self, i: usize) -> u64 {
        self.data[i].load(Relaxed)
    }

    fn set(&mut self, i: usize, value: u64) {
        self.data[i].store(value, Relaxed);
    }

    fn make_consistent(&self) {}
}

/// Returns the two words, in the second half of the object's bytes.
pub(crate) fn data(object: Region<'_>) -> Result<&[AtomicU64], Fault> {
    let middle = Offset::new(object.len() as u64 / 2);
    middle
        .and_then(|at| object.slice(at, 2))
        .map_err(|e| Fault::broken(format!("two words beside the lock: {e}")))
}
