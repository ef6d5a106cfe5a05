//! Whoever loses its place in the roster, and whose word is taken about the dead.

use std::sync::Arc;
use std::time::Duration;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicBool, AtomicU32, AtomicU64};
use shmkit_layout::{Object, Offset, Region};
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, OwnerId, Verdict};
use shmkit_sync::{Condvar, LockError, LockFailure, Mutex, WaitError, Wakeup};

use crate::{Bytes, FEW, LONG, failure, until};

const NOTIFIED: u32 = 1 << 31;

fn condvar<K: Judge>(region: Region<'_>, judge: K) -> Condvar<K> {
    // SAFETY: the bytes are zero, or hold one, which nothing is written into.
    unsafe { Condvar::init(region.sub(0, 640).unwrap(), FEW, judge) }.unwrap()
}

fn number<K: Judge>(region: Region<'_>, judge: K) -> Mutex<u64, K> {
    // SAFETY: the bytes are zero: a mutex over 0.
    unsafe { Mutex::attach(region.sub(1280, 128).unwrap(), 1, judge) }.unwrap()
}

/// Puts somebody who was notified into cell `at`.
fn notified(region: Region<'_>, at: u64, owner: &ModelJudge) {
    let cell = region.get::<AtomicU32>(Offset::new(128 + 8 * at).unwrap()).unwrap();
    cell.store(owner.me().unwrap().get() | NOTIFIED, Relaxed);
    let taken = region.get::<AtomicU64>(Offset::new(8).unwrap()).unwrap();
    taken.fetch_or(1 << (at / 16), Relaxed);
}

/// A participant that may lose its place, and counts what it was asked.
struct Fickle {
    model: ModelJudge,
    lost: AtomicBool,
    /// The verdict with which it finds out that it has, counted from 1.
    last: u32,
    asked: AtomicU32,
}

impl Fickle {
    fn new(model: &ModelJudge, last: u32) -> Self {
        let lost = AtomicBool::new(false);
        Self { model: model.clone(), lost, last, asked: AtomicU32::new(0) }
    }

    fn lose(&self) {
        self.model.die();
        self.lost.store(true, Relaxed);
    }
}

// SAFETY: the model's answers; it dies, to the others, when it has lost its place.
unsafe impl Judge for Fickle {
    fn me(&self) -> Option<OwnerId> {
        self.model.me().filter(|_| !self.lost.load(Relaxed))
    }

    fn verdict(&self, owner: OwnerId) -> Verdict {
        if self.asked.fetch_add(1, Relaxed) + 1 == self.last {
            self.lose();
        }
        self.model.verdict(owner)
    }
}

#[test]
fn who_has_lost_its_place_does_not_take_the_lock_again() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    // It asks about this one, who lives, at the end of its first slice, and would ask again under the lock.
    notified(region, 5, &judges[1]);
    let fickle = Fickle::new(&judges[0], 1);
    let guard = number(region, &fickle).lock_owned().unwrap();
    let end = condvar(region, &fickle).wait_timeout(guard, LONG);
    assert_eq!(failure(end), Some(LockFailure::NotJoined));
    assert_eq!(fickle.asked.load(Relaxed), 1, "it took the lock to find out");
    assert_eq!(number(region, &fickle).owner(), None);
}

#[test]
fn who_finds_out_under_the_lock_leaves_it_to_the_next_one() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let fickle = Fickle::new(&judges[0], 1);
    notified(region, 5, &judges[1]);
    judges[1].die();
    let guard = number(region, &fickle).lock_owned().unwrap();
    let end = condvar(region, &fickle).wait_timeout(guard, Duration::ZERO);
    assert_eq!(fickle.asked.load(Relaxed), 1, "the scene is not as it was thought of");
    assert_eq!(failure(end), Some(LockFailure::NotJoined));
    // They may be taking it over at this moment.
    assert_eq!(number(region, &fickle).owner(), judges[0].me());
    judges[0].die();
    assert!(matches!(number(region, &judges[2]).lock(), Err(LockError::OwnerDied(_))));
}

#[test]
fn who_finds_out_as_an_heir_leaves_the_lock_to_the_next_one() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    // It asks about the lock's owner before it leaves its sleep, and when it takes over.
    let fickle = Fickle::new(&judges[0], 2);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let guard = number(region, &fickle).lock_owned().unwrap();
            failure(condvar(region, &fickle).wait_timeout(guard, LONG))
        });
        until(|| condvar(region, &fickle).waiters() == 1);
        std::mem::forget(number(region, &judges[1]).lock().unwrap());
        judges[1].die();
        assert_eq!(waiter.join().unwrap(), Some(LockFailure::NotJoined));
    });
    let Err(LockError::OwnerDied(guard)) = number(region, &judges[2]).lock_owned() else {
        panic!("not told")
    };
    assert_eq!(guard.dead_owner(), judges[0].me());
}

#[test]
fn each_of_the_dead_is_asked_about_once() {
    let judges = ModelJudge::new(65);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    for (at, dead) in judges[..64].iter().enumerate() {
        notified(region, at as u64, dead);
        dead.die();
    }
    let fickle = Fickle::new(&judges[64], u32::MAX);
    let guard = number(region, &fickle).lock_owned().unwrap();
    assert_eq!(condvar(region, &fickle).notify_one(&guard), Ok(0));
    assert_eq!(fickle.asked.load(Relaxed), 64);
}

/// Participants that know nothing of their own may lie at one address.
#[repr(C)]
struct Both {
    trusting: Trusting,
    slandering: Slandering,
}

struct Trusting;
struct Slandering;

/// The third of a model, under which name both know themselves.
fn third() -> Option<OwnerId> {
    OwnerId::new(3)
}

// SAFETY: it calls nobody dead.
unsafe impl Judge for Trusting {
    fn me(&self) -> Option<OwnerId> {
        third()
    }

    fn verdict(&self, _: OwnerId) -> Verdict {
        Verdict::Alive
    }
}

// SAFETY: all others of its roster, which is another one, are dead.
unsafe impl Judge for Slandering {
    fn me(&self) -> Option<OwnerId> {
        third()
    }

    fn verdict(&self, _: OwnerId) -> Verdict {
        Verdict::Dead
    }
}

#[test]
fn the_locks_roster_is_asked_about_its_owner() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let both = Both { trusting: Trusting, slandering: Slandering };
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let guard = number(region, &both.trusting).lock_owned().unwrap();
            let wait = Duration::from_millis(30);
            let end = condvar(region, &both.slandering).wait_timeout(guard, wait);
            assert_eq!(end.map(|(_, wakeup)| wakeup).ok(), Some(Wakeup::TimedOut));
        });
        until(|| condvar(region, &both.slandering).waiters() == 1);
        let guard = number(region, &judges[0]).lock_owned().unwrap();
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(number(region, &judges[0]).owner(), judges[0].me(), "robbed");
        drop(guard);
        waiter.join().unwrap();
    });
}

/// A judge that can tell nothing any more when it is `blind`.
struct Fading {
    model: ModelJudge,
    blind: AtomicBool,
}

// SAFETY: the model's answers, or none.
unsafe impl Judge for Fading {
    fn me(&self) -> Option<OwnerId> {
        self.model.me()
    }

    fn verdict(&self, owner: OwnerId) -> Verdict {
        if self.blind.load(Relaxed) { Verdict::Unknown } else { self.model.verdict(owner) }
    }
}

/// The keeper of an owned guard.
#[derive(Clone)]
struct Share<'f>(&'f Fading, Arc<()>);

// SAFETY: the model's answers, or none.
unsafe impl Judge for Share<'_> {
    fn me(&self) -> Option<OwnerId> {
        self.0.me()
    }

    fn verdict(&self, owner: OwnerId) -> Verdict {
        self.0.verdict(owner)
    }

    fn place(&self) -> *const () {
        self.0.place()
    }
}

/// It waits for a second; then its place is free, and nobody notifies it instead of another. Its keeper is let go, or the
/// process could not leave.
#[test]
fn who_cannot_take_the_lock_again_leaves_no_sleeper_behind() {
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let [model, other]: [ModelJudge; 2] = ModelJudge::new(2).try_into().unwrap();
    let fading = Fading { model, blind: AtomicBool::new(false) };
    let (numbers, issued) = (number(region, &other), condvar(region, &other));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let keeper = Share(&fading, Arc::new(()));
            let guard = number(region, keeper.clone()).lock_owned().unwrap();
            let issued = condvar(region, keeper.clone());
            let waited = issued.wait_timeout(guard, Duration::from_millis(300));
            drop(issued);
            let waited = waited.map(drop).map_err(|e| e.detach());
            (waited, Arc::strong_count(&keeper.1))
        });
        // It waits for long enough to be seen.
        until(|| issued.waiters() == 1);
        let held = numbers.lock().unwrap();
        fading.blind.store(true, Relaxed);
        let (waited, keepers) = waiter.join().unwrap();
        assert!(matches!(waited, Err(WaitError::Lost(LockFailure::CannotJudge))), "{waited:?}");
        assert_eq!(keepers, 1);
        assert_eq!(issued.notify_one(&held), Ok(0));
    });
}
