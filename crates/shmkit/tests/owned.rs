//! Handles own what they use: they stand anywhere, and the last one to go leaves.

use std::error::Error;
use std::sync::OnceLock;
use std::thread;

use shmkit::{
    Array, Atomic, Barrier, Condvar, Event, LockError, Mutex, Objects, Options, OwnedMutexGuard,
    OwnedPermit, Pipe, Receiver, RwLock, Segment, Semaphore, Sender, Value,
};

fn unique(name: &str) -> String {
    format!("owned-{name}-{}", std::process::id())
}

/// A struct with handles in it, one of them beside its own guard.
struct Station {
    hits: Value<i64>,
    table: Mutex<[u64; 2]>,
    held: Option<OwnedMutexGuard<[u64; 2]>>,
    permit: Option<OwnedPermit>,
    sender: Sender<u64>,
    receiver: Receiver<u64>,
}

fn station(segment: &Segment) -> Station {
    let pipe = segment.pipe("pipe", 8).unwrap();
    Station {
        hits: segment.value("hits", 0).unwrap(),
        table: segment.mutex("table", [0; 2]).unwrap(),
        held: None,
        permit: None,
        sender: pipe.sender().unwrap(),
        receiver: pipe.receiver().unwrap(),
    }
}

#[test]
fn handles_keep_their_segment_until_the_last_of_them_is_dropped() {
    let name = unique("last");
    let segment = Options::new(1 << 16).create(&name).unwrap();
    let mut station = station(&segment);
    let hits = station.hits.clone();
    drop(segment);
    station.hits.update(|n| *n += 1).unwrap();
    station.sender.send(5).unwrap();
    assert_eq!(station.receiver.recv(), Ok(5));
    drop(station);
    assert_eq!(hits.get(), Ok(1));
    assert!(Segment::open(&name).is_ok(), "a value keeps it");
    drop(hits);
    assert!(Segment::open(&name).is_err(), "the last handle has left");
}

#[test]
fn a_guard_that_borrows_nothing_keeps_the_segment_and_the_lock() {
    let name = unique("guard");
    let segment = Options::new(1 << 16).create(&name).unwrap();
    let mut station = station(&segment);
    station.held = Some(station.table.lock_owned().unwrap());
    station.permit = Some(segment.semaphore("doors", 2).unwrap().acquire_owned(2).unwrap());
    drop(segment);
    let Station { table, held, permit, hits, sender, receiver } = station;
    drop((hits, sender, receiver));
    assert!(matches!(table.try_lock(), Err(LockError::Failed(_))));
    drop(table);
    let mut held = held.unwrap();
    held[1] = 7;
    let table = Segment::open(&name).unwrap().mutex("table", [0_u64; 2]).unwrap();
    drop(held);
    assert_eq!(*table.lock().unwrap(), [0, 7]);
    let doors = Segment::open(&name).unwrap().semaphore("doors", 2).unwrap();
    assert_eq!(doors.available(), 0);
    permit.unwrap().forget();
    assert_eq!((doors.available(), doors.held()), (0, 2));
    doors.release(2).unwrap();
    drop((table, doors));
    assert!(Segment::open(&name).is_err(), "a permit that was forgotten keeps nothing");
}

#[test]
fn a_handle_stands_in_a_static_and_goes_to_threads() {
    static HITS: OnceLock<Value<u64>> = OnceLock::new();
    let segment = Options::new(1 << 14).anonymous().unwrap();
    let hits = HITS.get_or_init(|| segment.value("hits", 0).unwrap());
    let threads: Vec<_> = (0..3)
        .map(|_| thread::spawn(|| (0..100).for_each(|_| hits.update(|n| *n += 1).unwrap())))
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(hits.get(), Ok(300));
}

#[test]
fn every_handle_is_its_own_and_may_be_sent() {
    fn is_owned<T: Send + Sync + Clone + 'static>() {}
    fn is_sent<T: Send + 'static>() {}
    is_owned::<(Value<i64>, Array<u8>, Atomic<u32>, Mutex<u64>, RwLock<u64>)>();
    is_owned::<(Semaphore, Event, Barrier, Condvar, Pipe<u64>)>();
    is_sent::<(Sender<u64>, Receiver<u64>, shmkit::Party)>();
}

#[test]
fn a_question_mark_turns_a_lock_error_into_a_boxed_one() {
    fn add(numbers: &Mutex<u64>) -> Result<u64, Box<dyn Error>> {
        *numbers.lock()? += 1;
        Ok(*numbers.lock()?)
    }
    fn add_from_any_thread(numbers: &Mutex<u64>) -> Result<u64, Box<dyn Error + Send + Sync>> {
        *numbers.lock()? += 1;
        Ok(*numbers.lock().map_err(LockError::detach)?)
    }
    let segment = Options::new(1 << 14).anonymous().unwrap();
    let numbers = segment.mutex("numbers", 0).unwrap();
    assert_eq!(add(&numbers).unwrap(), 1);
    assert_eq!(add_from_any_thread(&numbers).unwrap(), 2);
    panic_in(&numbers);
    assert!(add(&numbers).unwrap_err().to_string().contains("panicked"));
    assert_eq!(*numbers.lock_or_repair(|n| *n = 70).unwrap(), 70);
    assert_eq!(add(&numbers).unwrap(), 71);
}

/// Panics with the lock held.
fn panic_in(numbers: &Mutex<u64>) {
    let held = numbers.clone();
    let panic = thread::spawn(move || {
        let _guard = held.lock().unwrap();
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(panic.join().is_err());
}
