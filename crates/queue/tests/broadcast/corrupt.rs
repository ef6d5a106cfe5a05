//! What no peer writes is an error, and never a panic, a hang or a look outside.

use shmkit_layout::Offset;

use super::*;

/// Where the words are.
const CAPACITY: u64 = 0;
const CELLS: u64 = 12;
const ROLE: u64 = 16;
const USED: u64 = 20;
const TAIL: u64 = 128;
const RESERVED: u64 = 136;
const CELL: u64 = 256;
const POSITION: u64 = CELL + 8;

fn write(scene: &Scene, at: u64, word: u64) {
    scene.region().write(Offset::<u64>::new(at).unwrap(), word).unwrap();
}

fn write_half(scene: &Scene, at: u64, word: u32) {
    scene.region().write(Offset::<u32>::new(at).unwrap(), word).unwrap();
}

fn is_corrupt<T: std::fmt::Debug>(found: Result<T, BroadcastError>, expected: &str) -> bool {
    matches!(found, Err(BroadcastError::Corrupt { field, .. }) if field == expected)
}

#[test]
fn a_tail_outside_is_told() {
    for (scene, word) in
        [(Scene::new(2), 3), (Scene::new(2), u64::MAX), (Scene::skipping(2), u64::MAX)]
    {
        let mut subscriber = scene.subscriber(1);
        write(&scene, TAIL, word);
        assert!(is_corrupt(subscriber.recv(), "tail"), "{word:#x}");
        assert!(is_corrupt(subscriber.try_recv_batch(&mut [0; 4]), "tail"), "{word:#x}");
        write(&scene, TAIL, u64::MAX);
        assert!(is_corrupt(scene.of(0).publisher(), "tail"));
        assert!(is_corrupt(scene.of(2).subscribe(Start::Oldest), "tail"));
        assert_eq!((scene.of(0).publishing(), scene.of(0).subscribers()), (None, 1));
    }
}

#[test]
fn a_tail_that_went_back_is_told() {
    let scene = Scene::new(4);
    let mut publisher = scene.publisher();
    let mut subscriber = scene.subscriber(1);
    publisher.send_all(&[1, 2]).unwrap();
    assert_eq!((subscriber.recv(), subscriber.recv()), (Ok(1), Ok(2)));
    write(&scene, TAIL, 1);
    assert!(is_corrupt(subscriber.recv(), "tail"));
    assert!(subscriber.is_empty());
}

#[test]
fn places_reserved_too_far_ahead_are_told() {
    for scene in [Scene::new(4), Scene::skipping(4)] {
        let mut subscriber = scene.subscriber(1);
        scene.publisher().send(1).unwrap();
        write(&scene, RESERVED, 1000);
        if scene.spec != BroadcastSpec::new(4) {
            assert!(is_corrupt(subscriber.recv(), "reserved position"));
        }
        assert!(is_corrupt(scene.of(0).publisher(), "reserved position"));
        assert!(is_corrupt(scene.of(2).subscribe(Start::Oldest), "reserved position"));
        assert_eq!(scene.of(0).subscribers(), 1);
    }
}

#[test]
fn a_subscriber_ahead_of_the_tail_is_told_and_one_far_behind_is_a_slow_one() {
    let scene = Scene::new(2);
    let mut publisher = scene.publisher();
    let subscriber = scene.subscriber(1);
    write(&scene, POSITION, 9);
    assert!(is_corrupt(publisher.send(1).map_err(|e| e.error), "subscriber's position"));
    assert!(publisher.is_ready(true), "to be told of it");
    write(&scene, POSITION, 0);
    publisher.send_all(&[1, 2]).unwrap();
    assert_eq!(error(publisher.send_timeout(3, SHORT)), BroadcastError::TimedOut);
    drop(subscriber);
    publisher.send(3).unwrap();
}

#[test]
fn a_cell_or_a_role_of_nobody_is_told() {
    for nobody in [1000, 1 << 31] {
        let scene = Scene::new(BroadcastSpec::new(1).subscribers(1));
        let mut publisher = scene.publisher();
        let mut subscriber = scene.subscriber(1);
        publisher.send(1).unwrap();
        write_half(&scene, CELL, nobody);
        assert!(is_corrupt(publisher.send_timeout(2, LONG).map_err(|e| e.error), "subscriber"));
        assert!(is_corrupt(scene.of(2).subscribe(Start::Newest), "subscriber"));
        assert_eq!(subscriber.recv(), Err(BroadcastError::NotMine));
        write_half(&scene, CELL, 2);
        assert_eq!(subscriber.recv(), Ok(1));
        write_half(&scene, ROLE, nobody);
        assert!(is_corrupt(subscriber.recv_timeout(LONG), "publisher"), "{nobody:#x}");
        assert!(is_corrupt(scene.of(0).publisher(), "publisher"));
        assert_eq!(error(publisher.send(1)), BroadcastError::NotMine);
    }
}

#[test]
fn more_cells_than_there_are_are_all_of_them() {
    let scene = Scene::new(BroadcastSpec::new(2).subscribers(2));
    let mut subscriber = scene.subscriber(1);
    write_half(&scene, USED, u32::MAX);
    assert_eq!(scene.of(0).subscribers(), 1);
    scene.publisher().send(1).unwrap();
    assert_eq!(subscriber.recv(), Ok(1));
}

#[test]
fn a_wrong_capacity_or_number_of_cells_is_refused() {
    let scene = Scene::new(2);
    let attach = |len| {
        // SAFETY: as in `Scene::of`.
        unsafe { Broadcast::<u64, _>::attach(scene.region(), len, &scene.judges[0]) }.map(drop)
    };
    write_half(&scene, CELLS, 0);
    assert!(matches!(attach(2), Err(ShapeError::Corrupt { field: "number of cells", found: 0 })));
    write_half(&scene, CELLS, 60_000);
    assert!(attach(2).is_err(), "there is no room for them");
    write_half(&scene, CELLS, 4);
    write(&scene, CAPACITY, 4);
    assert!(matches!(attach(2), Err(ShapeError::Corrupt { field: "capacity", found: 4 })));
    assert!(attach(3).is_err());
}
