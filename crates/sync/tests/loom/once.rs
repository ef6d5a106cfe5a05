//! What is done once: by one at a time, seen whole, and begun anew after a death.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::Deadline;
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{OnceError, RawOnce, ThreadToken, Turn, crash};

use crate::{model, with_every_crash, with_every_crash_and};

/// Two numbers that are made once, and are equal when they are.
struct Made {
    once: RawOnce,
    numbers: UnsafeCell<(u32, u32)>,
}

// SAFETY: `numbers` is only written by who is at it, and only read when it is done; that is the claim under test, and
// loom checks it.
unsafe impl Sync for Made {}
// SAFETY: as above.
unsafe impl Send for Made {}

impl Made {
    fn new() -> Arc<Self> {
        Arc::new(Self { once: RawOnce::new(), numbers: UnsafeCell::new((0, 0)) })
    }

    /// Makes the numbers if it is our turn; returns them.
    fn get_or_make(&self, judge: &ModelJudge) -> u32 {
        match self.once.begin(judge, Deadline::NEVER).unwrap() {
            Turn::Done => {}
            Turn::Yours { dead, failures, .. } => {
                assert!(dead.is_none() || failures > 0, "a death was not counted");
                self.make();
                // SAFETY: our turn, and made above.
                unsafe { self.once.finish(judge) }.unwrap();
            }
        }
        self.read()
    }

    fn make(&self) {
        // SAFETY: loom panics here if another thread has access.
        self.numbers.with_mut(|n| unsafe { (*n).0 += 1 });
        crash::step();
        // SAFETY: as above.
        self.numbers.with_mut(|n| unsafe { (*n).1 = (*n).0 });
    }

    fn read(&self) -> u32 {
        // SAFETY: loom panics here if another thread is writing.
        self.numbers.with(|n| unsafe {
            assert!((*n).0 == (*n).1 && (*n).0 > 0, "half-written, and not told");
            (*n).0
        })
    }
}

fn everybody_sees_the_same(others: usize, steps: u32, lives: &crate::Lives) {
    let made = Made::new();
    let judges = ModelJudge::new(others as u32 + 1);
    let threads: Vec<_> = judges[1..]
        .iter()
        .map(|judge| {
            let (made, judge) = (made.clone(), judge.clone());
            thread::spawn(move || made.get_or_make(&judge))
        })
        .collect();
    if crash::after(steps, || made.get_or_make(&judges[0])).is_err() {
        lives.died();
        judges[0].die();
    }
    let seen: Vec<u32> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(seen.iter().all(|&n| n == seen[0]), "{seen:?}");
    assert!(made.once.is_ready());
}

#[test]
fn a_survivor_makes_it_whenever_the_other_dies() {
    with_every_crash("once, 2", |steps, lives| everybody_sees_the_same(1, steps, lives));
}

#[test]
fn two_survivors_see_the_same_whenever_the_third_dies() {
    with_every_crash_and("once, 3", 2, |steps, lives| everybody_sees_the_same(2, steps, lives));
}

#[test]
fn who_only_waits_is_told() {
    with_every_crash("once, waiting", |steps, lives| {
        let made = Made::new();
        let judges = ModelJudge::new(3);
        let waiter = {
            let (made, judge) = (made.clone(), judges[1].clone());
            thread::spawn(move || {
                let end = Deadline::after(std::time::Duration::from_secs(1));
                let waited = made.once.wait(&judge, end);
                match waited {
                    Ok(()) => drop(made.read()),
                    Err(OnceError::OwnerDied(_)) => drop(made.get_or_make(&judge)),
                    Err(error) => panic!("{error}"),
                }
                waited.is_ok()
            })
        };
        let died = crash::after(steps, || made.get_or_make(&judges[0])).is_err();
        // Else it leaves: that is no death to be told of.
        judges[0].die();
        if died {
            lives.died();
            if made.once.owner().is_none() && !made.once.is_ready() {
                // It had not begun: nobody can know.
                made.get_or_make(&judges[2]);
            }
        }
        assert!(waiter.join().unwrap() || died, "who has done it and left is called dead");
    });
}

/// One gives up, once; nobody sleeps on, and the others find it undone or done.
#[test]
fn a_failure_leaves_it_to_the_next() {
    model(|| {
        let made = Made::new();
        let judges = ModelJudge::new(3);
        let threads = [1, 2].map(|i| {
            let (made, judge) = (made.clone(), judges[i].clone());
            thread::spawn(move || made.get_or_make(&judge))
        });
        if let Turn::Yours { .. } = made.once.begin(&judges[0], Deadline::NEVER).unwrap() {
            // SAFETY: our turn, and nothing was begun.
            unsafe { made.once.give_up(&judges[0]) }.unwrap();
        }
        let seen = threads.map(|thread| thread.join().unwrap());
        assert_eq!(seen, [1, 1]);
    });
}

/// Two threads of one process, of which one asks again while it is at it: it is told, and the other waits.
#[test]
fn a_thread_that_asks_for_itself_is_told() {
    model(|| {
        let made = Made::new();
        let judge = ModelJudge::new(1).remove(0);
        let threads = [1, 2].map(|token| {
            let (made, judge) = (made.clone(), judge.clone());
            thread::spawn(move || {
                ThreadToken::pretend(token);
                for last in [false, true] {
                    match made.once.begin(&judge, Deadline::NEVER).unwrap() {
                        Turn::Done => return,
                        Turn::Yours { .. } => {
                            let again = made.once.begin(&judge, Deadline::NEVER);
                            assert_eq!(again, Err(OnceError::Recursive));
                            if last {
                                made.make();
                                // SAFETY: our turn, and made above.
                                unsafe { made.once.finish(&judge) }.unwrap();
                            } else {
                                // SAFETY: our turn, and nothing was begun.
                                unsafe { made.once.give_up(&judge) }.unwrap();
                            }
                        }
                    }
                }
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(made.read(), 1);
    });
}
