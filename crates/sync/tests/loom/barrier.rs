//! The barrier: all pass or none, each with a number of its own, and a dead party is missed.

use core::convert::Infallible;

use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU32, Deadline};
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{ActionError, BarrierCell, BarrierError, BarrierFrame, RawBarrier, crash};

use crate::{Lives, model, with_every_crash, with_every_crash_and};

/// Longer than any model: in its time slices end.
const LONG: core::time::Duration = core::time::Duration::from_secs(1);

struct Meeting {
    frame: BarrierFrame,
    cells: Vec<BarrierCell>,
    /// What each party does before it arrives.
    done: Vec<AtomicU32>,
    actions: AtomicU32,
}

type Passed = Result<u32, BarrierError>;

impl Meeting {
    fn new(parties: usize) -> Arc<Self> {
        Arc::new(Self {
            frame: BarrierFrame::new(parties as u32),
            cells: (0..parties).map(|_| BarrierCell::new()).collect(),
            done: (0..parties).map(|_| AtomicU32::new(0)).collect(),
            actions: AtomicU32::new(0),
        })
    }

    fn barrier(&self) -> RawBarrier<'_> {
        RawBarrier::new(&self.frame, &self.cells)
    }

    fn wait(&self, judge: &ModelJudge, deadline: Deadline) -> Passed {
        const NONE: Option<fn() -> Result<(), Infallible>> = None;
        self.barrier().wait(None, judge, deadline, NONE).map_err(|error| match error {
            ActionError::Barrier(error) => error,
            ActionError::Action(never) => match never {},
            other => panic!("{other:?}"),
        })
    }

    /// Writes, waits, and checks that everybody has written.
    fn meet(&self, who: usize, round: u32, judge: &ModelJudge, deadline: Deadline) -> Passed {
        self.done[who].store(round, Relaxed);
        let index = self.wait(judge, deadline)?;
        assert!(self.done.iter().all(|done| done.load(Relaxed) >= round), "one is not there");
        Ok(index)
    }
}

/// Who is not to die sleeps without slices if nobody dies: only a wake-up ends its sleep.
#[test]
fn three_pass_with_a_number_each() {
    model(|| {
        let meeting = Meeting::new(3);
        let judges = ModelJudge::new(3);
        let threads = [1, 2].map(|who| {
            let (meeting, judge) = (meeting.clone(), judges[who].clone());
            thread::spawn(move || meeting.meet(who, 1, &judge, Deadline::NEVER).unwrap())
        });
        let mut numbers = vec![meeting.meet(0, 1, &judges[0], Deadline::NEVER).unwrap()];
        numbers.extend(threads.map(|thread| thread.join().unwrap()));
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2]);
        assert_eq!((meeting.barrier().n_waiting(), meeting.barrier().is_broken()), (0, false));
    });
}

#[test]
fn two_pass_again_and_again() {
    model(|| {
        let meeting = Meeting::new(2);
        let judges = ModelJudge::new(2);
        let other = {
            let (meeting, judge) = (meeting.clone(), judges[1].clone());
            thread::spawn(move || {
                [1, 2].map(|round| meeting.meet(1, round, &judge, Deadline::NEVER).unwrap())
            })
        };
        let mine = [1, 2].map(|round| meeting.meet(0, round, &judges[0], Deadline::NEVER).unwrap());
        let theirs = other.join().unwrap();
        assert_eq!([mine[0] + theirs[0], mine[1] + theirs[1]], [1, 1], "{mine:?} {theirs:?}");
    });
}

/// Three threads at a barrier for two: the third has to wait for a place, and gets it.
#[test]
fn one_too_many_waits_for_a_place() {
    crate::check(1, || {
        let meeting = Meeting::new(2);
        let judges = ModelJudge::new(4);
        let threads = [1, 2, 3].map(|who: usize| {
            let (meeting, judge) = (meeting.clone(), judges[who].clone());
            thread::spawn(move || meeting.wait(&judge, Deadline::NEVER).unwrap())
        });
        let mut numbers = vec![meeting.wait(&judges[0], Deadline::NEVER).unwrap()];
        numbers.extend(threads.map(|thread| thread.join().unwrap()));
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 0, 1, 1]);
    });
}

/// One of the parties dies: the others pass together, if it had done so too, or are told.
fn all_or_none(parties: usize, steps: u32, lives: &Lives) {
    let meeting = Meeting::new(parties);
    let judges = ModelJudge::new(parties as u32);
    let threads: Vec<_> = (1..parties)
        .map(|who| {
            let (meeting, judge) = (meeting.clone(), judges[who].clone());
            thread::spawn(move || meeting.meet(who, 1, &judge, Deadline::after(LONG)))
        })
        .collect();
    let mortal = &judges[0];
    let died = crash::after(steps, || meeting.meet(0, 1, mortal, Deadline::after(LONG))).is_err();
    if died {
        lives.died();
        mortal.die();
        let barrier = meeting.barrier();
        if !barrier.arrived().contains(&shmkit_roster::OwnerId::new(1).unwrap()) {
            // It had not arrived, and was not registered, or has passed: nobody can know.
            barrier.abort(&judges[1]).unwrap();
        }
    }
    let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let passed = results.iter().filter(|result| result.is_ok()).count();
    assert!(passed == 0 || passed == parties - 1, "{results:?}");
    assert!(died || passed > 0, "{results:?}");
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(matches!(error, BarrierError::PartyDied(_) | BarrierError::Broken), "{error}");
    }
    if passed == 0 {
        // Those who come later as well.
        assert!(meeting.wait(&judges[1], Deadline::PASSED).unwrap_err().is_broken());
        meeting.barrier().reset(&judges[1]).unwrap();
        assert!(!meeting.barrier().is_broken());
    }
}

#[test]
fn a_survivor_passes_or_is_told() {
    with_every_crash("barrier, 2", |steps, lives| all_or_none(2, steps, lives));
}

#[test]
fn two_survivors_pass_or_are_told() {
    with_every_crash_and("barrier, 3", 2, |steps, lives| all_or_none(3, steps, lives));
}

/// A death before the arrival, too, if the party had registered.
#[test]
fn a_registered_party_is_missed() {
    with_every_crash("barrier, registered", |steps, lives| {
        let meeting = Meeting::new(2);
        let judges = ModelJudge::new(2);
        let other = {
            let (meeting, judge) = (meeting.clone(), judges[1].clone());
            thread::spawn(move || meeting.wait(&judge, Deadline::after(LONG)))
        };
        let mortal = &judges[0];
        let seat = meeting.barrier().register(mortal).unwrap();
        let none: Option<fn() -> Result<(), Infallible>> = None;
        let life = || {
            crash::step();
            meeting.barrier().wait(Some(seat), mortal, Deadline::after(LONG), none).map(drop)
        };
        let died = crash::after(steps, life).is_err();
        if died {
            lives.died();
            mortal.die();
        }
        let passed = other.join().unwrap();
        assert!(died || passed.is_ok());
        let dead = shmkit_roster::OwnerId::new(1).unwrap();
        assert!(passed.is_ok() || passed == Err(BarrierError::PartyDied(dead)), "{passed:?}");
        if died {
            // The next time it is missed as well; a reset forgets it.
            assert!(meeting.wait(&judges[1], Deadline::after(LONG)).is_err());
            meeting.barrier().reset(&judges[1]).unwrap();
            meeting.barrier().register(&judges[1]).unwrap();
            meeting.barrier().register(&judges[1]).unwrap();
            assert_eq!(meeting.barrier().register(&judges[1]), Err(BarrierError::Full));
        }
    });
}

/// Somebody has the only place, and dies with it or leaves it: who waits for it is told of the death, or gets it.
#[test]
fn who_waits_for_a_place_gets_it_or_is_told() {
    with_every_crash("barrier, no place", |steps, lives| {
        let meeting = Meeting::new(1);
        let judges = ModelJudge::new(2);
        let mortal = &judges[0];
        let seat = meeting.barrier().register(mortal).unwrap();
        let newcomer = {
            let (meeting, judge) = (meeting.clone(), judges[1].clone());
            thread::spawn(move || meeting.wait(&judge, Deadline::after(LONG)))
        };
        let life = || {
            crash::step();
            meeting.barrier().unregister(seat, mortal);
            meeting.wait(mortal, Deadline::after(LONG)).unwrap();
        };
        let died = crash::after(steps, life).is_err();
        // Else it leaves.
        mortal.die();
        let dead = BarrierError::PartyDied(shmkit_roster::OwnerId::new(1).unwrap());
        match newcomer.join().unwrap() {
            Err(error) => {
                // What the dead have not left stays there until a reset.
                let left = !meeting.cells.iter().any(|cell| format!("{cell:?}").starts_with('1'));
                assert!(died && !left && error == dead, "died {died}, left {left}: {error}");
            }
            Ok(index) => assert_eq!(index, 0),
        }
        if died {
            lives.died();
            if meeting.wait(&judges[1], Deadline::after(LONG)).is_err() {
                meeting.barrier().reset(&judges[1]).unwrap();
                assert_eq!(meeting.wait(&judges[1], Deadline::NEVER), Ok(0));
            }
        }
    });
}

/// Nobody dies, and no slice ends: it is woken.
#[test]
fn who_waits_for_a_place_is_told_of_a_break() {
    model(|| {
        let meeting = Meeting::new(1);
        let judges = ModelJudge::new(2);
        meeting.barrier().register(&judges[0]).unwrap();
        let newcomer = {
            let (meeting, judge) = (meeting.clone(), judges[1].clone());
            thread::spawn(move || meeting.wait(&judge, Deadline::NEVER))
        };
        meeting.barrier().abort(&judges[0]).unwrap();
        assert_eq!(newcomer.join().unwrap(), Err(BarrierError::Broken));
    });
}

/// One aborts in its action, and another leaves because of that: nobody who arrives in its place acts as well.
#[test]
fn no_action_is_begun_beside_another() {
    model(|| {
        let meeting = Meeting::new(2);
        let judges = ModelJudge::new(3);
        let inside = Arc::new(crate::Inside::default());
        let act = |meeting: &Meeting, inside: &crate::Inside, judge: &ModelJudge, who| {
            let action = || {
                inside.enter(who, 1);
                let aborted = meeting.barrier().abort(judge);
                thread::yield_now();
                inside.leave(who);
                aborted
            };
            let end = meeting.barrier().wait(None, judge, Deadline::NEVER, Some(action));
            assert!(end.is_err(), "nobody passes a broken barrier");
        };
        let threads = [1, 2].map(|who: usize| {
            let (meeting, inside) = (meeting.clone(), inside.clone());
            let judge = judges[who].clone();
            thread::spawn(move || act(&meeting, &inside, &judge, who as u32))
        });
        act(&meeting, &inside, &judges[0], 0);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// The action of the last one is done once, before anybody passes.
#[test]
fn the_action_is_done_once_and_first() {
    model(|| {
        let meeting = Meeting::new(2);
        let judges = ModelJudge::new(2);
        let act = |meeting: &Meeting, judge: &ModelJudge| {
            let action = || {
                meeting.actions.fetch_add(1, Relaxed);
                Ok::<(), Infallible>(())
            };
            let index = meeting.barrier().wait(None, judge, Deadline::NEVER, Some(action));
            assert_eq!(meeting.actions.load(Relaxed), 1, "passed before the action");
            index.unwrap()
        };
        let other = {
            let (meeting, judge) = (meeting.clone(), judges[1].clone());
            thread::spawn(move || act(&meeting, &judge))
        };
        let mine = act(&meeting, &judges[0]);
        assert_eq!(mine + other.join().unwrap(), 1);
    });
}

/// Whatever happens first, all parties agree on it.
fn all_agree(interfere: impl Fn(RawBarrier<'_>, &ModelJudge) + Send + Sync + Copy + 'static) {
    model(move || {
        let meeting = Meeting::new(2);
        let judges = ModelJudge::new(3);
        let threads = [1, 2].map(|who: usize| {
            let (meeting, judge) = (meeting.clone(), judges[who].clone());
            thread::spawn(move || meeting.wait(&judge, Deadline::NEVER))
        });
        interfere(meeting.barrier(), &judges[0]);
        let results = threads.map(|thread| thread.join().unwrap());
        assert_eq!(results[0].is_ok(), results[1].is_ok(), "{results:?}");
    });
}

#[test]
fn all_agree_whether_it_was_aborted() {
    all_agree(|barrier, judge| barrier.abort(judge).unwrap());
}

#[test]
fn all_agree_whether_it_was_reset() {
    all_agree(|barrier, judge| {
        barrier.reset(judge).unwrap();
        // Else who came after the reset would wait for the other for ever.
        barrier.abort(judge).unwrap();
    });
}

/// Who is late breaks it for both, or passes with the other.
#[test]
fn all_agree_whether_one_was_late() {
    model(|| {
        let meeting = Meeting::new(2);
        let judges = ModelJudge::new(2);
        let other = {
            let (meeting, judge) = (meeting.clone(), judges[1].clone());
            thread::spawn(move || meeting.wait(&judge, Deadline::NEVER))
        };
        let mine = meeting.wait(&judges[0], Deadline::PASSED);
        let theirs = other.join().unwrap();
        assert_eq!(mine.is_ok(), theirs.is_ok(), "{mine:?} {theirs:?}");
        if let Err(error) = mine {
            assert_eq!((error, theirs), (BarrierError::TimedOut, Err(BarrierError::Broken)));
        }
    });
}
