//! The mutex: exclusion, wake-ups, and heirs.

use std::cell::Cell;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::Deadline;
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, OwnerId, Verdict};
use shmkit_sync::{LockFailure, Outcome, RawMutex, crash};

use crate::{Lives, model, with_every_crash};

/// Two numbers that are equal unless somebody is in the middle.
struct Pair {
    lock: RawMutex,
    numbers: UnsafeCell<(u32, u32)>,
}

// SAFETY: `numbers` is only touched while `lock` is held; that is the claim under test, and loom checks it.
unsafe impl Sync for Pair {}
// SAFETY: as above.
unsafe impl Send for Pair {}

impl Pair {
    fn new() -> Arc<Self> {
        Arc::new(Self { lock: RawMutex::new(), numbers: UnsafeCell::new((0, 0)) })
    }

    fn change(&self, change: impl FnOnce(&mut (u32, u32))) {
        // SAFETY: loom panics here if another thread has access.
        self.numbers.with_mut(|numbers| change(unsafe { &mut *numbers }));
    }

    /// One participant's use of the pair. `unlocking` tells how far it came.
    fn add(&self, judge: &impl Judge, unlocking: &Cell<bool>) {
        match self.lock.lock(judge, Deadline::NEVER) {
            Ok(Outcome::Clean) => {
                self.change(|n| assert_eq!(n.0, n.1, "half-written, and not told"))
            }
            Ok(Outcome::OwnerDied) => {
                self.change(|n| n.1 = n.0);
                self.lock.make_consistent(judge).unwrap();
            }
            other => panic!("{other:?}"),
        }
        crash::step();
        self.change(|n| n.0 += 1);
        crash::step();
        self.change(|n| n.1 += 1);
        unlocking.set(true);
        // SAFETY: taken above, and nothing that it guards is borrowed.
        unsafe { self.lock.unlock(judge) }.unwrap();
    }

    /// Everybody has ended: the lock is free, and whole or known not to be.
    fn check(&self, judge: &ModelJudge, least: u32) {
        let outcome = self.lock.try_lock(judge).unwrap();
        self.change(|n| {
            assert!(n.0 >= least, "{} of {least} additions", n.0);
            assert!(n.0 == n.1 || outcome == Outcome::OwnerDied, "half-written, and not told");
        });
        assert_eq!(
            outcome == Outcome::OwnerDied,
            self.lock.epoch() > 0 && outcome != Outcome::Clean
        );
        self.lock.make_consistent(judge).unwrap();
        // SAFETY: taken above, and nothing that it guards is borrowed.
        unsafe { self.lock.unlock(judge) }.unwrap();
        // SAFETY: the lock guards nothing.
        assert_eq!(unsafe { self.lock.unlock(judge) }, Err(shmkit_sync::NotOwner));
    }
}

/// A participant that dies after `steps` steps. When it dies in `unlock` and has released already, nobody is told:
/// then the others may not even need the end of a slice.
fn mortal(pair: &Pair, judge: &ModelJudge, steps: u32, lives: &Lives) {
    let unlocking = Cell::new(false);
    if crash::after(steps, || pair.add(judge, &unlocking)).is_err() {
        lives.died();
        if !unlocking.get() || pair.lock.owner() == judge.me() {
            judge.die();
        }
    }
}

fn everybody_gets_the_lock(others: u32, steps: u32, lives: &Lives) {
    let pair = Pair::new();
    let mut judges = ModelJudge::new(others + 1).into_iter();
    let first = judges.next().unwrap();
    let threads: Vec<_> = judges
        .by_ref()
        .take(others as usize - 1)
        .map(|judge| {
            let pair = pair.clone();
            thread::spawn(move || pair.add(&judge, &Cell::new(false)))
        })
        .collect();
    let last = judges.next().unwrap();
    let second = {
        let pair = pair.clone();
        thread::spawn(move || {
            pair.add(&last, &Cell::new(false));
            last
        })
    };
    mortal(&pair, &first, steps, lives);
    for thread in threads {
        thread.join().unwrap();
    }
    let last = second.join().unwrap();
    pair.check(&last, others);
}

#[test]
fn a_survivor_gets_the_lock_whenever_the_other_dies() {
    with_every_crash("mutex, 2", |steps, lives| everybody_gets_the_lock(1, steps, lives));
}

#[test]
fn two_survivors_get_the_lock_whenever_the_third_dies() {
    with_every_crash("mutex, 3", |steps, lives| everybody_gets_the_lock(2, steps, lives));
}

#[test]
fn an_heir_that_dies_has_an_heir() {
    with_every_crash("mutex, heirs", |steps, lives| {
        let pair = Pair::new();
        let [dead, mortal_heir, heir] = ModelJudge::new(3).try_into().unwrap();
        // Half-written by the first.
        pair.lock.lock(&dead, Deadline::NEVER).unwrap();
        pair.change(|n| n.0 += 1);
        dead.die();
        let thread = {
            let pair = pair.clone();
            thread::spawn(move || {
                pair.add(&heir, &Cell::new(false));
                heir
            })
        };
        mortal(&pair, &mortal_heir, steps, lives);
        let heir = thread.join().unwrap();
        pair.check(&heir, 1);
        assert!((1..=2).contains(&pair.lock.epoch()));
    });
}

/// Whoever releases with waiters about, and whenever it takes their mark away: what was given up is never found clean.
#[test]
fn what_was_given_up_stays_given_up() {
    model(|| {
        let pair = Pair::new();
        let [a, b, heir, last] = ModelJudge::new(4).try_into().unwrap();
        let visit = |pair: &Pair, judge: &ModelJudge| {
            let told = pair.lock.lock(judge, Deadline::NEVER).unwrap();
            // SAFETY: taken above, and nothing that it guards is borrowed.
            unsafe { pair.lock.unlock(judge) }.unwrap();
            told != Outcome::Clean
        };
        let visitor = {
            let pair = pair.clone();
            thread::spawn(move || visit(&pair, &a))
        };
        let dead = {
            let pair = pair.clone();
            thread::spawn(move || {
                pair.lock.lock(&b, Deadline::NEVER).unwrap();
                pair.change(|n| n.0 += 1);
                b.die();
            })
        };
        let told = visit(&pair, &heir);
        dead.join().unwrap();
        let given_up = visitor.join().unwrap() | told;
        let found = pair.lock.try_lock(&last).unwrap();
        let expected = if given_up { Outcome::NotRecoverable } else { Outcome::OwnerDied };
        assert_eq!(found, expected, "what a death has left is told");
        pair.change(|n| assert_eq!(n.0, 1));
    });
}

#[test]
fn try_lock_excludes_and_inherits() {
    model(|| {
        let pair = Pair::new();
        let [a, b] = ModelJudge::new(2).try_into().unwrap();
        let thread = {
            let pair = pair.clone();
            thread::spawn(move || {
                if pair.lock.try_lock(&a).is_ok() {
                    pair.change(|n| n.0 += 1);
                    a.die();
                }
            })
        };
        match pair.lock.try_lock(&b) {
            Ok(Outcome::Clean) => {
                pair.change(|n| assert_eq!(n.0, 0));
                // SAFETY: taken above, and nothing that it guards is borrowed.
                unsafe { pair.lock.unlock(&b) }.unwrap();
            }
            Ok(Outcome::OwnerDied) => pair.change(|n| assert_eq!(n.0, 1)),
            Err(LockFailure::WouldBlock) => {}
            other => panic!("{other:?}"),
        }
        thread.join().unwrap();
    });
}

/// Takes everybody else for dead.
struct Slanderer(ModelJudge);

// SAFETY: a model's judge: that it breaks the rules is what is shown.
unsafe impl Judge for Slanderer {
    fn me(&self) -> Option<OwnerId> {
        self.0.me()
    }

    fn verdict(&self, _: OwnerId) -> Verdict {
        Verdict::Dead
    }
}

/// Only shows, through `seeded.rs`, that the exclusion is watched.
#[test]
fn a_judge_is_believed() {
    model(|| {
        let pair = Pair::new();
        let [a, b] = ModelJudge::new(2).try_into().unwrap();
        let thread = {
            let pair = pair.clone();
            thread::spawn(move || {
                if crate::seeded::is("slander") {
                    pair.add(&Slanderer(a), &Cell::new(false));
                } else {
                    pair.add(&a, &Cell::new(false));
                }
            })
        };
        pair.add(&b, &Cell::new(false));
        thread.join().unwrap();
    });
}
