//! Who waits at the line, and who apart: no number lies there while all sleep.

use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::Ordering::{AcqRel, Acquire};
use shmkit_atomic::{AtomicU32, Deadline, crash};
use shmkit_pool::raw::RawFront;
use shmkit_roster::Judge;
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{Doorbell, Patience};

/// A line of numbers that are all the same, and its own bell.
struct Line {
    numbers: AtomicU32,
    bell: Doorbell,
    front: RawFront,
}

impl Line {
    fn new() -> Arc<Self> {
        let (numbers, bell, front) = (AtomicU32::new(0), Doorbell::new(), RawFront::new());
        Arc::new(Self { numbers, bell, front })
    }

    fn put(&self) {
        self.numbers.fetch_add(1, AcqRel);
        self.bell.ring_after_exchange(1);
        self.front.told();
    }

    fn try_take(&self) -> bool {
        crash::step();
        self.numbers.fetch_update(AcqRel, Acquire, |n| n.checked_sub(1)).is_ok()
    }

    /// Takes one, as a worker does.
    fn take(&self, judge: &ModelJudge) {
        let me = judge.me().unwrap();
        let is_more = || self.numbers.load(Acquire) > 0;
        while !self.try_take() {
            if self.front.lead(me) {
                loop {
                    let armed = self.bell.arm();
                    if self.try_take() {
                        break;
                    }
                    self.bell.sleep(armed, Deadline::NEVER);
                }
                return self.front.step_aside(me, is_more);
            }
            self.front.follow(judge, me, &Patience::ENDLESS, is_more).unwrap();
        }
    }
}

#[test]
fn nobody_sleeps_beside_a_number_that_is_there() {
    loom::model(|| {
        let workers: [ModelJudge; 2] = ModelJudge::new(2).try_into().unwrap();
        let line = Line::new();
        let workers = workers.map(|judge| {
            let line = line.clone();
            thread::spawn(move || line.take(&judge))
        });
        line.put();
        line.put();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

#[test]
fn a_dead_one_at_the_front_holds_up_nobody_when_its_death_is_settled() {
    crash::everywhere("first at the line", 2, |steps, lives| {
        let [mortal, other, parent]: [ModelJudge; 3] = ModelJudge::new(3).try_into().unwrap();
        let line = Line::new();
        let life = {
            let line = line.clone();
            thread::spawn(move || {
                let died = crash::after(steps, || line.take(&mortal)).is_err();
                if died {
                    mortal.die();
                }
                died
            })
        };
        let other = {
            let line = line.clone();
            thread::spawn(move || line.take(&other))
        };
        line.put();
        line.put();
        if life.join().unwrap() {
            lives.died();
            line.front.forget_dead(&parent, parent.me().unwrap());
        }
        other.join().unwrap();
    });
}
