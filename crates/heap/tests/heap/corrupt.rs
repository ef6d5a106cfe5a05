//! Nonsense in a heap is an error, and never a panic or an endless loop.

use shmkit_heap::BlockId;
use shmkit_layout::{Offset, ShapeError};

use crate::support::Memory;

#[test]
fn a_head_of_nonsense_is_refused() {
    for (at, field) in [
        (16, "number of seats"),
        (20, "size of a page"),
        (24, "number of pages"),
        (64, "number of pages that are there"),
    ] {
        let memory = Memory::new(1 << 18, 1);
        drop(memory.heap());
        memory.region().write(Offset::new(at).unwrap(), u32::MAX).unwrap();
        match memory.open(0).unwrap_err() {
            ShapeError::Corrupt { field: found, .. } => assert_eq!(found, field),
            error => panic!("{error}"),
        }
    }
}

#[test]
fn arbitrary_bytes_do_no_harm() {
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..300 {
        let memory = Memory::new(1 << 16, 2);
        let heap = memory.heap();
        let ids: Vec<BlockId> =
            [40, 64, 5000].map(|len| heap.reserve_bytes(len).unwrap().keep().unwrap()).to_vec();
        // Everything but the mutex, whose owner would be alive, and the numbers that `attach` checks.
        for _ in 0..random.usize(1..200) {
            let at = random.u64(32 / 8..(1 << 16) / 8) * 8;
            let value = random.u64(..) >> random.u32(..64);
            if at != 64 {
                memory.region().write(Offset::new(at).unwrap(), value).unwrap();
            }
        }
        let other = memory.open(1).unwrap();
        for heap in [&heap, &other] {
            let _ = heap.check();
            for len in [1, 40, 64, 4000, 5000, 20_000] {
                if let Ok(mut block) = heap.reserve_bytes(len) {
                    assert!(block.len() >= len);
                    block.as_mut_slice().fill(1);
                }
            }
            for id in &ids {
                let _ = (heap.free(*id), heap.len_of(*id));
            }
            let _ = heap.free(BlockId::from_number(random.u64(..)));
        }
    }
}
