//! A map that evicts.

use shmkit_collections::MapSpec;

use crate::support::Memory;

#[test]
fn what_nobody_asks_for_makes_room_and_what_somebody_asks_for_stays() {
    let memory = Memory::new(1 << 18);
    let map = memory.make::<u64, [u8; 100]>(MapSpec::bytes(1 << 18).evicting());
    for key in 0..20_000 {
        map.insert(&key, &[key as u8; 100]).expect("there is always room");
        assert_eq!(map.get(&0), Ok(Some([0; 100])), "asked for all the time, at {key}");
        assert_eq!(map.get(&key), Ok(Some([key as u8; 100])), "just put in");
    }
    assert!((500..3000).contains(&map.len()), "{}", map.len());
    assert!(map.check().unwrap().is_complete());
}

#[test]
fn entries_of_one_size_make_room_for_one_of_that_size() {
    let memory = Memory::new(1 << 18);
    let map = memory.make::<u64, [u8]>(MapSpec::bytes(1 << 18).evicting());
    for round in 0..30 {
        for key in 0..2000 {
            let len = [10, 900, 5000][(key % 3) as usize];
            // As soon as all the memory is one size's, there is none for another.
            let _ = map.insert(&key, &vec![round; len]);
        }
    }
    assert!(map.check().unwrap().is_complete());
    let most = map.insert(&9, &[0; 1 << 18]).unwrap_err();
    assert!(most.to_string().contains("no room"), "{most}");
}

#[test]
fn a_place_makes_room_in_its_part() {
    let memory = Memory::new(1 << 18);
    let map = memory.make::<u64, [u8; 100]>(MapSpec::bytes(1 << 18).evicting());
    for key in 0..20_000_u64 {
        let made = map.entry(&key).unwrap().or_insert([key as u8; 100]);
        assert!(
            made.is_ok() || map.get(&key).is_ok_and(|value| value.is_none()),
            "{key}: {made:?}"
        );
    }
    assert!(map.len() > 500, "{}", map.len());
    assert_eq!(map.check().unwrap().kept_blocks, map.len());
}
