//! What is done once, as a program holds it, with participants of a model in one process.
#![cfg(not(loom))]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU32, Deadline};
use shmkit_layout::{Object, Offset, Region, ShapeError};
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, OwnerId, Verdict};
use shmkit_sync::{InitError, NotOwner, Once, OnceCell, OnceError, RawOnce, Turn};

#[repr(C, align(128))]
struct Bytes([u8; 128]);

impl Bytes {
    fn new() -> Self {
        Self([0; 128])
    }

    fn region(&mut self) -> Region<'_> {
        // SAFETY: the bytes are borrowed mutably for as long as the region.
        unsafe { Region::from_raw_parts(NonNull::from(&mut self.0).cast(), 128) }
    }
}

fn once<'a, J: Judge>(region: Region<'a>, judge: &'a J) -> Once<&'a J> {
    // SAFETY: the bytes are zero or hold one.
    unsafe { Once::attach(region, 1, judge) }.unwrap()
}

fn cell<'a, J: Judge>(region: Region<'a>, judge: &'a J) -> OnceCell<[u64; 2], &'a J> {
    // SAFETY: the bytes are zero or hold one of this type.
    unsafe { OnceCell::attach(region, 1, judge) }.unwrap()
}

#[test]
fn the_formats_are_fixed() {
    let shape = <Once<&ModelJudge> as Object<_>>::shape(&(), 2).unwrap();
    assert_eq!((shape.bytes, shape.align, shape.to_string().as_str()), (128, 128, "once"));
    let shape = <OnceCell<u64, &ModelJudge> as Object<_>>::shape(&(), 2).unwrap();
    assert_eq!((shape.bytes, shape.align), (128, 128));
    assert_eq!(shape.to_string(), "once cell of u64 (8 bytes)");
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    cell(bytes.region(), &judges[0]).get_or_init(|| [7, 8]).unwrap();
    assert_eq!(bytes.0[..16], [0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes.0[24..26], [7, 0]);
    // SAFETY: holds a cell.
    let length = unsafe { OnceCell::<u64, _>::attach(bytes.region(), 2, &judges[0]) };
    assert!(matches!(length, Err(ShapeError::Length { found: 2, min: 1, max: 1 })));
}

#[test]
fn it_is_done_once() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (once(region, &judges[0]), once(region, &judges[1]));
    let mut calls = 0;
    assert!(!mine.is_completed());
    mine.call_once(|| calls += 1).unwrap();
    theirs.call_once(|| calls += 1).unwrap();
    theirs.try_call_once(|| calls += 1).unwrap();
    mine.call_once_timeout(Duration::ZERO, || calls += 1).unwrap();
    mine.call_once_deadline(Instant::now(), || calls += 1).unwrap();
    mine.call_once_force(|_| calls += 1).unwrap();
    theirs.wait().unwrap();
    assert_eq!(calls, 1);
    assert!(format!("{theirs:?}").contains("ready: true, owner: None, failures: 0"), "{theirs:?}");
}

#[test]
fn a_value_is_made_once_and_stays() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (cell(region, &judges[0]), cell(region, &judges[1]));
    assert_eq!(mine.get(), None);
    assert_eq!(mine.get_or_init(|| [1, 2]), Ok(&[1, 2]));
    assert_eq!(theirs.get(), Some(&[1, 2]));
    assert_eq!(theirs.get_or_init(|| [3, 4]), Ok(&[1, 2]));
    assert_eq!(theirs.try_get_or_init(|| [3, 4]), Ok(&[1, 2]));
    assert_eq!(theirs.get_or_try_init(|| Err(())), Ok(&[1, 2]));
    assert_eq!(theirs.wait(), Ok(&[1, 2]));
    assert!(format!("{mine:?}").contains("value: Some([1, 2])"), "{mine:?}");
}

#[test]
fn an_initialiser_that_fails_leaves_it_to_the_next() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (cell(region, &judges[0]), cell(region, &judges[1]));
    assert_eq!(mine.get_or_try_init(|| Err("no")), Err(InitError::Failed("no")));
    let panic = catch_unwind(AssertUnwindSafe(|| mine.get_or_init(|| resume_unwind(Box::new(())))));
    assert!(panic.is_err());
    assert_eq!((mine.get(), mine.owner(), mine.failures()), (None, None, 2));
    assert_eq!(theirs.get_or_init(|| [5, 6]), Ok(&[5, 6]));

    let mut bytes = Bytes::new();
    let once = once(bytes.region(), &judges[0]);
    let panic = catch_unwind(AssertUnwindSafe(|| once.call_once(|| resume_unwind(Box::new(())))));
    assert!(panic.is_err() && !once.is_completed());
    let mut told = None;
    once.call_once_force(|state| told = Some((state.failures(), state.dead_owner()))).unwrap();
    assert_eq!(told, Some((1, None)));
}

#[test]
fn the_heir_of_the_dead_begins_anew_and_is_told() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let dead = once(region, &judges[0]);
    assert!(matches!(dead.raw().begin(&judges[0], Deadline::NEVER), Ok(Turn::Yours { .. })));
    let mine = once(region, &judges[1]);
    assert_eq!(mine.try_call_once(|| ()), Err(OnceError::WouldBlock));
    assert!(format!("{mine:?}").contains("owner: Some(1: alive)"), "{mine:?}");
    judges[0].die();
    assert_eq!(mine.wait(), Err(OnceError::OwnerDied(judges[0].me().unwrap())));
    let mut told = None;
    mine.call_once_force(|state| told = Some((state.failures(), state.dead_owner()))).unwrap();
    assert_eq!(told, Some((1, judges[0].me())));
    mine.wait().unwrap();
    once(region, &judges[2]).try_call_once(|| panic!("twice")).unwrap();
}

/// Does something when it is asked the first time, before it answers.
struct Before<'a>(ModelJudge, Mutex<Option<Box<dyn FnOnce() + Send + 'a>>>);

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

/// Between the look at who is at it and the question whether that one lives.
#[test]
fn who_is_done_and_leaves_has_not_died() {
    for done in [true, false] {
        let judges = ModelJudge::new(2);
        let raw = RawOnce::new();
        assert!(matches!(raw.try_begin(&judges[0]), Ok(Turn::Yours { .. })));
        let leave = || {
            let left = if done {
                // SAFETY: our turn, and nothing is guarded.
                unsafe { raw.finish(&judges[0]) }
            } else {
                // SAFETY: as above.
                unsafe { raw.give_up(&judges[0]) }
            };
            left.unwrap();
            judges[0].die();
        };
        let judge = Before(judges[1].clone(), Mutex::new(Some(Box::new(leave))));
        let waited = raw.wait(&judge, Deadline::after(Duration::from_millis(20)));
        assert_eq!(waited, if done { Ok(()) } else { Err(OnceError::TimedOut) });
    }
}

#[test]
fn a_half_written_value_is_never_seen() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let dead = cell(region, &judges[0]);
    // SAFETY: the judge is one of those that the cell's users have.
    let raw = unsafe { dead.raw() };
    assert!(matches!(raw.begin(&judges[0], Deadline::NEVER), Ok(Turn::Yours { .. })));
    region.write(Offset::new(16).unwrap(), 99_u64).unwrap();
    let mine = cell(region, &judges[1]);
    assert_eq!(mine.get(), None);
    judges[0].die();
    assert_eq!(mine.get(), None);
    assert_eq!(mine.try_get_or_init(|| [1, 1]), Ok(&[1, 1]));
}

#[test]
fn a_thread_that_asks_for_itself_is_told() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = once(region, &judges[0]);
    let mut asked = Vec::new();
    mine.call_once(|| {
        asked.push(mine.call_once(|| ()));
        asked.push(mine.try_call_once(|| ()));
        asked.push(mine.wait());
        // Another thread waits, as it should.
        thread::scope(|scope| {
            let other = scope.spawn(|| mine.wait_timeout(Duration::from_millis(20)));
            asked.push(other.join().unwrap());
        });
    })
    .unwrap();
    let recursive = Err(OnceError::Recursive);
    assert_eq!(asked, [recursive, recursive, recursive, Err(OnceError::TimedOut)]);
    mine.wait().unwrap();
}

#[test]
fn a_wait_lasts_as_long_as_asked() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (cell(region, &judges[0]), cell(region, &judges[1]));
    for begun in [false, true] {
        if begun {
            // SAFETY: the judge is one of those that the cell's users have.
            let turn = unsafe { mine.raw() }.begin(&judges[0], Deadline::NEVER);
            assert!(matches!(turn, Ok(Turn::Yours { .. })));
        }
        for millis in [0, 1, 3, 70] {
            let wait = Duration::from_millis(millis);
            let start = Instant::now();
            assert_eq!(theirs.wait_timeout(wait), Err(OnceError::TimedOut));
            assert!(start.elapsed() >= wait, "{:?} instead of {wait:?}", start.elapsed());
            let start = Instant::now();
            assert_eq!(theirs.wait_deadline(start + wait), Err(OnceError::TimedOut));
            assert!(start.elapsed() >= wait, "{:?} instead of {wait:?}", start.elapsed());
            if begun {
                let start = Instant::now();
                let init = theirs.get_or_init_timeout(wait, || [0, 0]);
                assert_eq!(init, Err(OnceError::TimedOut));
                let init = theirs.get_or_init_deadline(start + wait, || [0, 0]);
                assert_eq!(init, Err(OnceError::TimedOut));
                assert!(start.elapsed() >= wait, "{:?} instead of {wait:?}", start.elapsed());
            }
        }
    }
}

#[test]
fn all_threads_see_the_one_value() {
    let judges = ModelJudge::new(1);
    for round in 0..200 {
        let mut bytes = Bytes::new();
        let cell = cell(bytes.region(), &judges[0]);
        let calls = AtomicU32::new(0);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| *cell.wait_timeout(Duration::from_secs(10)).unwrap());
            let makers = [(); 3].map(|()| {
                scope.spawn(|| {
                    *cell
                        .get_or_init(|| {
                            calls.fetch_add(1, Relaxed);
                            [round, round]
                        })
                        .unwrap()
                })
            });
            for thread in makers.into_iter().chain([waiter]) {
                assert_eq!(thread.join().unwrap(), [round, round]);
            }
        });
        assert_eq!(calls.load(Relaxed), 1);
    }
}

#[test]
fn who_has_not_joined_is_refused() {
    let child = ModelJudge::new(1)[0].forked();
    let mut bytes = Bytes::new();
    let cell = cell(bytes.region(), &child);
    assert_eq!(cell.get_or_init(|| [0, 0]), Err(OnceError::NotJoined));
    assert_eq!(cell.try_get_or_init(|| [0, 0]), Err(OnceError::NotJoined));
    assert_eq!(cell.wait(), Err(OnceError::NotJoined));
    assert_eq!(cell.get(), None);
}

/// Is a parent's until it is asked to be the child's.
struct Forking(ModelJudge, AtomicU32);

// SAFETY: it calls nobody dead.
unsafe impl Judge for Forking {
    fn me(&self) -> Option<OwnerId> {
        self.0.me().filter(|_| self.1.load(Relaxed) == 0)
    }

    fn verdict(&self, _: OwnerId) -> Verdict {
        Verdict::Unknown
    }
}

#[test]
fn a_child_forked_in_the_middle_neither_writes_nor_leaves() {
    let judge = Forking(ModelJudge::new(1).remove(0), AtomicU32::new(0));
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let ours = cell(region, &judge);
    let made = ours.get_or_init(|| {
        judge.1.store(1, Relaxed);
        [9, 9]
    });
    assert_eq!(made, Err(OnceError::NotJoined));
    assert_eq!(region.read::<u64>(Offset::new(16).unwrap()), Ok(0), "nothing was written");
    assert_eq!(cell(region, &judge).owner(), judge.0.me(), "the parent is still at it");
}

#[test]
fn who_is_not_at_it_cannot_leave() {
    let judges = ModelJudge::new(2);
    let raw = RawOnce::new();
    assert!(matches!(raw.try_begin(&judges[0]), Ok(Turn::Yours { dead: None, failures: 0, .. })));
    for judge in [&judges[1], &judges[0].forked()] {
        // SAFETY: nothing is guarded.
        assert_eq!(unsafe { raw.finish(judge) }, Err(NotOwner));
        // SAFETY: as above.
        assert_eq!(unsafe { raw.give_up(judge) }, Err(NotOwner));
    }
    // SAFETY: our turn, and nothing is guarded.
    unsafe { raw.finish(&judges[0]) }.unwrap();
    // SAFETY: nothing is guarded.
    assert_eq!(unsafe { raw.give_up(&judges[0]) }, Err(NotOwner));
    assert!(raw.is_ready());
}

#[test]
fn a_word_that_names_nobody_is_corrupt() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = cell(region, &judges[0]);
    let word = region.get::<AtomicU32>(Offset::ZERO).unwrap();
    // Nobody is called so; that with the mark of waiters; done, and somebody is at it.
    for nonsense in [2, 1023, 1 << 31 | 5, 1 << 30 | 1024] {
        word.store(nonsense, Relaxed);
        let corrupt = OnceError::Corrupt { word: nonsense };
        assert_eq!(mine.get_or_init(|| [0, 0]), Err(corrupt));
        assert_eq!(mine.wait(), Err(corrupt));
        assert_eq!(word.load(Relaxed), nonsense, "it is left as it was found");
    }
}

#[test]
fn what_is_made_where_it_lies_begins_with_zeros_whatever_was_left() {
    let [me, peer] = ModelJudge::new(2).try_into().unwrap();
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (ours, theirs) = (cell(region, &me), cell(region, &peer));
    let half = |value: &mut [u64; 2]| {
        assert_eq!(*value, [0, 0]);
        value[0] = 7;
        resume_unwind(Box::new("half-way"));
    };
    catch_unwind(AssertUnwindSafe(|| theirs.get_or_init_with(half))).unwrap_err();
    assert_eq!(ours.get(), None);
    let whole = |value: &mut [u64; 2]| {
        assert_eq!(*value, [0, 0], "as if nobody had begun");
        value[1] = 8;
    };
    assert_eq!(ours.get_or_init_with(whole), Ok(&[0, 8]));
    assert_eq!(theirs.get_or_init_with(half), Ok(&[0, 8]), "it is made already");
}
