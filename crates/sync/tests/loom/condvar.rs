//! The condition variable: no notification is lost, none is invented, and those of the dead go on.

use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::Deadline;
use shmkit_atomic::futex::model::death;
use shmkit_roster::Judge;
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{
    CondvarFrame, LockFailure, NotifyError, Outcome, RawCondvar, RawLock, RawMutex,
    RawReentrantMutex, Seating, SleeperCell, ThreadToken, Unwaited, Wakeup, crash,
};

use crate::{Lives, model, seeded, with_every_crash, with_every_crash_and};

/// A condition variable with its words, for three sleepers.
struct Told {
    frame: CondvarFrame,
    cells: Vec<SleeperCell>,
}

impl Told {
    fn new() -> Self {
        let cells = (0..Seating::packed(3).cells()).map(|_| SleeperCell::new()).collect();
        Self { frame: CondvarFrame::new(3), cells }
    }

    fn raw(&self) -> RawCondvar<'_> {
        RawCondvar::new(&self.frame, &self.cells)
    }
}

/// Tickets that notifiers issue and waiters take.
struct Office {
    lock: RawMutex,
    issued: Told,
    tickets: UnsafeCell<u32>,
}

// SAFETY: `tickets` is only touched while `lock` is held; that is the claim under test, and loom checks it.
unsafe impl Sync for Office {}
// SAFETY: as above.
unsafe impl Send for Office {}

impl Office {
    fn new() -> Arc<Self> {
        Arc::new(Self { lock: RawMutex::new(), issued: Told::new(), tickets: UnsafeCell::new(0) })
    }

    fn tickets<R>(&self, change: impl FnOnce(&mut u32) -> R) -> R {
        // SAFETY: loom panics here if another thread has access.
        self.tickets.with_mut(|tickets| change(unsafe { &mut *tickets }))
    }

    fn lock(&self, judge: &ModelJudge) {
        let outcome = self.lock.lock(judge, Deadline::NEVER).unwrap();
        self.settle(judge, outcome);
    }

    /// Whoever is told of a death answers for the tickets: each is issued and taken in one step.
    fn settle(&self, judge: &ModelJudge, outcome: Outcome) {
        match outcome {
            Outcome::Clean => {}
            Outcome::OwnerDied => self.lock.make_consistent(judge).unwrap(),
            Outcome::NotRecoverable => panic!("everybody answers"),
        }
    }

    fn unlock(&self, judge: &ModelJudge) {
        // SAFETY: called once for each lock, after what it was for.
        unsafe { self.lock.unlock(judge) }.unwrap();
    }

    fn wait(&self, judge: &ModelJudge, deadline: Deadline) -> Wakeup {
        // SAFETY: this thread has taken the lock, and the tickets are not borrowed.
        let (wakeup, outcome) =
            unsafe { self.issued.raw().wait(&self.lock, judge, deadline) }.unwrap();
        self.settle(judge, outcome);
        wakeup
    }

    /// Issues tickets, and wakes some who wait for them.
    fn issue(&self, judge: &ModelJudge, tickets: u32, wake: u32) -> u32 {
        self.lock(judge);
        if seeded::is("notify-first") {
            self.issued.raw().notify(&self.lock, judge, wake).unwrap();
            self.unlock(judge);
            self.lock(judge);
        }
        self.tickets(|t| *t += tickets);
        crash::step();
        let woken = if seeded::is("notify-first") {
            0
        } else {
            self.issued.raw().notify(&self.lock, judge, wake).unwrap()
        };
        self.unlock(judge);
        woken
    }

    /// Takes a ticket, and passes the word on if there are more.
    fn take(&self, judge: &ModelJudge) {
        self.lock(judge);
        while self.tickets(|t| *t) == 0 {
            self.wait(judge, Deadline::NEVER);
        }
        let left = self.tickets(|t| {
            *t -= 1;
            *t
        });
        crash::step();
        if left > 0 {
            self.issued.raw().notify(&self.lock, judge, 1).unwrap();
        }
        self.unlock(judge);
    }

    /// [`take`](Self::take) where others die. Whom we have notified may have died just then, and the slices of the others
    /// have ended before: their next ones end.
    fn take_in_company(&self, judge: &ModelJudge) {
        self.take(judge);
        death(|| ());
    }

    fn assert_nobody_waits(&self) {
        assert_eq!(self.issued.raw().waiters(), 0);
    }
}

#[test]
fn no_notification_is_lost() {
    each_gets_a_ticket(|| ModelJudge::new(3).try_into().unwrap());
}

/// A place is a thread's: that both have one name is nothing to it.
#[test]
fn two_threads_of_a_process_wait() {
    each_gets_a_ticket(|| {
        let [notifier, process] = ModelJudge::new(2).try_into().unwrap();
        [notifier, process.clone(), process]
    });
}

/// A notifier, and two who wait.
fn each_gets_a_ticket(judges: fn() -> [ModelJudge; 3]) {
    model(move || {
        let office = Office::new();
        let [notifier, one, two] = judges();
        let waiters = [one, two].map(|judge| {
            let office = office.clone();
            thread::spawn(move || office.take(&judge))
        });
        office.issue(&notifier, 1, 1);
        office.issue(&notifier, 1, 1);
        for waiter in waiters {
            waiter.join().unwrap();
        }
        office.assert_nobody_waits();
    });
}

/// As many report that they were notified as the notifiers counted, whoever's deadline passes meanwhile.
#[test]
fn none_is_notified_who_was_not_counted() {
    model(|| {
        let office = Office::new();
        let [notifier, one, two] = ModelJudge::new(3).try_into().unwrap();
        let waiters = [(one, Deadline::PASSED), (two, Deadline::NEVER)].map(|(judge, deadline)| {
            let office = office.clone();
            thread::spawn(move || {
                office.lock(&judge);
                let wakeup = office.wait(&judge, deadline);
                office.unlock(&judge);
                wakeup
            })
        });
        let mut counted = office.issue(&notifier, 0, 1);
        let [one, two] = waiters;
        let hasty = one.join().unwrap();
        // The patient one may not have begun to wait.
        let mut patient = 0;
        while counted < u32::from(hasty == Wakeup::Notified) + 1 {
            patient = office.issue(&notifier, 0, 1);
            counted += patient;
            if patient == 0 {
                thread::yield_now();
            }
        }
        assert!(patient <= 1);
        assert_eq!(two.join().unwrap(), Wakeup::Notified);
        assert_eq!(counted, 1 + u32::from(hasty == Wakeup::Notified));
        office.assert_nobody_waits();
    });
}

#[test]
fn a_survivor_is_notified_whenever_another_waiter_dies() {
    with_every_crash("condvar, waiter", |steps, lives| {
        let office = Office::new();
        let [mortal, survivor, notifier] = ModelJudge::new(3).try_into().unwrap();
        let surviving = {
            let office = office.clone();
            thread::spawn(move || office.take(&survivor))
        };
        let notifying = {
            let office = office.clone();
            // One word for two tickets: who gets it passes it on.
            thread::spawn(move || office.issue(&notifier, 2, 1))
        };
        let died = mortal_does(&mortal, steps, lives, || office.take(&mortal));
        notifying.join().unwrap();
        if died {
            // It may have died after the notifier had found it alive, and the survivor's slice ended in between: the
            // next one ends.
            death(|| ());
        }
        surviving.join().unwrap();
    });
}

/// Begins to wait in so many steps, the last of which is its sleep.
const ASLEEP: u32 = 8;

/// One dies asleep, or as soon as it is notified, and whoever inherits its notification may die with it.
#[test]
fn a_survivor_is_notified_whenever_the_heir_of_a_notification_dies() {
    with_every_crash_and("condvar, heir of a notification", 1, |steps, lives| {
        let office = Office::new();
        let [mortal, first, survivor, notifier] = ModelJudge::new(4).try_into().unwrap();
        let dying = {
            let office = office.clone();
            let lives = Lives::default();
            thread::spawn(move || {
                mortal_does(&first, ASLEEP, &lives, || office.take_in_company(&first));
            })
        };
        let surviving = {
            let office = office.clone();
            thread::spawn(move || office.take_in_company(&survivor))
        };
        let notifying = {
            let office = office.clone();
            thread::spawn(move || {
                office.issue(&notifier, 3, 1);
                death(|| ());
            })
        };
        mortal_does(&mortal, steps, lives, || office.take_in_company(&mortal));
        for other in [dying, surviving, notifying] {
            other.join().unwrap();
        }
    });
}

#[test]
fn two_waiters_go_on_whenever_their_notifier_dies() {
    with_every_crash("condvar, notifier", |steps, lives| {
        let office = Office::new();
        let [mortal, one, two] = ModelJudge::new(3).try_into().unwrap();
        let died = StdArc::new(AtomicBool::new(false));
        let waiters = [one, two.clone()].map(|judge| {
            let (office, died) = (office.clone(), died.clone());
            thread::spawn(move || {
                office.lock(&judge);
                while office.tickets(|t| *t) == 0 {
                    office.wait(&judge, Deadline::NEVER);
                }
                office.tickets(|t| *t -= 1);
                office.unlock(&judge);
                if died.load(Relaxed) {
                    // The other one may have looked between our taking the lock over and our saying so: its next slice
                    // ends.
                    death(|| ());
                }
            })
        });
        let issued = AtomicBool::new(false);
        died.store(true, Relaxed);
        let died = mortal_does(&mortal, steps, lives, || {
            office.lock(&mortal);
            office.tickets(|t| *t += 2);
            issued.store(true, Relaxed);
            crash::step();
            office.issued.raw().notify(&office.lock, &mortal, 2).unwrap();
            office.unlock(&mortal);
            died.store(false, Relaxed);
        });
        if died && !issued.load(Relaxed) {
            // Nobody owes the waiters anything yet.
            office.issue(&two, 2, 2);
        }
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

/// It dies with the tickets issued and nobody notified, and whoever takes the lock over may die with it.
#[test]
fn a_survivor_goes_on_whenever_the_heir_of_its_notifier_dies() {
    with_every_crash("condvar, heir of a notifier", |steps, lives| {
        let office = Office::new();
        let [mortal, notifier, survivor] = ModelJudge::new(3).try_into().unwrap();
        let notifying = {
            let office = office.clone();
            thread::spawn(move || {
                office.lock(&notifier);
                office.tickets(|t| *t += 2);
                notifier.die();
            })
        };
        let surviving = {
            let office = office.clone();
            thread::spawn(move || office.take_in_company(&survivor))
        };
        mortal_does(&mortal, steps, lives, || office.take_in_company(&mortal));
        notifying.join().unwrap();
        surviving.join().unwrap();
    });
}

/// Lives for so many steps; returns whether it died.
fn mortal_does(mortal: &ModelJudge, steps: u32, lives: &Lives, life: impl FnOnce()) -> bool {
    let died = crash::after(steps, life).is_err();
    if died {
        lives.died();
        mortal.die();
    }
    died
}

/// All the times that a thread has taken its lock are given up and taken again.
#[test]
fn a_wait_gives_up_every_level() {
    model(|| {
        let lock = Arc::new((RawReentrantMutex::new(), Told::new()));
        let [process] = ModelJudge::new(1).try_into().unwrap();
        let waiting = {
            let (lock, process) = (lock.clone(), process.clone());
            thread::spawn(move || {
                ThreadToken::pretend(2);
                for _ in 0..3 {
                    lock.0.lock(&process, Deadline::NEVER).unwrap();
                }
                // SAFETY: this thread has taken the lock, which guards nothing.
                let end = unsafe { lock.1.raw().wait(&lock.0, &process, Deadline::NEVER) };
                assert_eq!(end, Ok((Wakeup::Notified, Outcome::Clean)));
                assert_eq!(lock.0.depth(&process), 3);
                for _ in 0..3 {
                    // SAFETY: taken above.
                    unsafe { lock.0.unlock(&process) }.unwrap();
                }
            })
        };
        loop {
            lock.0.lock(&process, Deadline::NEVER).unwrap();
            assert_eq!(lock.0.depth(&process), 1);
            let woken = lock.1.raw().notify(&lock.0, &process, 1).unwrap();
            // SAFETY: taken above.
            unsafe { lock.0.unlock(&process) }.unwrap();
            if woken == 1 {
                break;
            }
            thread::yield_now();
        }
        assert_eq!(lock.1.raw().notify(&lock.0, &process, 1), Err(NotifyError::NotOwner));
        waiting.join().unwrap();
        assert_eq!(lock.1.raw().waiters(), 0);
    });
}

/// A lock that anybody may release is as good, as long as nobody does.
#[test]
fn a_lock_that_has_no_owner_is_given_up_and_taken_again() {
    model(|| {
        let lock = Arc::new((RawLock::new(), Told::new()));
        let [one, two] = ModelJudge::new(2).try_into().unwrap();
        let waiting = {
            let lock = lock.clone();
            thread::spawn(move || {
                lock.0.acquire(&two, Deadline::NEVER).unwrap();
                // SAFETY: this thread has taken the lock, which guards nothing.
                let end = unsafe { lock.1.raw().wait(&lock.0, &two, Deadline::NEVER) };
                assert_eq!(end, Ok((Wakeup::Notified, Outcome::Clean)));
                assert_eq!(lock.0.owner(), two.me());
                lock.0.release(&two).unwrap();
            })
        };
        loop {
            lock.0.acquire(&one, Deadline::NEVER).unwrap();
            let woken = lock.1.raw().notify(&lock.0, &one, 1).unwrap();
            lock.0.release(&one).unwrap();
            if woken == 1 {
                break;
            }
            thread::yield_now();
        }
        waiting.join().unwrap();
        assert_eq!((lock.1.raw().waiters(), lock.0.owner()), (0, None));
    });
}

#[test]
fn a_lock_that_is_not_held_is_refused() {
    model(|| {
        let office = Office::new();
        let [one, two] = ModelJudge::new(2).try_into().unwrap();
        let refused = || {
            // SAFETY: the lock guards nothing that this thread uses.
            let waited = unsafe { office.issued.raw().wait(&office.lock, &two, Deadline::PASSED) };
            assert_eq!(waited, Err(Unwaited::NotOwner));
            let notified = office.issued.raw().notify(&office.lock, &two, 1);
            assert_eq!(notified, Err(NotifyError::NotOwner));
        };
        refused();
        office.lock(&one);
        refused();
        assert_eq!(office.lock.try_lock(&two), Err(LockFailure::WouldBlock));
        assert_eq!(office.wait(&one, Deadline::PASSED), Wakeup::TimedOut);
        assert_eq!(office.lock.owner(), one.me());
    });
}
