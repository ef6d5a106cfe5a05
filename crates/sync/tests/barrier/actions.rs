//! What the last one does before anybody passes.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::Instant;

use shmkit_atomic::Ordering::{Relaxed, SeqCst};
use shmkit_atomic::{AtomicU32, Deadline};
use shmkit_roster::Judge;
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{ActionError, BarrierError};

use crate::{Before, Bytes, LONG, arrived, attach, barrier, cell, until};

#[test]
fn bar_04_the_action_is_done_once_by_the_last() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let barrier = barrier(bytes.region(), 3, &judges[0]);
    let actions = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for round in 1..=100 {
                    let mut did = false;
                    let number = barrier
                        .wait_with_timeout(LONG, || {
                            did = true;
                            assert_eq!(barrier.n_waiting(), 3, "somebody was let go before");
                            actions.fetch_add(1, Relaxed);
                            Ok::<_, ()>(())
                        })
                        .unwrap();
                    assert_eq!(did, number == 2);
                    assert!(actions.load(Relaxed) >= round);
                    barrier.wait_with_deadline(Instant::now() + LONG, || Ok::<_, ()>(())).unwrap();
                }
            });
        }
    });
    assert_eq!(actions.load(Relaxed), 100);
}

#[test]
fn bar_05_an_action_that_fails_breaks_the_barrier() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (barrier(region, 2, &judges[0]), attach(region, 2, &judges[1]));
    for panics in [false, true] {
        thread::scope(|scope| {
            let other = scope.spawn(|| theirs.wait_timeout(LONG));
            until(|| mine.n_waiting() == 1);
            let act = || -> Result<(), &str> {
                if panics { resume_unwind(Box::new(())) } else { Err("no") }
            };
            let waited = catch_unwind(AssertUnwindSafe(|| mine.wait_with(act)));
            match waited {
                Ok(result) => assert_eq!(result, Err(ActionError::Action("no"))),
                Err(_) => assert!(panics),
            }
            assert_eq!(other.join().unwrap(), Err(BarrierError::Broken));
        });
        assert!(mine.is_broken() && theirs.is_broken());
        assert_eq!(theirs.wait(), Err(BarrierError::Broken));
        mine.reset().unwrap();
        // All places are free again.
        thread::scope(|scope| {
            let other = scope.spawn(|| theirs.wait_timeout(LONG).unwrap());
            mine.wait_timeout(LONG).unwrap();
            other.join().unwrap();
        });
    }
}

#[test]
fn who_dies_while_the_action_runs_is_not_passed_over() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = barrier(region, 2, &judges[0]);
    let dead = judges[1].me().unwrap();
    // As it stands there when it waits.
    cell(region, 0).store(arrived(&judges[1], 0), SeqCst);
    let waited = mine.wait_with(|| {
        judges[1].die();
        Ok::<_, ()>(())
    });
    assert_eq!(waited, Err(ActionError::Barrier(BarrierError::PartyDied(dead))));
    assert!(mine.is_broken());
}

#[test]
fn an_action_of_the_machine_below_may_panic() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let meeting = barrier(region, 1, &judges[0]);
    let raw = meeting.raw();
    let act = || -> Result<(), ()> { resume_unwind(Box::new(7)) };
    let wait = || raw.wait(None, &judges[0], Deadline::NEVER, Some(act));
    let panic = catch_unwind(AssertUnwindSafe(wait)).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&7));
    assert!(raw.is_broken());
    assert_eq!(cell(region, 0).load(SeqCst), 0, "the place was not given back");
}

/// The barrier is broken between the look at its word and the arrival: who arrives is asking about a dead party, whose
/// cell it takes.
#[test]
fn nobody_arrives_at_a_broken_barrier() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let judge = Before::new(&judges[0]);
    let mine = barrier(region, 1, &judge);
    // It had passed, two passes ago.
    cell(region, 0).store(arrived(&judges[1], 2), SeqCst);
    judges[1].die();
    let theirs = attach(region, 1, &judges[2]);
    judge.answer(move || theirs.abort().unwrap());
    let acted = mine.wait_with(|| -> Result<(), ()> { panic!("the pass was broken") });
    assert_eq!(acted, Err(ActionError::Barrier(BarrierError::Broken)));
    mine.reset().unwrap();
    assert_eq!(mine.wait(), Ok(0), "the place was not given back");
}

/// The barrier is broken between the last arrival and its action: while the others are asked about.
#[test]
fn no_action_is_begun_at_a_broken_barrier() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let judge = Before::new(&judges[0]);
    let mine = barrier(region, 2, &judge);
    cell(region, 0).store(arrived(&judges[1], 0), SeqCst);
    let theirs = attach(region, 2, &judges[1]);
    judge.answer(move || theirs.abort().unwrap());
    let acted = mine.wait_with(|| -> Result<(), ()> { panic!("the pass was broken") });
    assert_eq!(acted, Err(ActionError::Barrier(BarrierError::Broken)));
}
