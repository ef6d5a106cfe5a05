//! A value whose writer dies anywhere, somebody who peeks, and an heir.

use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::Deadline;
use shmkit_roster::model::ModelJudge;
use shmkit_sync::crash;

use super::*;

/// A value of two words, which are equal in every value that was ever written.
struct Value {
    raw: RawValue,
    slots: [[AtomicU64; 2]; 2],
}

impl Value {
    fn new() -> Arc<Self> {
        let slot = || [AtomicU64::new(0), AtomicU64::new(0)];
        Arc::new(Self { raw: RawValue::new(), slots: [slot(), slot()] })
    }

    fn read(&self, slot: usize) -> [u64; 2] {
        [0, 1].map(|word| self.slots[slot][word].load(Relaxed))
    }

    /// Under the lock.
    fn get(&self) -> u64 {
        let [first, second] = self.read(self.raw.current());
        assert_eq!(first, second, "a torn value under the lock");
        first
    }

    fn lock(&self, judge: &ModelJudge) {
        let outcome = self.raw.mutex.lock(judge, Deadline::NEVER).unwrap();
        if outcome != shmkit_sync::Outcome::Clean {
            self.raw.mutex.make_consistent(judge).unwrap();
        }
    }

    fn unlock(&self, judge: &ModelJudge) {
        // SAFETY: taken once by who calls this, and nothing is borrowed.
        unsafe { self.raw.mutex.unlock(judge) }.unwrap();
    }

    /// Adds one `times` times under one lock, each in a commit of its own.
    fn add(&self, judge: &ModelJudge, times: u32) {
        self.lock(judge);
        for _ in 0..times {
            let new = self.get() + 1;
            let spare = self.raw.begin();
            for word in &self.slots[spare] {
                step();
                word.store(new, Relaxed);
            }
            self.raw.commit();
        }
        self.unlock(judge);
    }

    fn peek(&self) -> Option<u64> {
        let (_, [first, second]) = self.raw.peek(|slot| self.read(slot))?;
        assert_eq!(first, second, "a torn value was peeked at");
        Some(first)
    }
}

/// A writer dies anywhere in three writes; somebody peeks twice meanwhile, and an heir goes on.
#[test]
fn who_peeks_sees_whole_values_in_order_and_an_heir_goes_on() {
    crash::everywhere("value", 2, |steps, lives| {
        let value = Value::new();
        let judges = ModelJudge::new(2);
        let peeking = {
            let value = value.clone();
            thread::spawn(move || {
                let before = value.peek().unwrap_or(0);
                assert!(value.peek().is_none_or(|after| after >= before));
            })
        };
        if crash::after(steps, || value.add(&judges[0], 3)).is_err() {
            lives.died();
            judges[0].die();
        }
        value.lock(&judges[1]);
        let found = value.get();
        assert!(found <= 3);
        value.unlock(&judges[1]);
        value.add(&judges[1], 1);
        peeking.join().unwrap();
        assert_eq!(value.peek(), Some(found + 1), "the heir's own value is not peeked at");
    });
}

/// An heir takes the lock beside the writer that dies.
#[test]
fn what_a_dead_writer_committed_is_whole_to_its_heir() {
    crash::everywhere("value's heir", 2, |steps, lives| {
        let value = Value::new();
        let judges = ModelJudge::new(2);
        let heir = {
            let (value, judge) = (value.clone(), judges[1].clone());
            thread::spawn(move || value.add(&judge, 1))
        };
        if crash::after(steps, || value.add(&judges[0], 2)).is_err() {
            lives.died();
            judges[0].die();
        }
        heir.join().unwrap();
        assert!((1..=3).contains(&value.get()));
    });
}
