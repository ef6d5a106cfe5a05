//! Entries come, change and go as in the standard map.

use std::collections::HashMap;

use shmkit_collections::{MapError, ShmMap};
use shmkit_layout::{Object, ShapeError};
use shmkit_roster::model::ModelJudge;

use crate::support::Memory;

#[test]
fn what_is_put_in_is_found_by_others_and_what_is_taken_out_is_not() {
    let memory = Memory::new(1 << 20);
    let map = memory.map::<str, [u8]>();
    assert_eq!(map.insert("one", b"1"), Ok(None));
    assert_eq!(map.insert("two", b""), Ok(None));
    let other = memory.open::<str, [u8]>(1).unwrap();
    assert_eq!(other.get("one"), Ok(Some(b"1".to_vec())));
    assert_eq!(other.get("two"), Ok(Some(Vec::new())));
    assert_eq!(other.get("three"), Ok(None));
    assert_eq!(other.insert("one", &[7; 5000]), Ok(Some(b"1".to_vec())));
    assert_eq!(map.read("one", <[u8]>::len), Ok(Some(5000)));
    assert_eq!((map.len(), map.contains_key("two")), (2, Ok(true)));
    assert_eq!(map.remove("two"), Ok(Some(Vec::new())));
    assert_eq!(map.remove("two"), Ok(None));
    assert_eq!((other.len(), other.contains_key("two"), other.is_empty()), (1, Ok(false), false));
    other.clear().unwrap();
    assert!(map.is_empty());
    assert_eq!(map.check().unwrap().kept_blocks, 0);
}

#[test]
fn operations_in_any_order_are_answered_as_the_standard_map_does() {
    let memory = Memory::new(1 << 21);
    let map = memory.map::<u32, [u64; 3]>();
    let mut model = HashMap::new();
    let mut random = fastrand::Rng::with_seed(11);
    for step in 0..20_000_u64 {
        // Few keys, so that most steps meet one.
        let (key, value) = (random.u32(..400), [step; 3]);
        match random.u32(..10) {
            0..4 => assert_eq!(map.insert(&key, &value), Ok(model.insert(key, value))),
            4..6 => assert_eq!(map.remove(&key), Ok(model.remove(&key))),
            6 => {
                let changed = model.get_mut(&key).map(|value| {
                    value[1] += 1;
                    *value
                });
                assert_eq!(map.update(&key, |value| value[1] += 1), Ok(changed));
            }
            7 => {
                let expected = *model.entry(key).or_insert(value);
                assert_eq!(map.get_or_insert_with(&key, || value), Ok(expected));
            }
            _ => assert_eq!(map.get(&key), Ok(model.get(&key).copied())),
        }
        assert_eq!(map.len(), model.len() as u64);
    }
    map.retain(|key, _| key % 3 == 0).unwrap();
    model.retain(|key, _| key % 3 == 0);
    let mut entries = map.entries().unwrap();
    let mut expected: Vec<_> = model.into_iter().collect();
    entries.sort_unstable();
    expected.sort_unstable();
    assert_eq!(entries, expected);
    let account = map.check().unwrap();
    assert!(account.is_complete(), "{account}");
    assert_eq!((account.kept_blocks, account.reserved_blocks), (entries.len() as u64, 0));
}

#[test]
fn a_full_map_says_so_and_keeps_what_it_has() {
    let memory = Memory::new(1 << 17);
    let map = memory.map::<u64, [u8; 200]>();
    let error = (0..).find_map(|key| map.insert(&key, &[key as u8; 200]).err()).unwrap();
    let MapError::Full { entry: 240, len } = error else { panic!("{error}") };
    assert_eq!(len, map.len());
    assert!(len > 300, "{len}");
    assert_eq!(map.update(&3, |value| value[0] = 9).unwrap_err(), error);
    for key in 0..len {
        assert_eq!(map.get(&key), Ok(Some([key as u8; 200])));
    }
    assert!(error.to_string().contains("240 bytes"), "{error}");
    map.remove(&0).unwrap();
    map.insert(&len, &[1; 200]).unwrap();
}

#[test]
fn a_change_that_panics_changes_nothing() {
    let memory = Memory::new(1 << 18);
    let map = memory.map::<u8, u64>();
    map.insert(&1, &5).unwrap();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        map.update(&1, |value| {
            *value = 6;
            std::panic::resume_unwind(Box::new(()));
        })
    }));
    assert!(caught.is_err());
    assert_eq!(map.get(&1), Ok(Some(5)));
    assert_eq!(map.check().unwrap().reserved_blocks, 0);
}

#[test]
fn other_types_have_another_tag() {
    type Judge<'a> = &'a ModelJudge;
    let tags = [
        <ShmMap<u32, u64, Judge<'_>> as Object<Judge<'_>>>::TAG,
        <ShmMap<u64, u32, Judge<'_>> as Object<Judge<'_>>>::TAG,
        <ShmMap<str, u32, Judge<'_>> as Object<Judge<'_>>>::TAG,
        <ShmMap<[u8], u32, Judge<'_>> as Object<Judge<'_>>>::TAG,
    ];
    assert_eq!(tags[0].to_string(), "u32 => u64");
    assert!((1..4).all(|n| !tags[..n].contains(&tags[n])), "{tags:?}");
}

#[test]
fn a_size_that_no_map_can_have_is_refused() {
    for bytes in [0, 1 << 16, (1 << 35) + 1, u64::MAX] {
        let shape = <ShmMap<u8, u8, &ModelJudge> as Object<&ModelJudge>>::shape(&bytes.into(), 64);
        assert!(matches!(shape, Err(ShapeError::Length { .. })), "{bytes}");
    }
}

#[test]
fn what_is_done_with_a_place_is_one_operation() {
    let memory = Memory::new(1 << 20);
    let map = memory.map::<str, u64>();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let mine = memory.open::<str, u64>(n).unwrap();
            scope.spawn(move || {
                for _ in 0..2000 {
                    for word in ["the", "of"] {
                        let place = mine.entry(word).unwrap();
                        place.and_modify(|n| *n += 1).unwrap().or_insert(1).unwrap();
                    }
                }
            });
        }
    });
    assert_eq!((map.get("the"), map.get("of")), (Ok(Some(8000)), Ok(Some(8000))));
    let mut place = map.entry("the").unwrap();
    assert_eq!((place.key(), place.remove(), place.get()), ("the", Ok(Some(8000)), Ok(None)));
    assert_eq!((place.insert(&3), place.insert(&4)), (Ok(None), Ok(Some(3))));
    assert_eq!(place.or_insert_with(|| unreachable!()), Ok(4));
    let texts = Memory::new(1 << 18);
    let texts = texts.map::<u8, str>();
    for _ in 0..3 {
        let place = texts.entry(&1).unwrap();
        place.and_modify(|text| text.push('b')).unwrap().or_insert("a".into()).unwrap();
    }
    assert_eq!(texts.get(&1).unwrap().as_deref(), Some("abb"));
    assert_eq!((map.check().unwrap().kept_blocks, texts.check().unwrap().kept_blocks), (2, 1));
}

#[test]
fn who_goes_through_a_map_finds_what_is_there_all_the_time_once() {
    let memory = Memory::new(1 << 20);
    let map = memory.map::<u32, [u32; 8]>();
    (0..1000).try_for_each(|n| map.insert(&n, &[n; 8]).map(drop)).unwrap();
    let mut found = Vec::new();
    for entry in map.iter() {
        let (key, value) = entry.unwrap();
        assert_eq!(value, [value[0]; 8]);
        found.push(key);
        // No lock is held between two: those that come and go may be met or not.
        map.insert(&(key + 10_000), &[key; 8]).unwrap();
        map.remove(&(key + 10_000)).unwrap();
    }
    found.retain(|key| *key < 10_000);
    found.sort_unstable();
    assert!(found.into_iter().eq(0..1000));
    assert_eq!((map.keys().count(), map.values().filter(Result::is_ok).count()), (1000, 1000));
}
