//! The change from one block to another.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use shmkit_heap::{BlockId, Swap};

use crate::support::Memory;

#[test]
fn a_change_frees_what_was_there() {
    let memory = Memory::new(1 << 18, 1);
    let heap = memory.heap();
    let (swap, word) = (Swap::new(), AtomicU64::new(0));
    for len in [10, 20, 5000] {
        let block = heap.reserve_bytes(len).unwrap();
        let id = block.id();
        heap.replace(&swap, 0, &word, Some(block)).unwrap();
        assert_eq!(BlockId::from_number(word.load(Relaxed)), id);
        assert_eq!((heap.check().unwrap().kept_blocks, swap.pending()), (1, None));
    }
    heap.replace(&swap, 0, &word, None).unwrap();
    assert_eq!((heap.check().unwrap().kept_blocks, word.load(Relaxed)), (0, 0));
    heap.recover(&swap, |_| None).unwrap();
}

#[test]
fn a_change_of_a_word_that_there_is_not_is_corrupt() {
    let memory = Memory::new(1 << 18, 1);
    let heap = memory.heap();
    // A journal as a killed one leaves it.
    let words = [10_u64, 0, 0].map(AtomicU64::new);
    // SAFETY: three words, as a journal has them.
    let swap = unsafe { &*words.as_ptr().cast::<Swap>() };
    assert_eq!(swap.pending(), Some(4));
    assert!(heap.recover(swap, |_| None).is_err());
    let word = AtomicU64::new(0);
    heap.recover(swap, |which| (which == 4).then_some(&word)).unwrap();
    assert_eq!(swap.pending(), None);
}
