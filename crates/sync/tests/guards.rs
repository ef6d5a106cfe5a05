//! Guards of a part of the data: what they lead to, and that their end is the end of any guard.
#![cfg(not(loom))]

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};

use shmkit_atomic::AtomicBool;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::{Object, Region};
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, OwnerId, Verdict};
use shmkit_sync::{
    LockError, MappedMutexGuard, Mutex, MutexGuard, RLockGuard, ReentrantMutexGuard,
    RwLockReadGuard, RwLockWriteGuard,
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

fn mutex<'a>(region: Region<'a>, judge: &'a ModelJudge) -> Mutex<[u64; 4], &'a ModelJudge> {
    // SAFETY: the bytes are zero.
    unsafe { Mutex::init(region, [1, 2, 3, 4], judge) }.unwrap()
}

#[test]
fn a_part_is_changed_under_the_lock() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let mutex = mutex(bytes.region(), &judges[0]);
    let mut upper = MutexGuard::map(mutex.lock().unwrap(), |numbers| &mut numbers[2..]);
    upper[0] = 30;
    assert_eq!(format!("{upper:?}"), "[30, 4]");
    assert_eq!(mutex.owner(), judges[0].me(), "still held");
    let mut last = MappedMutexGuard::map(upper, |upper| &mut upper[1]);
    *last += 36;
    assert_eq!(last.to_string(), "40");
    drop(last);
    assert_eq!(mutex.owner(), None);
    assert_eq!(*mutex.lock().unwrap(), [1, 2, 30, 40]);
}

#[test]
fn a_part_that_is_not_there_gives_the_guard_back() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let mutex = mutex(bytes.region(), &judges[0]);
    let missing = MutexGuard::filter_map(mutex.lock().unwrap(), |numbers| numbers.get_mut(9));
    let guard = missing.unwrap_err();
    assert_eq!(mutex.owner(), judges[0].me());
    let half = MutexGuard::filter_map(guard, |numbers| numbers.get_mut(..2)).unwrap();
    let half = MappedMutexGuard::filter_map(half, |half| half.get_mut(2)).unwrap_err();
    assert_eq!(*half, [1, 2]);
    drop(half);
    assert_eq!(mutex.owner(), None);
}

#[test]
fn a_panic_poisons_from_a_part_too() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let mutex = mutex(bytes.region(), &judges[0]);
    let in_part = || -> () {
        let _part = MutexGuard::map(mutex.lock().unwrap(), |numbers| &mut numbers[0]);
        resume_unwind(Box::new(()));
    };
    let in_map = || {
        let guard = mutex.lock().unwrap();
        drop(MutexGuard::map(guard, |_| -> &mut u64 { resume_unwind(Box::new(())) }));
    };
    for panics in [&in_part as &dyn Fn(), &in_map] {
        catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
        assert!(matches!(mutex.lock(), Err(LockError::Poisoned(_))));
        mutex.clear_poison();
    }
}

#[test]
fn a_part_of_what_a_death_left_is_not_an_answer() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    std::mem::forget(mutex(region, &judges[0]).lock().unwrap());
    judges[0].die();
    // SAFETY: made by `mutex`.
    let heir = unsafe { Mutex::<[u64; 4], _>::attach(region, 1, &judges[1]) }.unwrap();
    let Err(LockError::OwnerDied(guard)) = heir.lock() else { panic!("not told") };
    drop(MutexGuard::map(guard, |numbers| &mut numbers[0]));
    let Err(LockError::NotRecoverable(guard)) = heir.lock() else { panic!("not told") };
    guard.make_consistent();
    drop(MutexGuard::map(guard, |numbers| &mut numbers[0]));
    drop(heir.lock().unwrap());
}

/// Whose page is that of a forked child from some moment on.
struct Forks(ModelJudge, AtomicBool);

// SAFETY: it calls nobody dead.
unsafe impl Judge for Forks {
    fn me(&self) -> Option<OwnerId> {
        self.0.me().filter(|_| !self.1.load(Relaxed))
    }

    fn verdict(&self, owner: OwnerId) -> Verdict {
        self.0.verdict(owner)
    }
}

#[test]
fn a_part_is_inert_in_a_forked_child() {
    let judges = ModelJudge::new(1);
    let judge = Forks(judges[0].clone(), false.into());
    let mut bytes = Bytes::new();
    // SAFETY: the bytes are zero.
    let mutex = unsafe { Mutex::init(bytes.region(), [1_u64, 2], &judge) }.unwrap();
    let part = MutexGuard::map(mutex.lock().unwrap(), |numbers| &mut numbers[0]);
    judge.1.store(true, Relaxed);
    assert_eq!(format!("{part:?}"), "<not ours>");
    // SAFETY: the child's copy; the original is the parent's.
    drop(unsafe { ptr::read(&part) });
    assert_eq!(mutex.owner(), judges[0].me(), "the child let go of its parent's lock");
    judge.1.store(false, Relaxed);
    assert_eq!(*part, 1);
    drop(part);
    assert_eq!(mutex.owner(), None);
}

/// Says whether `T` is Sync: its own function is found before the trait's, if it is.
struct Probe<T>(PhantomData<T>);

impl<T: Sync> Probe<T> {
    fn is_sync(&self) -> bool {
        true
    }
}

trait Otherwise {
    fn is_sync(&self) -> bool {
        false
    }
}

impl<T> Otherwise for Probe<T> {}

#[test]
fn what_notifies_stays_with_its_thread() {
    assert!(!Probe::<MutexGuard<'_, u64>>(PhantomData).is_sync());
    assert!(!Probe::<ReentrantMutexGuard<'_, u64>>(PhantomData).is_sync());
    assert!(!Probe::<RLockGuard<'_>>(PhantomData).is_sync());
    // With these nobody can notify.
    assert!(Probe::<MappedMutexGuard<'_, u64>>(PhantomData).is_sync());
    assert!(Probe::<RwLockReadGuard<'_, u64>>(PhantomData).is_sync());
    assert!(Probe::<RwLockWriteGuard<'_, u64>>(PhantomData).is_sync());
}
