//! A writer that dies anywhere, a reader, somebody who waits for a change, and an heir.

use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::AtomicU64;
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{Outcome, crash};

use super::*;

/// A snapshot of two words, which are equal in every value that was ever written, and say how many commits made it.
struct Snapshot {
    raw: RawSnapshot,
    slots: [[AtomicU64; 2]; 2],
}

impl Snapshot {
    fn new() -> Arc<Self> {
        let slot = || [AtomicU64::new(0), AtomicU64::new(0)];
        let raw =
            RawSnapshot { value: RawValue::new(), bell: Doorbell::new(), still: AtomicU32::new(0) };
        Arc::new(Self { raw, slots: [slot(), slot()] })
    }

    fn read(&self, slot: usize) -> [u64; 2] {
        [0, 1].map(|word| self.slots[slot][word].load(Relaxed))
    }

    /// Takes the role, writes the numbers that follow the one found, and gives it up.
    fn write(&self, judge: &ModelJudge, times: u32) {
        let mutex = &self.raw.value.mutex;
        if mutex.lock(judge, Deadline::NEVER).unwrap() != Outcome::Clean {
            mutex.make_consistent(judge).unwrap();
        }
        for _ in 0..times {
            let [found, same] = self.read(self.raw.value.current());
            assert_eq!(found, same, "a torn value under the role");
            let spare = self.raw.begin(0);
            for word in &self.slots[spare] {
                step();
                word.store(found + 1, Relaxed);
            }
            self.raw.commit();
        }
        // SAFETY: taken once by who calls this, and nothing is borrowed.
        unsafe { mutex.unlock(judge) }.unwrap();
    }

    fn load(&self) -> Option<u64> {
        let (commits, [first, second]) = self.raw.value.peek(|slot| self.read(slot))?;
        assert_eq!(first, second, "a torn value was read");
        assert_eq!(first, commits, "a value of another version was read");
        Some(first)
    }

    fn wait(&self, seen: u64, judge: &ModelJudge) -> u64 {
        self.raw.wait(seen, judge.me().unwrap(), judge, Patience::ENDLESS).unwrap()
    }
}

/// Somebody waits for a change, beside a writer that dies anywhere and an heir that writes after it.
#[test]
fn who_waits_for_a_change_sees_it_whole_whoever_dies() {
    crash::everywhere("snapshot's bell", 2, |steps, lives| {
        let snapshot = Snapshot::new();
        let judges = ModelJudge::new(3);
        let waiting = {
            let (snapshot, judge) = (snapshot.clone(), judges[1].clone());
            thread::spawn(move || {
                let version = snapshot.wait(0, &judge);
                assert!(snapshot.load().is_none_or(|value| value >= version));
            })
        };
        if crash::after(steps, || snapshot.write(&judges[0], 1)).is_err() {
            lives.died();
            judges[0].die();
            snapshot.write(&judges[2], 1);
        }
        waiting.join().unwrap();
    });
}

/// A reader looks twice while a writer writes two values and dies anywhere; an heir goes on.
#[test]
fn a_reader_sees_whole_values_in_order_and_an_heir_goes_on() {
    crash::everywhere("snapshot", 2, |steps, lives| {
        let snapshot = Snapshot::new();
        let judges = ModelJudge::new(2);
        let reading = {
            let snapshot = snapshot.clone();
            thread::spawn(move || {
                let before = snapshot.load().unwrap_or(0);
                assert!(snapshot.load().is_none_or(|after| after >= before));
            })
        };
        if crash::after(steps, || snapshot.write(&judges[0], 2)).is_err() {
            lives.died();
            judges[0].die();
        }
        snapshot.write(&judges[1], 1);
        reading.join().unwrap();
        assert!(snapshot.load().is_some_and(|last| (1..=3).contains(&last)));
    });
}
