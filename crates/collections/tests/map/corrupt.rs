//! Nonsense in a map is an error, and never a panic or an endless loop.

use std::time::Duration;

use shmkit_collections::MapSpec;
use shmkit_layout::Offset;

use crate::support::Memory;

#[test]
fn a_bucket_that_leads_into_a_circle_is_corrupt() {
    let memory = Memory::new(1 << 18);
    let map = memory.map::<u8, u64>();
    map.insert(&1, &5).unwrap();
    // The buckets lie behind 128 bytes and 64 parts of 128; the one that is not 0 leads to the entry.
    let word = |at: u64| memory.region().read::<u64>(Offset::new(at).unwrap()).unwrap();
    let bucket = (128 + 64 * 128..).step_by(8).find(|at| word(*at) != 0).unwrap();
    let id = word(bucket);
    let hash_of_the_entry = |at: u64| word(at + 16) == 1 | 8 << 32;
    let entry =
        (0..(1 << 18) - 64).step_by(8).find(|at| word(*at) == 0 && hash_of_the_entry(*at)).unwrap();
    memory.region().write(Offset::new(entry).unwrap(), id).unwrap();
    assert!(map.get(&1).is_ok(), "found before the circle is closed");
    let others = (2..=255).filter(|key| map.get(key).is_err()).count();
    assert!(map.entries().unwrap_err().to_string().contains("corrupt"));
    assert!(map.retain(|_, _| true).is_err() && others < 255);
}

#[test]
fn arbitrary_bytes_do_no_harm() {
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..200 {
        let memory = Memory::new(1 << 17);
        let spec = MapSpec::bytes(1 << 17);
        let spec = if round % 2 == 0 { spec } else { spec.evicting() };
        let map = memory.make::<[u8], [u8]>(spec).time_limit(Duration::from_millis(1));
        for key in 0..40_u8 {
            map.insert(&[key], &vec![key; usize::from(key) * 30]).unwrap();
        }
        for _ in 0..random.usize(1..300) {
            // Buckets, tables and entries; a lock whose owner lives would be waited for.
            let at = random.u64((128 + 64 * 128) / 8..(1 << 17) / 8) * 8;
            let value = random.u64(..) >> random.u32(..64);
            memory.region().write(Offset::new(at).unwrap(), value).unwrap();
        }
        for key in 0..40_u8 {
            let _ = (map.get(&[key]), map.insert(&[key, 1], &[0; 64]), map.remove(&[key]));
        }
        let _ = (map.entries(), map.retain(|_, _| round % 2 == 0), map.check(), map.clear());
        let _ = memory.open::<[u8], [u8]>(1).map(|map| map.time_limit(Duration::ZERO).entries());
    }
}
