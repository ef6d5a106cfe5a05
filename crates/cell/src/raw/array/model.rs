//! An array whose writer dies anywhere, and heirs, of whom one may die as well.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::Deadline;
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{Outcome, crash};

use super::*;

/// Two elements of two words each, which are equal in every value that was ever written, and the journal before them.
struct Array {
    raw: RawArray,
    slots: [UnsafeCell<[u64; 2]>; 3],
}

// SAFETY: the slots are only touched under the lock; that is the claim under test, and loom checks it.
unsafe impl Sync for Array {}
// SAFETY: as above.
unsafe impl Send for Array {}

impl Array {
    fn new() -> Arc<Self> {
        let raw = RawArray {
            mutex: RawMutex::new(),
            pending: AtomicU64::new(0),
            mark: AtomicU32::new(CLEAN),
            reserved: AtomicU32::new(0),
        };
        Arc::new(Self { raw, slots: [(); 3].map(|()| UnsafeCell::new([0; 2])) })
    }

    fn read(&self, slot: usize) -> [u64; 2] {
        // SAFETY: loom panics here if another thread is writing.
        self.slots[slot].with(|words| unsafe { *words })
    }

    /// Writes one word after the other.
    fn write(&self, slot: usize, value: [u64; 2]) {
        for (word, value) in value.into_iter().enumerate() {
            step();
            // SAFETY: loom panics here if another thread has access.
            self.slots[slot].with_mut(|words| unsafe { (*words)[word] = value });
        }
    }

    fn carry_out(&self, index: usize) {
        self.write(1 + index, self.read(0));
    }

    fn lock(&self, judge: &ModelJudge) -> u32 {
        if self.raw.mutex.lock(judge, Deadline::NEVER).unwrap() != Outcome::Clean {
            self.raw.mutex.make_consistent(judge).unwrap();
        }
        self.raw.enter(2, |index| self.carry_out(index))
    }

    fn unlock(&self, judge: &ModelJudge) {
        // SAFETY: taken once by who calls this, and nothing is borrowed.
        unsafe { self.raw.mutex.unlock(judge) }.unwrap();
    }

    /// Under the lock.
    fn get(&self, index: usize) -> u64 {
        let [first, second] = self.read(1 + index);
        assert_eq!(first, second, "a torn element, and not told");
        first
    }

    fn set(&self, index: usize, value: u64) {
        self.write(0, [value; 2]);
        self.raw.commit(index, |index| self.carry_out(index));
    }

    /// Writes 1, then 2 as the first element, then 1 as the second, under one lock.
    fn sets(&self, judge: &ModelJudge) {
        assert_eq!(self.lock(judge), CLEAN);
        self.set(0, 1);
        self.set(0, 2);
        self.set(1, 1);
        self.unlock(judge);
    }

    /// Finds what a prefix of `sets` has left.
    fn found(&self, judge: &ModelJudge) {
        assert_eq!(self.lock(judge), CLEAN);
        assert!(matches!([self.get(0), self.get(1)], [0 | 1 | 2, 0] | [2, 1]));
        self.unlock(judge);
    }

    /// Both elements at once.
    fn bulk(&self, judge: &ModelJudge) {
        if self.lock(judge) == CLEAN {
            assert_eq!(self.get(0), self.get(1), "half a bulk write, and not told");
        }
        self.raw.mark(WRITING);
        for slot in [1, 2] {
            self.write(slot, [7; 2]);
        }
        self.raw.mark(CLEAN);
        self.unlock(judge);
    }
}

#[test]
fn an_element_is_old_or_new_whenever_its_writer_dies() {
    crash::everywhere("journal", 2, |steps, lives| {
        let array = Array::new();
        let judges = ModelJudge::new(2);
        let heir = {
            let (array, judge) = (array.clone(), judges[1].clone());
            thread::spawn(move || array.found(&judge))
        };
        if crash::after(steps, || array.sets(&judges[0])).is_err() {
            lives.died();
            judges[0].die();
        }
        heir.join().unwrap();
    });
}

/// The writer dies at any step, and its heir at any of its own.
#[test]
fn an_element_is_old_or_new_whenever_an_heir_dies_as_well() {
    for writer in 0..12 {
        crash::everywhere("journal's heir", 1, move |steps, lives| {
            let array = Array::new();
            let judges = ModelJudge::new(3);
            if crash::after(writer, || array.sets(&judges[0])).is_err() {
                judges[0].die();
            }
            let last = {
                let (array, judge) = (array.clone(), judges[2].clone());
                thread::spawn(move || array.found(&judge))
            };
            if crash::after(steps, || array.found(&judges[1])).is_err() {
                lives.died();
                judges[1].die();
            }
            last.join().unwrap();
        });
    }
}

#[test]
fn half_a_bulk_write_is_told() {
    crash::everywhere("bulk", 2, |steps, lives| {
        let array = Array::new();
        let judges = ModelJudge::new(2);
        let heir = {
            let (array, judge) = (array.clone(), judges[1].clone());
            thread::spawn(move || array.bulk(&judge))
        };
        if crash::after(steps, || array.bulk(&judges[0])).is_err() {
            lives.died();
            judges[0].die();
        }
        heir.join().unwrap();
    });
}
