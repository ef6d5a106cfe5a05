//! The plain lock: exclusion, wake-ups, and waiters that die.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{FutexLock, crash};

use crate::with_every_crash_and;

struct Count {
    lock: FutexLock,
    count: UnsafeCell<u32>,
}

// SAFETY: `count` is only touched while `lock` is held; that is the claim under test, and loom checks it.
unsafe impl Sync for Count {}
// SAFETY: as above.
unsafe impl Send for Count {}

impl Count {
    fn add(&self) {
        self.lock.lock();
        self.add_and_unlock();
    }

    fn add_and_unlock(&self) {
        // SAFETY: loom panics here if another thread has access.
        self.count.with_mut(|count| unsafe { *count += 1 });
        // SAFETY: taken by the caller.
        unsafe { self.lock.unlock() };
    }
}

/// A waiter dies; the lock is held at first, so that there is something to wait for. (Who dies with the lock keeps it:
/// that is what this lock is.)
#[test]
fn everybody_gets_the_lock_whenever_a_waiter_dies() {
    with_every_crash_and("futex lock, 4", 1, |steps, lives| {
        let count = Arc::new(Count { lock: FutexLock::new(), count: UnsafeCell::new(0) });
        let [mortal] = ModelJudge::new(1).try_into().unwrap();
        count.lock.lock();
        let others = [(); 2].map(|()| {
            let count = count.clone();
            thread::spawn(move || count.add())
        });
        let holder = {
            let count = count.clone();
            thread::spawn(move || count.add_and_unlock())
        };
        // It has the lock with its last step, or dies without.
        match crash::after(steps, || count.lock.lock()) {
            Ok(()) => count.add_and_unlock(),
            Err(_) => {
                lives.died();
                mortal.die();
            }
        }
        for thread in others {
            thread.join().unwrap();
        }
        holder.join().unwrap();
        assert!(count.lock.try_lock());
    });
}
