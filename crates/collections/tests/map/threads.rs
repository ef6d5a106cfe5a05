//! Threads that use a map side by side.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use crate::support::Memory;

#[test]
fn updates_of_one_key_by_many_threads_are_all_there() {
    const ROUNDS: u64 = 5000;
    let memory = Memory::new(1 << 20);
    let map = memory.map::<str, u64>();
    map.insert("sum", &0).unwrap();
    thread::scope(|scope| {
        for n in 0..4 {
            let mine = memory.open::<str, u64>(n).unwrap();
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    mine.update("sum", |sum| *sum += 1).unwrap().unwrap();
                }
            });
        }
    });
    assert_eq!(map.get("sum"), Ok(Some(4 * ROUNDS)));
    assert_eq!(map.check().unwrap().kept_blocks, 1);
}

#[test]
fn readers_see_whole_values_while_others_write_and_remove() {
    let memory = Memory::new(1 << 20);
    let map = memory.map::<u64, [u64; 16]>();
    let found = AtomicU64::new(0);
    thread::scope(|scope| {
        for n in 0..2 {
            let mine = memory.open::<u64, [u64; 16]>(n).unwrap();
            scope.spawn(move || {
                for round in 0..20_000 {
                    let key = round % 50;
                    if round % 7 == 0 {
                        mine.remove(&key).unwrap();
                    } else {
                        mine.insert(&key, &[round; 16]).unwrap();
                    }
                }
            });
        }
        for n in 2..4 {
            let (mine, found) = (memory.open::<u64, [u64; 16]>(n).unwrap(), &found);
            scope.spawn(move || {
                for round in 0..20_000 {
                    if let Some(value) = mine.get(&(round % 50)).unwrap() {
                        assert_eq!(value, [value[0]; 16]);
                        found.fetch_add(1, Relaxed);
                    }
                }
            });
        }
    });
    assert!(found.into_inner() > 0);
    let account = map.check().unwrap();
    assert_eq!((account.kept_blocks, account.reserved_blocks), (map.len(), 0));
}
