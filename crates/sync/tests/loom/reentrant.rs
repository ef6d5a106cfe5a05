//! The mutex that may be taken again: two threads of one process and another process exclude each other, and no count
//! outlives its owner.

use std::cell::Cell;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::Deadline;
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{LockFailure, NotOwner, Outcome, RawReentrantMutex, ThreadToken, crash};

use crate::{Lives, model, with_every_crash, with_every_crash_and};

/// Two numbers that are equal unless somebody is in the middle.
struct Pair {
    lock: RawReentrantMutex,
    numbers: UnsafeCell<(u32, u32)>,
}

// SAFETY: `numbers` is only touched while `lock` is held; that is the claim under test, and loom checks it.
unsafe impl Sync for Pair {}
// SAFETY: as above.
unsafe impl Send for Pair {}

impl Pair {
    fn new() -> Arc<Self> {
        Arc::new(Self { lock: RawReentrantMutex::new(), numbers: UnsafeCell::new((0, 0)) })
    }

    fn change(&self, change: impl FnOnce(&mut (u32, u32))) {
        // SAFETY: loom panics here if another thread has access.
        self.numbers.with_mut(|numbers| change(unsafe { &mut *numbers }));
    }

    fn unlock(&self, judge: &ModelJudge) -> Result<(), NotOwner> {
        // SAFETY: called once for each lock, after what it was for.
        unsafe { self.lock.unlock(judge) }
    }

    /// One thread's use of the pair, with a second lock inside the first.
    fn add(&self, judge: &ModelJudge) {
        match self.lock.lock(judge, Deadline::NEVER).unwrap() {
            Outcome::Clean => self.change(|n| assert_eq!(n.0, n.1, "half-written, and not told")),
            Outcome::OwnerDied => {
                self.change(|n| n.1 = n.0);
                self.lock.make_consistent(judge).unwrap();
            }
            Outcome::NotRecoverable => panic!("everybody repairs"),
        }
        crash::step();
        self.change(|n| n.0 += 1);
        assert_eq!(self.lock.try_lock(judge), Ok(Outcome::Clean), "it is ours");
        assert_eq!(self.lock.depth(judge), 2, "and nobody's count was inherited");
        self.change(|n| n.1 += 1);
        self.unlock(judge).unwrap();
        crash::step();
        assert_eq!(self.lock.depth(judge), 1);
        self.unlock(judge).unwrap();
        assert_eq!(self.lock.depth(judge), 0);
    }
}

/// Threads of one process with these tokens; the mortal is another process, whose thread has token 1.
fn everybody_gets_the_lock(tokens: &[u32], steps: u32, lives: &Lives) {
    let pair = Pair::new();
    let [mortal, other] = ModelJudge::new(2).try_into().unwrap();
    let thread = |&token| {
        let (pair, other) = (pair.clone(), other.clone());
        thread::spawn(move || {
            ThreadToken::pretend(token);
            pair.add(&other);
        })
    };
    let threads: Vec<_> = tokens.iter().map(thread).collect();
    if crash::after(steps, || pair.add(&mortal)).is_err() {
        lives.died();
        mortal.die();
    }
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(pair.lock.depth(&other), 0);
    let outcome = pair.lock.try_lock(&other).unwrap();
    pair.change(|n| assert!(n.0 == n.1 || outcome == Outcome::OwnerDied));
    pair.change(|n| assert!(n.0 as usize >= tokens.len()));
}

#[test]
fn a_survivor_gets_the_lock_whenever_the_other_dies() {
    with_every_crash("reentrant, 2", |steps, lives| everybody_gets_the_lock(&[1], steps, lives));
}

#[test]
fn two_threads_of_a_process_get_the_lock_whenever_another_process_dies() {
    with_every_crash_and("reentrant, 3", 1, |steps, lives| {
        everybody_gets_the_lock(&[1, 2], steps, lives)
    });
}

/// One thread locks twice in a row beside another: it must not think that it still holds what it has released.
#[test]
fn who_has_released_holds_nothing() {
    model(|| {
        let pair = Pair::new();
        let [process] = ModelJudge::new(1).try_into().unwrap();
        let thread = {
            let (pair, process) = (pair.clone(), process.clone());
            thread::spawn(move || {
                ThreadToken::pretend(2);
                pair.add(&process);
            })
        };
        pair.add(&process);
        pair.add(&process);
        assert_eq!(pair.unlock(&process), Err(NotOwner));
        thread.join().unwrap();
        pair.change(|n| assert_eq!(*n, (3, 3)));
    });
}

/// A dead process has left its names; the heir is a process whose other thread has the dead one's token.
#[test]
fn the_token_of_a_dead_owner_opens_nothing() {
    model(|| {
        let pair = Pair::new();
        let [dead, heir] = ModelJudge::new(2).try_into().unwrap();
        for _ in 0..3 {
            pair.lock.lock(&dead, Deadline::NEVER).unwrap();
        }
        pair.change(|n| n.0 += 1);
        dead.die();
        let told = Arc::new(Told(Cell::new(0)));
        let thread = {
            let (pair, heir, told) = (pair.clone(), heir.clone(), told.clone());
            thread::spawn(move || {
                ThreadToken::pretend(2);
                told.try_add(&pair, &heir);
            })
        };
        // This thread has token 1, as the dead one's had.
        told.try_add(&pair, &heir);
        thread.join().unwrap();
        assert!(pair.lock.owner().is_some() || told.0.get() == 1);
    });
}

/// How many were told of the death. Under the lock of the pair.
struct Told(Cell<u32>);

// SAFETY: only used under the pair's lock, and after the threads were joined.
unsafe impl Sync for Told {}
// SAFETY: as above.
unsafe impl Send for Told {}

impl Told {
    fn try_add(&self, pair: &Pair, judge: &ModelJudge) {
        match pair.lock.try_lock(judge) {
            Ok(outcome) => {
                if outcome == Outcome::OwnerDied {
                    pair.change(|n| n.1 = n.0);
                    pair.lock.make_consistent(judge).unwrap();
                    self.0.set(self.0.get() + 1);
                }
                assert_eq!(pair.lock.depth(judge), 1, "a count is not inherited");
                pair.change(|n| assert_eq!(n.0, n.1));
                pair.unlock(judge).unwrap();
            }
            Err(LockFailure::WouldBlock) => {}
            Err(other) => panic!("{other}"),
        }
    }
}
