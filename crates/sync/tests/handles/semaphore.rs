//! The semaphore whose permits come back.

use super::*;

#[test]
fn the_format_of_a_semaphore_is_fixed() {
    let shape = <Semaphore<&ModelJudge> as Object<_>>::shape(&3.into(), 2).unwrap();
    assert_eq!((shape.bytes, shape.align, shape.len), (384, 128, 3));
    assert_eq!(shape.tag, TypeTag::NONE);
}

#[test]
fn sem_07_a_number_of_permits_that_cannot_be_is_refused() {
    type S<'a> = Semaphore<&'a ModelJudge>;
    for permits in [0, 1 << 31, u32::MAX] {
        assert!(
            matches!(S::shape(&permits.into(), 2), Err(ShapeError::Length { .. })),
            "{permits}"
        );
    }
    assert!(S::shape(&(i32::MAX as u32).into(), 2).is_ok());
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    semaphore(region, &judges[0]);
    // SAFETY: made by `semaphore`.
    let other = unsafe { Semaphore::attach(region, 4, &judges[0]) };
    assert!(matches!(other, Err(ShapeError::Corrupt { found: 3, .. })));
}

#[test]
fn sem_01_and_02_permits_are_counted() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (semaphore(region, &judges[0]), join(region, &judges[1]));
    assert_eq!((mine.permits(), mine.available()), (3, 3));
    let one = mine.acquire().unwrap();
    let two = theirs.acquire_many(2).unwrap();
    assert_eq!((mine.available(), mine.held(), theirs.held(), two.count()), (0, 1, 2, 2));
    assert!(mine.locked(), "SEM-10");
    assert_eq!(mine.try_acquire().unwrap_err(), SemaphoreError::WouldBlock);
    assert!(
        format!("{mine:?}").contains("holders: [(1: this process, 1), (2: alive, 2)]"),
        "{mine:?}"
    );
    drop(one);
    two.release().unwrap();
    assert_eq!(mine.available(), 3);
    assert_eq!(mine.acquire_many(4).unwrap_err(), SemaphoreError::TooMany { asked: 4, permits: 3 });
    assert_eq!(mine.acquire_many(0).unwrap().count(), 0);
}

#[test]
fn more_than_is_held_cannot_be_released() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (semaphore(region, &judges[0]), join(region, &judges[1]));
    assert_eq!(mine.release(1), Err(ReleaseError::NotHeld { asked: 1, held: 0 }));
    mine.acquire_many(2).unwrap().forget();
    assert_eq!(theirs.release(1), Err(ReleaseError::NotHeld { asked: 1, held: 0 }));
    assert_eq!(mine.release(3), Err(ReleaseError::NotHeld { asked: 3, held: 2 }));
    assert_eq!(mine.available(), 1, "nothing was given back");
    mine.release(2).unwrap();
    assert_eq!(mine.release(1), Err(ReleaseError::NotHeld { asked: 1, held: 0 }));
    assert_eq!(mine.available(), 3);
}

#[test]
fn the_permits_of_the_dead_come_back() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let dead = semaphore(region, &judges[0]);
    dead.acquire_many(2).unwrap().forget();
    let mine = join(region, &judges[1]);
    let _held = mine.acquire().unwrap();
    judges[0].die();
    assert_eq!(mine.available(), 0, "nobody has looked yet");
    drop(mine.try_acquire_many(2).unwrap());
    assert_eq!(mine.available(), 2);
    assert_eq!(mine.raw().held_by(judges[0].me().unwrap()), 0);
}

#[test]
fn a_permit_wakes_who_waits_for_it() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (semaphore(region, &judges[0]), join(region, &judges[1]));
    let held = mine.acquire_many(3).unwrap();
    std::thread::scope(|scope| {
        // One that wants two and one that wants one: a ring for one might reach the wrong one.
        let two = scope.spawn(|| theirs.acquire_many_timeout(2, Duration::from_secs(10)).map(drop));
        let one = scope.spawn(|| theirs.acquire_timeout(Duration::from_secs(10)).map(drop));
        drop(held);
        two.join().unwrap().unwrap();
        one.join().unwrap().unwrap();
    });
    assert_eq!(mine.available(), 3);
}

#[test]
fn a_holder_beyond_the_seats_is_told_so_and_a_seat_of_the_dead_serves() {
    let judges = ModelJudge::new(20);
    // In one row of one line: as many seats.
    let frame = SemaphoreFrame::new(1000, 1);
    let cells: Vec<_> = (0..Seating::spread(1).cells()).map(|_| HolderCell::new()).collect();
    let doors = RawSemaphore::new(&frame, &cells);
    assert_eq!(doors.seats(), 16);
    for judge in &judges[..16] {
        doors.try_acquire(2, judge).unwrap();
    }
    let full = SemaphoreError::TooManyHolders { seats: 16 };
    assert_eq!(doors.try_acquire(1, &judges[16]), Err(full), "with permits free");
    assert_eq!(doors.acquire(1, &judges[16], Deadline::NEVER), Err(full), "no wait");
    assert!(full.to_string().contains("16 processes hold permits"), "{full}");
    doors.try_acquire(1, &judges[0]).unwrap();
    doors.release(2, &judges[7]).unwrap();
    doors.try_acquire(1, &judges[16]).unwrap();
    assert_eq!(doors.try_acquire(1, &judges[17]), Err(full));
    judges[8].die();
    doors.acquire(1, &judges[17], Deadline::NEVER).unwrap();
    assert_eq!(doors.available(), 1000 - 14 * 2 - 1 - 1 - 1);
}

#[test]
fn as_many_hold_permits_as_there_are_places() {
    let judges = ModelJudge::new(100);
    let bytes: &'static mut [Bytes] = Box::leak((0..16).map(|_| Bytes([0; 1024])).collect());
    // SAFETY: leaked, aligned, and used as a region only.
    let region = unsafe { Region::from_raw_parts(NonNull::from(bytes).cast(), 16 << 10) };
    // SAFETY: the bytes are zero.
    let doors = unsafe { Semaphore::init(region, 100.into(), &judges[0]) }.unwrap();
    let permits: Vec<_> = judges[..64]
        .iter()
        // SAFETY: made above.
        .map(|judge| unsafe { Semaphore::attach(region, 100, judge) }.unwrap())
        .map(|doors| doors.try_acquire_owned(1).unwrap())
        .collect();
    assert_eq!(doors.available(), 36);
    assert!(doors.try_acquire().is_ok());
    // Who looks for permits of the dead counts all seats anew.
    assert_eq!(doors.try_acquire_many(37).unwrap_err(), SemaphoreError::WouldBlock);
    assert_eq!(doors.available(), 36);
    drop(permits);
}

#[test]
fn numbers_that_nobody_writes_are_counted_anew() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = semaphore(region, &judges[0]);
    let _held = mine.acquire().unwrap();
    let free = region.get::<AtomicU32>(Offset::new(24).unwrap()).unwrap();
    assert_eq!(free.load(Relaxed), 2);
    free.store(u32::MAX, Relaxed);
    let theirs = join(region, &judges[1]);
    assert_eq!(theirs.try_acquire_many(3).unwrap_err(), SemaphoreError::WouldBlock);
    assert_eq!(theirs.available(), 2);
    drop(theirs.try_acquire_many(2).unwrap());
}
