//! The readers-writer lock as a program holds it, with participants of a model in one process.
#![cfg(not(loom))]

mod corrupt;
mod inherited;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicBool, AtomicU32, Deadline};
use shmkit_layout::{Object, Offset, Region, ShapeError};
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, OwnerId, Verdict};
use shmkit_sync::{
    HolderCell, LockError, LockFailure, NotOwner, Outcome, RawRwLock, RwLock, RwLockFrame,
    RwLockReadGuard, RwLockWriteGuard, Seated, Seating,
};

#[repr(C, align(128))]
struct Bytes([u8; 16384]);

impl Bytes {
    fn new() -> Box<Self> {
        Box::new(Self([0; 16384]))
    }

    fn region(&mut self) -> Region<'_> {
        // SAFETY: the bytes are borrowed mutably for as long as the region.
        unsafe { Region::from_raw_parts(NonNull::from(&mut self.0).cast(), 16384) }
    }
}

/// The lock as each of the judges sees it.
fn locks<'a, const N: usize, J: Judge>(
    region: Region<'a>,
    judges: &'a [J],
) -> [RwLock<u64, &'a J>; N] {
    // SAFETY: the bytes are zero.
    unsafe { RwLock::init(region, 7.into(), &judges[0]) }.unwrap();
    // SAFETY: made above.
    std::array::from_fn(|i| unsafe { RwLock::attach(region, 1, &judges[i]) }.unwrap())
}

/// The cells of a raw lock of so many seats.
fn cells(seats: u32) -> Vec<HolderCell> {
    (0..Seating::spread(seats).cells()).map(|_| HolderCell::new()).collect()
}

#[track_caller]
fn failure<G>(result: Result<G, LockError<G>>) -> LockFailure {
    match result {
        Err(LockError::Failed(failure)) => failure,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("locked"),
    }
}

fn word(region: Region<'_>, at: u64) -> &AtomicU32 {
    region.get(Offset::new(at).unwrap()).unwrap()
}

#[test]
fn the_format_of_a_readers_writer_lock_is_fixed() {
    let shape = <RwLock<u64, &ModelJudge> as Object<_>>::shape(&0.into(), 2).unwrap();
    assert_eq!((shape.bytes, shape.align, shape.len), (384, 128, 1));
    assert_eq!(shape.to_string(), "rwlock of u64 (8 bytes)");
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let [_lock] = locks(bytes.region(), &judges);
    assert_eq!(bytes.0[..24], [0; 24]);
    assert_eq!(
        bytes.0[24..48],
        [[1, 0, 0, 0], [0; 4], [0; 4], [0; 4], [7, 0, 0, 0], [0; 4]].concat()
    );
}

#[test]
fn readers_share_and_a_writer_is_alone() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let [a, b, c] = locks(bytes.region(), &judges);
    let (one, two, three) = (a.read().unwrap(), b.try_read().unwrap(), a.read().unwrap());
    assert_eq!((*one, *two, *three), (7, 7, 7));
    assert_eq!(a.readers(), 2, "processes, not threads");
    for lock in [a, c] {
        assert_eq!(failure(lock.try_write()), LockFailure::WouldBlock);
        assert_eq!(failure(lock.write_timeout(Duration::from_millis(3))), LockFailure::TimedOut);
    }
    // Whoever gave up keeps nobody out.
    drop(c.try_read().unwrap());
    drop((one, two));
    assert_eq!(failure(c.try_write()), LockFailure::WouldBlock);
    drop(three);
    let mut writing = c.write().unwrap();
    *writing = 8;
    assert_eq!(c.writer(), judges[2].me());
    for lock in [a, c] {
        assert_eq!(failure(lock.try_read()), LockFailure::WouldBlock);
        assert_eq!(failure(lock.try_write()), LockFailure::WouldBlock);
        let wait = Duration::from_millis(5);
        let start = Instant::now();
        assert_eq!(failure(lock.read_timeout(wait)), LockFailure::TimedOut);
        assert_eq!(failure(lock.write_deadline(start + wait)), LockFailure::TimedOut);
        assert!(start.elapsed() >= wait);
    }
    drop(writing);
    assert_eq!(*a.read().unwrap(), 8);
    assert_eq!((c.writer(), c.readers(), c.deaths()), (None, 0, 0));
}

#[test]
fn a_dead_reader_keeps_nobody_out() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let [a, b, c] = locks(bytes.region(), &judges);
    std::mem::forget((a.read().unwrap(), a.read().unwrap()));
    let alive = b.read().unwrap();
    judges[0].die();
    assert_eq!(failure(c.try_write()), LockFailure::WouldBlock, "one of them lives");
    drop(alive);
    drop(c.try_write().unwrap());
    assert_eq!(c.deaths(), 0);
    // It has not been told of, either.
    drop(c.write().unwrap());
}

#[test]
fn a_dead_writer_is_told_of_to_everybody_until_a_writer_answers() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let [a, b, c] = locks(bytes.region(), &judges);
    std::mem::forget(a.write().unwrap());
    judges[0].die();
    // The heir is a reader.
    let Err(LockError::OwnerDied(reading)) = b.read() else { panic!("not told") };
    assert_eq!(b.deaths(), 1);
    assert!(matches!(c.try_read(), Err(LockError::OwnerDied(_))), "they share it");
    drop(reading);
    assert!(matches!(c.read(), Err(LockError::OwnerDied(_))), "a reader cannot give up on it");
    let Err(LockError::OwnerDied(mut writing)) = c.try_write() else { panic!("not told") };
    *writing = 9;
    writing.make_consistent();
    drop(writing);
    assert_eq!(*b.read().unwrap(), 9);
    drop(b.write().unwrap());
    assert_eq!(b.deaths(), 1);
}

#[test]
fn the_heir_of_a_writer_knows_who_it_was() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let [a, b] = locks(bytes.region(), &judges);
    std::mem::forget(a.write().unwrap());
    judges[0].die();
    let Err(LockError::OwnerDied(writing)) = b.write() else { panic!("not told") };
    assert_eq!(writing.dead_owner(), judges[0].me());
    drop(writing);
    for _ in 0..2 {
        assert!(matches!(b.read(), Err(LockError::NotRecoverable(_))));
    }
    let Err(LockError::NotRecoverable(writing)) = b.write() else { panic!("not told") };
    assert_eq!(writing.dead_owner(), None);
    writing.make_consistent();
    drop(writing);
    drop(b.read().unwrap());
}

/// The mark of a writer stays when it answers for the data: it may go on to change it.
#[test]
fn who_dies_after_answering_is_told_of_again() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let [a, b, c] = locks(bytes.region(), &judges);
    std::mem::forget(a.write().unwrap());
    judges[0].die();
    let Err(LockError::OwnerDied(writing)) = b.write() else { panic!("not told") };
    writing.make_consistent();
    std::mem::forget(writing);
    judges[1].die();
    let Err(LockError::OwnerDied(writing)) = c.write() else { panic!("not told") };
    assert_eq!(writing.dead_owner(), judges[1].me());
}

/// Whoever held the word when it died, and had not begun to write.
#[test]
fn who_died_before_it_wrote_is_not_told_of() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let [_a, b] = locks(region, &judges);
    for bits in [0, 1 << 31] {
        word(region, 0).store(judges[0].me().unwrap().get() | bits, Relaxed);
        judges[0].die();
        drop(b.read().unwrap());
        word(region, 0).store(judges[0].me().unwrap().get() | bits, Relaxed);
        drop(b.write().unwrap());
    }
    assert_eq!(b.deaths(), 0);
}

#[test]
fn all_participants_read_together_each_in_its_own_seat() {
    let judges = ModelJudge::new(20);
    let mut bytes = Bytes::new();
    let locks: [_; 20] = locks(bytes.region(), &judges);
    let mut readers: Vec<_> = locks.iter().map(|lock| lock.try_read().unwrap()).collect();
    let again = locks[3].read().unwrap();
    assert_eq!(locks[0].readers(), 20);
    assert_eq!(failure(locks[17].try_write()), LockFailure::WouldBlock);
    std::mem::forget(readers.pop());
    judges[19].die();
    drop((readers, again));
    drop(locks[16].try_write().unwrap());
    assert_eq!((locks[0].readers(), locks[0].deaths()), (0, 0));
}

#[test]
fn a_reader_beyond_the_seats_is_told_so_and_a_seat_of_the_dead_serves() {
    let judges = ModelJudge::new(20);
    // In one row of one line: as many seats.
    let (frame, cells) = (RwLockFrame::new(1), cells(1));
    let lock = RawRwLock::new(&frame, &cells);
    assert_eq!(lock.seats(), 16);
    let leave = |judge: &ModelJudge, reading| {
        // SAFETY: the lock guards nothing.
        unsafe { lock.unlock_read(judge, reading) }.unwrap();
    };
    let mut readers: Vec<_> =
        judges[..16].iter().map(|judge| lock.try_read(judge).unwrap().0).collect();
    let (again, _) = lock.read(&judges[3], Deadline::NEVER).unwrap();
    let full = LockFailure::TooManyReaders { seats: 16 };
    assert_eq!(lock.try_read(&judges[16]).unwrap_err(), full);
    assert_eq!(lock.read(&judges[16], Deadline::NEVER).unwrap_err(), full, "no wait");
    assert!(full.to_string().contains("16 processes read"), "{full}");
    judges[15].die();
    readers.pop();
    let (in_its_place, _) = lock.try_read(&judges[17]).unwrap();
    judges[14].die();
    readers.pop();
    let (in_anothers_place, _) = lock.read(&judges[19], Deadline::NEVER).unwrap();
    assert_eq!(lock.try_read(&judges[18]).unwrap_err(), full);
    leave(&judges[3], again);
    for (judge, reading) in judges.iter().zip(readers) {
        leave(judge, reading);
    }
    assert_eq!(lock.try_write(&judges[18]), Err(LockFailure::WouldBlock), "two read");
    leave(&judges[17], in_its_place);
    leave(&judges[19], in_anothers_place);
    assert_eq!((lock.readers(), lock.try_write(&judges[18])), (0, Ok(Outcome::Clean)));
}

#[test]
fn a_number_of_seats_that_cannot_be_is_refused() {
    type L<'a> = RwLock<u64, &'a ModelJudge>;
    let judges = ModelJudge::new(1);
    for seats in [0, Seating::MAX + 1, u32::MAX] {
        let error = L::shape(&Seated::new(7).seats(seats), 1).unwrap_err();
        assert!(matches!(error, ShapeError::Length { min: 1, .. }), "{seats}: {error}");
    }
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let [_lock] = locks(region, &judges);
    for seats in [0, u32::MAX, Seating::MAX] {
        word(region, 24).store(seats, Relaxed);
        // SAFETY: made above, but for this word.
        let error = unsafe { L::attach(region, 1, &judges[0]) }.unwrap_err();
        assert!(!error.to_string().is_empty(), "{seats}");
    }
}

#[test]
fn a_writer_becomes_a_reader_with_nobody_in_between() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let [a, b] = locks(bytes.region(), &judges);
    let mut writing = a.write().unwrap();
    *writing = 5;
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut writing = b.write().unwrap();
            *writing += 1;
        });
        while !format!("{a:?}").contains("waiters: true") {
            std::thread::yield_now();
        }
        let reading = RwLockWriteGuard::downgrade(writing);
        assert_eq!(*reading, 5);
        drop(reading);
        other.join().unwrap();
    });
    assert_eq!(*a.read().unwrap(), 6);
}

#[test]
fn a_downgrade_answers_for_nothing() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let [a, b] = locks(bytes.region(), &judges);
    std::mem::forget(a.write().unwrap());
    judges[0].die();
    let Err(LockError::OwnerDied(writing)) = b.write() else { panic!("not told") };
    drop(RwLockWriteGuard::downgrade(writing));
    assert!(matches!(b.read(), Err(LockError::NotRecoverable(_))));
}

#[test]
fn a_writers_panic_poisons_and_a_readers_does_not() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let [a, b] = locks(bytes.region(), &judges);
    let reads = || -> () {
        let _reading = a.read().unwrap();
        resume_unwind(Box::new(()));
    };
    let writes = || -> () {
        *a.write().unwrap() = 99;
        let _part = RwLockWriteGuard::map(a.write().unwrap(), |number| number);
        resume_unwind(Box::new(()));
    };
    let maps = || -> () {
        drop(RwLockReadGuard::map(a.read().unwrap(), |_| -> &u8 { resume_unwind(Box::new(())) }));
    };
    for panics in [&reads as &dyn Fn(), &maps] {
        catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
        assert!(!b.is_poisoned());
    }
    catch_unwind(AssertUnwindSafe(writes)).unwrap_err();
    assert!(b.is_poisoned());
    let Err(LockError::Poisoned(reading)) = b.read() else { panic!("not told") };
    assert_eq!(*reading, 99);
    drop(reading);
    let Err(LockError::Poisoned(_)) = b.write() else { panic!("not told") };
    b.clear_poison();
    drop(b.write().unwrap());
    assert_eq!(b.deaths(), 0);
}

#[test]
fn guards_lead_to_parts() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    // SAFETY: the bytes are zero.
    let lock = unsafe { RwLock::init(bytes.region(), [1_u64, 2, 3].into(), &judges[0]) }.unwrap();
    let guard = RwLockWriteGuard::filter_map(lock.write().unwrap(), |n| n.get_mut(3)).unwrap_err();
    let mut last = RwLockWriteGuard::map(guard, |n| &mut n[2]);
    *last = 30;
    assert_eq!(failure(lock.try_read()), LockFailure::WouldBlock);
    drop(last);
    let guard = RwLockReadGuard::filter_map(lock.read().unwrap(), |n| n.get(3)).unwrap_err();
    let last = RwLockReadGuard::filter_map(guard, |n| n.get(1..)).unwrap();
    assert_eq!(format!("{last:?}"), "[2, 30]");
    assert_eq!(failure(lock.try_write()), LockFailure::WouldBlock);
    drop(last);
    drop(lock.try_write().unwrap());
}

/// Readers of two processes that are never all out: a writer gets in all the same.
#[test]
fn a_writer_is_not_starved_by_readers_who_come_and_go() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let [a, b, c] = locks(bytes.region(), &judges);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for lock in [a, b] {
            let stop = &stop;
            scope.spawn(move || {
                let mut last = None;
                while !stop.load(Relaxed) {
                    // The next before the last is gone, unless a writer waits.
                    let next = lock.try_read().ok();
                    drop(std::mem::replace(&mut last, next));
                }
            });
        }
        for _ in 0..20 {
            let wait = Duration::from_secs(10);
            let result = c.write_timeout(wait).map(|mut writing| *writing += 1);
            if result.is_err() {
                stop.store(true, Relaxed);
            }
            result.unwrap();
        }
        stop.store(true, Relaxed);
    });
    assert_eq!(*c.read().unwrap(), 27);
}

#[test]
fn a_handle_shows_who_is_in() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let [a, b] = locks(bytes.region(), &judges);
    let reading = a.read().unwrap();
    let shown = format!("{b:?}");
    assert!(shown.contains("holder: None, readers: [1: alive], writing: false"), "{shown}");
    drop(reading);
    let writing = a.write().unwrap();
    let shown = format!("{b:?}");
    assert!(shown.contains("holder: Some(1: alive), readers: [], writing: true"), "{shown}");
    drop(writing);
}
