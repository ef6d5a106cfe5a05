//! As many processes and threads at one object as take part, and more than it has seats for: no number is hidden.

use shmkit::{
    Condvar, LockError, LockFailure, Mutex, Objects, Options, RwLock, Seated, Segment, Semaphore,
    SemaphoreError, WaitError,
};
use shmkit_tests::BY_NAME;

use crate::support::{By, Peer, unique, wait_until};

/// Seats that are asked for: there are as many as fill a row.
const FEW: u32 = 1;
const ROW: u32 = 16;

fn segment() -> Segment {
    Options::new(1 << 17).anonymous().unwrap()
}

/// So many peers, executed and forked in turn.
#[track_caller]
fn crowd(segment: &Segment, script: &str, count: usize) -> Vec<Peer> {
    let ways = By::ALL.into_iter().cycle().take(count);
    ways.map(|by| by.peer(&format!("crowds/{script}"), &[], segment)).collect()
}

/// The crowd goes.
#[track_caller]
fn go(crowd: Vec<Peer>) {
    for mut peer in crowd {
        peer.say("go");
        peer.join();
    }
}

#[test]
fn eighty_threads_of_one_process_wait_at_one_condition_variable() {
    for by in By::ALL {
        let segment = segment();
        let lock = segment.mutex("lock", 0_u64).unwrap();
        let condvar = segment.condvar("condvar").unwrap();
        let mut peer = by.peer("crowds/wait", &["80"], &segment);
        wait_until(|| condvar.waiters() == 80);
        let mut number = lock.lock().unwrap();
        *number = 1;
        assert_eq!(condvar.notify_all(&number), Ok(80));
        drop(number);
        peer.expect("all awake");
        peer.join();
    }
}

#[test]
fn eighteen_processes_that_read_meet_at_a_barrier() {
    let segment = segment();
    let rwlock = segment.rwlock("rwlock", 0_u64).unwrap();
    segment.barrier("barrier", 18).unwrap();
    for peer in crowd(&segment, "read-and-meet", 18) {
        peer.join();
    }
    assert_eq!(rwlock.readers(), 0);
}

#[test]
fn a_hundred_processes_hold_the_permits_of_one_semaphore() {
    let segment = segment();
    let semaphore = segment.semaphore("semaphore", 101).unwrap();
    let mut holders = crowd(&segment, "hold", 100);
    holders.iter_mut().for_each(|peer| peer.expect("in"));
    assert_eq!(semaphore.available(), 1);
    let last = semaphore.try_acquire().unwrap();
    assert!(matches!(semaphore.try_acquire(), Err(SemaphoreError::WouldBlock)));
    // Those of the dead come back, wherever they sat.
    for _ in 0..10 {
        holders.swap_remove(holders.len() / 2).kill();
    }
    drop(semaphore.acquire_many(10).unwrap());
    assert!(matches!(semaphore.try_acquire_many(11), Err(SemaphoreError::WouldBlock)));
    drop(last);
    go(holders);
    drop(semaphore.acquire_many(101).unwrap());
}

#[test]
fn who_comes_beyond_the_seats_is_told_so_and_does_not_wait() {
    let segment = segment();
    let semaphore: Semaphore = segment.object("semaphore", Seated::new(100).seats(FEW)).unwrap();
    let rwlock: RwLock<u64> = segment.object("rwlock", Seated::new(0).seats(FEW)).unwrap();
    let lock: Mutex<u64> = segment.mutex("lock", 0).unwrap();
    let condvar: Condvar = segment.object("condvar", Seated::new(()).seats(FEW)).unwrap();

    let mut holders = crowd(&segment, "hold", ROW as usize);
    holders.iter_mut().for_each(|peer| peer.expect("in"));
    let refused = semaphore.acquire().map(drop);
    assert_eq!(refused, Err(SemaphoreError::TooManyHolders { seats: ROW }));
    let mut beyond = crowd(&segment, "hold", 1);
    beyond[0].expect(&format!("{:?}", SemaphoreError::TooManyHolders { seats: ROW }));
    go(beyond);
    // A dead one's seat is anybody's.
    holders.remove(3).kill();
    drop(semaphore.acquire().unwrap());
    go(holders);

    let mut readers = crowd(&segment, "read", ROW as usize);
    readers.iter_mut().for_each(|peer| peer.expect("in"));
    let refused = rwlock.read().map(drop).unwrap_err().failure();
    assert_eq!(refused, Some(LockFailure::TooManyReaders { seats: ROW }));
    readers.remove(3).kill();
    drop(rwlock.read().unwrap());
    go(readers);

    let mut peer = By::Exec.peer("crowds/wait", &[&ROW.to_string()], &segment);
    wait_until(|| condvar.waiters() == ROW);
    let number = lock.lock().unwrap();
    let Err(WaitError::TooManyWaiters(mut number)) = condvar.wait(number) else {
        panic!("there was a seat, or it has waited")
    };
    *number = 1;
    assert_eq!(condvar.notify_all(&number), Ok(ROW));
    drop(number);
    peer.expect("all awake");
    peer.join();
}

#[test]
fn more_processes_are_killed_than_there_are_names() {
    let name = unique("names");
    let options = Options::new(1 << 17).participants(2).names(4);
    let segment = options.create(&name).unwrap();
    let lock = segment.mutex("lock", 0_u64).unwrap();
    let reading = segment.rwlock("rwlock", 0_u64).unwrap();
    let reading = reading.read().unwrap();
    let semaphore = segment.semaphore("semaphore", 2).unwrap();
    let permit = semaphore.acquire().unwrap();
    for number in 1..=12 {
        // The one place is another's each time, and each one that had it has died with everything.
        let script = format!("{BY_NAME}crowds/die-with-all");
        let mut peer = Peer::execute(&script, &[&name], |_| ());
        peer.expect(&format!("number {number}"));
        assert_eq!(lock.try_lock().map(drop).unwrap_err().failure(), Some(LockFailure::WouldBlock));
        peer.kill();
    }
    drop(reading);
    drop(permit);
    drop(semaphore.acquire_many(2).unwrap());
    let count = lock.lock().map(drop);
    assert!(matches!(count, Err(LockError::OwnerDied(count)) if *count == 12));
}
