//! Values and arrays between processes.

use std::time::Duration;

use shmkit::{
    Array, ArrayError, Atomic, LockError, LockFailure, Objects, Options, Segment, ShmSafe, Value,
};
use shmkit_tests::cell::{Fields, ROUNDS, Wide};

use crate::support::{By, Peer, wait_until};

const TEN: [i32; 10] = [680, 626, 934, 821, 150, 233, 548, 982, 714, 831];

fn segment() -> Segment {
    Options::new(1 << 16).anonymous().unwrap()
}

#[track_caller]
fn peer(by: By, segment: &Segment, script: &str, args: &[&str]) -> Peer {
    by.peer(&format!("cell/{script}"), args, segment)
}

/// Plays a scene with a freshly executed peer and with a forked one, each in a segment of its own.
fn both(scene: impl Fn(By, &Segment)) {
    for by in By::ALL {
        scene(by, &segment());
    }
}

#[track_caller]
fn value<T: ShmSafe>(segment: &Segment, name: &str) -> T {
    segment.find::<Value<T>>(name).unwrap().get().unwrap()
}

#[test]
fn val_01_a_child_reads_and_stores_values_of_every_type() {
    both(|by, segment| {
        segment.value("i", 4343_i32).unwrap();
        segment.value("d", 3.625_f64).unwrap();
        segment.value("h", -232_i16).unwrap();
        segment.value("q", 1_i64 << 33).unwrap();
        segment.value("c", b'x').unwrap();
        peer(by, segment, "values", &[]).join();
        assert_eq!(value::<i32>(segment, "i"), 24234);
        assert_eq!(value::<f64>(segment, "d"), -4.25);
        assert_eq!(value::<i16>(segment, "h"), 234);
        assert_eq!(value::<i64>(segment, "q"), 1 << 34);
        assert_eq!(value::<u8>(segment, "c"), b'y');
    });
}

#[test]
fn val_02_a_child_reads_and_stores_lock_free_cells_of_every_type() {
    both(|by, segment| {
        let i = segment.atomic("i", 4343_i32).unwrap();
        let d = segment.atomic("d", 3.625_f64).unwrap();
        let h = segment.atomic("h", -232_i16).unwrap();
        let q = segment.atomic("q", 1_i64 << 33).unwrap();
        let c = segment.atomic("c", b'x').unwrap();
        peer(by, segment, "raw-values", &[]).join();
        let found = (i.load(), d.load(), h.load(), q.load(), c.load());
        assert_eq!(found, (24234, -4.25, 234, 1 << 34, b'y'));
    });
}

/// VAL-07 (lock-free `fetch_add` is exact) and VAL-08 (so is `update` under the lock).
#[test]
fn val_07_val_08_two_processes_lose_no_count() {
    both(|by, segment| {
        let mut peers = [(); 2].map(|()| peer(by, segment, "count", &[]));
        peers.iter_mut().for_each(|peer| peer.expect("ready"));
        peers.iter_mut().for_each(|peer| peer.say("go"));
        peers.iter_mut().for_each(|peer| peer.expect("done"));
        peers.into_iter().for_each(Peer::join);
        assert_eq!(value::<u64>(segment, "value"), 2 * ROUNDS);
        assert_eq!(segment.find::<Atomic<u64>>("atomic").unwrap().load(), 2 * ROUNDS);
    });
}

/// VAL-09: what does not fit is refused, not wrapped.
#[test]
fn val_09_a_conversion_never_wraps() {
    let segment = segment();
    let locked = segment.value("locked", 5_i32).unwrap();
    let free = segment.atomic("free", 5_i32).unwrap();
    assert!(locked.set_from(1_i64 << 31).is_err());
    assert!(free.store_from(1_i64 << 31).is_err());
    assert_eq!((locked.get().unwrap(), free.load()), (5, 5));
}

/// VAL-11 and ARR-05: a new object is zero, whatever was written to the ones before.
#[test]
fn val_11_arr_05_every_new_array_is_zero() {
    let segment = segment();
    for name in ["one", "two", "three"] {
        let row = segment.array::<i32>(name, 10).unwrap();
        assert_eq!(row.to_vec().unwrap(), [0; 10]);
        row.fill(-1).unwrap();
        let cells = segment.atomic_array::<u8>(&format!("{name} raw"), 10).unwrap();
        assert_eq!(cells.to_vec(), [0; 10]);
        cells.iter().for_each(|cell| cell.store(0xff));
    }
}

#[test]
fn arr_03_a_child_makes_prefix_sums_in_place() {
    let sums: Vec<i32> = TEN
        .iter()
        .scan(0, |sum, n| {
            *sum += n;
            Some(*sum)
        })
        .collect();
    both(|by, segment| {
        let row = segment.array("row", TEN).unwrap();
        peer(by, segment, "prefix-sums", &[]).join();
        assert_eq!(row.to_vec().unwrap(), sums);
    });
}

#[test]
fn arr_04_a_child_makes_prefix_sums_without_a_lock() {
    let sums: Vec<i32> = TEN
        .iter()
        .scan(0, |sum, n| {
            *sum += n;
            Some(*sum)
        })
        .collect();
    both(|by, segment| {
        let row = segment.atomic_array("row", TEN).unwrap();
        assert_eq!((row.len(), row.at(3).unwrap().load()), (10, 821));
        assert_eq!(row.to_vec()[2..7], TEN[2..7]);
        peer(by, segment, "raw-prefix-sums", &[]).join();
        assert_eq!(row.to_vec(), sums);
    });
}

/// ARR-15: a child doubles everything, under locks.
#[test]
fn arr_15_a_child_doubles_everything() {
    let fields = Fields { x: 7, pad: 0, y: 1.0 / 3.0, z: 1 << 33 };
    both(|by, segment| {
        segment.value("x", 7_i32).unwrap();
        segment.value("y", 1.0_f64 / 3.0).unwrap();
        segment.value("z", 1_i64 << 33).unwrap();
        segment.value("fields", fields).unwrap();
        let numbers: Vec<f64> = (0..10).map(f64::from).collect();
        let row = segment.array("row", numbers).unwrap();
        let text = segment.array::<u8>("text", 20).unwrap();
        text.write_range(..5, b"hello").unwrap();
        peer(by, segment, "double", &[]).join();
        assert_eq!(value::<i32>(segment, "x"), 14);
        assert_eq!(value::<f64>(segment, "y"), 2.0 / 3.0);
        assert_eq!(value::<i64>(segment, "z"), 1 << 34);
        let doubled = Fields { x: 14, pad: 0, y: 2.0 / 3.0, z: 1 << 34 };
        assert_eq!(value::<Fields>(segment, "fields"), doubled);
        assert!(row.iter().unwrap().eq((0..10).map(|n| f64::from(2 * n))));
        assert_eq!(text.to_vec().unwrap(), *b"hellohello\0\0\0\0\0\0\0\0\0\0");
    });
}

/// ARR-14: the same without locks, a structure field by field.
#[test]
fn arr_14_a_child_doubles_everything_without_locks() {
    both(|by, segment| {
        let x = segment.atomic("x", 7_i32).unwrap();
        let y = segment.atomic("y", 1.0_f64 / 3.0).unwrap();
        let z = segment.atomic("z", 1_i64 << 33).unwrap();
        let numbers: Vec<f64> = (0..10).map(f64::from).collect();
        let row = segment.atomic_array("row", numbers).unwrap();
        let text = segment.atomic_array("text", *b"hello\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0").unwrap();
        peer(by, segment, "raw-double", &[]).join();
        assert_eq!((x.load(), y.load(), z.load()), (14, 2.0 / 3.0, 1 << 34));
        assert!(row.iter().map(|n| n.load()).eq((0..10).map(|n| f64::from(2 * n))));
        assert_eq!(text.to_vec(), *b"hellohello\0\0\0\0\0\0\0\0\0\0");
    });
}

/// Lets a peer stop at `place`, where it holds a lock.
#[track_caller]
fn stopped(by: By, segment: &Segment, place: &str) -> Peer {
    segment.value("value", [1_u64; 64]).unwrap();
    segment.array("row", [1_u64; 5]).unwrap();
    let mut peer = peer(by, segment, "stop", &[place]);
    peer.expect("inside");
    wait_until(|| peer.state() == 'T');
    peer
}

#[test]
fn a_writer_killed_in_an_update_leaves_the_old_value() {
    for place in ["update", "value-guard"] {
        both(|by, segment| {
            let peer = stopped(by, segment, place);
            let value = segment.find::<Value<[u64; 64]>>("value").unwrap();
            assert_eq!(value.try_get(), Err(LockFailure::WouldBlock));
            // Stopped is not dead: it may go on at any time.
            let limit = Duration::from_millis(100);
            assert_eq!(value.get_timeout(limit), Err(LockFailure::TimedOut));
            peer.kill();
            assert_eq!(value.get_timeout(Duration::from_secs(10)), Ok([1; 64]), "{place}");
            value.update(|n| n[0] = 3).unwrap();
            assert_eq!(value.try_get().unwrap()[..2], [3, 1]);
        });
    }
}

#[test]
fn a_sleeping_reader_gets_past_a_killed_writer() {
    both(|by, segment| {
        let writer = stopped(by, segment, "update");
        let mut reader = peer(by, segment, "get", &[]);
        reader.expect("ready");
        reader.wait_until_in_futex();
        writer.kill();
        reader.expect("1");
        reader.join();
    });
}

#[test]
fn a_writer_killed_in_an_element_leaves_the_old_one_and_tells_nobody() {
    both(|by, segment| {
        let peer = stopped(by, segment, "element");
        let row = segment.find::<Array<u64>>("row").unwrap();
        assert!(matches!(row.try_lock(), Err(LockError::Failed(LockFailure::WouldBlock))));
        peer.kill();
        assert_eq!(row.to_vec().unwrap(), [1; 5]);
        row.set(3, 4).unwrap();
        assert_eq!(*row.lock().unwrap(), [1, 1, 1, 4, 1]);
    });
}

#[test]
fn a_killed_bulk_writer_is_reported_until_somebody_answers_for_the_array() {
    both(|by, segment| {
        stopped(by, segment, "bulk").kill();
        let row = segment.find::<Array<u64>>("row").unwrap();
        assert_eq!(row.get(4), Err(ArrayError::OwnerDied));
        assert_eq!(row.set(4, 9), Err(ArrayError::OwnerDied));
        let limit = Duration::from_secs(10);
        let Err(LockError::OwnerDied(mut guard)) = row.lock_timeout(limit) else {
            panic!("a writer died in the middle")
        };
        assert_eq!(*guard, [2, 2, 1, 1, 1], "as far as it got");
        guard.fill(7);
        guard.make_consistent();
        drop(guard);
        assert_eq!(row.to_vec().unwrap(), [7; 5]);
    });
}

#[test]
fn a_killed_reader_leaves_no_trace() {
    both(|by, segment| {
        stopped(by, segment, "reader").kill();
        let row = segment.find::<Array<u64>>("row").unwrap();
        assert_eq!(*row.lock().unwrap(), [1; 5]);
    });
}

#[test]
fn a_stopped_writer_that_goes_on_has_lost_nothing() {
    let segment = Options::new(1 << 18).anonymous().unwrap();
    let value = segment.value::<Wide>("value", [0; 2048]).unwrap();
    segment.array::<Wide>("rows", 3).unwrap();
    let rounds = segment.atomic("rounds", 0_u64).unwrap();
    let mut writer = peer(By::Exec, &segment, "write-for-ever", &[]);
    writer.expect("ready");
    writer.stop();
    // It may hold the lock, and then nobody takes it away.
    match value.get_timeout(Duration::from_millis(50)) {
        Ok(now) => assert!(now.iter().all(|n| *n == now[0])),
        Err(failure) => assert_eq!(failure, LockFailure::TimedOut),
    }
    let before = rounds.load();
    writer.resume();
    wait_until(|| rounds.load() > before + 10);
    writer.kill();
    let now = value.get().unwrap();
    assert!(now.iter().all(|n| *n == now[0]));
}

/// Each of the writers is killed wherever it happens to be. Without the spare slot or without the journal this fails.
#[test]
fn writers_killed_anywhere_leave_whole_values() {
    const KILLS: u64 = 60;
    let segment = Options::new(1 << 18).anonymous().unwrap();
    let value = segment.value::<Wide>("value", [0; 2048]).unwrap();
    let rows = segment.array::<Wide>("rows", 3).unwrap();
    let rounds = segment.atomic("rounds", 0_u64).unwrap();
    for kill in 0..KILLS {
        let by = if kill % 10 == 0 { By::Exec } else { By::Fork };
        let before = rounds.load();
        let mut writer = peer(by, &segment, "write-for-ever", &[]);
        writer.expect("ready");
        wait_until(|| rounds.load() >= before + kill);
        writer.kill();
        let now = value.get().unwrap();
        assert!(now.iter().all(|n| *n == now[0]), "kill {kill}: torn value");
        for row in rows.iter().expect("elements need no repair") {
            assert!(row.iter().all(|n| *n == row[0]), "kill {kill}: torn element");
        }
    }
}

#[test]
fn a_forked_child_cannot_write_through_an_inherited_guard() {
    let segment = segment();
    let value = segment.value("value", 1_u64).unwrap();
    let row = segment.array("row", [1_u64; 5]).unwrap();
    let mut guards = Some((value.lock().unwrap(), row.lock().unwrap()));
    let child = Peer::fork("inherit", |_channel| {
        let (mut number, mut elements) = guards.take().unwrap();
        let write = std::panic::AssertUnwindSafe(|| *number = 2);
        assert!(std::panic::catch_unwind(write).is_err());
        assert!(number.commit().is_err());
        drop(number);
        assert!(elements.set(0, 2).is_err());
        let write = std::panic::AssertUnwindSafe(|| elements[0] = 2);
        assert!(std::panic::catch_unwind(write).is_err());
        drop(elements);
        assert_eq!(value.set(3), Err(LockFailure::NotJoined));
        assert_eq!(row.set(0, 3), Err(ArrayError::Failed(LockFailure::NotJoined)));
    });
    child.join();
    assert_eq!(value.try_get(), Err(LockFailure::WouldBlock), "the parent still holds it");
    assert!(row.try_lock().is_err());
    drop(guards);
    assert_eq!((value.get().unwrap(), row.to_vec().unwrap()), (1, vec![1; 5]));
}
