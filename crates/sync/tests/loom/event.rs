//! The event: no pulse is missed, and nothing that was done before a set is overlooked.

use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::AtomicU32;
use shmkit_atomic::Deadline;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{EventError, RawEvent, crash};

use crate::{model, with_every_crash, with_every_crash_and};

/// Waits without slices: only a set ends it.
fn wait(event: &RawEvent, judge: &ModelJudge) {
    event.wait(judge, Deadline::NEVER).unwrap();
}

/// A pulse by a second participant for who certainly waits, and one by a third at any time.
#[test]
fn nobody_who_waits_misses_a_pulse() {
    model(|| {
        let event = Arc::new(RawEvent::new());
        let through = Arc::new(AtomicU32::new(0));
        let judges = ModelJudge::new(3);
        let waiter = {
            let (event, through, judge) = (event.clone(), through.clone(), judges[0].clone());
            thread::spawn(move || {
                wait(&event, &judge);
                through.store(1, Relaxed);
            })
        };
        let pulse = |event: &RawEvent, judge: &ModelJudge| {
            event.set(judge).unwrap();
            event.clear(judge).unwrap();
        };
        let other = {
            let (event, judge) = (event.clone(), judges[1].clone());
            thread::spawn(move || pulse(&event, &judge))
        };
        while !event.has_waiters() && through.load(Relaxed) == 0 {
            thread::yield_now();
        }
        pulse(&event, &judges[2]);
        waiter.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn everybody_gets_through_whoever_dies() {
    with_every_crash("event", |steps, lives| {
        let event = Arc::new(RawEvent::new());
        let judges = ModelJudge::new(4);
        let waiters = [0, 1].map(|i| {
            let (event, judge) = (event.clone(), judges[i].clone());
            thread::spawn(move || wait(&event, &judge))
        });
        let mortal = &judges[2];
        let life = || {
            for _ in 0..2 {
                event.set(mortal).unwrap();
                event.clear(mortal).unwrap();
            }
            event.wait(mortal, Deadline::PASSED).unwrap_err();
            event.set(mortal).unwrap();
        };
        if crash::after(steps, life).is_err() {
            lives.died();
            // Nobody is told: nothing depends on it.
            event.set(&judges[3]).unwrap();
        }
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert!(event.is_set());
    });
}

#[test]
fn a_waiter_that_dies_takes_nothing_with_it() {
    with_every_crash_and("event, waiter", 1, |steps, lives| {
        let event = Arc::new(RawEvent::new());
        let judges = ModelJudge::new(3);
        let other = {
            let (event, judge) = (event.clone(), judges[0].clone());
            thread::spawn(move || wait(&event, &judge))
        };
        let setter = {
            let (event, judge) = (event.clone(), judges[1].clone());
            thread::spawn(move || {
                event.set(&judge).unwrap();
                event.clear(&judge).unwrap();
                event.set(&judge).unwrap();
            })
        };
        let mortal = &judges[2];
        let life = || {
            wait(&event, mortal);
            event.clear(mortal).unwrap();
            event.set(mortal).unwrap();
        };
        if crash::after(steps, life).is_err() {
            lives.died();
            // It may have cleared what the setter had set for good.
            event.set(&judges[1]).unwrap();
        }
        other.join().unwrap();
        setter.join().unwrap();
    });
}

/// Two producers, who mark what they have done and set; a consumer that clears and then looks.
#[test]
fn nothing_done_before_a_set_is_overlooked() {
    model(|| {
        let event = Arc::new(RawEvent::new());
        let marks = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let judges = ModelJudge::new(3);
        let producers = [0, 1].map(|i| {
            let (event, marks, judge) = (event.clone(), marks.clone(), judges[i].clone());
            thread::spawn(move || {
                marks[i].store(1, Relaxed);
                event.set(&judge).unwrap();
            })
        });
        while !marks.iter().all(|mark| mark.load(Relaxed) == 1) {
            wait(&event, &judges[2]);
            event.clear(&judges[2]).unwrap();
        }
        for producer in producers {
            producer.join().unwrap();
        }
    });
}

#[test]
fn a_deadline_is_looked_at_last() {
    model(|| {
        let event = Arc::new(RawEvent::new());
        let judges = ModelJudge::new(2);
        let setter = {
            let (event, judge) = (event.clone(), judges[0].clone());
            thread::spawn(move || event.set(&judge).unwrap())
        };
        let waited = event.wait(&judges[1], Deadline::PASSED);
        assert!(waited.is_ok() || waited == Err(EventError::TimedOut));
        setter.join().unwrap();
        event.wait(&judges[1], Deadline::PASSED).unwrap();
    });
}
