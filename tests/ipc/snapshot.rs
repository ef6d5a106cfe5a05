//! Snapshots between processes: one writer, who may be killed, and any number of readers.

use std::time::Duration;

use shmkit::{LockFailure, NotOwner, Objects, Options, Patience, Segment, Snapshot, SnapshotError};
use shmkit_tests::cell::Wide;

use crate::support::{By, Peer, wait_until};

const LIMIT: Duration = Duration::from_secs(10);

fn segment() -> (Segment, Snapshot<Wide>) {
    let segment = Options::new(1 << 17).anonymous().unwrap();
    let snapshot = segment.snapshot_with::<Wide>("snapshot", |_| {}).unwrap();
    (segment, snapshot)
}

#[track_caller]
fn peer(by: By, segment: &Segment, script: &str) -> Peer {
    by.peer(&format!("cell/{script}"), &[], segment)
}

fn is_whole(snapshot: &Snapshot<Wide>) -> u64 {
    let (version, found) = snapshot.load_with_version().unwrap();
    assert!(found.iter().all(|n| *n == found[0]), "a torn value");
    version
}

#[test]
fn a_reader_in_another_process_sees_whole_values_and_every_last_one() {
    for by in By::ALL {
        let (segment, snapshot) = segment();
        let mut reader = peer(by, &segment, "snapshot-read");
        reader.expect("ready");
        let mut writer = snapshot.writer().unwrap();
        for n in 1..=2000 {
            writer.store([n; 2048]).unwrap();
        }
        // It waits for the change after the last one that it has seen, until it has seen this.
        writer.store([u64::MAX; 2048]).unwrap();
        reader.expect("seen the end");
        reader.join();
    }
}

/// Each of the writers is killed wherever it happens to be; the next one takes over.
#[test]
fn a_writer_that_was_killed_anywhere_leaves_a_whole_value_and_its_role() {
    let (segment, snapshot) = segment();
    for kill in 0..40 {
        let by = if kill % 10 == 0 { By::Exec } else { By::Fork };
        let before = snapshot.version();
        let mut writer = peer(by, &segment, "snapshot-write-for-ever");
        writer.expect("ready");
        wait_until(|| snapshot.version() >= before + kill);
        assert_eq!(snapshot.try_writer().unwrap_err(), LockFailure::WouldBlock);
        writer.kill();
        let left = is_whole(&snapshot);
        let mut heir = snapshot.writer_timeout(LIMIT).unwrap();
        assert_eq!((heir.version(), heir[0]), (left, heir[2047]));
        heir.update(|all| all.fill(kill)).unwrap();
        assert_eq!(is_whole(&snapshot), left + 1);
    }
}

#[test]
fn a_stopped_writer_keeps_its_role_and_no_reader_waits_for_it() {
    let (segment, snapshot) = segment();
    let mut writer = peer(By::Exec, &segment, "snapshot-write-for-ever");
    writer.expect("ready");
    wait_until(|| snapshot.version() > 10);
    writer.stop();
    let seen = is_whole(&snapshot);
    assert_eq!(is_whole(&snapshot), seen);
    let limit = Duration::from_millis(50);
    assert_eq!(snapshot.writer_timeout(limit).unwrap_err(), LockFailure::TimedOut);
    assert_eq!(snapshot.wait_changed_timeout(seen, limit), Err(SnapshotError::TimedOut));
    writer.resume();
    assert!(snapshot.wait_changed_timeout(seen, LIMIT).unwrap() > seen);
    writer.kill();
}

#[test]
fn a_wait_for_a_change_ends_with_the_life_of_the_writer_if_it_is_to() {
    let (segment, snapshot) = segment();
    let mut writer = peer(By::Exec, &segment, "snapshot-hold");
    writer.expect("ready");
    let who = snapshot.writing().unwrap();
    let seen = snapshot.version();
    let mut standby = peer(By::Fork, &segment, "snapshot-stand-by");
    standby.expect("ready");
    standby.wait_until_in_futex();
    writer.kill();
    let alive = Patience::from(LIMIT).while_alive(who);
    match snapshot.wait_changed_deadline(seen, alive) {
        Err(SnapshotError::PeerDied(dead)) => assert_eq!(dead, who.into()),
        // Who stood by was faster.
        other => assert_eq!(other, Ok(seen + 1)),
    }
    assert_eq!(snapshot.wait_changed_timeout(seen, LIMIT), Ok(seen + 1));
    standby.join();
}

#[test]
fn a_forked_child_reads_and_does_not_write_through_an_inherited_writer() {
    let (_segment, snapshot) = segment();
    let mut writer = Some(snapshot.writer().unwrap());
    let child = Peer::fork("inherit", |_channel| {
        let mut writer = writer.take().unwrap();
        assert_eq!(writer.store([2; 2048]), Err(NotOwner));
        assert_eq!(writer.update(|all| all[0] = 2), Err(NotOwner));
        drop(writer);
        assert_eq!(is_whole(&snapshot), 0);
        assert_eq!(snapshot.wait_changed(0), Err(SnapshotError::NotJoined));
    });
    child.join();
    let mut writer = writer.unwrap();
    writer.store([1; 2048]).unwrap();
    assert_eq!(snapshot.load().unwrap()[0], 1);
}
