//! The counting semaphore as a program holds it, with participants of a model in one process.
#![cfg(not(loom))]

use std::ptr::NonNull;
use std::thread;
use std::time::{Duration, Instant};

use shmkit_layout::{Object, Region, ShapeError};
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{Count, CountingError, CountingSemaphore};

const MAX: u32 = i32::MAX as u32;

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

fn make<'a>(
    region: Region<'a>,
    count: Count,
    judge: &'a ModelJudge,
) -> CountingSemaphore<&'a ModelJudge> {
    // SAFETY: the bytes are zero, or hold such a semaphore that nobody uses.
    unsafe { CountingSemaphore::init(region, count, judge) }.unwrap()
}

#[test]
fn the_format_of_a_counting_semaphore_is_fixed() {
    type S<'a> = CountingSemaphore<&'a ModelJudge>;
    let shape = S::shape(&Count::bounded(3), 2).unwrap();
    assert_eq!((shape.bytes, shape.align), (128, 128));
    assert_eq!(shape.to_string(), "counting semaphore, length 3");
    assert_eq!(S::shape(&Count::unbounded(3), 2).unwrap().len, MAX.into());
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    make(bytes.region(), Count::bounded(3), &judges[0]);
    assert_eq!(bytes.0[..8], [3, 0, 0, 0, 0xfc, 0xff, 0xff, 0x7f]);
    make(bytes.region(), Count::unbounded(3), &judges[0]);
    assert_eq!(bytes.0[..8], [3, 0, 0, 0, 0, 0, 0, 0]);
    // SAFETY: made above, with another bound.
    let other = unsafe { CountingSemaphore::attach(bytes.region(), 3, &judges[0]) };
    assert!(matches!(other, Err(ShapeError::Corrupt { field: "bound", .. })));
}

#[test]
fn sem_01_and_02_a_value_is_lowered_to_nothing() {
    let judges = ModelJudge::new(1);
    for count in [Count::unbounded(2), Count::bounded(2)] {
        let mut bytes = Bytes::new();
        let sem = make(bytes.region(), count, &judges[0]);
        assert_eq!(sem.value(), 2);
        sem.acquire().unwrap();
        assert_eq!(sem.value(), 1);
        sem.acquire().unwrap();
        assert_eq!(sem.value(), 0);
        assert_eq!(sem.try_acquire(), Err(CountingError::WouldBlock));
        assert_eq!(sem.value(), 0);
    }
}

#[test]
fn sem_04_it_is_released_above_its_first_value() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let sem = make(bytes.region(), Count::unbounded(2), &judges[0]);
    sem.release(1).unwrap();
    assert_eq!(sem.value(), 3);
    sem.release(1).unwrap();
    assert_eq!(sem.value(), 4);
    sem.release(MAX - 4).unwrap();
    let past = CountingError::PastBound { asked: 1, value: MAX, bound: MAX };
    assert_eq!(sem.release(1), Err(past));
    assert_eq!(
        sem.release(u32::MAX),
        Err(CountingError::PastBound { asked: u32::MAX, value: MAX, bound: MAX })
    );
    assert_eq!(sem.value(), MAX);
    sem.release(0).unwrap();
}

#[test]
fn sem_05_and_06_a_wait_lasts_as_long_as_asked() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let sem = make(bytes.region(), Count::unbounded(0), &judges[0]);
    assert_eq!(sem.try_acquire(), Err(CountingError::WouldBlock));
    for millis in [0, 1, 3, 70] {
        let wait = Duration::from_millis(millis);
        let start = Instant::now();
        assert_eq!(sem.acquire_timeout(wait), Err(CountingError::TimedOut));
        assert!(start.elapsed() >= wait, "{:?} instead of {wait:?}", start.elapsed());
        let start = Instant::now();
        assert_eq!(sem.acquire_deadline(start + wait), Err(CountingError::TimedOut));
        assert!(start.elapsed() >= wait, "{:?} instead of {wait:?}", start.elapsed());
    }
    sem.release(1).unwrap();
    sem.acquire_timeout(Duration::ZERO).unwrap();
}

#[test]
fn sem_07_a_value_that_cannot_be_is_refused() {
    type S<'a> = CountingSemaphore<&'a ModelJudge>;
    for value in [1 << 31, u32::MAX] {
        let error = S::shape(&Count::unbounded(value), 2).unwrap_err();
        assert_eq!(error, ShapeError::Start { value: value.into(), bound: MAX.into() });
        let error = S::shape(&Count::bounded(value), 2).unwrap_err();
        assert!(matches!(error, ShapeError::Length { .. }), "{value}");
    }
    let mut bytes = Bytes::new();
    let judges = ModelJudge::new(1);
    for value in [9, MAX, u32::MAX] {
        let count = Count::bounded(8).starting_at(value);
        let error = ShapeError::Start { value: value.into(), bound: 8 };
        assert_eq!(S::shape(&count, 2), Err(error), "before anything is made");
        // SAFETY: the bytes are zero, and nobody else has seen them.
        let made = unsafe { CountingSemaphore::init(bytes.region(), count, &judges[0]) };
        assert_eq!(made.err(), Some(error));
        assert!(error.to_string().contains("above its bound of 8"), "{error}");
    }
    assert!(S::shape(&Count::unbounded(MAX), 2).is_ok());
}

#[test]
fn sem_10_it_says_whether_it_is_locked() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let sem = make(bytes.region(), Count::unbounded(0), &judges[0]);
    assert!(sem.locked());
    sem.release(1).unwrap();
    assert!(!sem.locked());
    assert!(format!("{sem:?}").contains("value: 1, bound: 2147483647, waiters: false"), "{sem:?}");
}

#[test]
fn bsm_01_and_02_the_first_value_is_the_bound() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let sem = make(bytes.region(), Count::bounded(2), &judges[0]);
    let past = CountingError::PastBound { asked: 1, value: 2, bound: 2 };
    assert_eq!(sem.release(1), Err(past));
    assert_eq!(sem.value(), 2, "unchanged");
    sem.acquire().unwrap();
    assert!(sem.release(2).is_err(), "all or nothing");
    assert_eq!(sem.value(), 1);
    sem.release(1).unwrap();
    assert_eq!((sem.value(), sem.bound()), (2, 2));
}

#[test]
fn a_first_value_below_the_bound_rises_to_it_and_no_further() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let sem = make(bytes.region(), Count::bounded(2).starting_at(0), &judges[0]);
    assert_eq!((sem.value(), sem.bound()), (0, 2));
    assert_eq!(sem.try_acquire(), Err(CountingError::WouldBlock));
    sem.release(2).unwrap();
    assert!(matches!(sem.release(1), Err(CountingError::PastBound { value: 2, bound: 2, .. })));
    // SAFETY: made above.
    let theirs = unsafe { CountingSemaphore::attach(bytes.region(), 2, &judges[1]) }.unwrap();
    assert_eq!((theirs.try_acquire(), theirs.value(), theirs.bound()), (Ok(()), 1, 2));
}

#[test]
fn bsm_04_a_bound_of_nothing_is_accepted() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let sem = make(bytes.region(), Count::bounded(0), &judges[0]);
    assert_eq!((sem.value(), sem.bound()), (0, 0));
    assert_eq!(sem.release(1), Err(CountingError::PastBound { asked: 1, value: 0, bound: 0 }));
    // SAFETY: made above.
    unsafe { CountingSemaphore::attach(bytes.region(), 0, &judges[0]) }.unwrap();
}

#[test]
fn who_has_not_joined_is_refused() {
    let child = ModelJudge::new(1)[0].forked();
    let mut bytes = Bytes::new();
    let sem = make(bytes.region(), Count::unbounded(1), &child);
    assert_eq!(sem.acquire(), Err(CountingError::NotJoined));
    assert_eq!(sem.try_acquire(), Err(CountingError::NotJoined));
    assert_eq!(sem.release(1), Err(CountingError::NotJoined));
    assert_eq!(sem.value(), 1);
}

#[test]
fn a_word_that_nobody_writes_does_no_harm() {
    use shmkit_atomic::{AtomicU32, Ordering::Relaxed};
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let sem = make(region, Count::bounded(2), &judges[0]);
    let word = region.get::<AtomicU32>(shmkit_layout::Offset::ZERO).unwrap();
    word.store(7, Relaxed);
    assert!(matches!(sem.release(1), Err(CountingError::PastBound { value: 7, .. })));
    sem.acquire().unwrap();
    let spare = region.get::<AtomicU32>(shmkit_layout::Offset::new(4).unwrap()).unwrap();
    spare.store(u32::MAX, Relaxed);
    assert_eq!(sem.bound(), 0);
    assert!(sem.release(1).is_err());
}

#[test]
fn a_release_wakes_as_many_as_it_raises() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let sem = make(bytes.region(), Count::unbounded(0), &judges[0]);
    for _ in 0..100 {
        thread::scope(|scope| {
            let takers =
                [(); 3].map(|()| scope.spawn(|| sem.acquire_timeout(Duration::from_secs(10))));
            while !sem.raw().has_waiters() {
                thread::yield_now();
            }
            sem.release(2).unwrap();
            sem.release(1).unwrap();
            for taker in takers {
                taker.join().unwrap().unwrap();
            }
        });
        assert_eq!(sem.value(), 0);
    }
}
