//! Mutex and semaphore as a program holds them, with participants of a model in one process.
#![cfg(not(loom))]

mod semaphore;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU32, Deadline};
use shmkit_layout::{Object, Offset, Region, ShapeError, TypeTag};
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, OwnerId, Verdict};
use shmkit_sync::{
    HolderCell, LockError, LockFailure, Mutex, NotOwner, Outcome, RawMutex, RawSemaphore,
    ReleaseError, Seating, Semaphore, SemaphoreError, SemaphoreFrame,
};

#[repr(C, align(128))]
struct Bytes([u8; 1024]);

impl Bytes {
    fn new() -> Box<Self> {
        Box::new(Self([0; 1024]))
    }

    fn region(&mut self) -> Region<'_> {
        // SAFETY: the bytes are borrowed mutably for as long as the region.
        unsafe { Region::from_raw_parts(NonNull::from(&mut self.0).cast(), 1024) }
    }
}

fn mutex<'a>(region: Region<'a>, judge: &'a ModelJudge) -> Mutex<u64, &'a ModelJudge> {
    // SAFETY: the bytes are zero, or hold such a mutex, which only the first value is written into.
    unsafe { Mutex::init(region, 7, judge) }.unwrap()
}

fn attach<'a>(region: Region<'a>, judge: &'a ModelJudge) -> Mutex<u64, &'a ModelJudge> {
    // SAFETY: made by `mutex`.
    unsafe { Mutex::attach(region, 1, judge) }.unwrap()
}

fn semaphore<'a>(region: Region<'a>, judge: &'a ModelJudge) -> Semaphore<&'a ModelJudge> {
    // SAFETY: the bytes are zero.
    unsafe { Semaphore::init(region, 3.into(), judge) }.unwrap()
}

fn join<'a>(region: Region<'a>, judge: &'a ModelJudge) -> Semaphore<&'a ModelJudge> {
    // SAFETY: made by `semaphore`.
    unsafe { Semaphore::attach(region, 3, judge) }.unwrap()
}

fn failure<G>(result: Result<G, LockError<G>>) -> LockFailure {
    match result {
        Err(LockError::Failed(failure)) => failure,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("locked"),
    }
}

#[test]
fn the_format_of_a_mutex_is_fixed() {
    let shape = <Mutex<u64, &ModelJudge> as Object<_>>::shape(&0, 2).unwrap();
    assert_eq!((shape.bytes, shape.align, shape.len), (128, 128, 1));
    assert_eq!(shape.to_string(), "mutex of u64 (8 bytes)");
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    mutex(bytes.region(), &judges[0]);
    assert_eq!(
        bytes.0[..24],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]
    );
}

#[test]
fn a_region_that_cannot_hold_a_lock_is_refused() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let try_at = |start, len| {
        // SAFETY: the bytes are zero.
        unsafe { Mutex::init(region.sub(start, len).unwrap(), 0_u64, &judges[0]) }
    };
    assert!(matches!(try_at(0, 23), Err(ShapeError::Place(_))));
    assert!(matches!(try_at(2, 128), Err(ShapeError::Place(_))));
    assert!(try_at(0, 24).is_ok());
    // SAFETY: the bytes are zero: a mutex.
    let length = unsafe { Mutex::<u64, _>::attach(region, 2, &judges[0]) };
    assert!(matches!(length, Err(ShapeError::Length { found: 2, min: 1, max: 1 })));
}

#[test]
fn lck_01_to_05_a_lock_is_taken_once_and_shows_it() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (mutex(region, &judges[0]), attach(region, &judges[1]));
    assert_eq!(mine.owner(), None);
    let mut guard = mine.lock().unwrap();
    assert_eq!(*guard, 7);
    *guard = 8;
    assert_eq!(mine.owner(), judges[0].me());
    assert!(format!("{theirs:?}").contains("holder: Some(1: alive), waiters: false, state: clean"));
    assert_eq!(failure(mine.try_lock()), LockFailure::WouldBlock, "not recursive");
    assert_eq!(failure(theirs.try_lock()), LockFailure::WouldBlock);
    drop(guard);
    assert_eq!(mine.owner(), None);
    assert_eq!(*theirs.lock().unwrap(), 8);
}

#[test]
fn lck_03_a_lock_that_is_not_held_cannot_be_released() {
    let judges = ModelJudge::new(2);
    let raw = RawMutex::new();
    // SAFETY: the lock guards nothing.
    assert_eq!(unsafe { raw.unlock(&judges[0]) }, Err(NotOwner));
    raw.try_lock(&judges[0]).unwrap();
    // LCK-09: nor by another than its owner.
    // SAFETY: the lock guards nothing.
    assert_eq!(unsafe { raw.unlock(&judges[1]) }, Err(NotOwner));
    assert_eq!(raw.make_consistent(&judges[1]), Err(NotOwner));
    // SAFETY: the lock guards nothing.
    assert_eq!(unsafe { raw.unlock(&judges[0].forked()) }, Err(NotOwner));
    assert_eq!(raw.owner(), judges[0].me());
    // SAFETY: taken above, and nothing that it guards is borrowed.
    unsafe { raw.unlock(&judges[0]) }.unwrap();
    // SAFETY: the lock guards nothing.
    assert_eq!(unsafe { raw.unlock(&judges[0]) }, Err(NotOwner));
}

#[test]
fn an_heir_is_told_and_answers_for_the_data() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let dead = mutex(region, &judges[0]);
    std::mem::forget(dead.lock().unwrap());
    judges[0].die();

    let heir = attach(region, &judges[1]);
    let Err(LockError::OwnerDied(guard)) = heir.lock() else { panic!("not told") };
    assert_eq!(guard.dead_owner(), judges[0].me());
    assert_eq!(heir.deaths(), 1);
    guard.make_consistent();
    drop(guard);

    let guard = attach(region, &judges[2]).lock_owned().unwrap();
    assert_eq!(guard.dead_owner(), None);
}

#[test]
fn an_heir_that_does_not_answer_gives_the_data_up() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    std::mem::forget(mutex(region, &judges[0]).lock().unwrap());
    judges[0].die();

    let heir = attach(region, &judges[1]);
    let Err(LockError::OwnerDied(guard)) = heir.try_lock() else { panic!("not told") };
    drop(guard);
    for judge in &judges[1..] {
        let Err(LockError::NotRecoverable(guard)) = attach(region, judge).lock_owned() else {
            panic!("not told")
        };
        drop(guard);
    }
    // Whoever can make the data anew may.
    let Err(LockError::NotRecoverable(mut guard)) = heir.lock() else { panic!("not told") };
    *guard = 0;
    guard.make_consistent();
    drop(guard);
    assert_eq!(*attach(region, &judges[2]).lock().unwrap(), 0);
}

#[test]
fn a_panic_is_not_a_death() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (mutex(region, &judges[0]), attach(region, &judges[1]));
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = mine.lock().unwrap();
        *guard = 99;
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(panic.is_err());
    assert!(theirs.is_poisoned());
    let Err(LockError::Poisoned(guard)) = theirs.lock() else { panic!("not told") };
    assert_eq!(*guard, 99);
    guard.make_consistent();
    drop(guard);
    assert!(theirs.is_poisoned(), "the panic is a fact of its own");
    theirs.clear_poison();
    drop(mine.lock().unwrap());
    assert_eq!(mine.deaths(), 0);
}

#[test]
fn a_guard_taken_while_panicking_does_not_poison() {
    struct Locks<'a>(Mutex<u64, &'a ModelJudge>);
    impl Drop for Locks<'_> {
        fn drop(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let mine = mutex(bytes.region(), &judges[0]);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let _locks = Locks(mine);
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(panic.is_err());
    assert_eq!(*mine.lock().unwrap(), 8);
}

#[test]
fn who_has_not_joined_is_refused() {
    let judges = ModelJudge::new(1);
    let child = judges[0].forked();
    let (mut one, mut two) = (Bytes::new(), Bytes::new());
    assert_eq!(failure(mutex(one.region(), &child).lock()), LockFailure::NotJoined);
    assert_eq!(failure(mutex(one.region(), &child).try_lock()), LockFailure::NotJoined);
    let doors = semaphore(two.region(), &child);
    assert_eq!(doors.acquire().unwrap_err(), SemaphoreError::NotJoined);
    assert_eq!(doors.try_acquire().unwrap_err(), SemaphoreError::NotJoined);
    assert_eq!(doors.release(1), Err(ReleaseError::Failed(LockFailure::NotJoined)));
    assert_eq!(doors.held(), 0);
}

#[test]
fn a_word_that_names_nobody_is_corrupt() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = mutex(region, &judges[0]);
    let word = region.get::<AtomicU32>(Offset::ZERO).unwrap();
    // Nobody is called so, with either mark and both; a free lock's second name without the mark that belongs to it.
    let unmarked = OwnerId::NOBODY;
    for nonsense in
        [2, 1023, 1 << 30 | 0x400, 1 << 31 | 5, 3 << 30 | 7, unmarked, 1 << 31 | unmarked]
    {
        word.store(nonsense, Relaxed);
        assert_eq!(failure(mine.lock()), LockFailure::Corrupt { word: nonsense });
        assert_eq!(failure(mine.try_lock()), LockFailure::Corrupt { word: nonsense });
        assert_eq!(word.load(Relaxed), nonsense, "it is left as it was found");
    }
}

#[test]
fn a_state_that_nobody_writes_counts_as_the_worst() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = mutex(region, &judges[0]);
    let word = region.get::<AtomicU32>(Offset::ZERO).unwrap();
    let state = region.get::<AtomicU32>(Offset::new(4).unwrap()).unwrap();
    for nonsense in [2, 3, 8, u32::MAX] {
        for free in FREE_UNCLEAN {
            word.store(free, Relaxed);
            state.store(nonsense, Relaxed);
            assert!(matches!(mine.lock(), Err(LockError::NotRecoverable(_))), "{nonsense}");
        }
        assert!(matches!(mine.try_lock(), Err(LockError::NotRecoverable(_))), "{nonsense}, again");
    }
}

/// The words of a lock that nobody holds and whose state is to be looked at.
const FREE_UNCLEAN: [u32; 4] =
    [1 << 30 | OwnerId::NOBODY, 3 << 30 | OwnerId::NOBODY, 1 << 30, 3 << 30];

#[test]
fn a_lock_is_clean_again_when_its_state_is() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = mutex(region, &judges[0]);
    let word = region.get::<AtomicU32>(Offset::ZERO).unwrap();
    for free in FREE_UNCLEAN {
        word.store(free, Relaxed);
        assert_eq!(mine.owner(), None);
        drop(mine.lock().unwrap());
        assert_eq!(word.load(Relaxed), 0, "{free:#x}: no mark stays");
    }
    // A panic, which nobody's release forgets, and then somebody does.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let _guard = mine.lock().unwrap();
        panic!("on purpose");
    }));
    for _ in 0..2 {
        assert!(matches!(mine.lock(), Err(LockError::Poisoned(_))));
    }
    assert_eq!(word.load(Relaxed), FREE_UNCLEAN[0]);
    mine.clear_poison();
    drop(mine.lock().unwrap());
    assert_eq!(word.load(Relaxed), 0);
}

#[test]
fn what_is_repaired_is_answered_for() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (mutex(region, &judges[0]), attach(region, &judges[1]));
    std::mem::forget(theirs.lock().unwrap());
    judges[1].die();
    assert_eq!(*mine.lock_or_repair(|data| *data = 70).unwrap(), 70);
    assert_eq!(*mine.lock_or_repair(|_| panic!("there is nothing to repair")).unwrap(), 70);
    assert_eq!(*mine.lock().unwrap(), 70);
}

#[test]
fn a_late_wake_does_not_make_an_unclean_lock_clean() {
    let judges = ModelJudge::new(2);
    let raw = RawMutex::new();
    raw.try_lock(&judges[1]).unwrap();
    judges[1].die();
    assert_eq!(raw.try_lock(&judges[0]), Ok(Outcome::OwnerDied));
    // SAFETY: the first field of the `repr(C)` RawMutex is its word, an atomic u32.
    let word = unsafe { &*std::ptr::from_ref(&raw).cast::<AtomicU32>() };
    // Somebody waited, and does no more: the second of the two steps of a release takes the mark away.
    word.fetch_or(1 << 31, Relaxed);
    // SAFETY: taken above, and nothing that it guards is borrowed.
    unsafe { raw.unlock(&judges[0]) }.unwrap();
    assert_eq!(word.load(Relaxed), FREE_UNCLEAN[0]);
    assert_eq!(raw.try_lock(&judges[0]), Ok(Outcome::NotRecoverable));
}

/// Cannot tell about anybody.
struct Blind(ModelJudge);

// SAFETY: it calls nobody dead.
unsafe impl Judge for Blind {
    fn me(&self) -> Option<OwnerId> {
        self.0.me()
    }

    fn verdict(&self, _: OwnerId) -> Verdict {
        Verdict::Unknown
    }
}

#[test]
fn an_owner_that_cannot_be_judged_is_not_robbed() {
    let judges = ModelJudge::new(2);
    let (mut one, mut two) = (Bytes::new(), Bytes::new());
    let (one, two) = (one.region(), two.region());
    let blind = Blind(judges[1].clone());
    let guard = mutex(one, &judges[0]).lock_owned().unwrap();
    // SAFETY: made by `mutex`.
    let lock = unsafe { Mutex::<u64, _>::attach(one, 1, &blind) }.unwrap();
    let wait = Duration::from_millis(20);
    assert_eq!(failure(lock.lock_timeout(wait)), LockFailure::CannotJudge);
    assert_eq!(failure(lock.try_lock()), LockFailure::CannotJudge);
    drop(guard);
    drop(lock.lock().unwrap());

    let permits = semaphore(two, &judges[0]).acquire_owned(3).unwrap();
    // SAFETY: made by `semaphore`.
    let doors = unsafe { Semaphore::attach(two, 3, &blind) }.unwrap();
    assert_eq!(doors.acquire_timeout(wait).unwrap_err(), SemaphoreError::CannotJudge);
    assert_eq!(doors.try_acquire().unwrap_err(), SemaphoreError::CannotJudge);
    drop(permits);
    drop(doors.acquire().unwrap());
}

#[test]
fn the_text_of_a_lock_names_its_holder() {
    let judges = ModelJudge::new(2);
    let (mut one, mut two) = (Bytes::new(), Bytes::new());
    let (one, two) = (one.region(), two.region());
    let lock = mutex(one, &judges[0]);
    assert!(format!("{lock:?}").starts_with("Mutex { holder: None, waiters: false, state: clean"));
    let guard = lock.lock().unwrap();
    assert!(format!("{lock:?}").contains("holder: Some(1: this process)"), "{lock:?}");
    let theirs = attach(one, &judges[1]);
    assert!(format!("{theirs:?}").contains("holder: Some(1: alive)"), "{theirs:?}");
    let doors = semaphore(two, &judges[0]);
    let permits = doors.acquire_many(2).unwrap();
    let theirs = join(two, &judges[1]);
    assert_eq!(
        format!("{theirs:?}"),
        "Semaphore { permits: 3, available: 1, holders: [(1: alive, 2)] }"
    );
    judges[0].die();
    assert!(format!("{theirs:?}").contains("1: dead"), "{theirs:?}");
    core::mem::forget((guard, permits));
}

/// Finds out, when it is asked about somebody, that it has lost its own place.
struct Lost {
    judge: ModelJudge,
    lost: AtomicU32,
}

// SAFETY: it calls nobody dead.
unsafe impl Judge for Lost {
    fn me(&self) -> Option<OwnerId> {
        self.judge.me().filter(|_| self.lost.load(Relaxed) == 0)
    }

    fn verdict(&self, _: OwnerId) -> Verdict {
        self.lost.store(1, Relaxed);
        Verdict::Unknown
    }
}

#[test]
fn who_loses_its_place_while_it_waits_takes_nothing() {
    let judges = ModelJudge::new(2);
    let (mut one, mut two) = (Bytes::new(), Bytes::new());
    let (one, two) = (one.region(), two.region());
    let lost = || Lost { judge: judges[1].clone(), lost: AtomicU32::new(0) };
    let (first, second) = (lost(), lost());
    let guard = mutex(one, &judges[0]).lock_owned().unwrap();
    // SAFETY: made by `mutex`.
    let lock = unsafe { Mutex::<u64, _>::attach(one, 1, &first) }.unwrap();
    assert_eq!(failure(lock.lock()), LockFailure::NotJoined);
    drop(guard);
    assert_eq!(failure(lock.lock()), LockFailure::NotJoined);
    assert_eq!(lock.owner(), None);

    let permits = semaphore(two, &judges[0]).acquire_owned(3).unwrap();
    // SAFETY: made by `semaphore`.
    let doors = unsafe { Semaphore::attach(two, 3, &second) }.unwrap();
    assert_eq!(doors.acquire().unwrap_err(), SemaphoreError::NotJoined);
    drop(permits);
    assert_eq!(doors.available(), 3);
}

#[test]
fn lck_10_a_wait_lasts_as_long_as_asked() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (mutex(region, &judges[0]), attach(region, &judges[1]));
    let _guard = mine.lock().unwrap();
    for millis in [0, 1, 3, 70] {
        let wait = Duration::from_millis(millis);
        let start = Instant::now();
        assert_eq!(failure(theirs.lock_timeout(wait)), LockFailure::TimedOut);
        assert!(start.elapsed() >= wait, "{:?} instead of {wait:?}", start.elapsed());
        let start = Instant::now();
        assert_eq!(failure(theirs.lock_deadline(start + wait)), LockFailure::TimedOut);
        assert!(start.elapsed() >= wait, "{:?} instead of {wait:?}", start.elapsed());
    }
}

#[test]
fn threads_of_one_process_exclude_each_other() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let mine = mutex(bytes.region(), &judges[0]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || (0..10_000).for_each(|_| *mine.lock().unwrap() += 1));
        }
    });
    assert_eq!(*mine.lock().unwrap(), 40_007);
}
