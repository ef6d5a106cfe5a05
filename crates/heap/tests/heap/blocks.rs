//! Blocks of all sizes.

use std::alloc::Layout;
use std::collections::BTreeMap;

use shmkit_heap::{BlockId, Heap, HeapError};
use shmkit_layout::{Object, ShapeError};
use shmkit_roster::model::ModelJudge;

use crate::support::Memory;

#[test]
fn what_is_written_to_a_block_is_read_by_its_id() {
    let memory = Memory::new(1 << 20, 2);
    let heap = memory.heap();
    for len in [0, 1, 16, 31, 33, 100, 4096, 4097, 70_000] {
        let mut block = heap.reserve_bytes(len).unwrap();
        assert!(block.len() >= len);
        block.as_mut_slice().fill(len as u8);
        let (id, found) = (block.id(), block.len());
        assert_eq!(block.keep().unwrap(), id);
        let other = memory.open(1).unwrap();
        // SAFETY: nobody frees it meanwhile.
        let bytes = unsafe { other.bytes(id) }.unwrap();
        assert_eq!((bytes.len(), other.len_of(id).unwrap()), (found, found as u64));
        // SAFETY: nobody writes to it.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.base().as_ptr(), bytes.len()) };
        assert!(bytes.iter().all(|byte| *byte == len as u8));
    }
}

/// HEP-04, where `grow` and `retire` show how memory comes and goes.
#[test]
fn hep_04_a_block_is_aligned_as_asked_and_a_multiple_of_sixteen() {
    let memory = Memory::new(1 << 20, 1);
    let heap = memory.heap();
    for align in (0..=12).map(|power| 1 << power) {
        for size in [1, 24, 200, 5000] {
            let block = heap.reserve(Layout::from_size_align(size, align).unwrap()).unwrap();
            let address = block.as_slice().as_ptr().addr();
            assert!(address.is_multiple_of(align) && block.len() >= size, "{size} to {align}");
            assert!(address.is_multiple_of(16) && block.len().is_multiple_of(16));
        }
    }
    let error = heap.reserve(Layout::from_size_align(8, 8192).unwrap()).unwrap_err();
    assert_eq!(error, HeapError::Layout { size: 8, align: 8192, max_align: 4096 });
    assert!(error.to_string().contains("4096"));
}

#[test]
fn a_dropped_block_goes_back_and_a_kept_one_stays() {
    let memory = Memory::new(1 << 20, 1);
    let heap = memory.heap();
    let before = heap.check().unwrap();
    assert_eq!(before.kept + before.reserved + before.slots + before.around, 0);
    let (small, large) = (heap.reserve_bytes(40).unwrap(), heap.reserve_bytes(10_000).unwrap());
    let account = heap.check().unwrap();
    assert_eq!((account.reserved_blocks, account.reserved), (2, 48 + 12_288));
    let id = small.keep().unwrap();
    drop(large);
    let account = heap.check().unwrap();
    assert_eq!((account.reserved_blocks, account.kept_blocks, account.kept), (0, 1, 48));
    assert!(account.is_complete() && account.bytes == 1 << 20);
    heap.free(id).unwrap();
    let after = heap.check().unwrap();
    assert_eq!((after.kept, after.reserved), (0, 0));
    assert!(after.is_complete());
}

#[test]
fn a_freed_block_is_stale_for_ever() {
    let memory = Memory::new(1 << 20, 1);
    let heap = memory.heap();
    for len in [100, 5000] {
        let first = heap.reserve_bytes(len).unwrap().keep().unwrap();
        heap.free(first).unwrap();
        let second = heap.reserve_bytes(len).unwrap().keep().unwrap();
        assert_ne!(first, second);
        let stale = HeapError::Stale { id: first };
        assert_eq!(heap.free(first), Err(stale));
        assert_eq!(heap.len_of(first), Err(stale));
        // SAFETY: there is none.
        assert_eq!(unsafe { heap.bytes(first) }.unwrap_err(), stale);
        assert!(heap.len_of(second).unwrap() >= len as u64);
    }
}

#[test]
fn foreign_ids_are_refused() {
    let memory = Memory::new(1 << 20, 2);
    let heap = memory.heap();
    let id = heap.reserve_bytes(100).unwrap().keep().unwrap();
    let whole = heap.reserve_bytes(9000).unwrap().keep().unwrap();
    let made_up =
        [0, u64::MAX, id.get() ^ 1, id.get() ^ 1 << 16, id.get() ^ 1 << 40, id.get() | 0xffff]
            .into_iter()
            // Into the middle of whole pages, and into a slab as if it were such.
            .chain([whole.get() + (1 << 16), whole.get() & !0xffff, id.get() & !0xffff | 0xfffe]);
    for number in made_up {
        let id = BlockId::from_number(number);
        assert_eq!(heap.free(id), Err(HeapError::Stale { id }), "{id:?}");
    }
    assert_eq!(heap.check().unwrap().kept_blocks, 2);
    // What another one has reserved is his.
    let reserved = heap.reserve_bytes(8).unwrap();
    let other = memory.open(1).unwrap();
    assert_eq!(other.free(reserved.id()), Err(HeapError::NotReserved { id: reserved.id() }));
}

#[test]
fn a_full_heap_says_so_and_has_room_again_when_some_was_freed() {
    let memory = Memory::new(1 << 18, 1);
    let heap = memory.heap();
    for len in [40, 3000, 5000, 50_000] {
        let mut all = Vec::new();
        let error = loop {
            match heap.reserve_bytes(len) {
                Ok(block) => all.push(block.keep().unwrap()),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, HeapError::Full { asked, .. } if asked == len as u64), "{error}");
        assert!(heap.check().unwrap().is_complete());
        let id = all.swap_remove(all.len() / 2);
        heap.free(id).unwrap();
        let again = heap.reserve_bytes(len).expect("one was freed");
        drop(again);
        for id in all {
            heap.free(id).unwrap();
        }
        assert_eq!(heap.check().unwrap().kept, 0);
    }
}

#[test]
fn whole_pages_lie_together_again_when_they_were_freed() {
    let memory = Memory::new(1 << 20, 1);
    let heap = memory.heap();
    let most = heap.check().unwrap().pages;
    let all: Vec<_> =
        std::iter::from_fn(|| heap.reserve_bytes(8000).ok()).map(|b| b.keep().unwrap()).collect();
    assert!(all.len() as u64 >= most / 8192 - 1);
    for id in all.iter().step_by(2).chain(all.iter().skip(1).step_by(2)) {
        heap.free(*id).unwrap();
    }
    let one = heap.reserve_bytes(most as usize).expect("all of them in one piece");
    assert_eq!(one.len() as u64, most);
}

/// HEP-01: many blocks of log-normal size, at most fifty at a time.
#[test]
fn hep_01_blocks_tile_the_heap_whatever_is_reserved_and_freed() {
    let memory = Memory::new(1 << 22, 2);
    let heaps = [memory.heap(), memory.open(1).unwrap()];
    let mut random = fastrand::Rng::with_seed(7);
    let mut live: BTreeMap<BlockId, (u8, usize)> = BTreeMap::new();
    for step in 0..5000_u32 {
        let heap: &Heap<&ModelJudge> = &heaps[random.usize(..2)];
        if live.len() == 50 {
            let (&id, &(fill, len)) = live.iter().nth(random.usize(..50)).unwrap();
            // SAFETY: nobody else uses it.
            let bytes = unsafe { heap.bytes(id) }.unwrap();
            // SAFETY: as above.
            let bytes = unsafe { std::slice::from_raw_parts(bytes.base().as_ptr(), bytes.len()) };
            assert!(bytes.len() >= len && bytes.iter().all(|byte| *byte == fill), "{id:?}");
            live.remove(&id);
            heap.free(id).unwrap();
        }
        // The sum of twelve is near enough to normal.
        let normal: f64 = (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        let len = (7.0 + normal).exp() as usize;
        let mut block = heap.reserve_bytes(len).unwrap();
        block.as_mut_slice().fill(step as u8);
        live.insert(block.keep().unwrap(), (step as u8, len));
        if step % 500 == 0 {
            let account = heap.check().unwrap();
            assert!(account.is_complete(), "{account}");
            assert_eq!(account.kept_blocks, live.len() as u64);
        }
    }
}

#[test]
fn a_heap_of_any_size_has_room_for_its_tables() {
    for bytes in [1 << 16, 65_537, 100_000, 1 << 20, 1 << 26, 1 << 33, 1 << 40, 1 << 43] {
        for places in [1, 64, 16_384] {
            let shape = <Heap<&ModelJudge> as Object<&ModelJudge>>::shape(&bytes.into(), places);
            match shape {
                Ok(shape) => assert_eq!(shape.bytes, bytes),
                Err(ShapeError::Length { .. }) => assert!(bytes < 1 << 18 && places > 64),
                Err(error) => panic!("{error}"),
            }
        }
    }
    for bytes in [0, 4096, 65_535, (1 << 43) + 1, u64::MAX] {
        let shape = <Heap<&ModelJudge> as Object<&ModelJudge>>::shape(&bytes.into(), 64);
        assert!(matches!(shape, Err(ShapeError::Length { .. })), "{bytes}");
    }
}
