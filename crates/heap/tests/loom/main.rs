//! Every interleaving of two participants that reserve, keep and free blocks, and a death before every step of one of them.
//!
//! `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test --release -p shmkit-heap --test loom`
#![cfg(loom)]

mod changes;
mod retire;

use core::alloc::Layout;
use std::collections::BTreeSet;
use std::sync::{Arc as StdArc, Mutex};

use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::{AtomicU64, crash};
use shmkit_heap::{
    Area, BlockId, HazardLine, HeapError, HeapFrame, Local, PageWords, Parts, RawHeap, Reserved,
    SeatWords,
};
use shmkit_roster::model::ModelJudge;

/// Pages of a heap, if not fewer.
const PAGES: usize = 3;
/// Blocks of a slab of the model.
const SLOTS: usize = 2;

struct Memory {
    frame: HeapFrame,
    seats: Vec<SeatWords>,
    hazards: Vec<HazardLine>,
    hints: Vec<AtomicU64>,
    pages: Vec<PageWords>,
    words: Vec<Vec<AtomicU64>>,
}

impl Memory {
    fn new() -> Arc<Self> {
        Self::of(PAGES)
    }

    fn of(pages: usize) -> Arc<Self> {
        let words = || (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self {
            frame: HeapFrame::new(2, 12, pages as u64),
            seats: (0..2).map(|_| SeatWords::new()).collect(),
            hazards: (0..2).map(|_| HazardLine::new()).collect(),
            hints: (0..RawHeap::hints(pages)).map(|_| AtomicU64::new(0)).collect(),
            pages: (0..pages).map(|_| PageWords::new()).collect(),
            words: (0..pages).map(|_| words()).collect(),
        })
    }

    fn heap(&self) -> RawHeap<'_> {
        RawHeap::new(Parts {
            frame: &self.frame,
            seats: &self.seats,
            hazards: &self.hazards,
            hints: &self.hints,
            pages: &self.pages,
            area: Area::new(&self.words),
            shift: 12,
        })
    }
}

/// The blocks that somebody has: not loom's, it is the observer.
#[derive(Default)]
struct Held(Mutex<BTreeSet<(u32, BlockId)>>);

impl Held {
    fn take(&self, who: u32, id: BlockId) {
        let place = |id: BlockId| id.get() & 0xff_ffff_ffff;
        let mut held = self.0.lock().unwrap();
        let other = held.iter().find(|(_, other)| place(*other) == place(id));
        assert!(other.is_none(), "{who} was given {id:?}, which {other:?} has");
        held.insert((who, id));
    }

    fn give(&self, who: u32, id: BlockId) {
        self.0.lock().unwrap().remove(&(who, id));
    }

    fn forget(&self, who: u32) {
        self.0.lock().unwrap().retain(|(holder, _)| *holder != who);
    }
}

/// What one does: two blocks, of which one is freed at once.
fn visit(heap: RawHeap<'_>, layout: Layout, judge: &ModelJudge, who: u32, held: &Held) {
    let local = Local::new(12);
    let reserve = || {
        let block = heap.reserve(layout, judge, &local);
        if let Ok(block) = &block {
            held.take(who, block.id());
        }
        block
    };
    let first = reserve().expect("there is one for each");
    let free = |block: Reserved<'_>| {
        let id = block.id();
        held.give(who, id);
        heap.free(id, judge, &local).expect("it is mine");
    };
    match reserve() {
        Ok(second) => free(second),
        Err(HeapError::Full { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    free(first);
}

/// One dies before any of its steps; the other gets its blocks all the same, and in the end all are free.
fn nothing_is_lost(name: &str, layout: Layout, most: u64, preemptions: usize) {
    crash::everywhere(name, preemptions, move |steps, lives| {
        let (memory, held) = (Memory::new(), StdArc::new(Held::default()));
        let mut judges = ModelJudge::new(2).into_iter();
        let (mortal, other) = (judges.next().unwrap(), judges.next().unwrap());
        let survivor = {
            let (memory, held) = (memory.clone(), held.clone());
            thread::spawn(move || {
                visit(memory.heap(), layout, &other, 2, &held);
                other
            })
        };
        let life = || visit(memory.heap(), layout, &mortal, 1, &held);
        if crash::after(steps, life).is_err() {
            lives.died();
            held.forget(1);
            mortal.die();
        }
        let survivor = survivor.join().unwrap();
        let (heap, local) = (memory.heap(), Local::new(12));
        let account = heap.survey(&survivor).unwrap();
        assert_eq!((account.reserved_blocks, account.kept_blocks), (0, 0));
        for _ in 0..most {
            let block = heap.reserve(layout, &survivor, &local).expect("all are free");
            heap.keep(&block, &survivor, &local).unwrap();
        }
        assert_eq!(heap.survey(&survivor).unwrap().kept_blocks, most);
    });
}

#[test]
fn no_small_block_is_lost_or_given_twice() {
    // Of three pages one slab each, if both make one.
    nothing_is_lost("small", Layout::from_size_align(40, 1).unwrap(), 4, 2);
}

#[test]
fn no_page_is_lost_or_given_twice() {
    // A page of its own, for the sake of its alignment.
    nothing_is_lost("whole", Layout::from_size_align(40, 256).unwrap(), 3, 1);
}

/// Whoever has freed whole pages, and was about to give them back, finds them gone: another one has done so, and taken them.
#[test]
fn a_late_free_does_not_take_the_pages_from_who_has_them_by_now() {
    let layout = Layout::from_size_align(40, 256).unwrap();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(move || {
        let memory = Memory::of(1);
        let mut judges = ModelJudge::new(2).into_iter();
        let (freer, taker) = (judges.next().unwrap(), judges.next().unwrap());
        let local = Local::new(12);
        let id = memory.heap().reserve(layout, &freer, &local).expect("the heap is empty").id();
        let taker = {
            let memory = memory.clone();
            thread::spawn(move || {
                let (heap, local) = (memory.heap(), Local::new(12));
                if heap.reserve(layout, &taker, &local).is_ok() {
                    // The one who frees goes on, or does not: there is no second page.
                    let second = heap.reserve(layout, &taker, &local);
                    assert!(matches!(second, Err(HeapError::Full { .. })), "{second:?}");
                    return (taker, true);
                }
                (taker, false)
            })
        };
        memory.heap().free(id, &freer, &local).expect("it is mine");
        let (taker, taken) = taker.join().unwrap();
        let account = memory.heap().survey(&taker).unwrap();
        assert_eq!(account.reserved_blocks, u64::from(taken), "{account}");
    });
}
