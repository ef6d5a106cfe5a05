//! Slabs whose pages are given back, beside somebody who is about to reserve or to free a block there.

use core::alloc::Layout;

use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::Ordering::AcqRel;
use shmkit_atomic::crash;
use shmkit_heap::{BlockId, HeapError, Local, RawHeap};
use shmkit_roster::ThreadToken;
use shmkit_roster::model::ModelJudge;

use crate::Memory;

/// Of the only slab's size.
const SMALL: Layout = Layout::new::<[u64; 5]>();
/// Of all pages there are.
const WHOLE: Layout = match Layout::from_size_align(40, 256) {
    Ok(layout) => layout,
    Err(_) => panic!("256 is a power of two"),
};

/// Takes the only page, if it is to be had, and fills it with what stood in the words of its slab, or may have.
fn take_whole(memory: &Memory, judge: &ModelJudge, local: &Local, fill: u64) {
    let heap = memory.heap();
    let id = match heap.reserve(WHOLE, judge, local) {
        Ok(block) => block.id(),
        Err(HeapError::Full { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let bytes = &memory.words[0];
    // All changes of a word are of one kind, for loom's sake.
    for word in bytes {
        word.swap(fill, AcqRel);
    }
    thread::yield_now();
    for word in bytes {
        assert_eq!(
            word.swap(0, AcqRel),
            fill,
            "the bytes of a block were changed by somebody else"
        );
    }
    heap.free(id, judge, local).expect("it is mine");
}

/// Reserves and frees a small block, where the last one was.
fn take_small(heap: RawHeap<'_>, judge: &ModelJudge, local: &Local) {
    match heap.reserve(SMALL, judge, local) {
        Ok(block) => heap.free(block.id(), judge, local).expect("it is mine"),
        Err(HeapError::Full { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Nobody has anything: all is to be had, of either kind.
fn all_is_free(memory: &Memory, judge: &ModelJudge) {
    let (heap, local) = (memory.heap(), Local::new(12));
    let account = heap.survey(judge).unwrap();
    assert_eq!((account.reserved_blocks, account.kept_blocks), (0, 0), "{account}");
    for layout in [WHOLE, SMALL, WHOLE] {
        let id = heap.reserve(layout, judge, &local).expect("nobody has anything").id();
        heap.free(id, judge, &local).unwrap();
    }
}

type Life = fn(&Memory, &ModelJudge, &Local);

/// One dies before any of its steps; the other one goes on.
fn beside(name: &str, mortal_does: Life, other_does: Life) {
    crash::everywhere(name, 2, move |steps, lives| {
        let memory = Memory::of(1);
        let mut judges = ModelJudge::new(2).into_iter();
        let (mortal, other) = (judges.next().unwrap(), judges.next().unwrap());
        let (local, other_local) = (Local::new(12), Local::new(12));
        // Both have a seat, and there is a slab with a free block.
        for (judge, local) in [(&mortal, &local), (&other, &other_local)] {
            let id = memory.heap().reserve(SMALL, judge, local).unwrap().id();
            memory.heap().free(id, judge, local).unwrap();
        }
        let other = {
            let memory = memory.clone();
            thread::spawn(move || {
                other_does(&memory, &other, &other_local);
                other
            })
        };
        if crash::after(steps, || mortal_does(&memory, &mortal, &local)).is_err() {
            lives.died();
            mortal.die();
        }
        all_is_free(&memory, &other.join().unwrap());
    });
}

fn smalls(memory: &Memory, judge: &ModelJudge, local: &Local) {
    take_small(memory.heap(), judge, local);
}

/// As the words of the slab are before and after each of the blocks.
fn wholes(memory: &Memory, judge: &ModelJudge, local: &Local) {
    take_whole(memory, judge, local, 1 << 40);
}

#[test]
fn who_dies_with_a_small_block_does_not_write_to_somebodys_page() {
    beside("small beside whole", smalls, wholes);
}

#[test]
fn who_dies_as_it_gives_back_a_slab_takes_no_block_along() {
    beside("whole beside small", wholes, smalls);
}

/// Two free one block, which only one may; meanwhile its slab goes.
#[test]
fn who_frees_what_another_has_freed_does_not_write_to_somebodys_page() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let memory = Memory::of(1);
        let mut judges = ModelJudge::new(2).into_iter();
        let (first, second) = (judges.next().unwrap(), judges.next().unwrap());
        let (local, second_local) = (Local::new(12), Local::new(12));
        let id = memory.heap().reserve(SMALL, &second, &second_local).unwrap().id();
        memory.heap().free(id, &second, &second_local).unwrap();
        let heap = memory.heap();
        let block = heap.reserve(SMALL, &first, &local).unwrap();
        heap.keep(&block, &first, &local).unwrap();
        let id = block.id();
        let other = {
            let memory = memory.clone();
            thread::spawn(move || memory.heap().free(id, &second, &second_local))
        };
        let mine = memory.heap().free(id, &first, &local);
        if mine.is_ok() {
            take_whole(&memory, &first, &local, kept(id));
        }
        let theirs = other.join().unwrap();
        assert!(mine.is_ok() != theirs.is_ok(), "{mine:?}, {theirs:?}");
        all_is_free(&memory, &first);
    });
}

/// The word of a block that belongs to a structure.
fn kept(id: BlockId) -> u64 {
    id.get() >> 40 << 40 | 2 << 38
}

/// Threads that have no hazard of their own take turns at one, and are seen all the same.
#[test]
fn threads_that_share_a_hazard_are_seen_as_well() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let memory = Memory::of(1);
        let mut judges = ModelJudge::new(2).into_iter();
        let (both, other) = (Arc::new(judges.next().unwrap()), judges.next().unwrap());
        let (local, other_local) = (Arc::new(Local::new(12)), Local::new(12));
        for (judge, local) in [(&*both, &*local), (&other, &other_local)] {
            let id = memory.heap().reserve(SMALL, judge, local).unwrap().id();
            memory.heap().free(id, judge, local).unwrap();
        }
        let second = {
            let (memory, both, local) = (memory.clone(), both.clone(), local.clone());
            thread::spawn(move || {
                ThreadToken::pretend(2);
                match memory.heap().reserve(SMALL, &*both, &local) {
                    Ok(block) => {
                        memory.heap().free(block.id(), &*both, &local).expect("it is mine")
                    }
                    Err(HeapError::Full { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            })
        };
        take_whole(&memory, &other, &other_local, 1 << 40);
        second.join().unwrap();
        all_is_free(&memory, &other);
    });
}
