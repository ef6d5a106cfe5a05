//! Reading without the lock of a part.

use std::mem;
use std::time::Duration;

use shmkit_layout::Offset;

use crate::support::Memory;

const SHORT: Duration = Duration::from_millis(1);

#[test]
fn a_value_is_read_while_somebody_stands_still_with_the_lock_of_its_part() {
    let memory = Memory::new(1 << 20);
    let map = memory.map::<str, [u8]>();
    let other = memory.open::<str, [u8]>(1).unwrap().time_limit(SHORT);
    for len in [0, 1, 7, 8, 9, 100, 127, 128, 5000] {
        map.insert("key of 12 b", &vec![len as u8; len]).unwrap();
        let _held = map.entry("key of 12 b").unwrap();
        assert_eq!(other.get("key of 12 b"), Ok(Some(vec![len as u8; len])));
        assert_eq!(other.contains_key("key of 12 b"), Ok(true));
        assert!(other.insert("key of 12 b", &[]).unwrap_err().is_timeout());
    }
    let _held = map.entry("another").unwrap();
    assert_eq!((other.get("another"), other.contains_key("another")), (Ok(None), Ok(false)));
}

#[test]
fn a_cache_notes_who_asks_and_so_takes_the_lock() {
    let memory = Memory::new(1 << 20);
    let map = memory.make::<u32, u32>(shmkit_collections::MapSpec::bytes(1 << 20).evicting());
    map.insert(&1, &2).unwrap();
    let other = memory.open::<u32, u32>(1).unwrap().time_limit(SHORT);
    assert_eq!(other.get(&1), Ok(Some(2)));
    let _held = map.entry(&1).unwrap();
    assert!(other.get(&1).unwrap_err().is_timeout());
}

#[test]
fn a_change_that_was_cut_short_is_waited_for_and_over_when_the_lock_was_inherited() {
    let memory = Memory::new(1 << 20);
    let map = memory.map::<u32, u32>();
    let mortal = memory.open::<u32, u32>(1).unwrap();
    map.insert(&1, &2).unwrap();
    mem::forget(mortal.entry(&1).unwrap());
    // Behind the head, 64 parts of 128 bytes, with the number of their changes at byte 48: odd in the middle of one.
    for part in 0..64 {
        let at = Offset::new(128 + part * 128 + 48).unwrap();
        let changes: u64 = memory.region().read(at).unwrap();
        memory.region().write(at, changes | 1).unwrap();
    }
    let other = memory.open::<u32, u32>(2).unwrap().time_limit(SHORT);
    assert!(other.get(&1).unwrap_err().is_timeout(), "somebody alive is changing it");
    memory.die(1);
    assert_eq!(other.get(&1), Ok(Some(2)), "by the heir");
    let _held = map.entry(&1).unwrap();
    assert_eq!(other.get(&1), Ok(Some(2)), "without the lock");
}
