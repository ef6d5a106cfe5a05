//! The semaphore: never more than its permits are out, none is lost, and those of the dead come back.

use std::sync::Arc as StdArc;

use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU32, Deadline};
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, OwnerId, Verdict};
use shmkit_sync::{HolderCell, RawSemaphore, Seating, SemaphoreError, SemaphoreFrame, crash};

use crate::{Inside, Lives, model, with_every_crash, with_every_crash_and};

/// A semaphore with its words.
struct Gate {
    frame: SemaphoreFrame,
    cells: Vec<HolderCell>,
}

impl Gate {
    fn new(permits: u32, seats: u32) -> Arc<Self> {
        let cells = (0..Seating::spread(seats).cells()).map(|_| HolderCell::new()).collect();
        Arc::new(Self { frame: SemaphoreFrame::new(permits, seats), cells })
    }

    fn raw(&self) -> RawSemaphore<'_> {
        RawSemaphore::new(&self.frame, &self.cells)
    }
}

/// One participant's use: takes `count` permits, is inside, gives them back.
fn visit(semaphore: RawSemaphore<'_>, count: u32, judge: &ModelJudge, inside: &Inside) {
    let me = judge.me().unwrap().get();
    let limit = (semaphore.permits() / count) as usize;
    semaphore.acquire(count, judge, Deadline::NEVER).unwrap();
    inside.enter(me, limit);
    crash::step();
    inside.leave(me);
    semaphore.release(count, judge).unwrap();
}

/// The first of the visitors dies after `steps` steps; all others get in, and in the end nothing is lost.
fn everybody_gets_in(permits: u32, counts: &[u32], steps: u32, lives: &Lives) {
    let gate = Gate::new(permits, 3);
    let inside = StdArc::new(Inside::default());
    let mut visitors = counts.iter().copied().zip(ModelJudge::new(counts.len() as u32));
    let (count, mortal) = visitors.next().unwrap();
    let threads: Vec<_> = visitors
        .map(|(count, judge)| {
            let (gate, inside) = (gate.clone(), inside.clone());
            thread::spawn(move || {
                visit(gate.raw(), count, &judge, &inside);
                judge
            })
        })
        .collect();
    if crash::after(steps, || visit(gate.raw(), count, &mortal, &inside)).is_err() {
        lives.died();
        inside.leave(mortal.me().unwrap().get());
        mortal.die();
    }
    let judges: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let (semaphore, survivor) = (gate.raw(), &judges[0]);
    semaphore.try_acquire(permits, survivor).expect("a permit was lost");
    assert!(semaphore.try_acquire(1, survivor).is_err(), "a permit too many");
    semaphore.release(permits, survivor).unwrap();
    assert!(semaphore.release(1, survivor).is_err(), "it holds none any more");
}

#[test]
fn a_survivor_gets_in_whenever_the_other_dies() {
    with_every_crash("semaphore, 2", |steps, lives| everybody_gets_in(1, &[1, 1], steps, lives));
}

#[test]
fn two_survivors_get_in_whenever_the_third_dies() {
    with_every_crash_and("semaphore, 3", 2, |steps, lives| {
        everybody_gets_in(1, &[1, 1, 1], steps, lives)
    });
}

#[test]
fn who_wants_two_gets_in_whenever_one_dies() {
    with_every_crash("semaphore, 2 of 2", |steps, lives| {
        everybody_gets_in(2, &[1, 2], steps, lives)
    });
}

/// The judge of a participant whose place is taken from it when `lost` is set.
struct Displaced {
    judge: ModelJudge,
    lost: Arc<AtomicU32>,
}

// SAFETY: as the model's judge answers, or nobody.
unsafe impl Judge for Displaced {
    fn me(&self) -> Option<OwnerId> {
        // Relaxed: no data hang on it.
        self.judge.me().filter(|_| self.lost.load(Relaxed) == 0)
    }

    fn verdict(&self, owner: OwnerId) -> Verdict {
        self.judge.verdict(owner)
    }
}

/// A permit comes back, and wakes one who has no place any more: another one sleeps for it.
#[test]
fn a_ring_goes_on_from_who_cannot_take() {
    model(|| {
        let gate = Gate::new(1, 3);
        let semaphore = gate.raw();
        let [owner, judge, other]: [ModelJudge; 3] = ModelJudge::new(3).try_into().unwrap();
        semaphore.acquire(1, &owner, Deadline::NEVER).unwrap();
        let lost = Arc::new(AtomicU32::new(0));
        let displaced = Displaced { judge, lost: lost.clone() };
        let (theirs, others) = (gate.clone(), gate.clone());
        let threads = [
            thread::spawn(move || {
                if theirs.raw().acquire(1, &displaced, Deadline::NEVER).is_ok() {
                    // It was in time.
                    theirs.raw().release(1, &displaced.judge).unwrap();
                }
            }),
            thread::spawn(move || {
                others.raw().acquire(1, &other, Deadline::NEVER).unwrap();
                others.raw().release(1, &other).unwrap();
            }),
        ];
        semaphore.release(1, &owner).unwrap();
        // It ends nobody's slice: none is needed.
        lost.swap(1, Relaxed);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(semaphore.available(), 1);
    });
}

/// One seat, two holders: the second is refused, or has the seat of the first, who left it or died.
#[test]
fn a_seat_of_the_dead_serves_and_one_of_the_living_refuses() {
    with_every_crash("semaphore, a seat", |steps, lives| {
        let gate = Gate::new(2, 1);
        let [mortal, other] = ModelJudge::new(2).try_into().unwrap();
        let thread = {
            let gate = gate.clone();
            thread::spawn(move || {
                match gate.raw().acquire(1, &other, Deadline::NEVER) {
                    Ok(()) => gate.raw().release(1, &other).unwrap(),
                    Err(SemaphoreError::TooManyHolders { seats: 1 }) => {}
                    Err(error) => panic!("{error:?}"),
                }
                other
            })
        };
        let life = || match gate.raw().acquire(1, &mortal, Deadline::NEVER) {
            Ok(()) => {
                crash::step();
                gate.raw().release(1, &mortal).unwrap();
            }
            Err(error) => assert_eq!(error, SemaphoreError::TooManyHolders { seats: 1 }),
        };
        if crash::after(steps, life).is_err() {
            lives.died();
            mortal.die();
        }
        let other = thread.join().unwrap();
        gate.raw().try_acquire(2, &other).expect("a permit or the seat was lost");
    });
}
