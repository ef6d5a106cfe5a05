//! The plain lock of four bytes, for who wants no roster.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use shmkit_atomic::Deadline;
use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::futex::Op;
#[cfg(not(loom))]
use shmkit_layout::Shared;

use crate::Slices;
use crate::spin::Spin;
use crate::word::Word;

/// Nobody holds the lock.
const FREE: u32 = 0;
/// Somebody holds the lock.
const HELD: u32 = 1;
/// Somebody holds the lock, and somebody may sleep: who releases it must wake.
const CONTENDED: u32 = 2;

/// A lock of four bytes that works between processes and knows nothing of their lives.
///
/// **It is not robust: if a process is killed, or ends, while it holds the lock, the lock is held for ever.** There is no
/// roster, no owner, and nobody to ask; use [`RawMutex`](crate::RawMutex) or [`Mutex`](crate::Mutex) where that must not
/// happen. What it is for: critical sections whose processes live and die together, and data structures that bring a
/// recovery of their own. What it does promise is that the death of who *waits*, and of who has *released*, harms nobody.
///
/// ```text
/// 0 free | 1 held | 2 held, and somebody may sleep
/// ```
///
/// It has no owner: any thread of any process may release it, a forked child with a copy of its parent's guard among
/// them. It is neither recursive nor fair. All zero bytes are a free lock; [`Region::get`](shmkit_layout::Region::get)
/// finds one in shared memory. The algorithm is the third mutex of Ulrich Drepper's "Futexes Are Tricky", with a release
/// that wakes in the same system call, and sleeps that end.
///
/// With the feature `lock_api` it is a `lock_api::RawMutex`, which brings data, guards, and much more:
///
/// ```
/// # #[cfg(feature = "lock_api")] {
/// use shmkit_sync::FutexLock;
///
/// let total = lock_api::Mutex::<FutexLock, u64>::new(0);
/// *total.lock() += 1;
/// # }
/// ```
///
/// # Examples
///
/// ```
/// use shmkit_sync::FutexLock;
///
/// let lock = FutexLock::new();
/// lock.lock();
/// assert!(!lock.try_lock());
/// // SAFETY: taken above, and it guards nothing.
/// unsafe { lock.unlock() };
/// assert!(lock.try_lock());
/// ```
#[repr(transparent)]
pub struct FutexLock {
    word: Word,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<FutexLock>() == 4, "part of the segment format");

// SAFETY: one atomic word, of which any value is handled.
#[cfg(not(loom))]
unsafe impl Shared for FutexLock {}

impl FutexLock {
    shmkit_atomic::const_unless_loom! {
        /// Makes a free lock. All zero bytes are one.
        pub fn new() -> FutexLock {
            FutexLock { word: Word::new(FREE) }
        }
    }

    /// Takes the lock, sleeping while it is held, for as long as it takes.
    ///
    /// # If a peer dies
    ///
    /// while it holds the lock, this never returns.
    #[inline]
    pub fn lock(&self) {
        if !self.try_lock() {
            self.wait(Deadline::NEVER);
        }
    }

    /// Takes the lock if it is free, and returns whether it was.
    ///
    /// # If a peer dies
    ///
    /// while it holds the lock, it is never free again.
    #[inline]
    pub fn try_lock(&self) -> bool {
        // Acquire: pairs with the Release in `unlock`, so that the last holder's writes are visible.
        self.word.compare_exchange(FREE, HELD, Acquire, Relaxed).is_ok()
    }

    /// Takes the lock, waiting for at most `wait`, on the monotonic clock, and returns whether it did. A wait that
    /// overflows the clock is for ever.
    ///
    /// # If a peer dies
    ///
    /// while it holds the lock, this returns `false` when the wait is over.
    #[must_use = "it may not have been taken"]
    pub fn lock_timeout(&self, wait: Duration) -> bool {
        self.try_lock() || self.wait(Deadline::after(wait))
    }

    /// Takes the lock, waiting until `deadline` at most, and returns whether it did.
    ///
    /// # If a peer dies
    ///
    /// while it holds the lock, this returns `false` at the deadline.
    #[must_use = "it may not have been taken"]
    pub fn lock_deadline(&self, deadline: Instant) -> bool {
        self.try_lock() || self.wait(Deadline::at(deadline))
    }

    /// Releases the lock, and wakes one sleeper.
    ///
    /// # Safety
    ///
    /// The caller holds the lock, or answers for who does: nothing that it guards is borrowed any more.
    #[inline]
    pub unsafe fn unlock(&self) {
        // Release: pairs with the Acquire in `try_lock` and `wait`.
        if self.word.compare_exchange(HELD, FREE, Release, Relaxed).is_err() {
            self.unlock_contended();
        }
    }

    /// Returns whether anybody held the lock a moment ago.
    pub fn is_locked(&self) -> bool {
        self.word.load(Relaxed) != FREE
    }

    #[cold]
    fn unlock_contended(&self) {
        // Release and wake in one step: killed before it we hold the lock, after it somebody is awake.
        self.word.wake_op(Op::set(FREE), 1);
    }

    #[cold]
    fn wait(&self, deadline: Deadline) -> bool {
        let mut spin = Spin::for_lock();
        while spin.again() {
            // Relaxed: the compare-exchange that follows decides.
            if self.word.load(Relaxed) == FREE && self.try_lock() {
                return true;
            }
        }
        // Relaxed: the compare-exchange that follows decides.
        let mut word = self.word.load(Relaxed);
        let mut slices = Slices::new();
        let mut slept = false;
        loop {
            if word == FREE {
                // Whoever has waited takes the lock as contended: there may be others, of whom it knows nothing.
                // Acquire: as in `try_lock`.
                match self.word.compare_exchange(FREE, CONTENDED, Acquire, Relaxed) {
                    Ok(_) => return true,
                    Err(now) => word = now,
                }
                continue;
            }
            // Only now: who was woken has tried first.
            if deadline.has_passed() && !slept {
                return false;
            }
            if word == HELD {
                // Relaxed: a mark for who releases, who reads it in the word that it changes.
                match self.word.compare_exchange(HELD, CONTENDED, Relaxed, Relaxed) {
                    Ok(_) => word = CONTENDED,
                    Err(now) => {
                        word = now;
                        continue;
                    }
                }
            }
            // Who was woken leaves with a wake-up that was another's too: whoever holds the lock now must know of him.
            if deadline.has_passed() {
                return false;
            }
            slept = true;
            // Whatever a wrong peer has written counts as contended. In slices, though there is nobody to ask about: a
            // waiter that is killed when it has been woken leaves the others asleep, on a lock that may be free.
            self.word.wait(word, slices.next(deadline));
            word = self.word.load(Relaxed);
        }
    }
}

impl Default for FutexLock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FutexLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.word.load(Relaxed) {
            FREE => "FutexLock(free)",
            HELD => "FutexLock(held)",
            CONTENDED => "FutexLock(contended)",
            _ => "FutexLock(nonsense)",
        })
    }
}

/// [`FutexLock`] under the interface of `lock_api`.
#[cfg(all(feature = "lock_api", not(loom)))]
mod api {
    use super::*;

    // SAFETY: `lock` and its kin return only when they have changed the word from free to held, which one can do at a
    // time, and only `unlock` changes it back.
    unsafe impl lock_api::RawMutex for FutexLock {
        const INIT: Self = Self::new();

        type GuardMarker = lock_api::GuardSend;

        fn lock(&self) {
            Self::lock(self);
        }

        fn try_lock(&self) -> bool {
            Self::try_lock(self)
        }

        unsafe fn unlock(&self) {
            // SAFETY: the caller holds it.
            unsafe { Self::unlock(self) };
        }

        fn is_locked(&self) -> bool {
            Self::is_locked(self)
        }
    }

    // SAFETY: as above.
    unsafe impl lock_api::RawMutexTimed for FutexLock {
        type Duration = Duration;
        type Instant = Instant;

        fn try_lock_for(&self, timeout: Duration) -> bool {
            self.lock_timeout(timeout)
        }

        fn try_lock_until(&self, timeout: Instant) -> bool {
            self.lock_deadline(timeout)
        }
    }
}
