//! Python's `Condition(lock)`, whose lock anybody may release.

use std::time::Duration;

use shmkit_roster::Judge;
use shmkit_sync::{Acquired, NotifyError, UnlockError, WaitError, Wakeup};

use crate::{LONG, play, until_waiting};

#[test]
fn a_lock_is_given_up_and_held_again() {
    play(|mine, theirs| {
        let (condvar, lock) = (mine.condvar(), mine.lock());
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let lock = theirs.lock();
                let guard = lock.lock().unwrap();
                let (guard, wakeup) = theirs.condvar().wait_timeout(guard, LONG).unwrap();
                assert_eq!((wakeup, guard.acquired()), (Wakeup::Notified, Acquired::Clean));
                assert_eq!(lock.owner(), theirs.judge.me());
                drop(guard);
                // And without a guard.
                lock.acquire().unwrap();
                let (lock, wakeup) = theirs.condvar().wait_timeout(&lock, LONG).unwrap();
                assert_eq!((wakeup, lock.owner()), (Wakeup::Notified, theirs.judge.me()));
                lock.release().unwrap();
            });
            let guard = || {
                until_waiting(condvar, 1);
                lock.lock().unwrap()
            };
            assert_eq!(condvar.notify_one(&guard()), Ok(1));
            let held = guard();
            assert_eq!(condvar.notify_one(&lock), Ok(1), "it is held");
            assert_eq!(condvar.notify_one(&held), Ok(0), "it has been notified");
            drop(held);
            waiter.join().unwrap();
        });
        assert_eq!(lock.release(), Err(UnlockError::NotLocked), "released once");
    });
}

#[test]
fn a_lock_that_somebody_else_has_is_not_given_up() {
    play(|mine, theirs| {
        let (condvar, lock) = (mine.condvar(), mine.lock());
        lock.acquire().unwrap();
        // Somebody releases it beneath its holder, and a third one comes.
        theirs.lock().release().unwrap();
        theirs.lock().acquire().unwrap();
        assert_eq!(condvar.notify_one(&lock), Err(NotifyError::NotOwner));
        assert!(matches!(condvar.wait(&lock), Err(WaitError::NotOwner(_))));
        assert_eq!(lock.owner(), theirs.judge.me());
    });
}

#[test]
fn who_inherits_a_lock_by_waiting_is_told() {
    play(|mine, theirs| {
        let dead = mine.judge.me();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let lock = theirs.lock();
                let waited = theirs.condvar().wait_timeout(lock.lock().unwrap(), LONG);
                let Err(WaitError::OwnerDied(guard, Wakeup::Notified)) = waited else {
                    panic!("not told")
                };
                assert_eq!(guard.acquired().dead_owner(), dead);
                // It is told of once.
                let (guard, _) =
                    theirs.condvar().wait_timeout(guard, Duration::ZERO).expect("not told again");
                assert_eq!(guard.acquired(), Acquired::Clean);
            });
            until_waiting(mine.condvar(), 1);
            let lock = mine.lock();
            lock.acquire().unwrap();
            assert_eq!(mine.condvar().notify_one(&lock), Ok(1));
            mine.judge.die();
            waiter.join().unwrap();
        });
    });
}

#[test]
fn a_condition_is_made_with_its_lock() {
    play(|mine, theirs| {
        let condvar = mine.condvar().with_lock(&mine.lock()).unwrap();
        assert_eq!(mine.lock().owner(), None, "it need not be held");
        let again = theirs.condvar().with_lock(&theirs.lock());
        assert!(again.is_ok(), "the same one, in every process");
        let rlock = mine.rlock();
        assert!(matches!(condvar.with_lock(&rlock), Err(NotifyError::OtherLock)));
        rlock.acquire().unwrap();
        assert!(matches!(condvar.wait(&rlock), Err(WaitError::OtherLock(_))), "nobody has waited");
        rlock.release().unwrap();
    });
}
