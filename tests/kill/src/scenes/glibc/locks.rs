//! What one holds at a time.

use std::mem::MaybeUninit;

use shmkit_atomic::AtomicU64;

use super::{Shared, check, check_errno};
use crate::Fault;
use crate::scenes::lock::{Entry, Gate, Inside, Kind, Use};
use crate::scenes::locks::{Words, data};

pub(super) const MUTEX: Kind = Kind {
    name: "glibc/mutex",
    make: |arena| make_mutex(Shared::at(arena, 0)?),
    open: |arena, then: Use<'_>| {
        then(&Mutex { raw: Shared::at(arena, 0)?, data: data(arena.object())? })
    },
    tells: true,
    floors: [20, 40, 10, 40],
};

type RawMutex = Shared<libc::pthread_mutex_t>;

/// Makes a robust, process-shared mutex.
pub(super) fn make_mutex(raw: &RawMutex) -> Result<(), Fault> {
    let mut attributes = MaybeUninit::uninit();
    let attributes = attributes.as_mut_ptr();
    // SAFETY: room for the attributes.
    check("attributes", unsafe { libc::pthread_mutexattr_init(attributes) })?;
    // SAFETY: made above.
    let answer =
        unsafe { libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) };
    check("process-shared", answer)?;
    // SAFETY: made above.
    let answer =
        unsafe { libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST) };
    check("robust", answer)?;
    // SAFETY: zero bytes that nobody uses yet, and attributes made above.
    check("mutex", unsafe { libc::pthread_mutex_init(raw.get(), attributes) })
}

/// Locks; returns whether the owner died.
pub(super) fn lock(raw: &RawMutex) -> Result<bool, Fault> {
    // SAFETY: made by `make_mutex`.
    match unsafe { libc::pthread_mutex_lock(raw.get()) } {
        libc::EOWNERDEAD => Ok(true),
        answer => check("lock", answer).map(|()| false),
    }
}

/// Answers for the data.
pub(super) fn make_consistent(raw: &RawMutex) {
    // SAFETY: made by `make_mutex`. Refused only to who was not told, and then there is nothing to answer for.
    unsafe { libc::pthread_mutex_consistent(raw.get()) };
}

/// Unlocks.
pub(super) fn unlock(raw: &RawMutex) -> Result<(), Fault> {
    // SAFETY: made by `make_mutex`; it checks the owner itself.
    check("unlock", unsafe { libc::pthread_mutex_unlock(raw.get()) })
}

struct Mutex<'a> {
    raw: &'a RawMutex,
    data: &'a [AtomicU64],
}

impl Gate for Mutex<'_> {
    fn pass(&self, inside: Inside<'_>) -> Result<(), Fault> {
        let told = lock(self.raw)?;
        inside(&mut Held { words: Words { data: self.data, told: Some(told) }, raw: self.raw })?;
        unlock(self.raw)
    }

    fn try_pass(&self, inside: Inside<'_>) -> Result<bool, Fault> {
        // SAFETY: made by `make_mutex`.
        let told = match unsafe { libc::pthread_mutex_trylock(self.raw.get()) } {
            libc::EBUSY => return Ok(false),
            libc::EOWNERDEAD => true,
            answer => check("trylock", answer).map(|()| false)?,
        };
        inside(&mut Held { words: Words { data: self.data, told: Some(told) }, raw: self.raw })?;
        unlock(self.raw).map(|()| true)
    }
}

struct Held<'a> {
    words: Words<'a>,
    raw: &'a RawMutex,
}

impl Entry for Held<'_> {
    fn told(&self) -> Option<bool> {
        self.words.told()
    }

    fn get(&self, i: usize) -> u64 {
        self.words.get(i)
    }

    fn set(&mut self, i: usize, value: u64) {
        self.words.set(i, value);
    }

    fn make_consistent(&self) {
        make_consistent(self.raw);
    }
}

pub(super) const RWLOCK: Kind = Kind {
    name: "glibc/rwlock-write",
    make: |arena| make_rwlock(Shared::at(arena, 0)?),
    open: |arena, then: Use<'_>| {
        then(&RwLock { raw: Shared::at(arena, 0)?, data: data(arena.object())? })
    },
    tells: false,
    floors: [20, 40, 10, 0],
};

pub(super) type RawRwLock = Shared<libc::pthread_rwlock_t>;

/// Makes a process-shared lock; there is no robust one.
pub(super) fn make_rwlock(raw: &RawRwLock) -> Result<(), Fault> {
    let mut attributes = MaybeUninit::uninit();
    let attributes = attributes.as_mut_ptr();
    // SAFETY: room for the attributes.
    check("attributes", unsafe { libc::pthread_rwlockattr_init(attributes) })?;
    // SAFETY: made above.
    let answer =
        unsafe { libc::pthread_rwlockattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) };
    check("process-shared", answer)?;
    // SAFETY: zero bytes that nobody uses yet, and attributes made above.
    check("rwlock", unsafe { libc::pthread_rwlock_init(raw.get(), attributes) })
}

struct RwLock<'a> {
    raw: &'a RawRwLock,
    data: &'a [AtomicU64],
}

impl RwLock<'_> {
    fn enter(&self, inside: Inside<'_>) -> Result<(), Fault> {
        inside(&mut Words { data: self.data, told: None })?;
        // SAFETY: made by `make_rwlock`, and taken by the caller.
        check("unlock", unsafe { libc::pthread_rwlock_unlock(self.raw.get()) })
    }
}

impl Gate for RwLock<'_> {
    fn pass(&self, inside: Inside<'_>) -> Result<(), Fault> {
        // SAFETY: made by `make_rwlock`.
        check("wrlock", unsafe { libc::pthread_rwlock_wrlock(self.raw.get()) })?;
        self.enter(inside)
    }

    fn try_pass(&self, inside: Inside<'_>) -> Result<bool, Fault> {
        // SAFETY: made by `make_rwlock`.
        match unsafe { libc::pthread_rwlock_trywrlock(self.raw.get()) } {
            libc::EBUSY => Ok(false),
            answer => {
                check("trywrlock", answer)?;
                self.enter(inside).map(|()| true)
            }
        }
    }
}

pub(super) const SEMAPHORE: Kind = Kind {
    name: "glibc/semaphore",
    make: |arena| {
        let raw = Shared::<libc::sem_t>::at(arena, 0)?;
        // SAFETY: zero bytes that nobody uses yet.
        check_errno("sem_init", unsafe { libc::sem_init(raw.get(), 1, 1) }, 0).map(drop)
    },
    open: |arena, then: Use<'_>| {
        then(&Semaphore { raw: Shared::at(arena, 0)?, data: data(arena.object())? })
    },
    tells: false,
    floors: [10, 20, 10, 0],
};

struct Semaphore<'a> {
    raw: &'a Shared<libc::sem_t>,
    data: &'a [AtomicU64],
}

impl Semaphore<'_> {
    fn enter(&self, inside: Inside<'_>) -> Result<(), Fault> {
        inside(&mut Words { data: self.data, told: None })?;
        // SAFETY: made by `make`.
        check_errno("sem_post", unsafe { libc::sem_post(self.raw.get()) }, 0).map(drop)
    }
}

impl Gate for Semaphore<'_> {
    fn pass(&self, inside: Inside<'_>) -> Result<(), Fault> {
        // SAFETY: made by `make`.
        while !check_errno("sem_wait", unsafe { libc::sem_wait(self.raw.get()) }, libc::EINTR)? {}
        self.enter(inside)
    }

    fn try_pass(&self, inside: Inside<'_>) -> Result<bool, Fault> {
        // SAFETY: made by `make`.
        let answer = unsafe { libc::sem_trywait(self.raw.get()) };
        if check_errno("sem_trywait", answer, libc::EAGAIN)? {
            return self.enter(inside).map(|()| true);
        }
        Ok(false)
    }
}
