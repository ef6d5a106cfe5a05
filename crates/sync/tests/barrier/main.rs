//! The barrier as a program holds it, with participants of a model in one process.
#![cfg(not(loom))]

mod actions;
mod corrupt;
mod deaths;
mod inherited;

use std::ptr::NonNull;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU32, AtomicU64};
use shmkit_layout::{Object, Offset, Region, ShapeError};
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, OwnerId, Verdict};
use shmkit_sync::{Barrier, BarrierError, Parties};

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

fn barrier<'a, J: Judge>(region: Region<'a>, parties: u32, judge: &'a J) -> Barrier<&'a J> {
    // SAFETY: the bytes are zero.
    unsafe { Barrier::init(region, parties.into(), judge) }.unwrap()
}

fn attach<'a, J: Judge>(region: Region<'a>, parties: u32, judge: &'a J) -> Barrier<&'a J> {
    // SAFETY: made by `barrier`.
    unsafe { Barrier::attach(region, parties.into(), judge) }.unwrap()
}

/// Where cell `at` lies.
fn cell(region: Region<'_>, at: u64) -> &AtomicU64 {
    region.get(Offset::new(48 + 8 * at).unwrap()).unwrap()
}

/// Makes the barrier's word another one, for cells that were stored by hand.
fn set_word(region: Region<'_>, word: u32) {
    region.write(Offset::new(16).unwrap(), word).unwrap();
}

/// Of a cell whose party has registered.
const REGISTERED: u64 = 1 << 62;

/// What stands in a cell whose party, `judge`, has arrived while the barrier's word was `word`.
fn arrived(judge: &ModelJudge, word: u64) -> u64 {
    u64::from(judge.me().unwrap().get()) << 32 | word | 1
}

/// Does something when it is asked the first time, before it answers.
struct Before<'a>(ModelJudge, Mutex<Option<Box<dyn FnOnce() + Send + 'a>>>);

impl<'a> Before<'a> {
    fn new(judge: &ModelJudge) -> Self {
        Self(judge.clone(), Mutex::new(None))
    }

    fn answer(&self, before: impl FnOnce() + Send + 'a) {
        *self.1.lock().unwrap() = Some(Box::new(before));
    }
}

// SAFETY: as the model's.
unsafe impl Judge for Before<'_> {
    fn me(&self) -> Option<OwnerId> {
        self.0.me()
    }

    fn verdict(&self, owner: OwnerId) -> Verdict {
        let before = self.1.lock().unwrap().take();
        if let Some(before) = before {
            before();
        }
        self.0.verdict(owner)
    }
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
    type B<'a> = Barrier<&'a ModelJudge>;
    let shape = B::shape(&3.into(), 2).unwrap();
    assert_eq!(
        (shape.bytes, shape.align, shape.to_string().as_str()),
        (128, 128, "barrier, length 3")
    );
    assert_eq!(B::shape(&13.into(), 2).unwrap().bytes, 256);
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
    type B<'a> = Barrier<&'a ModelJudge>;
    for parties in [0, B::MAX_PARTIES + 1, u32::MAX] {
        assert!(
            matches!(B::shape(&parties.into(), 2), Err(ShapeError::Length { min: 1, .. })),
            "{parties}"
        );
    }
    assert!(B::shape(&B::MAX_PARTIES.into(), 2).is_ok());
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
fn bar_06_an_abort_is_told_to_all() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let barrier = barrier(bytes.region(), 4, &judges[0]);
    thread::scope(|scope| {
        let others = [(); 3].map(|()| scope.spawn(|| barrier.wait_timeout(LONG)));
        until(|| barrier.n_waiting() == 3);
        let shown = format!("{barrier:?}");
        assert!(shown.contains("arrived: [1: this process, 1: this process, 1:"), "{shown}");
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
fn a_barrier_keeps_the_time_out_that_it_was_made_with() {
    let judges = ModelJudge::new(2);
    let (mut bytes, limit) = (Bytes::new(), Duration::from_millis(30));
    let region = bytes.region();
    let spec = Parties::new(2).timeout(limit);
    // SAFETY: the bytes are zero.
    let made = unsafe { Barrier::init(region, spec, &judges[0]) }.unwrap();
    assert_eq!(made.timeout(), Some(limit));
    // Whoever finds it waits no longer, with an action, as a party, or neither.
    let found = attach(region, 2, &judges[1]);
    let waits: [&dyn Fn() -> BarrierError; 4] = [
        &|| found.wait().unwrap_err(),
        &|| match found.wait_with(|| Ok::<_, ()>(())) {
            Err(shmkit_sync::ActionError::Barrier(error)) => error,
            other => panic!("{other:?}"),
        },
        &|| found.party().unwrap().wait().unwrap_err(),
        &|| match found.party().unwrap().wait_with(|| Ok::<_, ()>(())) {
            Err(shmkit_sync::ActionError::Barrier(error)) => error,
            other => panic!("{other:?}"),
        },
    ];
    for wait in waits {
        let start = Instant::now();
        assert_eq!(wait(), BarrierError::TimedOut);
        assert!(start.elapsed() >= limit, "{:?}", start.elapsed());
        assert_eq!(made.wait(), Err(BarrierError::Broken), "for all");
        made.reset().unwrap();
    }
    // Who says for how long waits as long as it says.
    let start = Instant::now();
    assert_eq!(found.wait_timeout(3 * limit), Err(BarrierError::TimedOut));
    assert!(start.elapsed() >= 3 * limit, "{:?}", start.elapsed());
}

#[test]
fn a_time_out_of_nothing_is_one_and_an_endless_one_is_none() {
    let judges = ModelJudge::new(1);
    for (timeout, kept) in [
        (Duration::ZERO, Some(Duration::from_nanos(1))),
        (Duration::MAX, None),
        (Duration::from_secs(1 << 34), Some(Duration::from_secs(1 << 34))),
    ] {
        let mut bytes = Bytes::new();
        let spec = Parties::new(2).timeout(timeout);
        // SAFETY: the bytes are zero.
        let made = unsafe { Barrier::init(bytes.region(), spec, &judges[0]) }.unwrap();
        assert_eq!(made.timeout(), kept);
    }
    assert_eq!(barrier(Bytes::new().region(), 2, &judges[0]).timeout(), None);
}
