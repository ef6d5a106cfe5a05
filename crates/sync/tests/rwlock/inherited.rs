//! Locks in forked children, and of processes that have lost their place.

use super::*;

/// Whose page is that of a forked child from some moment on, or which finds out that it has lost its place.
struct Fickle {
    judge: ModelJudge,
    nobody: AtomicBool,
    loses_its_place: bool,
    verdict: Option<Verdict>,
}

impl Fickle {
    fn new(judge: &ModelJudge) -> Self {
        let judge = judge.clone();
        Self { judge, nobody: false.into(), loses_its_place: false, verdict: None }
    }
}

// SAFETY: it calls nobody dead that its model does not.
unsafe impl Judge for Fickle {
    fn me(&self) -> Option<OwnerId> {
        self.judge.me().filter(|_| !self.nobody.load(Relaxed))
    }

    fn verdict(&self, owner: OwnerId) -> Verdict {
        self.nobody.fetch_or(self.loses_its_place, Relaxed);
        self.verdict.unwrap_or_else(|| self.judge.verdict(owner))
    }
}

#[test]
fn a_forked_child_neither_reads_nor_writes_nor_lets_go() {
    let judges = ModelJudge::new(1);
    let judges = [Fickle::new(&judges[0])];
    let mut bytes = Bytes::new();
    let [lock] = locks(bytes.region(), &judges);
    let in_child = |then: &dyn Fn()| {
        judges[0].nobody.store(true, Relaxed);
        then();
        judges[0].nobody.store(false, Relaxed);
    };
    let reading = lock.read().unwrap();
    in_child(&|| {
        assert_eq!(failure(lock.read()), LockFailure::NotJoined);
        assert_eq!(failure(lock.try_write()), LockFailure::NotJoined);
        // SAFETY: the child's copy; the original is the parent's.
        drop(unsafe { std::ptr::read(&reading) });
        // SAFETY: as above.
        let copy = unsafe { std::ptr::read(&reading) };
        let map = AssertUnwindSafe(|| drop(RwLockReadGuard::map(copy, |number| number)));
        assert!(catch_unwind(map).is_err(), "the child reads");
    });
    assert_eq!(lock.readers(), 1);
    drop(reading);
    let writing = lock.write().unwrap();
    in_child(&|| {
        // SAFETY: as above.
        let copy = unsafe { std::ptr::read(&writing) };
        copy.make_consistent();
        assert_eq!(format!("{copy:?}"), "<not ours>");
        let turn = AssertUnwindSafe(|| drop(RwLockWriteGuard::downgrade(copy)));
        assert!(catch_unwind(turn).is_err(), "the child became a reader");
    });
    assert_eq!((lock.writer(), lock.readers()), (judges[0].me(), 0));
    drop(writing);
    assert_eq!(lock.writer(), None);
}

#[test]
fn who_cannot_be_judged_is_not_robbed() {
    let judges = ModelJudge::new(2);
    let mut judges = [Fickle::new(&judges[0]), Fickle::new(&judges[1])];
    judges[1].verdict = Some(Verdict::Unknown);
    let mut bytes = Bytes::new();
    let [a, b] = locks(bytes.region(), &judges);
    let wait = Duration::from_millis(20);
    let reading = a.read().unwrap();
    let start = Instant::now();
    assert_eq!(failure(b.write_timeout(wait)), LockFailure::CannotJudge);
    assert!(start.elapsed() >= wait, "not before the deadline");
    assert_eq!(failure(b.try_write()), LockFailure::CannotJudge);
    drop(reading);
    let writing = a.write().unwrap();
    let start = Instant::now();
    assert_eq!(failure(b.read_timeout(wait)), LockFailure::CannotJudge);
    assert_eq!(failure(b.write_timeout(wait)), LockFailure::CannotJudge);
    assert!(start.elapsed() >= 2 * wait, "not before the deadline");
    assert_eq!(failure(b.try_read()), LockFailure::CannotJudge);
    drop(writing);
    drop(b.write().unwrap());
}

#[test]
fn who_loses_its_place_while_it_waits_gets_nothing() {
    let judges = ModelJudge::new(2);
    for reader in [false, true] {
        let mut judges = [Fickle::new(&judges[0]), Fickle::new(&judges[1])];
        judges[1].loses_its_place = true;
        let mut bytes = Bytes::new();
        let region = bytes.region();
        let [a, b] = locks(region, &judges);
        if reader {
            let _reading = a.read().unwrap();
            assert_eq!(failure(b.write()), LockFailure::NotJoined);
            assert_eq!(failure(b.try_write()), LockFailure::NotJoined);
        } else {
            let _writing = a.write().unwrap();
            assert_eq!(failure(b.read()), LockFailure::NotJoined);
            judges[1].nobody.store(false, Relaxed);
            assert_eq!(failure(b.write()), LockFailure::NotJoined);
        }
        assert_eq!(b.readers(), 0);
        // To everybody else it is dead: what it may have left standing is inherited.
        judges[1].judge.die();
        drop(a.write().unwrap());
        assert_eq!(a.deaths(), 0);
    }
}
