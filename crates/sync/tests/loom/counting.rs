//! The counting semaphore: no release is lost, and the bound is never passed.

use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::Deadline;
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{CountingError, RawCountingSemaphore, crash};

use crate::{model, with_every_crash, with_every_crash_and};

fn semaphore(value: u32, bound: u32) -> Arc<RawCountingSemaphore> {
    let semaphore = RawCountingSemaphore::new();
    semaphore.set(value, bound);
    Arc::new(semaphore)
}

/// Takes without slices: only a release ends it.
fn take(semaphore: &RawCountingSemaphore, judge: &ModelJudge) {
    semaphore.acquire(judge, Deadline::NEVER).unwrap();
}

/// Two takers, of whom one takes twice; two releasers, of whom one releases two at once.
#[test]
fn no_release_is_lost() {
    model(|| {
        let semaphore = semaphore(0, RawCountingSemaphore::MAX_VALUE);
        let judges = ModelJudge::new(4);
        let takers = [1, 2].map(|takes: usize| {
            let (semaphore, judge) = (semaphore.clone(), judges[takes].clone());
            thread::spawn(move || (0..takes).for_each(|_| take(&semaphore, &judge)))
        });
        let releaser = {
            let (semaphore, judge) = (semaphore.clone(), judges[3].clone());
            thread::spawn(move || semaphore.release(1, &judge).unwrap())
        };
        semaphore.release(2, &judges[0]).unwrap();
        releaser.join().unwrap();
        for taker in takers {
            taker.join().unwrap();
        }
        assert_eq!(semaphore.value(), 0);
    });
}

/// A slice's end makes good for whoever dies between its release and its wake, and for a woken one that dies.
#[test]
fn the_others_get_through_whoever_dies() {
    with_every_crash("counting, releaser", |steps, lives| {
        let semaphore = semaphore(0, 3);
        let judges = ModelJudge::new(3);
        let takers = [0, 1].map(|i| {
            let (semaphore, judge) = (semaphore.clone(), judges[i].clone());
            thread::spawn(move || {
                // With an end that never comes: a sleep for ever has no slices in the model.
                let end = Deadline::after(std::time::Duration::from_secs(1));
                semaphore.acquire(&judge, end).unwrap();
            })
        });
        let mortal = &judges[2];
        let life = || {
            semaphore.release(1, mortal).unwrap();
            semaphore.release(1, mortal).unwrap();
        };
        if crash::after(steps, life).is_err() {
            lives.died();
            mortal.die();
            // What it had not released somebody else releases: exactly as many as the takers lack.
            while semaphore.release(2, &judges[0]).is_err() {
                thread::yield_now();
            }
        }
        for taker in takers {
            taker.join().unwrap();
        }
        assert!(semaphore.value() <= 3);
    });
}

#[test]
fn a_woken_taker_that_dies_takes_at_most_its_own() {
    with_every_crash_and("counting, taker", 2, |steps, lives| {
        let semaphore = semaphore(0, 9);
        let judges = ModelJudge::new(3);
        let other = {
            let (semaphore, judge) = (semaphore.clone(), judges[0].clone());
            thread::spawn(move || take(&semaphore, &judge))
        };
        let releaser = {
            let (semaphore, judge) = (semaphore.clone(), judges[1].clone());
            thread::spawn(move || {
                semaphore.release(1, &judge).unwrap();
                semaphore.release(1, &judge).unwrap();
            })
        };
        let mortal = &judges[2];
        let life = || {
            take(&semaphore, mortal);
            semaphore.release(1, mortal).unwrap();
            take(&semaphore, mortal);
        };
        if crash::after(steps, life).is_err() {
            lives.died();
            mortal.die();
        }
        other.join().unwrap();
        releaser.join().unwrap();
        // Two were released for good, one was taken by the other, at most one by the dead.
        assert!(semaphore.value() <= 1, "{semaphore:?}");
    });
}

#[test]
fn the_bound_is_never_passed() {
    model(|| {
        let semaphore = semaphore(1, 2);
        let judges = ModelJudge::new(3);
        let releasers = [0, 1].map(|i| {
            let (semaphore, judge) = (semaphore.clone(), judges[i].clone());
            thread::spawn(move || semaphore.release(1, &judge))
        });
        let mine = semaphore.release(1, &judges[2]);
        assert!(semaphore.value() <= 2);
        let results = releasers.map(|releaser| releaser.join().unwrap());
        let passed = results.iter().chain([&mine]).filter(|result| result.is_ok()).count();
        assert_eq!((passed, semaphore.value()), (1, 2));
        assert_eq!(
            semaphore.release(1, &judges[0]),
            Err(CountingError::PastBound { asked: 1, value: 2, bound: 2 })
        );
    });
}
