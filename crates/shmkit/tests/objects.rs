//! Every kind of object by its name.

use shmkit::{
    Array, AtomicArray, ObjectErrorKind, Objects, Options, OutOfRange, Segment, ShapeError, Value,
};

fn segment() -> Segment {
    Options::new(1 << 19).anonymous().unwrap()
}

#[test]
fn every_kind_is_made_and_found_again() {
    let segment = segment();
    for _ in 0..2 {
        segment.value("value", 7_i64).unwrap();
        segment.array("array", [1_u8, 2, 3]).unwrap();
        segment.atomic("atomic", 9_u32).unwrap();
        segment.atomic_array("atomics", vec![1.5_f64; 4]).unwrap();
        segment.mutex("mutex", [0_i32; 3]).unwrap();
        segment.rwlock("rwlock", [0_u16; 2]).unwrap();
        segment.semaphore("semaphore", 3).unwrap();
        segment.reentrant_mutex("reentrant", 5_i64).unwrap();
        segment.condvar("condvar").unwrap();
        segment.lock("lock").unwrap();
        segment.rlock("rlock").unwrap();
        segment.pipe::<u16>("pipe", 100).unwrap();
        segment.event("event").unwrap();
        segment.counting_semaphore("counting", 3).unwrap();
        segment.bounded_semaphore("bounded", 3).unwrap();
        segment.once("once").unwrap();
        segment.barrier("barrier", 3).unwrap();
        segment.once_cell::<[u8; 3]>("cell").unwrap();
        segment.heap("heap", 1 << 16).unwrap();
        segment.map::<str, u32>("map", 1 << 17).unwrap();
    }
    let shown: Vec<String> =
        segment.objects().unwrap().iter().map(|entry| entry.shape.to_string()).collect();
    assert_eq!(
        shown,
        [
            "value of i64 (8 bytes)",
            "array of u8 (1 byte), length 3",
            "atomic of u32 (4 bytes)",
            "atomics of f64 (8 bytes), length 4",
            "mutex of [i32; 3] (12 bytes)",
            "rwlock of [u16; 2] (4 bytes)",
            "semaphore, length 3",
            "reentrant mutex of i64 (8 bytes)",
            "condvar",
            "lock",
            "rlock",
            "pipe of u16 (2 bytes), length 128",
            "event",
            "counting semaphore, length 2147483647",
            "counting semaphore, length 3",
            "once",
            "barrier, length 3",
            "once cell of [u8; 3] (3 bytes)",
            "heap, length 65536",
            "map of str => u32, length 131072",
        ]
    );
}

#[test]
fn what_is_there_keeps_its_contents() {
    let segment = segment();
    segment.value("value", 7_i64).unwrap().set(8).unwrap();
    assert_eq!(segment.value("value", 7_i64).unwrap().get(), Ok(8));
    segment.array("array", [1, 2, 3]).unwrap().set(0, 9).unwrap();
    assert_eq!(segment.array::<i32>("array", 3).unwrap().to_vec().unwrap(), [9, 2, 3]);
    assert_eq!(segment.find::<Array<i32>>("array").unwrap().len(), 3);
}

#[test]
fn another_kind_type_or_length_is_refused_with_both_sides_named() {
    let segment = segment();
    segment.array("row", [1_i32, 2, 3]).unwrap();
    for (error, asked) in [
        (segment.array::<i64>("row", 3).unwrap_err(), "array of i64"),
        (segment.atomic_array::<i32>("row", 3).unwrap_err(), "atomics of i32"),
        (segment.value("row", 3_i32).unwrap_err(), "value of i32"),
        (segment.array::<i32>("row", 4).unwrap_err(), "length 4"),
        (segment.find::<Value<i32>>("row").unwrap_err(), "value of i32"),
    ] {
        assert_eq!(error.kind(), ObjectErrorKind::WrongShape, "{error}");
        let text = error.to_string();
        assert!(text.contains("\"row\"") && text.contains("array of i32"), "{text}");
        assert!(text.contains(asked), "{text}: expected {asked}");
    }
}

#[test]
fn absurd_lengths_are_refused() {
    let segment = segment();
    let error = segment.array::<u64>("row", usize::MAX).unwrap_err();
    assert_eq!(error.kind(), ObjectErrorKind::InvalidSpec, "{error}");
    let shape = std::error::Error::source(&error).and_then(|error| error.downcast_ref());
    assert!(matches!(shape, Some(ShapeError::Length { min: 0, .. })), "{error:?}");
    let error = segment.array::<u64>("row", 1 << 40).unwrap_err();
    assert_eq!(error.kind(), ObjectErrorKind::NoRoom, "{error}");
    assert!(segment.semaphore("none", 0).is_err());
    assert!(segment.objects().unwrap().is_empty());
}

#[test]
fn an_array_of_no_elements_is_possible() {
    let segment = segment();
    assert!(segment.array::<u64>("none", 0).unwrap().is_empty());
    assert!(segment.atomic_array::<u64>("no cells", 0).unwrap().is_empty());
    assert!(segment.array::<u64>("none", 0).unwrap().to_vec().unwrap().is_empty());
    let none = segment.find::<AtomicArray<u64>>("no cells").unwrap();
    assert_eq!(none.at(0).unwrap_err(), OutOfRange { index: 0, len: 0 });
    segment.value("after", 1_u8).unwrap();
    assert_eq!(segment.objects().unwrap().len(), 3);
}
