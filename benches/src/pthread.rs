//! glibc's process-shared mutexes, semaphores, barriers and condition variables.

use anyhow::{Result, ensure};
use shmkit_benches::Shared;

/// A pthread mutex in memory that a child process would share.
#[derive(Debug)]
pub(crate) struct PthreadMutex {
    memory: Shared<libc::pthread_mutex_t>,
}

impl PthreadMutex {
    /// Makes a process-shared mutex, robust or not.
    pub(crate) fn new(robust: bool) -> Result<Self> {
        // SAFETY: memory for a C struct, initialised below.
        let memory: Shared<libc::pthread_mutex_t> = unsafe { Shared::new() }?;
        let mut attr = std::mem::MaybeUninit::uninit();
        let kind = if robust { libc::PTHREAD_MUTEX_ROBUST } else { libc::PTHREAD_MUTEX_STALLED };
        // SAFETY: `attr` is memory for an attribute object, which is initialised here.
        let mut failed = unsafe { libc::pthread_mutexattr_init(attr.as_mut_ptr()) };
        // SAFETY: `attr` was initialised above.
        failed |= unsafe {
            libc::pthread_mutexattr_setpshared(attr.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED)
        };
        // SAFETY: as above.
        failed |= unsafe { libc::pthread_mutexattr_setrobust(attr.as_mut_ptr(), kind) };
        // SAFETY: the mutex lies in zeroed mapped memory that nobody else knows yet; `attr` is initialised.
        failed |= unsafe { libc::pthread_mutex_init(memory.get(), attr.as_ptr()) };
        ensure!(failed == 0, "pthread_mutex_init: error {failed}");
        Ok(Self { memory })
    }

    /// Locks and unlocks.
    #[inline]
    pub(crate) fn lock_and_unlock(&self) -> bool {
        self.lock() && self.unlock()
    }

    /// Locks.
    #[inline]
    pub(crate) fn lock(&self) -> bool {
        // SAFETY: initialised in `new` and mapped until `self` is dropped.
        unsafe { libc::pthread_mutex_lock(self.memory.get()) == 0 }
    }

    /// Locks, and returns whether it was told that the owner died.
    pub(crate) fn lock_of_the_dead(&self) -> bool {
        // SAFETY: as above.
        unsafe { libc::pthread_mutex_lock(self.memory.get()) == libc::EOWNERDEAD }
    }

    /// Unlocks what this thread locked.
    #[inline]
    pub(crate) fn unlock(&self) -> bool {
        // SAFETY: as above.
        unsafe { libc::pthread_mutex_unlock(self.memory.get()) == 0 }
    }
}

/// A `sem_t` that a child process would share, with no permit.
#[derive(Debug)]
pub(crate) struct PthreadSemaphore {
    memory: Shared<libc::sem_t>,
}

impl PthreadSemaphore {
    /// Makes one.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: memory for a C struct, initialised below.
        let memory: Shared<libc::sem_t> = unsafe { Shared::new() }?;
        // SAFETY: zeroed mapped memory that nobody else knows yet.
        let failed = unsafe { libc::sem_init(memory.get(), 1, 0) };
        ensure!(failed == 0, "sem_init: {}", std::io::Error::last_os_error());
        Ok(Self { memory })
    }

    /// Gives a permit.
    pub(crate) fn post(&self) -> bool {
        // SAFETY: initialised in `new` and mapped until `self` is dropped.
        unsafe { libc::sem_post(self.memory.get()) == 0 }
    }

    /// Takes a permit.
    pub(crate) fn wait(&self) -> bool {
        // SAFETY: as above.
        unsafe { libc::sem_wait(self.memory.get()) == 0 }
    }
}

/// A pthread barrier that a child process would share.
#[derive(Debug)]
pub(crate) struct PthreadBarrier {
    memory: Shared<libc::pthread_barrier_t>,
}

impl PthreadBarrier {
    /// Makes one for so many parties.
    pub(crate) fn new(parties: u32) -> Result<Self> {
        // SAFETY: memory for a C struct, initialised below.
        let memory: Shared<libc::pthread_barrier_t> = unsafe { Shared::new() }?;
        let mut attr = std::mem::MaybeUninit::uninit();
        // SAFETY: `attr` is memory for an attribute object, which is initialised here.
        let mut failed = unsafe { libc::pthread_barrierattr_init(attr.as_mut_ptr()) };
        // SAFETY: `attr` was initialised above.
        failed |= unsafe {
            libc::pthread_barrierattr_setpshared(attr.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED)
        };
        // SAFETY: zeroed mapped memory that nobody else knows yet; `attr` is initialised.
        failed |= unsafe { libc::pthread_barrier_init(memory.get(), attr.as_ptr(), parties) };
        ensure!(failed == 0, "pthread_barrier_init: error {failed}");
        Ok(Self { memory })
    }

    /// Waits for the others.
    pub(crate) fn wait(&self) -> bool {
        // SAFETY: initialised in `new` and mapped until `self` is dropped.
        let waited = unsafe { libc::pthread_barrier_wait(self.memory.get()) };
        waited == 0 || waited == libc::PTHREAD_BARRIER_SERIAL_THREAD
    }
}

/// A pthread condition variable that a child process would share.
#[derive(Debug)]
pub(crate) struct PthreadCondvar {
    memory: Shared<libc::pthread_cond_t>,
}

impl PthreadCondvar {
    /// Makes one.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: memory for a C struct, initialised below.
        let memory: Shared<libc::pthread_cond_t> = unsafe { Shared::new() }?;
        let mut attr = std::mem::MaybeUninit::uninit();
        // SAFETY: `attr` is memory for an attribute object, which is initialised here.
        let mut failed = unsafe { libc::pthread_condattr_init(attr.as_mut_ptr()) };
        // SAFETY: `attr` was initialised above.
        failed |= unsafe {
            libc::pthread_condattr_setpshared(attr.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED)
        };
        // SAFETY: zeroed mapped memory that nobody else knows yet; `attr` is initialised.
        failed |= unsafe { libc::pthread_cond_init(memory.get(), attr.as_ptr()) };
        ensure!(failed == 0, "pthread_cond_init: error {failed}");
        Ok(Self { memory })
    }

    /// Waits with a mutex that this thread has locked.
    pub(crate) fn wait(&self, mutex: &PthreadMutex) -> bool {
        // SAFETY: both initialised in their `new` and mapped until they are dropped.
        unsafe { libc::pthread_cond_wait(self.memory.get(), mutex.memory.get()) == 0 }
    }

    /// Wakes one.
    pub(crate) fn signal(&self) -> bool {
        // SAFETY: as above.
        unsafe { libc::pthread_cond_signal(self.memory.get()) == 0 }
    }
}
