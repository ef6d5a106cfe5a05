//! What a forked child inherits, and who has lost its place.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use shmkit_atomic::AtomicU32;
use shmkit_atomic::Ordering::{Relaxed, SeqCst};
use shmkit_layout::Offset;
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, OwnerId, Verdict};
use shmkit_sync::{ActionError, BarrierError};

use crate::{Bytes, LONG, arrived, attach, barrier, cell, set_word, until};

#[test]
fn who_has_not_joined_is_refused() {
    let judges = ModelJudge::new(1);
    let child = judges[0].forked();
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let parents = barrier(region, 1, &judges[0]);
    let party = parents.party().unwrap();
    let barrier = attach(region, 1, &child);
    assert_eq!(barrier.wait(), Err(BarrierError::NotJoined));
    assert_eq!(barrier.abort(), Err(BarrierError::NotJoined));
    assert_eq!(barrier.reset(), Err(BarrierError::NotJoined));
    assert_eq!(barrier.party().unwrap_err(), BarrierError::NotJoined);
    assert!(!barrier.is_broken());
    drop(party);
}

/// Is a parent's until it is asked to be the child's.
struct Forking(ModelJudge, AtomicU32);

// SAFETY: it calls nobody dead.
unsafe impl Judge for Forking {
    fn me(&self) -> Option<OwnerId> {
        self.0.me().filter(|_| self.1.load(Relaxed) == 0)
    }

    fn verdict(&self, _: OwnerId) -> Verdict {
        Verdict::Unknown
    }
}

/// However it returns from it, pass and place are the parent's.
#[test]
fn a_child_forked_in_the_action_neither_breaks_nor_leaves() {
    for how in ["done", "failed", "panicked"] {
        let judge = Forking(ModelJudge::new(1).remove(0), AtomicU32::new(0));
        let mut bytes = Bytes::new();
        let region = bytes.region();
        let mine = barrier(region, 1, &judge);
        let wait = || {
            mine.wait_with(|| {
                judge.1.store(1, Relaxed);
                match how {
                    "done" => Ok(()),
                    "failed" => Err("no"),
                    _ => resume_unwind(Box::new(7)),
                }
            })
        };
        match catch_unwind(AssertUnwindSafe(wait)) {
            Ok(end) => assert_eq!(end, Err(ActionError::Barrier(BarrierError::NotJoined))),
            Err(panic) => assert_eq!((how, panic.downcast_ref()), ("panicked", Some(&7))),
        }
        assert!(!mine.is_broken(), "{how}");
        assert_eq!(cell(region, 0).load(SeqCst), arrived(&judge.0, 0), "{how}");
    }
}

/// By a signal handler, say, which returns into the sleep.
#[test]
fn a_child_forked_in_the_sleep_neither_breaks_nor_leaves() {
    let judge = Forking(ModelJudge::new(1).remove(0), AtomicU32::new(0));
    for late in [false, true] {
        judge.1.store(0, Relaxed);
        let mut bytes = Bytes::new();
        let region = bytes.region();
        let mine = barrier(region, 2, &judge);
        thread::scope(|scope| {
            let child = scope.spawn(|| mine.wait_timeout(LONG));
            until(|| mine.n_waiting() == 1);
            judge.1.store(1, Relaxed);
            if late {
                // Its parent passes.
                set_word(region, 2);
            }
            assert_eq!(child.join().unwrap(), Err(BarrierError::NotJoined));
        });
        assert!(!mine.is_broken());
        assert_eq!(cell(region, 0).load(SeqCst), arrived(&judge.0, 0));
    }
}

/// Finds out, when it is asked about somebody, that it has lost its own place: it is dead to the others.
struct Lost(ModelJudge, AtomicU32);

// SAFETY: it calls nobody dead.
unsafe impl Judge for Lost {
    fn me(&self) -> Option<OwnerId> {
        self.0.me().filter(|_| self.1.load(Relaxed) == 0)
    }

    fn verdict(&self, _: OwnerId) -> Verdict {
        self.1.store(1, Relaxed);
        self.0.die();
        Verdict::Unknown
    }
}

#[test]
fn who_loses_its_place_while_it_waits_passes_nothing() {
    for last in [false, true] {
        let judges = ModelJudge::new(2);
        let dead = BarrierError::PartyDied(judges[1].me().unwrap());
        let mut bytes = Bytes::new();
        let region = bytes.region();
        let lost = Lost(judges[1].clone(), AtomicU32::new(0));
        let mine = barrier(region, 2, &judges[0]);
        let party = mine.party().unwrap();
        let theirs = attach(region, 2, &lost);
        thread::scope(|scope| {
            if last {
                let mut party = party;
                let other = scope.spawn(move || party.wait_timeout(LONG));
                until(|| mine.n_waiting() == 1);
                assert_eq!(theirs.wait(), Err(BarrierError::NotJoined));
                assert_eq!(other.join().unwrap(), Err(dead));
            } else {
                assert_eq!(theirs.wait(), Err(BarrierError::NotJoined));
                assert!(!mine.is_broken(), "others find its place");
            }
        });
        assert_eq!(mine.wait_timeout(LONG), Err(dead));
    }
}

#[test]
fn who_finds_out_under_the_lock_leaves_it_to_the_next_one() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let lost = Lost(judges[1].clone(), AtomicU32::new(0));
    let mine = barrier(region, 1, &judges[0]);
    // Of a pass of before: it is asked about, under the lock, by whoever wants its place.
    cell(region, 0).store(arrived(&judges[0], 0), SeqCst);
    set_word(region, 2);
    assert_eq!(attach(region, 1, &lost).wait(), Err(BarrierError::NotJoined));
    // Others may be taking it over at this moment.
    let word: &AtomicU32 = region.get(Offset::ZERO).unwrap();
    assert_eq!(word.load(SeqCst), judges[1].me().unwrap().get());
    cell(region, 0).store(0, SeqCst);
    assert_eq!(mine.wait_timeout(LONG).map(|_| ()), Ok(()));
}
