//! A snapshot: its one writer, its readers, and who waits for a change.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use shmkit_cell::{Snapshot, SnapshotError};
use shmkit_layout::{Object, ShapeError};
use shmkit_roster::Judge;
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{LockFailure, Patience};

use crate::support::{Memory, attach, make};

type Wide = [u64; 64];

fn three() -> [ModelJudge; 3] {
    ModelJudge::new(3).try_into().unwrap()
}

#[test]
fn what_is_stored_is_loaded_with_its_version() {
    let [me, other, _] = three();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    let snapshot: Snapshot<Wide, _> = make(region, [1; 64], &me);
    let reader: Snapshot<Wide, _> = attach(region, 1, &other);
    assert_eq!(reader.load_with_version(), Ok((0, [1; 64])));
    let mut writer = snapshot.writer().unwrap();
    writer.store([2; 64]).unwrap();
    assert_eq!((writer[3], writer.version()), (2, 1));
    assert_eq!(writer.update(|all| std::mem::replace(&mut all[0], 9)), Ok(2));
    let (version, found) = reader.load_with_version().unwrap();
    assert_eq!((version, found[0], found[1]), (2, 9, 2));
    assert_eq!(reader.version(), 2);
}

#[test]
fn there_is_one_writer_at_a_time() {
    let [me, other, third] = three();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    let snapshot: Snapshot<u64, _> = make(region, 1_u64, &me);
    let theirs: Snapshot<u64, _> = attach(region, 1, &other);
    assert_eq!(snapshot.writing(), None);
    let mut writer = snapshot.try_writer().unwrap();
    assert_eq!(theirs.try_writer().unwrap_err(), LockFailure::WouldBlock);
    assert_eq!(snapshot.try_writer().unwrap_err(), LockFailure::WouldBlock, "ours counts, too");
    let limit = Duration::from_millis(5);
    assert_eq!(theirs.writer_timeout(limit).unwrap_err(), LockFailure::TimedOut);
    writer.store(2).unwrap();
    drop(writer);
    let mut writer = theirs.writer_timeout(limit).unwrap();
    writer.store(3).unwrap();
    std::mem::forget(writer);
    other.die();
    let heir: Snapshot<u64, _> = attach(region, 1, &third);
    assert_eq!(*heir.try_writer().unwrap(), 3, "the dead one's role is inherited");
}

#[test]
fn a_panic_in_an_update_leaves_the_old_value_and_the_role() {
    let [me, ..] = three();
    let mut memory = Memory::<4096>::new();
    let snapshot: Snapshot<Wide, _> = make(memory.region(), [1; 64], &me);
    let mut writer = snapshot.writer().unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        writer.update(|all| {
            all[0] = 2;
            panic!("in the middle");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(snapshot.load_with_version(), Ok((0, [1; 64])));
    writer.store([3; 64]).unwrap();
    assert_eq!(snapshot.load(), Ok([3; 64]));
}

#[test]
fn who_is_no_participant_reads_and_can_neither_write_nor_wait() {
    let [me, other, _] = three();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    let _: Snapshot<u64, _> = make(region, 1_u64, &me);
    let child = other.forked();
    let theirs: Snapshot<u64, _> = attach(region, 1, &child);
    assert_eq!((theirs.load(), theirs.version()), (Ok(1), 0));
    assert_eq!(theirs.try_writer().unwrap_err(), LockFailure::NotJoined);
    assert_eq!(theirs.wait_changed(0), Err(SnapshotError::NotJoined));
}

#[test]
fn a_wait_for_a_change_ends_with_it_or_with_its_patience() {
    let [me, other, third] = three();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    let snapshot: Snapshot<u64, _> = make(region, 1_u64, &me);
    let theirs: Snapshot<u64, _> = attach(region, 1, &other);
    let limit = Duration::from_millis(5);
    assert_eq!(theirs.wait_changed_timeout(0, limit), Err(SnapshotError::TimedOut));
    assert_eq!(theirs.wait_changed_deadline(0, Instant::now()), Err(SnapshotError::TimedOut));
    assert_eq!(theirs.wait_changed(7), Ok(0), "any other version is a change");
    let peer = third.me().unwrap();
    let waiting = thread::scope(|scope| {
        let waiting = scope.spawn(|| theirs.wait_changed(0));
        snapshot.writer().unwrap().store(2).unwrap();
        waiting.join().unwrap()
    });
    assert_eq!(waiting, Ok(1));
    third.die();
    let alive = Patience::ENDLESS.while_alive(peer);
    assert_eq!(theirs.wait_changed_deadline(1, alive), Err(SnapshotError::PeerDied(peer.into())));
}

#[test]
fn readers_see_whole_values_in_order_beside_a_writer_that_never_rests() {
    let [me, other, third] = three();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    let snapshot: Snapshot<Wide, _> = make(region, [0; 64], &me);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for judge in [&other, &third] {
            let reader: Snapshot<Wide, _> = attach(region, 1, judge);
            scope.spawn({
                let done = &done;
                move || {
                    let mut before = 0;
                    while !done.load(Ordering::Relaxed) {
                        let (version, found) = reader.load_with_version().unwrap();
                        assert_eq!(found, [version; 64]);
                        assert!(version >= before);
                        before = version;
                    }
                }
            });
        }
        let mut writer = snapshot.writer().unwrap();
        for n in 1..=50_000 {
            writer.store([n; 64]).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(snapshot.version(), 50_000);
}

#[test]
fn a_region_that_is_too_small_is_refused() {
    let [me, ..] = three();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    let shape = <Snapshot<Wide, &ModelJudge> as Object<_>>::shape(&[0; 64], 3).unwrap();
    assert_eq!(shape.bytes, 32 + 2 * 512);
    let short = region.sub(0, shape.bytes - 1).unwrap();
    // SAFETY: fresh, zeroed bytes.
    let error = unsafe { Snapshot::<Wide, _>::init(short, [0; 64], &me) }.unwrap_err();
    assert!(matches!(error, ShapeError::Place(_)), "{error}");
    // SAFETY: refused before anything is read.
    let error = unsafe { Snapshot::<Wide, _>::attach(region, 2, &me) }.unwrap_err();
    assert_eq!(error, ShapeError::Length { found: 2, min: 1, max: 1 });
}
