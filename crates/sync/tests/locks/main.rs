//! The locks after Python's, and the mutex that may be taken again, with participants of a model in one process.
#![cfg(not(loom))]

mod reentrant;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU32, AtomicU64};
use shmkit_layout::{Object, Offset, Region, ShapeError, TypeTag};
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, OwnerId};
use shmkit_sync::{
    Acquired, Lock, LockError, LockFailure, NotOwner, RLock, ReentrantMutex, UnlockError,
};

#[repr(C, align(128))]
struct Bytes([u8; 256]);

impl Bytes {
    fn new() -> Box<Self> {
        Box::new(Self([0; 256]))
    }

    fn region(&mut self) -> Region<'_> {
        // SAFETY: the bytes are borrowed mutably for as long as the region.
        unsafe { Region::from_raw_parts(NonNull::from(&mut self.0).cast(), 256) }
    }
}

fn lock<'a>(region: Region<'a>, judge: &'a ModelJudge) -> Lock<&'a ModelJudge> {
    // SAFETY: the bytes are zero, or hold such a lock, which nothing is written into.
    unsafe { Lock::init(region, (), judge) }.unwrap()
}

fn rlock<'a>(region: Region<'a>, judge: &'a ModelJudge) -> RLock<&'a ModelJudge> {
    // SAFETY: the bytes are zero, or hold such a lock, which nothing is written into.
    unsafe { RLock::init(region, (), judge) }.unwrap()
}

fn mutex<'a>(region: Region<'a>, judge: &'a ModelJudge) -> ReentrantMutex<u64, &'a ModelJudge> {
    // SAFETY: the bytes are zero, or hold such a mutex, which only the first value is written into.
    unsafe { ReentrantMutex::init(region, 7, judge) }.unwrap()
}

fn attach<'a>(region: Region<'a>, judge: &'a ModelJudge) -> ReentrantMutex<u64, &'a ModelJudge> {
    // SAFETY: made by `mutex`.
    unsafe { ReentrantMutex::attach(region, 1, judge) }.unwrap()
}

/// Runs `scene` in another thread of the same process.
fn elsewhere<R: Send>(scene: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| scope.spawn(scene).join().unwrap())
}

#[test]
fn the_formats_are_fixed() {
    type J = ModelJudge;
    let shapes = [
        <Lock<&J> as Object<_>>::shape(&(), 2).unwrap(),
        <RLock<&J> as Object<_>>::shape(&(), 2).unwrap(),
        <ReentrantMutex<u64, &J> as Object<_>>::shape(&0, 2).unwrap(),
    ];
    let shown = shapes.map(|shape| (shape.to_string(), shape.bytes, shape.align));
    let [lock, rlock, mutex] = shown;
    assert_eq!(lock, ("lock".into(), 128, 128));
    assert_eq!(rlock, ("rlock".into(), 128, 128));
    assert_eq!(mutex, ("reentrant mutex of u64 (8 bytes)".into(), 128, 128));
    assert_eq!(<RLock<&J> as Object<_>>::TAG, TypeTag::NONE);

    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let made = self::mutex(bytes.region(), &judges[0]);
    std::mem::forget((made.lock().unwrap(), made.lock().unwrap()));
    let id = judges[0].me().unwrap().get().to_ne_bytes();
    assert_eq!(bytes.0[..16], [[id[0], id[1], id[2], id[3]], [0; 4], [0; 4], [0; 4]].concat());
    assert_eq!(bytes.0[20..24], id, "the upper half of `who`");
    assert_eq!(bytes.0[24..32], [2, 0, 0, 0, 0, 0, 0, 0], "the depth");
    assert_eq!(bytes.0[32..40], [7, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn what_is_no_such_lock_is_not_attached() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    // SAFETY: the bytes are zero: a lock.
    let length = unsafe { Lock::attach(region, 2, &judges[0]) };
    assert!(matches!(length, Err(ShapeError::Length { found: 2, min: 1, max: 1 })));
    // SAFETY: as above.
    let length = unsafe { RLock::attach(region, 0, &judges[0]) };
    assert!(matches!(length, Err(ShapeError::Length { found: 0, min: 1, max: 1 })));
    // SAFETY: as above.
    let short = unsafe { RLock::init(region.sub(0, 31).unwrap(), (), &judges[0]) };
    assert!(matches!(short, Err(ShapeError::Place(_))));
}

#[test]
fn lck_01_to_05_a_lock_is_acquired_once_and_released_once() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (lock(region, &judges[0]), lock(region, &judges[1]));
    assert!(!mine.locked());
    assert_eq!(mine.acquire(), Ok(Acquired::Clean));
    assert!(mine.locked() && theirs.locked());
    assert_eq!(mine.try_acquire(), Err(LockFailure::WouldBlock), "not recursive");
    assert_eq!(theirs.try_acquire(), Err(LockFailure::WouldBlock));
    assert_eq!(mine.release(), Ok(()));
    assert!(!mine.locked());
    assert_eq!(mine.release(), Err(UnlockError::NotLocked));
    let guard = mine.lock().unwrap();
    assert_eq!((guard.acquired(), mine.owner()), (Acquired::Clean, judges[0].me()));
    drop(guard);
    assert_eq!(mine.owner(), None);
    assert_eq!(theirs.try_lock().unwrap().keep(), Acquired::Clean);
    assert!(mine.locked());
}

#[test]
fn lck_07_a_lock_shows_who_has_it() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (lock(region, &judges[0]), lock(region, &judges[1]));
    assert_eq!(format!("{mine:?}"), "Lock { holder: None, waiters: false, deaths: 0 }");
    mine.acquire().unwrap();
    assert!(format!("{mine:?}").contains("holder: Some(1: this process)"), "{mine:?}");
    assert!(format!("{theirs:?}").contains("holder: Some(1: alive)"), "{theirs:?}");
    judges[0].die();
    assert!(format!("{theirs:?}").contains("holder: Some(1: dead)"), "{theirs:?}");
    assert!(format!("{:?}", mine.raw()).contains("OwnerId(1)"));
}

#[test]
fn lck_09_anybody_releases() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (lock(region, &judges[0]), lock(region, &judges[1]));
    let guard = mine.lock().unwrap();
    theirs.release().unwrap();
    assert!(!mine.locked());
    // A guard whose lock somebody else released, and a third has acquired, frees nobody.
    theirs.acquire().unwrap();
    drop(guard);
    assert_eq!(theirs.owner(), judges[1].me());
    elsewhere(|| mine.release()).unwrap();
    assert_eq!(theirs.release(), Err(UnlockError::NotLocked));
}

#[test]
fn lck_10_and_11_a_wait_of_nothing_tries() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (lock(region, &judges[0]), lock(region, &judges[1]));
    assert_eq!(mine.acquire_timeout(Duration::ZERO), Ok(Acquired::Clean));
    assert_eq!(theirs.acquire_timeout(Duration::ZERO), Err(LockFailure::TimedOut));
    let past = Instant::now();
    assert_eq!(theirs.acquire_deadline(past), Err(LockFailure::TimedOut));
    assert_eq!(theirs.try_acquire(), Err(LockFailure::WouldBlock));
    for wait in [1, 20].map(Duration::from_millis) {
        let start = Instant::now();
        assert_eq!(theirs.lock_timeout(wait).unwrap_err(), LockFailure::TimedOut);
        assert!(start.elapsed() >= wait, "{:?} instead of {wait:?}", start.elapsed());
    }
    mine.release().unwrap();
    drop(theirs.lock_deadline(Instant::now()).unwrap());
}

#[test]
fn lck_13_the_next_one_is_told_who_died() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let [dead, heir, other] = [0, 1, 2].map(|i| lock(region, &judges[i]));
    dead.acquire().unwrap();
    judges[0].die();
    assert!(!heir.locked(), "what a dead one had is free to be acquired");
    let told = heir.acquire_timeout(Duration::from_secs(2)).unwrap();
    assert_eq!(told, Acquired::OwnerDied(judges[0].me().unwrap()));
    assert_eq!(told.dead_owner(), judges[0].me());
    assert_eq!(other.try_acquire(), Err(LockFailure::WouldBlock));
    heir.release().unwrap();
    assert_eq!(other.lock().unwrap().acquired(), Acquired::Clean, "told of once");
    // And what a dead one had may be released for it.
    heir.acquire().unwrap();
    judges[1].die();
    other.release().unwrap();
    assert_eq!(other.acquire(), Ok(Acquired::Clean));
}

#[test]
fn a_release_wakes_a_sleeper() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (lock(region, &judges[0]), lock(region, &judges[1]));
    for _ in 0..100 {
        mine.acquire().unwrap();
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| theirs.acquire_timeout(Duration::from_secs(10)));
            if !format!("{mine:?}").contains("waiters: true") {
                std::thread::yield_now();
            }
            mine.release().unwrap();
            assert_eq!(sleeper.join().unwrap(), Ok(Acquired::Clean));
        });
        mine.release().unwrap();
    }
}

#[test]
fn rlk_01_and_02_a_thread_releases_as_often_as_it_acquires() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let mine = rlock(bytes.region(), &judges[0]);
    for depth in 1..=3 {
        assert_eq!(mine.acquire(), Ok(Acquired::Clean));
        assert_eq!((mine.depth(), mine.locked()), (depth, true));
    }
    for depth in (0..3).rev() {
        assert_eq!(mine.release(), Ok(()));
        assert_eq!((mine.depth(), mine.locked()), (depth, depth > 0));
    }
    assert_eq!(mine.release(), Err(NotOwner));
}

#[test]
fn rlk_05_and_06_the_owner_is_a_thread_of_a_process() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (rlock(region, &judges[0]), rlock(region, &judges[1]));
    mine.acquire().unwrap();
    mine.acquire().unwrap();
    let refused = |other: RLock<&ModelJudge>| {
        assert_eq!(other.try_acquire(), Err(LockFailure::WouldBlock));
        let wait = Duration::from_millis(5);
        assert_eq!(other.acquire_timeout(wait), Err(LockFailure::TimedOut));
        assert_eq!(other.release(), Err(NotOwner));
        assert_eq!((other.depth(), other.locked()), (0, true));
    };
    elsewhere(|| refused(mine));
    // In this very thread, another process.
    refused(theirs);
    assert_eq!(mine.depth(), 2);
}

#[test]
fn rlk_07_guards_may_be_mixed_with_releases() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (rlock(region, &judges[0]), rlock(region, &judges[1]));
    let outer = mine.lock().unwrap();
    let inner = mine.try_lock().unwrap();
    mine.acquire().unwrap();
    // In whatever order.
    drop(outer);
    assert_eq!(mine.depth(), 2);
    mine.release().unwrap();
    mine.release().unwrap();
    assert_eq!(mine.depth(), 0);
    // Released by hand what the guard was to release: it frees nobody.
    theirs.acquire().unwrap();
    drop(inner);
    assert_eq!(theirs.depth(), 1);
    theirs.release().unwrap();
    assert_eq!(mine.lock().unwrap().keep(), Acquired::Clean);
    assert_eq!(mine.depth(), 1);
}

#[test]
fn rlk_08_a_lock_shows_its_owner_and_count() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (rlock(region, &judges[0]), rlock(region, &judges[1]));
    assert_eq!(format!("{mine:?}"), "RLock { holder: None }");
    (0..3).for_each(|_| assert!(mine.acquire().is_ok()));
    let shown = "RLock { holder: Some(1: this process), thread: this one, depth: 3 }";
    assert_eq!(format!("{mine:?}"), shown);
    assert_eq!(elsewhere(|| format!("{mine:?}")), shown.replace("this one", "another one"));
    let foreign = "RLock { holder: Some(1: alive), thread: of another process, depth: 3 }";
    assert_eq!(format!("{theirs:?}"), foreign);
    assert!(format!("{:?}", mine.raw()).contains("depth: 3"));
}

#[test]
fn rlk_10_a_forked_child_is_another_owner() {
    let judges = ModelJudge::new(1);
    let child = judges[0].forked();
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (rlock(region, &judges[0]), rlock(region, &child));
    mine.acquire().unwrap();
    assert_eq!(theirs.try_acquire(), Err(LockFailure::NotJoined));
    assert_eq!(theirs.release(), Err(NotOwner));
    assert_eq!((theirs.depth(), theirs.locked()), (0, true));
    assert_eq!(mine.depth(), 1);
}

#[test]
fn an_heir_of_a_count_begins_at_one() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let [dead, heir, other] = [0, 1, 2].map(|i| rlock(region, &judges[i]));
    (0..5).for_each(|_| assert!(dead.acquire().is_ok()));
    judges[0].die();
    assert!(!heir.locked());
    assert_eq!(heir.acquire(), Ok(Acquired::OwnerDied(judges[0].me().unwrap())));
    assert_eq!(heir.depth(), 1);
    assert_eq!(heir.acquire(), Ok(Acquired::Clean), "told of once");
    heir.release().unwrap();
    heir.release().unwrap();
    assert_eq!(other.acquire(), Ok(Acquired::Clean));
}

#[test]
fn a_thread_that_ended_has_no_successor() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let mine = rlock(bytes.region(), &judges[0]);
    elsewhere(|| mine.acquire()).unwrap();
    // Whatever thread comes into its place is another one.
    for _ in 0..10 {
        assert_eq!(elsewhere(|| mine.try_acquire()), Err(LockFailure::WouldBlock));
        assert_eq!(elsewhere(|| mine.release()), Err(NotOwner));
    }
}

#[test]
fn a_count_has_an_end() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = rlock(region, &judges[0]);
    mine.acquire().unwrap();
    let depth = region.get::<AtomicU32>(Offset::new(24).unwrap()).unwrap();
    depth.store(u32::MAX - 1, Relaxed);
    mine.acquire().unwrap();
    assert_eq!(mine.acquire(), Err(LockFailure::TooDeep));
    assert_eq!(mine.try_lock().unwrap_err(), LockFailure::TooDeep);
    assert_eq!(mine.depth(), u32::MAX);
    mine.release().unwrap();
    mine.acquire().unwrap();
    // A count that nobody writes is the last.
    depth.store(0, Relaxed);
    assert_eq!(mine.depth(), 1);
    mine.release().unwrap();
    assert!(!mine.locked());
}

#[test]
fn a_word_that_is_not_ours_is_corrupt() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = rlock(region, &judges[0]);
    let word = region.get::<AtomicU32>(Offset::ZERO).unwrap();
    mine.acquire().unwrap();
    let theirs = judges[1].me().unwrap().get();
    word.store(theirs, Relaxed);
    assert_eq!(mine.acquire(), Err(LockFailure::Corrupt { word: theirs }));
    for nonsense in [3, 1 << 30 | 6, 1 << 31 | 5] {
        word.store(nonsense, Relaxed);
        assert_eq!(mine.try_acquire(), Err(LockFailure::Corrupt { word: nonsense }));
    }

    let mut bytes = Bytes::new();
    let region = bytes.region();
    let lock = lock(region, &judges[0]);
    let word = region.get::<AtomicU32>(Offset::ZERO).unwrap();
    for nonsense in [OwnerId::NOBODY, 1 << 31 | OwnerId::NOBODY] {
        word.store(nonsense, Relaxed);
        let corrupt = LockFailure::Corrupt { word: nonsense };
        assert_eq!(lock.acquire(), Err(corrupt));
        assert_eq!(lock.release(), Err(UnlockError::Failed(corrupt)));
        assert_eq!(word.load(Relaxed), nonsense, "it is left as it was found");
    }
}

#[test]
fn who_has_not_joined_is_refused() {
    let judges = ModelJudge::new(1);
    let child = judges[0].forked();
    let (mut one, mut two, mut three) = (Bytes::new(), Bytes::new(), Bytes::new());
    let lock = lock(one.region(), &child);
    assert_eq!(lock.acquire(), Err(LockFailure::NotJoined));
    assert_eq!(lock.try_lock().unwrap_err(), LockFailure::NotJoined);
    assert_eq!(lock.release(), Err(UnlockError::Failed(LockFailure::NotJoined)));
    assert!(!lock.locked());
    let rlock = rlock(two.region(), &child);
    assert_eq!(rlock.acquire(), Err(LockFailure::NotJoined));
    assert_eq!(rlock.release(), Err(NotOwner));
    let mutex = mutex(three.region(), &child);
    assert_eq!(mutex.lock().unwrap_err().failure(), Some(LockFailure::NotJoined));
}
