//! Pages that go from blocks of one size to those of another.

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use shmkit_heap::{BlockId, Heap, HeapError};
use shmkit_roster::model::ModelJudge;

use crate::support::Memory;

/// Fills the heap with blocks of a size.
fn fill(heap: &Heap<&ModelJudge>, len: usize) -> Vec<BlockId> {
    let most = heap.size() as usize / len.max(16);
    let blocks = (0..most).map_while(|_| heap.reserve_bytes(len).ok());
    blocks.map(|block| block.keep().unwrap()).collect()
}

#[test]
fn pages_that_one_size_had_are_there_for_every_other() {
    let memory = Memory::new(1 << 18, 2);
    let (heap, other) = (memory.heap(), memory.open(1).unwrap());
    // What a fresh heap has room for.
    let sizes = [40, 3000, 5000, 200, 4096, 50_000, 100, 1500];
    let fresh: Vec<usize> =
        sizes.iter().map(|len| fill(&Memory::new(1 << 18, 1).heap(), *len).len()).collect();
    for round in 0..3 {
        for (&len, &fresh) in sizes.iter().zip(&fresh) {
            let ids = fill(if round % 2 == 0 { &heap } else { &other }, len);
            assert_eq!(ids.len(), fresh, "of {len} bytes, in round {round}");
            let account = heap.check().unwrap();
            assert!(account.is_complete(), "{account}");
            assert_eq!(account.kept_blocks, fresh as u64);
            for id in ids {
                other.free(id).unwrap();
            }
        }
    }
}

#[test]
fn a_slab_with_one_block_stays_and_so_does_the_block() {
    let memory = Memory::new(1 << 18, 1);
    let heap = memory.heap();
    let ids = fill(&heap, 100);
    let stays = ids[ids.len() / 2];
    ids.iter().filter(|id| **id != stays).for_each(|id| heap.free(*id).unwrap());
    let large = fill(&heap, 4097);
    assert!(large.len() * 8192 > 3 << 16, "all the others: {}", large.len());
    assert_eq!(heap.len_of(stays), Ok(112));
    heap.free(stays).unwrap();
    assert_eq!(heap.free(stays), Err(HeapError::Stale { id: stays }));
}

/// Bounded fragmentation: a heap whose blocks were of every size, and of which a hundredth are left, has room for as many
/// pages as are not theirs.
#[test]
fn few_blocks_hold_few_pages() {
    let memory = Memory::new(1 << 22, 1);
    let heap = memory.heap();
    let mut random = fastrand::Rng::with_seed(11);
    let mut ids = Vec::new();
    while let Ok(block) = heap.reserve_bytes(random.usize(1..4000)) {
        ids.push(block.keep().unwrap());
    }
    random.shuffle(&mut ids);
    let rest = ids.split_off(20);
    rest.into_iter().for_each(|id| heap.free(id).unwrap());
    assert!(matches!(heap.reserve_bytes(1 << 22), Err(HeapError::Full { .. })), "it cannot fit");
    let account = heap.check().unwrap();
    // Eight pages are the largest slab.
    let held = account.bytes - account.tables - account.pages;
    assert!(held <= 20 * 8 * 4096 && account.is_complete(), "{held}: {account}");
    ids.into_iter().for_each(|id| heap.free(id).unwrap());
}

#[test]
fn an_id_stays_stale_when_its_page_has_blocks_of_another_size() {
    let memory = Memory::new(1 << 16, 1);
    let heap = memory.heap();
    let mut all: Vec<BlockId> = Vec::new();
    for round in 0..20 {
        for len in [64, 5000, 1000, 24] {
            let ids = fill(&heap, len);
            assert!(ids.iter().all(|id| !all.contains(id)), "an id was given twice");
            for id in &ids {
                heap.free(*id).unwrap();
            }
            if round < 2 {
                all.extend(&ids);
            }
            for id in all.iter().take(200) {
                assert_eq!(heap.free(*id), Err(HeapError::Stale { id: *id }));
            }
        }
    }
}

/// More threads than have hazards of their own, in a heap that is always full.
#[test]
fn threads_take_each_others_pages_and_none_writes_to_anothers_block() {
    let memory = Memory::new(1 << 17, 4);
    let made = memory.heap();
    let heaps: Vec<_> = (0..4).map(|n| memory.open(n).unwrap()).collect();
    let (full, had) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..12_usize {
            let (heap, full, had) = (&heaps[number % 4], &full, &had);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(number as u64);
                let mut held = VecDeque::new();
                for round in 0..3000_u64 {
                    let len = [30, 200, 1000, 3000, 6000][random.usize(..5)];
                    match heap.reserve_bytes(len) {
                        Ok(mut block) => {
                            let mark = (round << 8 | number as u64).to_ne_bytes();
                            block
                                .as_mut_slice()
                                .chunks_exact_mut(8)
                                .for_each(|word| word.copy_from_slice(&mark));
                            held.push_back((block, mark));
                            had.fetch_add(1, Relaxed);
                        }
                        Err(HeapError::Full { .. }) => {
                            full.fetch_add(1, Relaxed);
                            held.clear();
                        }
                        Err(error) => panic!("{error}"),
                    }
                    if held.len() > random.usize(..12) {
                        let (block, mark) = held.pop_front().unwrap();
                        let words = block.as_slice().chunks_exact(8);
                        assert!(words.clone().all(|word| word == mark), "{block:?} was written to");
                    }
                }
            });
        }
    });
    let account = made.check().unwrap();
    assert!(
        account.is_complete() && account.reserved_blocks + account.kept_blocks == 0,
        "{account}"
    );
    assert!(full.load(Relaxed) > 0 && had.load(Relaxed) > 10_000, "{full:?}, {had:?}");
}

/// Every byte is in one place, whatever others do at that moment.
#[test]
fn a_check_beside_others_accounts_for_every_byte() {
    let memory = Memory::new(1 << 18, 3);
    let made = memory.heap();
    let heaps = [memory.open(1).unwrap(), memory.open(2).unwrap()];
    let left = AtomicUsize::new(heaps.len());
    thread::scope(|scope| {
        for (seed, heap) in heaps.iter().enumerate() {
            let left = &left;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed as u64);
                let mut held = VecDeque::new();
                for _ in 0..4000 {
                    held.extend(heap.reserve_bytes(random.usize(1..9000)).ok());
                    if held.len() > 20 {
                        held.pop_front();
                    }
                }
                left.fetch_sub(1, Relaxed);
            });
        }
        while left.load(Relaxed) > 0 {
            let account = made.check().unwrap();
            assert!(account.is_complete(), "{account:?}");
            assert!(account.reserved_blocks <= 42 && account.kept == 0, "{account:?}");
        }
    });
}
