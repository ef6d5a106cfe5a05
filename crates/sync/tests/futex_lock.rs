//! The plain lock: exclusion, time-outs, sleepers that nobody wakes; and the same under `lock_api`.
#![cfg(not(loom))]

use std::cell::UnsafeCell;
use std::thread;
use std::time::{Duration, Instant};

use shmkit_sync::FutexLock;

/// A counter under a lock.
struct Count {
    lock: FutexLock,
    count: UnsafeCell<u64>,
}

// SAFETY: `count` is only touched while `lock` is held.
unsafe impl Sync for Count {}

impl Count {
    fn add(&self) {
        self.lock.lock();
        // SAFETY: the lock is held.
        unsafe { *self.count.get() += 1 };
        // SAFETY: taken above.
        unsafe { self.lock.unlock() };
    }
}

#[test]
fn threads_exclude_each_other() {
    let count = Count { lock: FutexLock::new(), count: 0.into() };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10_000).for_each(|_| count.add()));
        }
    });
    assert!(!count.lock.is_locked());
    assert_eq!(count.count.into_inner(), 40_000);
}

#[test]
fn a_wait_lasts_as_long_as_asked() {
    let lock = FutexLock::new();
    assert!(lock.lock_timeout(Duration::ZERO));
    for millis in [0, 1, 3, 70] {
        let wait = Duration::from_millis(millis);
        let start = Instant::now();
        assert!(!lock.lock_timeout(wait));
        assert!(start.elapsed() >= wait, "{:?} instead of {wait:?}", start.elapsed());
        let start = Instant::now();
        assert!(!lock.lock_deadline(start + wait));
        assert!(start.elapsed() >= wait, "{:?} instead of {wait:?}", start.elapsed());
    }
    // SAFETY: taken above.
    unsafe { lock.unlock() };
    assert!(lock.lock_deadline(Instant::now()));
    assert_eq!(format!("{lock:?}"), "FutexLock(held)");
}

#[test]
fn a_release_wakes_a_sleeper() {
    let lock = FutexLock::new();
    lock.lock();
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| lock.lock_timeout(Duration::from_secs(10)));
        while format!("{lock:?}") != "FutexLock(contended)" {
            thread::yield_now();
        }
        // SAFETY: taken above.
        unsafe { lock.unlock() };
        assert!(sleeper.join().unwrap());
    });
    assert!(lock.is_locked());
}

#[cfg(feature = "lock_api")]
mod api {
    use super::*;

    type Mutex<T> = lock_api::Mutex<FutexLock, T>;

    #[test]
    fn a_mutex_of_lock_api_guards_data() {
        static TOTAL: Mutex<u64> = Mutex::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| *TOTAL.lock() += 1));
            }
        });
        assert_eq!(*TOTAL.lock(), 40_000);
        let held = TOTAL.lock();
        assert!(TOTAL.try_lock().is_none() && TOTAL.is_locked());
        let wait = Duration::from_millis(5);
        let start = Instant::now();
        assert!(TOTAL.try_lock_for(wait).is_none());
        assert!(TOTAL.try_lock_until(start + 2 * wait).is_none());
        assert!(start.elapsed() >= 2 * wait);
        drop(held);
        assert!(TOTAL.try_lock_for(wait).is_some());
    }
}
