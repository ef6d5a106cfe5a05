//! The event as a program holds it, with participants of a model in one process.
#![cfg(not(loom))]

use std::ptr::NonNull;
use std::thread;
use std::time::{Duration, Instant};

use shmkit_layout::{Object, Region, ShapeError, TypeTag};
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{Event, EventError};

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

fn event<'a>(region: Region<'a>, judge: &'a ModelJudge) -> Event<&'a ModelJudge> {
    // SAFETY: the bytes are zero.
    unsafe { Event::init(region, (), judge) }.unwrap()
}

fn attach<'a>(region: Region<'a>, judge: &'a ModelJudge) -> Event<&'a ModelJudge> {
    // SAFETY: made by `event`.
    unsafe { Event::attach(region, 1, judge) }.unwrap()
}

#[test]
fn the_format_of_an_event_is_fixed() {
    let shape = <Event<&ModelJudge> as Object<_>>::shape(&(), 2).unwrap();
    assert_eq!((shape.bytes, shape.align, shape.len, shape.tag), (128, 128, 1, TypeTag::NONE));
    assert_eq!(shape.to_string(), "event");
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let event = event(region, &judges[0]);
    event.set().unwrap();
    event.clear().unwrap();
    event.set().unwrap();
    // SAFETY: made by `event`.
    let length = unsafe { Event::attach(region, 0, &judges[0]) };
    assert!(matches!(length, Err(ShapeError::Length { found: 0, min: 1, max: 1 })));
    assert_eq!(bytes.0[..8], [3, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn evt_01_a_fresh_event_is_not_set() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    assert!(!event(bytes.region(), &judges[0]).is_set());
}

#[test]
fn evt_02_a_wait_lasts_as_long_as_asked() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let event = event(bytes.region(), &judges[0]);
    for millis in [0, 1, 3, 70] {
        let wait = Duration::from_millis(millis);
        let start = Instant::now();
        assert_eq!(event.wait_timeout(wait), Err(EventError::TimedOut));
        assert!(start.elapsed() >= wait, "{:?} instead of {wait:?}", start.elapsed());
        let start = Instant::now();
        assert_eq!(event.wait_deadline(start + wait), Err(EventError::TimedOut));
        assert!(start.elapsed() >= wait, "{:?} instead of {wait:?}", start.elapsed());
    }
    event.set().unwrap();
    event.wait_timeout(Duration::ZERO).unwrap();
    event.wait_timeout(Duration::MAX).unwrap();
}

#[test]
fn evt_05_it_shows_whether_it_is_set() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let event = event(bytes.region(), &judges[0]);
    assert!(format!("{event:?}").contains("set: false, cleared: 0, waiters: false"), "{event:?}");
    event.set().unwrap();
    assert!(format!("{event:?}").contains("set: true"), "{event:?}");
}

#[test]
fn evt_06_twice_is_as_good_as_once() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (event(region, &judges[0]), attach(region, &judges[1]));
    for _ in 0..3 {
        mine.set().unwrap();
        theirs.set().unwrap();
        assert!(mine.is_set() && theirs.is_set());
        theirs.clear().unwrap();
        mine.clear().unwrap();
        assert!(!mine.is_set() && !theirs.is_set());
    }
    assert!(format!("{mine:?}").contains("cleared: 3"), "{mine:?}");
}

#[test]
fn who_has_not_joined_is_refused() {
    let child = ModelJudge::new(1)[0].forked();
    let mut bytes = Bytes::new();
    let event = event(bytes.region(), &child);
    assert_eq!(event.set(), Err(EventError::NotJoined));
    assert_eq!(event.clear(), Err(EventError::NotJoined));
    assert_eq!(event.wait(), Err(EventError::NotJoined));
    assert!(!event.is_set());
}

#[test]
fn a_set_wakes_all_threads() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let event = event(bytes.region(), &judges[0]);
    for _ in 0..100 {
        thread::scope(|scope| {
            let waiters =
                [(); 3].map(|()| scope.spawn(|| event.wait_timeout(Duration::from_secs(10))));
            while !event.raw().has_waiters() {
                thread::yield_now();
            }
            event.set().unwrap();
            for waiter in waiters {
                waiter.join().unwrap().unwrap();
            }
        });
        event.clear().unwrap();
    }
}

#[test]
fn a_pulse_reaches_who_waits() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let event = event(bytes.region(), &judges[0]);
    for _ in 0..200 {
        thread::scope(|scope| {
            let waiter = scope.spawn(|| event.wait_timeout(Duration::from_secs(10)));
            while !event.raw().has_waiters() {
                thread::yield_now();
            }
            event.set().unwrap();
            event.clear().unwrap();
            waiter.join().unwrap().unwrap();
        });
    }
}
