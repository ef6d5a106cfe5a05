//! The lock that anybody may release: exclusion, wake-ups, heirs, and releases by others.

use std::cell::Cell;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::AtomicU32;
use shmkit_atomic::Deadline;
use shmkit_atomic::Ordering::{Acquire, Release};
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{Acquired, LockFailure, RawLock, UnlockError, crash};

use crate::{Lives, model, with_every_crash};

/// Two numbers that are equal unless somebody is in the middle.
struct Pair {
    lock: RawLock,
    numbers: UnsafeCell<(u32, u32)>,
    /// 1: the holder has asked somebody else to release for it.
    asked: AtomicU32,
}

// SAFETY: `numbers` is only touched while `lock` is held; that is the claim under test, and loom checks it.
unsafe impl Sync for Pair {}
// SAFETY: as above.
unsafe impl Send for Pair {}

impl Pair {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            lock: RawLock::new(),
            numbers: UnsafeCell::new((0, 0)),
            asked: AtomicU32::new(0),
        })
    }

    fn change(&self, change: impl FnOnce(&mut (u32, u32))) {
        // SAFETY: loom panics here if another thread has access.
        self.numbers.with_mut(|numbers| change(unsafe { &mut *numbers }));
    }

    /// Acquires, and repairs if it was told of a death.
    fn acquire(&self, judge: &ModelJudge) {
        match self.lock.acquire(judge, Deadline::NEVER).unwrap() {
            Acquired::Clean => self.change(|n| assert_eq!(n.0, n.1, "half-written, and not told")),
            Acquired::OwnerDied(_) => self.change(|n| n.1 = n.0),
        }
    }

    /// One participant's use of the pair. `releasing` tells that it has written everything.
    fn add(&self, judge: &ModelJudge, releasing: &Cell<bool>) {
        self.acquire(judge);
        crash::step();
        self.change(|n| n.0 += 1);
        crash::step();
        self.change(|n| n.1 += 1);
        releasing.set(true);
        self.lock.release(judge).unwrap();
    }
}

fn everybody_gets_the_lock(others: u32, steps: u32, lives: &Lives) {
    let pair = Pair::new();
    let mut judges = ModelJudge::new(others + 1);
    let mortal = judges.remove(0);
    let threads: Vec<_> = judges
        .into_iter()
        .map(|judge| {
            let pair = pair.clone();
            thread::spawn(move || {
                pair.add(&judge, &Cell::new(false));
                judge
            })
        })
        .collect();
    let releasing = Cell::new(false);
    if crash::after(steps, || pair.add(&mortal, &releasing)).is_err() {
        lives.died();
        // Always: the release and its wake are two steps, so that the sleepers need the end of their slices.
        mortal.die();
    }
    let survivors: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let told = pair.lock.try_acquire(&survivors[0]).unwrap();
    pair.change(|n| {
        assert!(n.0 >= others, "{} of {others} additions", n.0);
        assert!(n.0 == n.1 || told != Acquired::Clean, "half-written, and not told");
    });
    assert_eq!(pair.lock.try_acquire(&survivors[0]), Err(LockFailure::WouldBlock));
    pair.lock.release(&survivors[0]).unwrap();
    assert_eq!(pair.lock.release(&survivors[0]), Err(UnlockError::NotLocked));
}

#[test]
fn a_survivor_gets_the_lock_whenever_the_other_dies() {
    with_every_crash("lock, 2", |steps, lives| everybody_gets_the_lock(1, steps, lives));
}

#[test]
fn two_survivors_get_the_lock_whenever_the_third_dies() {
    with_every_crash("lock, 3", |steps, lives| everybody_gets_the_lock(2, steps, lives));
}

/// What the holder wrote is visible to the next one, because the one that released it had heard of it.
#[test]
fn another_releases_what_it_is_asked_to() {
    model(|| {
        let pair = Pair::new();
        let [holder, helper, next] = ModelJudge::new(3).try_into().unwrap();
        pair.lock.acquire(&holder, Deadline::NEVER).unwrap();
        let helping = {
            let pair = pair.clone();
            thread::spawn(move || {
                while pair.asked.load(Acquire) == 0 {
                    thread::yield_now();
                }
                pair.lock.release(&helper).unwrap();
            })
        };
        let waiting = {
            let pair = pair.clone();
            thread::spawn(move || pair.add(&next, &Cell::new(false)))
        };
        pair.change(|n| *n = (5, 5));
        pair.asked.store(1, Release);
        helping.join().unwrap();
        waiting.join().unwrap();
        assert_eq!(pair.lock.owner(), None);
        pair.change(|n| assert_eq!(*n, (6, 6)));
    });
}

/// Of two who release one acquisition, one has released once too often, also while somebody comes to sleep.
#[test]
fn one_acquisition_is_released_once() {
    model(|| {
        let pair = Pair::new();
        let [holder, one, two, next] = ModelJudge::new(4).try_into().unwrap();
        pair.lock.acquire(&holder, Deadline::NEVER).unwrap();
        let releasing = {
            let pair = pair.clone();
            thread::spawn(move || pair.lock.release(&one))
        };
        let waiting = {
            let pair = pair.clone();
            thread::spawn(move || pair.lock.acquire(&next, Deadline::NEVER).unwrap())
        };
        let mine = pair.lock.release(&two);
        let theirs = releasing.join().unwrap();
        waiting.join().unwrap();
        // The second one may have come after the next acquisition: then it has freed that.
        let free = pair.lock.owner().is_none();
        assert_eq!(mine.is_ok() && theirs.is_ok(), free, "{mine:?} and {theirs:?}");
        assert!(mine.is_ok() || theirs.is_ok());
    });
}
