//! Who dies with reserved blocks.

use shmkit_heap::{Heap, HeapError};
use shmkit_layout::{Commit, Object};
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, OwnerId, Verdict};

use crate::support::Memory;

#[test]
fn what_the_dead_had_reserved_is_free_for_who_finds_no_other() {
    for len in [100, 6000] {
        let memory = Memory::new(1 << 18, 3);
        let (heap, other) = (memory.heap(), memory.open(1).unwrap());
        let mut held = Vec::new();
        // No more than there are: a heap that gives out what others have is never full.
        let most = (1 << 18) / len;
        while held.len() < most
            && let Ok(block) = other.reserve_bytes(len)
        {
            held.push(block);
        }
        assert!(held.len() < most, "{most} blocks are more than fit");
        assert!(matches!(heap.reserve_bytes(len), Err(HeapError::Full { .. })), "it is alive");
        assert_eq!(heap.check().unwrap().reserved_blocks, held.len() as u64);
        memory.judges[1].die();
        held.into_iter().for_each(std::mem::forget);
        drop(heap.reserve_bytes(len).expect("the dead one's"));
        let account = heap.check().unwrap();
        assert_eq!((account.reserved, account.kept), (0, 0), "{account}");
    }
}

#[test]
fn what_the_dead_had_kept_stays() {
    let memory = Memory::new(1 << 18, 2);
    let heap = memory.heap();
    let other = memory.open(1).unwrap();
    let ids = [40, 9000].map(|len| other.reserve_bytes(len).unwrap().keep().unwrap());
    memory.judges[1].die();
    assert_eq!(heap.check().unwrap().kept_blocks, 2);
    for id in ids {
        heap.free(id).unwrap();
    }
}

// SAFETY: all the memory is there.
unsafe impl Commit for OneSeat {}

/// A judge of a roster of one place, whose participants come one after the other.
struct OneSeat(ModelJudge);

// SAFETY: as the model's judge answers.
unsafe impl Judge for OneSeat {
    fn me(&self) -> Option<OwnerId> {
        self.0.me()
    }

    fn verdict(&self, owner: OwnerId) -> Verdict {
        self.0.verdict(owner)
    }

    fn places(&self) -> u32 {
        1
    }
}

#[test]
fn whoever_takes_a_seat_after_a_dead_one_has_nothing_of_what_that_one_had_reserved() {
    let memory = Memory::new(1 << 18, 2);
    let [first, second] = [0, 1].map(|n| OneSeat(memory.judges[n].clone()));
    // SAFETY: zero bytes that nobody else uses.
    let heap = unsafe { Heap::init(memory.region(), (1 << 18).into(), &first) }.unwrap();
    let block = heap.reserve_bytes(64).unwrap();
    let id = block.id();
    // SAFETY: made above.
    let other = unsafe { Heap::attach(memory.region(), 1 << 18, &second) }.unwrap();
    let refused = other.reserve_bytes(64).unwrap_err();
    assert_eq!(refused, HeapError::TooManyUsers { seats: 1 }, "the first one lives");
    memory.judges[0].die();
    std::mem::forget(block);
    let mine = other.reserve_bytes(64).unwrap();
    assert_ne!(mine.id(), id);
    assert_eq!(other.free(id), Err(HeapError::NotReserved { id }), "it was another's");
    assert_eq!(other.check().unwrap().reserved_blocks, 1);
    assert_eq!(other.len_of(id), Err(HeapError::Stale { id }));
}

#[test]
fn who_has_not_joined_is_refused() {
    let memory = Memory::new(1 << 18, 1);
    let heap = memory.heap();
    let child = memory.judges[0].forked();
    // SAFETY: made above.
    let heap_of_child = unsafe {
        <shmkit_heap::Heap<_> as shmkit_layout::Object<_>>::attach(memory.region(), 1 << 18, &child)
    }
    .unwrap();
    assert_eq!(heap_of_child.reserve_bytes(8).unwrap_err(), HeapError::NotJoined);
    let id = heap.reserve_bytes(8).unwrap().keep().unwrap();
    assert_eq!(heap_of_child.free(id), Err(HeapError::NotJoined));
}
