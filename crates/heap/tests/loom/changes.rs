//! Somebody who copies from a structure's blocks without its lock, while one block takes another's place and a third
//! participant is given the one before.

use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shmkit_atomic::crash::step;
use shmkit_atomic::{AtomicU64, crash};
use shmkit_heap::Changes;

const FREE: u64 = 0;
const KEPT: u64 = 1;

/// A structure of one block at a time, and the two blocks of its heap. A block that is the structure's has its own number, plus
/// one, in both words.
struct Structure {
    changes: Changes,
    /// Which block is the structure's.
    link: AtomicU64,
    states: [AtomicU64; 2],
    blocks: [[AtomicU64; 2]; 2],
}

impl Structure {
    fn new() -> Arc<Self> {
        let block = |fill| [AtomicU64::new(fill), AtomicU64::new(fill)];
        Arc::new(Self {
            changes: Changes::new(),
            link: AtomicU64::new(0),
            states: [AtomicU64::new(KEPT), AtomicU64::new(KEPT)],
            blocks: [block(1), block(2)],
        })
    }

    /// The holder of the lock puts block 1 in the place of block 0, which is freed.
    fn change(&self) {
        self.changes.begin();
        step();
        self.link.store(1, Release); // Release: as whoever leads others to a block.
        step();
        self.states[0].swap(FREE, AcqRel); // AcqRel: as a block is freed.
        self.changes.end();
    }

    /// Somebody else is given block 0, if that is free.
    fn reuse(&self) {
        // AcqRel: as a block is reserved.
        if self.states[0].compare_exchange(FREE, KEPT, AcqRel, Relaxed).is_ok() {
            Changes::before_filling();
            for word in &self.blocks[0] {
                word.store(9, Relaxed);
            }
        }
    }

    fn look(&self) -> Option<u64> {
        let seen = self.changes.seen()?;
        let at = self.link.load(Acquire) as usize; // Acquire: as whoever is led to a block.
        let [first, second] = [0, 1].map(|word| self.blocks[at][word].load(Relaxed));
        if !self.changes.is_still(seen) {
            return None;
        }
        assert_eq!((first, second), (at as u64 + 1, at as u64 + 1), "another's bytes");
        Some(first)
    }
}

/// The one who changes it dies anywhere; its heir finishes that.
#[test]
fn who_looks_without_the_lock_finds_what_the_structure_had_or_has() {
    crash::everywhere("changes", 3, |steps, lives| {
        let structure = Structure::new();
        let threads = [Structure::reuse, |it: &Structure| {
            let before = it.look();
            assert!(it.look().is_none_or(|after| before.is_none_or(|before| before <= after)));
        }];
        let threads = threads.map(|does| {
            let structure = structure.clone();
            thread::spawn(move || does(&structure))
        });
        if crash::after(steps, || structure.change()).is_err() {
            lives.died();
            assert!(structure.changes.seen().is_none() || steps == 0, "its change goes unnoticed");
            structure.changes.end();
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(structure.look().is_some(), "there is no change any more");
    });
}
