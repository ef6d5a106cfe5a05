//! The barrier as a program holds it, with participants of a model in one process.
#![cfg(not(loom))]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use shmkit_atomic::Ordering::{Relaxed, SeqCst};
use shmkit_atomic::{AtomicU32, AtomicU64};
use shmkit_layout::{Object, Offset, Region, ShapeError};
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, OwnerId, Verdict};
use shmkit_sync::{ActionError, Barrier, BarrierError};

/// Far longer than any of these waits.
const LONG: Duration = Duration::from_secs(10);

#[repr(C, align(128))]
struct Bytes([u8; 256]);

impl Bytes {
    fn new() -> Self {
        Self([0; 256])
    }

    fn region(&mut self) -> Region<'_> {
        // SAFETY: the bytes are borrowed mutably for as long as the region.
        unsafe { Region::from_raw_parts(NonNull::from(&mut self.0).cast(), 256) }
    }
}

fn barrier<'a, J: Judge>(region: Region<'a>, parties: u32, judge: &'a J) -> Barrier<'a, J> {
    // SAFETY: the bytes are zero.
    unsafe { Barrier::init(region, parties, judge) }.unwrap()
}

fn attach<'a, J: Judge>(region: Region<'a>, parties: u32, judge: &'a J) -> Barrier<'a, J> {
    // SAFETY: made by `barrier`.
    unsafe { Barrier::attach(region, parties.into(), judge) }.unwrap()
}

fn until(mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < LONG, "it never happened");
        thread::yield_now();
    }
}

#[test]
fn the_format_of_a_barrier_is_fixed() {
    type B<'a> = Barrier<'a, ModelJudge>;
    let shape = B::shape(&3).unwrap();
    assert_eq!(
        (shape.bytes, shape.align, shape.to_string().as_str()),
        (128, 128, "barrier, length 3")
    );
    assert_eq!(B::shape(&13).unwrap().bytes, 256);
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    barrier(bytes.region(), 1, &judges[0]).wait().unwrap();
    assert_eq!(bytes.0[..32], [[0; 16], [2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]].concat());
    // SAFETY: made above.
    let other = unsafe { Barrier::attach(bytes.region(), 2, &judges[0]) };
    assert!(matches!(other, Err(ShapeError::Corrupt { field: "number of parties", found: 1 })));
}

#[test]
fn bar_14_a_barrier_for_nobody_is_refused() {
    type B<'a> = Barrier<'a, ModelJudge>;
    for parties in [0, B::MAX_PARTIES + 1, u32::MAX] {
        assert!(matches!(B::shape(&parties), Err(ShapeError::Length { min: 1, .. })), "{parties}");
    }
    assert!(B::shape(&B::MAX_PARTIES).is_ok());
}

#[test]
fn bar_11_one_party_passes_at_once() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let barrier = barrier(bytes.region(), 1, &judges[0]);
    for _ in 0..2 {
        assert_eq!(barrier.wait(), Ok(0));
        assert_eq!(barrier.wait_timeout(Duration::ZERO), Ok(0));
        assert_eq!(barrier.wait_deadline(Instant::now()), Ok(0));
    }
    assert_eq!((barrier.n_waiting(), barrier.parties(), barrier.is_broken()), (0, 1, false));
}

/// Threads of one process and of others (of a model) meet, three times as many passes as that.
#[test]
fn bar_01_02_03_all_pass_together_with_a_number_each() {
    const PARTIES: usize = 5;
    const ROUNDS: u32 = 200;
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = barrier(region, PARTIES as u32, &judges[0]);
    let theirs = attach(region, PARTIES as u32, &judges[1]);
    let done = AtomicU32::new(0);
    let numbers = Mutex::new(vec![Vec::new(); ROUNDS as usize]);
    thread::scope(|scope| {
        for i in 0..PARTIES {
            let barrier = if i % 2 == 0 { mine } else { theirs };
            let (done, numbers) = (&done, &numbers);
            scope.spawn(move || {
                for round in 1..=ROUNDS {
                    done.fetch_add(1, Relaxed);
                    let number = barrier.wait_timeout(LONG).unwrap();
                    assert!(done.load(Relaxed) >= round * PARTIES as u32);
                    numbers.lock().unwrap()[round as usize - 1].push(number);
                    assert_eq!(done.load(Relaxed) / PARTIES as u32, round);
                    barrier.wait_timeout(LONG).unwrap();
                }
            });
        }
    });
    for mut numbers in numbers.into_inner().unwrap() {
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
    }
    assert_eq!((mine.n_waiting(), mine.is_broken()), (0, false));
}

#[test]
fn more_threads_than_parties_take_turns() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let barrier = barrier(bytes.region(), 2, &judges[0]);
    // An even number of arrivals in all, so that nobody is left alone.
    let arrivals = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while arrivals.fetch_add(1, Relaxed) < 2000 {
                    barrier.wait_timeout(LONG).unwrap();
                }
            });
        }
    });
    assert_eq!((barrier.n_waiting(), barrier.is_broken()), (0, false));
}

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
fn bar_06_an_abort_is_told_to_all() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let barrier = barrier(bytes.region(), 4, &judges[0]);
    thread::scope(|scope| {
        let others = [(); 3].map(|()| scope.spawn(|| barrier.wait_timeout(LONG)));
        until(|| barrier.n_waiting() == 3);
        let shown = format!("{barrier:?}");
        assert!(shown.contains("arrived: [0.1: this process, 0.1: this process, 0.1:"), "{shown}");
        barrier.abort().unwrap();
        for other in others {
            assert_eq!(other.join().unwrap(), Err(BarrierError::Broken));
        }
    });
    // BAR-13, BAR-15.
    assert_eq!((barrier.is_broken(), barrier.n_waiting()), (true, 0));
    assert_eq!(barrier.wait(), Err(BarrierError::Broken));
    barrier.reset().unwrap();
    assert!(!barrier.is_broken());
}

#[test]
fn a_reset_tells_who_waits_and_not_who_comes() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let barrier = barrier(bytes.region(), 2, &judges[0]);
    thread::scope(|scope| {
        let early = scope.spawn(|| barrier.wait_timeout(LONG));
        until(|| barrier.n_waiting() == 1);
        barrier.reset().unwrap();
        assert_eq!(early.join().unwrap(), Err(BarrierError::Broken));
        let late = scope.spawn(|| barrier.wait_timeout(LONG));
        barrier.wait_timeout(LONG).unwrap();
        late.join().unwrap().unwrap();
    });
}

#[test]
fn bar_09_a_late_party_breaks_it_for_all() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let barrier = barrier(bytes.region(), 3, &judges[0]);
    for millis in [0, 1, 30, 120] {
        let wait = Duration::from_millis(millis);
        thread::scope(|scope| {
            let patient = scope.spawn(|| barrier.wait());
            until(|| barrier.n_waiting() == 1);
            let start = Instant::now();
            assert_eq!(barrier.wait_timeout(wait), Err(BarrierError::TimedOut));
            assert!(start.elapsed() >= wait, "{:?} instead of {wait:?}", start.elapsed());
            assert_eq!(patient.join().unwrap(), Err(BarrierError::Broken));
        });
        // The late one.
        assert_eq!(barrier.wait_timeout(wait), Err(BarrierError::Broken));
        assert!(BarrierError::TimedOut.is_broken() && BarrierError::Broken.is_broken());
        barrier.reset().unwrap();
    }
}

#[test]
fn bar_16_a_party_that_arrived_and_died_is_told_to_all() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = barrier(region, 2, &judges[0]);
    let cell = region.get::<AtomicU64>(Offset::new(32).unwrap()).unwrap();
    // As it stands there when it waits and is killed.
    let dead = judges[1].me().unwrap();
    cell.store(u64::from(dead.get()) << 32 | 1, SeqCst);
    assert_eq!(mine.n_waiting(), 1);
    assert!(format!("{mine:?}").contains("arrived: [1.1: alive]"), "{mine:?}");
    judges[1].die();
    assert_eq!(mine.wait(), Err(BarrierError::PartyDied(dead)));
    assert_eq!(attach(region, 2, &judges[2]).wait(), Err(BarrierError::PartyDied(dead)));
    assert!(BarrierError::PartyDied(dead).is_broken());
    mine.reset().unwrap();
    // Its place is somebody else's now.
    thread::scope(|scope| {
        let other = scope.spawn(|| mine.wait_timeout(LONG));
        mine.wait_timeout(LONG).unwrap();
        other.join().unwrap().unwrap();
    });
}

#[test]
fn a_sleeper_notices_a_dead_party() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = barrier(region, 3, &judges[0]);
    let theirs = attach(region, 3, &judges[1]);
    let dead = judges[1].me().unwrap();
    let party = theirs.party().unwrap();
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| mine.wait_timeout(LONG));
        until(|| mine.n_waiting() == 1);
        judges[1].die();
        assert_eq!(sleeper.join().unwrap(), Err(BarrierError::PartyDied(dead)));
    });
    assert_eq!(mine.wait(), Err(BarrierError::PartyDied(dead)));
    mine.reset().unwrap();
    std::mem::forget(party);
    assert_eq!(mine.wait_timeout(Duration::from_millis(60)), Err(BarrierError::TimedOut));
}

#[test]
fn parties_register_and_pass() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = barrier(region, 2, &judges[0]);
    let theirs = attach(region, 2, &judges[1]);
    let (mut one, mut two) = (mine.party().unwrap(), theirs.party().unwrap());
    assert_eq!(mine.party().unwrap_err(), BarrierError::Full);
    assert_eq!(
        mine.wait_timeout(Duration::from_millis(5)),
        Err(BarrierError::TimedOut),
        "no place"
    );
    mine.reset().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..300 {
                two.wait_timeout(LONG).unwrap();
                two.wait_with_timeout(LONG, || Ok::<_, ()>(())).unwrap();
            }
        });
        for _ in 0..300 {
            one.wait_with_deadline(Instant::now() + LONG, || Ok::<_, ()>(())).unwrap();
            one.wait_deadline(Instant::now() + LONG).unwrap();
        }
    });
    assert_eq!(one.wait_timeout(Duration::ZERO), Err(BarrierError::TimedOut));
    mine.reset().unwrap();
    // Both have gone: their places are free.
    drop(one);
    thread::scope(|scope| {
        let other = scope.spawn(|| mine.wait_timeout(LONG));
        mine.wait_timeout(LONG).unwrap();
        other.join().unwrap().unwrap();
    });
}

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

/// Cannot tell about anybody else.
struct Blind(ModelJudge);

// SAFETY: it calls nobody dead.
unsafe impl Judge for Blind {
    fn me(&self) -> Option<OwnerId> {
        self.0.me()
    }

    fn verdict(&self, _: OwnerId) -> Verdict {
        Verdict::Unknown
    }
}

#[test]
fn a_party_that_cannot_be_judged_is_not_missed() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let blind = Blind(judges[1].clone());
    let mine = barrier(region, 2, &judges[0]);
    let theirs = attach(region, 2, &blind);
    let party = mine.party().unwrap();
    let wait = Duration::from_millis(20);
    assert_eq!(theirs.wait_timeout(wait), Err(BarrierError::CannotJudge));
    mine.reset().unwrap();
    drop(party);
    thread::scope(|scope| {
        let other = scope.spawn(|| mine.wait_timeout(LONG));
        theirs.wait_timeout(LONG).unwrap();
        other.join().unwrap().unwrap();
    });
}

/// Finds out, when it is asked about somebody, that it has lost its own place.
struct Lost(ModelJudge, AtomicU32);

// SAFETY: it calls nobody dead.
unsafe impl Judge for Lost {
    fn me(&self) -> Option<OwnerId> {
        self.0.me().filter(|_| self.1.load(Relaxed) == 0)
    }

    fn verdict(&self, _: OwnerId) -> Verdict {
        self.1.store(1, Relaxed);
        Verdict::Unknown
    }
}

#[test]
fn who_loses_its_place_while_it_waits_passes_nothing() {
    let judges = ModelJudge::new(2);
    for last in [false, true] {
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
                assert_eq!(other.join().unwrap(), Err(BarrierError::Broken));
            } else {
                assert_eq!(theirs.wait(), Err(BarrierError::NotJoined));
            }
        });
        assert!(mine.is_broken());
    }
}

#[test]
fn a_cell_that_names_nobody_is_corrupt() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = barrier(region, 2, &judges[0]);
    let cell = region.get::<AtomicU64>(Offset::new(32).unwrap()).unwrap();
    for word in [1, 7 << 32, 1 << 63, 1 << 62, u64::MAX] {
        cell.store(word, SeqCst);
        assert_eq!(mine.wait(), Err(BarrierError::Corrupt { word }));
        assert_eq!(cell.load(SeqCst), word, "it is left as it was found");
    }
    mine.reset().unwrap();
    assert_eq!(cell.load(SeqCst), 0);
}
