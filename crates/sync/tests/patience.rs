//! What ends a wait besides what it is for.
#![cfg(not(loom))]

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicBool, AtomicU32, Deadline};
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, OwnerId, Verdict};
use shmkit_sync::{
    BarrierCell, BarrierError, BarrierFrame, CondvarFrame, CountingError, EventError, HolderCell,
    LockFailure, Patience, RawBarrier, RawCondvar, RawCountingSemaphore, RawEvent, RawMutex,
    RawRwLock, RawSemaphore, RwLockFrame, Seating, SemaphoreError, SemaphoreFrame, SleeperCell,
};

/// A semaphore of one permit, for four.
fn semaphore() -> RawSemaphore<'static> {
    let cells = (0..Seating::spread(4).cells()).map(|_| HolderCell::new());
    RawSemaphore::new(
        Box::leak(Box::new(SemaphoreFrame::new(1, 4))),
        cells.collect::<Vec<_>>().leak(),
    )
}

/// A condition variable, for four.
fn condvar() -> RawCondvar<'static> {
    let cells = (0..Seating::packed(4).cells()).map(|_| SleeperCell::new());
    RawCondvar::new(Box::leak(Box::new(CondvarFrame::new(4))), cells.collect::<Vec<_>>().leak())
}

/// Longer than any test.
const LONG: Duration = Duration::from_secs(30);

#[test]
fn a_wait_that_is_told_to_stop_ends() {
    let judges = ModelJudge::new(2);
    let [mine, theirs] = [&judges[0], &judges[1]];
    let asked = AtomicU32::new(0);
    let third = || {
        if asked.fetch_add(1, Relaxed) % 3 == 2 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let patience = Patience::from(LONG).interruptible(&third);
    let mutex = RawMutex::new();
    mutex.lock(theirs, Deadline::NEVER).unwrap();
    assert_eq!(mutex.lock(mine, patience), Err(LockFailure::Interrupted));
    assert_eq!(RawEvent::new().wait(mine, patience), Err(EventError::Interrupted));
    let counting = RawCountingSemaphore::new();
    assert_eq!(counting.acquire(mine, patience), Err(CountingError::Interrupted));
    let semaphore = semaphore();
    semaphore.acquire(1, theirs, Deadline::NEVER).unwrap();
    assert_eq!(semaphore.acquire(1, mine, patience), Err(SemaphoreError::Interrupted));
    assert_eq!(asked.load(Relaxed), 12, "once for each slice");
    assert_eq!(mutex.owner(), theirs.me(), "nothing was taken");
}

/// What a wait has taken by then is given back.
#[test]
fn a_hook_that_panics_says_stop() {
    let [reader, mine, theirs]: [ModelJudge; 3] = ModelJudge::new(3).try_into().unwrap();
    let hook = || -> ControlFlow<()> { panic!("in the hook") };
    let patience = Patience::from(LONG).interruptible(&hook);

    let cells: Vec<_> = (0..Seating::spread(4).cells()).map(|_| HolderCell::new()).collect();
    let frame = RwLockFrame::new(4);
    let lock = RawRwLock::new(&frame, &cells);
    let (reading, _) = lock.read(&reader, LONG).unwrap();
    assert_eq!(lock.write(&mine, patience).map(drop), Err(LockFailure::Interrupted));
    // SAFETY: read-locked above, and never since.
    unsafe { lock.unlock_read(&reader, reading) }.unwrap();
    lock.read(&theirs, LONG).map(drop).unwrap();

    let (frame, cells) = (BarrierFrame::new(2), [const { BarrierCell::new() }; 2]);
    let barrier = RawBarrier::new(&frame, &cells);
    let nothing: Option<fn() -> Result<(), ()>> = None;
    let stopped = barrier.wait(None, &mine, patience, nothing);
    assert_eq!(stopped, Err(BarrierError::Interrupted.into()));
    assert!(barrier.is_broken() && barrier.n_waiting() == 0);
}

#[test]
fn a_wait_lasts_as_long_as_a_peer_lives() {
    let judges = ModelJudge::new(2);
    let peer = judges[1].me().unwrap();
    let patience = || Patience::from(LONG).while_alive(peer);
    let (event, counting) = (RawEvent::new(), RawCountingSemaphore::new());
    let start = Instant::now();
    thread::scope(|scope| {
        let waits = scope.spawn(|| event.wait(&judges[0], patience()));
        let takes = scope.spawn(|| counting.acquire(&judges[0], patience()));
        while !event.has_waiters() || !counting.has_waiters() {
            thread::yield_now();
        }
        judges[1].die();
        assert_eq!(waits.join().unwrap(), Err(EventError::PeerDied(peer.into())));
        assert_eq!(takes.join().unwrap(), Err(CountingError::PeerDied(peer.into())));
    });
    assert!(start.elapsed() < LONG / 2, "{:?}", start.elapsed());
    // What it had done before it died has been done.
    event.set(&judges[0]).unwrap();
    assert_eq!(event.wait(&judges[0], patience()), Ok(()));
}

/// A judge of whom nothing is to be learnt, or worse.
struct Bad {
    model: ModelJudge,
    panics: bool,
    asked: AtomicBool,
}

impl Bad {
    fn new(model: &ModelJudge, panics: bool) -> Self {
        Self { model: model.clone(), panics, asked: AtomicBool::new(false) }
    }
}

// SAFETY: it calls nobody dead.
unsafe impl Judge for Bad {
    fn me(&self) -> Option<OwnerId> {
        self.model.me()
    }

    fn verdict(&self, _: OwnerId) -> Verdict {
        self.asked.store(true, Relaxed);
        assert!(!self.panics, "the judge panics");
        Verdict::Unknown
    }
}

#[test]
fn nobody_waits_for_ever_for_who_cannot_be_judged() {
    let judges = ModelJudge::new(2);
    let blind = Bad::new(&judges[0], false);
    let mutex = RawMutex::new();
    mutex.lock(&judges[1], Deadline::NEVER).unwrap();
    assert_eq!(mutex.lock(&blind, Deadline::NEVER), Err(LockFailure::CannotJudge));
    let semaphore = semaphore();
    semaphore.acquire(1, &judges[1], Deadline::NEVER).unwrap();
    assert_eq!(semaphore.acquire(1, &blind, Deadline::NEVER), Err(SemaphoreError::CannotJudge));
    let patience = Patience::ENDLESS.while_alive(judges[1].me().unwrap());
    assert_eq!(RawEvent::new().wait(&blind, patience), Err(EventError::CannotJudge));
}

#[test]
fn a_judge_that_panics_in_a_wait_leaves_the_lock_held_and_no_sleeper() {
    let judges = ModelJudge::new(2);
    let bad = Bad::new(&judges[0], true);
    let (mutex, condvar) = (RawMutex::new(), condvar());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            mutex.lock(&judges[0], Deadline::NEVER).unwrap();
            // SAFETY: this thread took the mutex, which guards nothing.
            let wait = || unsafe { condvar.wait(&mutex, &bad, Deadline::NEVER) };
            catch_unwind(AssertUnwindSafe(wait)).is_err()
        });
        while condvar.waiters() == 0 {
            thread::yield_now();
        }
        // It asks about us at the end of a slice.
        mutex.lock(&judges[1], Deadline::NEVER).unwrap();
        while !bad.asked.load(Relaxed) {
            thread::yield_now();
        }
        // SAFETY: locked above.
        unsafe { mutex.unlock(&judges[1]) }.unwrap();
        assert!(waiter.join().unwrap(), "it did not panic");
    });
    assert_eq!((mutex.owner(), condvar.waiters()), (judges[0].me(), 0));
}
