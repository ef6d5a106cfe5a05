//! The mutex that its thread may take again.

use super::*;

#[test]
fn a_reentrant_mutex_is_taken_again_by_its_thread_only() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (mutex(region, &judges[0]), attach(region, &judges[1]));
    let outer = mine.lock().unwrap();
    let inner = mine.try_lock().unwrap();
    assert_eq!((mine.depth(), theirs.depth()), (2, 0));
    inner.set(inner.get() + 1);
    assert_eq!(outer.get(), 8);
    let blocked = |lock: ReentrantMutex<u64, &ModelJudge>| {
        lock.try_lock().unwrap_err().failure() == Some(LockFailure::WouldBlock)
    };
    assert!(elsewhere(|| blocked(mine)));
    assert!(blocked(theirs));
    // In whatever order.
    drop(outer);
    assert!(blocked(theirs));
    inner.set(9);
    drop(inner);
    assert_eq!(theirs.lock().unwrap().get(), 9);
    assert_eq!(mine.depth(), 0);
}

#[test]
fn an_array_under_a_reentrant_mutex_is_written_by_elements() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    // SAFETY: the bytes are zero.
    let row = unsafe { ReentrantMutex::init(bytes.region(), [0_u64; 3], &judges[0]) }.unwrap();
    let guard = row.lock().unwrap();
    let cells: &std::cell::Cell<[u64]> = &*guard;
    cells.as_slice_of_cells()[1].set(5);
    assert_eq!(row.lock().unwrap().get(), [0, 5, 0]);
}

#[test]
fn threads_of_one_process_exclude_each_other() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let mine = mutex(bytes.region(), &judges[0]);
    let add = || {
        let outer = mine.lock().unwrap();
        let inner = mine.lock().unwrap();
        inner.set(inner.get() + 1);
        outer.set(outer.get() + 1);
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5_000).for_each(|_| add()));
        }
    });
    assert_eq!(mine.lock().unwrap().get(), 40_007);
}

#[test]
fn an_heir_is_told_at_every_depth_until_it_answers() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let dead = mutex(region, &judges[0]);
    std::mem::forget((dead.lock().unwrap(), dead.lock().unwrap()));
    judges[0].die();
    let heir = attach(region, &judges[1]);
    let Err(LockError::OwnerDied(outer)) = heir.lock() else { panic!("not told") };
    assert_eq!((outer.dead_owner(), heir.depth()), (judges[0].me(), 1));
    assert!(
        matches!(heir.lock(), Err(LockError::OwnerDied(inner)) if inner.dead_owner().is_none())
    );
    outer.make_consistent();
    drop(heir.lock().unwrap());
    drop(outer);
    let next = attach(region, &judges[2]);
    drop(next.lock().unwrap());

    std::mem::forget(next.lock().unwrap());
    judges[2].die();
    drop(heir.lock().unwrap_err());
    let Err(LockError::NotRecoverable(guard)) = heir.lock() else { panic!("not told") };
    guard.make_consistent();
    drop(guard);
    drop(heir.lock().unwrap());
}

#[test]
fn a_panic_inside_is_told() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let mine = mutex(bytes.region(), &judges[0]);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let outer = mine.lock().unwrap();
        let _inner = mine.lock().unwrap();
        outer.set(99);
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(panic.is_err() && mine.is_poisoned());
    assert_eq!(mine.depth(), 0);
    assert!(matches!(mine.lock(), Err(LockError::Poisoned(guard)) if guard.get() == 99));
    mine.clear_poison();
    assert_eq!(mine.lock().unwrap().get(), 99);
}

#[test]
fn an_inherited_guard_is_inert() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = mutex(region, &judges[0]);
    let guard = mine.lock().unwrap();
    // The bytes of `who` as another holder has them: the guard answers for nothing any more, and releases nothing.
    let who = region.get::<AtomicU64>(Offset::new(16).unwrap()).unwrap();
    let ours = who.swap(1 << 42 | 1, Relaxed);
    assert_eq!(format!("{guard:?}"), "<not ours>");
    guard.make_consistent();
    drop(guard);
    assert_eq!(mine.owner(), judges[0].me());
    who.store(ours, Relaxed);
    assert_eq!(mine.depth(), 1);
}
