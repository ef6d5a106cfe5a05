//! Every interleaving of two ends, and of a third participant that dies.
#![cfg(loom)]

mod deaths;
mod frames;
mod handover;
mod sessions;

use std::process::Command;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use shmkit_atomic::{AtomicU32, Deadline, fence};
use shmkit_pipe::{ClaimError, Peer, PipeError, RawEnd, RawRing};
use shmkit_roster::model::ModelJudge;
use shmkit_sync::crash;

type Sender<'r> = RawEnd<'r, true>;
type Receiver<'r> = RawEnd<'r, false>;

/// A ring with its items, which loom watches for races.
struct Ring {
    words: RawRing,
    items: Vec<UnsafeCell<u64>>,
}

// SAFETY: items are touched under the right that a ring position gives; loom checks that it does.
unsafe impl Sync for Ring {}
// SAFETY: as above.
unsafe impl Send for Ring {}

impl Ring {
    fn new(capacity: u64) -> Arc<Self> {
        let words = RawRing::new();
        words.set_capacity(capacity);
        Arc::new(Self { words, items: (0..capacity).map(|_| UnsafeCell::new(0)).collect() })
    }

    fn sender(&self, judge: &ModelJudge) -> Result<Sender<'_>, ClaimError> {
        RawEnd::claim(&self.words, self.items.len() as u64, judge, false)
    }

    fn receiver(&self, judge: &ModelJudge) -> Result<Receiver<'_>, ClaimError> {
        RawEnd::claim(&self.words, self.items.len() as u64, judge, false)
    }

    fn fill(&self, end: &Sender<'_>, value: u64) {
        // SAFETY: the caller waited for room; loom checks that nobody else touches the place.
        self.items[end.index() as usize].with_mut(|place| unsafe { *place = value });
    }

    fn send(&self, end: &mut Sender<'_>, judge: &ModelJudge, value: u64) -> Result<(), PipeError> {
        end.wait(judge, 1, Deadline::NEVER)?;
        self.fill(end, value);
        end.publish(1);
        Ok(())
    }

    fn take(&self, end: &mut Receiver<'_>) -> u64 {
        // SAFETY: the caller waited for an item; loom checks that nobody writes to it.
        let value = self.items[end.index() as usize].with(|place| unsafe { *place });
        end.publish(1);
        value
    }

    fn recv(&self, end: &mut Receiver<'_>, judge: &ModelJudge) -> Result<u64, PipeError> {
        end.wait(judge, 1, Deadline::NEVER)?;
        Ok(self.take(end))
    }
}

/// Tries every interleaving with at most two preemptions, where more take too long: three threads, or many steps.
fn model_of_two(scene: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(scene);
}

fn judges<const N: usize>() -> [ModelJudge; N] {
    ModelJudge::new(N as u32).try_into().expect("as many as were asked for")
}

/// Sends 1 to `count`, closes, and expects all of it in order at the other end, then the end of file.
fn in_order(capacity: u64, count: u64, bystander_dies: bool) {
    let scene = move || {
        let [a, b, c] = judges();
        let ring = Ring::new(capacity);
        let sending = {
            let ring = ring.clone();
            thread::spawn(move || {
                let mut end = ring.sender(&a).unwrap();
                for value in 1..=count {
                    ring.send(&mut end, &a, value).unwrap();
                }
                end.close(&a);
            })
        };
        // Ends the slices of both, who are alive.
        let dying = bystander_dies.then(|| thread::spawn(move || c.die()));
        let mut end = ring.receiver(&b).unwrap();
        for value in 1..=count {
            assert_eq!(ring.recv(&mut end, &b), Ok(value));
        }
        assert_eq!(ring.recv(&mut end, &b), Err(PipeError::Closed));
        sending.join().unwrap();
        if let Some(dying) = dying {
            dying.join().unwrap();
        }
    };
    if bystander_dies || count > 2 { model_of_two(scene) } else { loom::model(scene) }
}

#[test]
fn items_arrive_in_order_and_once() {
    in_order(2, 3, false);
}

#[test]
fn a_full_ring_puts_the_sender_to_sleep_and_an_empty_one_the_receiver() {
    in_order(1, 2, false);
    in_order(1, 3, false);
}

#[test]
fn a_slice_that_ends_harms_nobody() {
    in_order(1, 2, true);
}

#[test]
fn a_batch_is_visible_at_once() {
    loom::model(|| {
        let [a, b] = judges();
        let ring = Ring::new(4);
        let sending = {
            let ring = ring.clone();
            thread::spawn(move || {
                let mut end = ring.sender(&a).unwrap();
                end.wait(&a, 2, Deadline::NEVER).unwrap();
                for place in 0..2 {
                    // SAFETY: two places are free.
                    ring.items[place].with_mut(|place| unsafe { *place = 7 });
                }
                end.publish(2);
            })
        };
        let mut end = ring.receiver(&b).unwrap();
        assert_eq!(end.wait(&b, 1, Deadline::NEVER), Ok(2));
        assert_eq!((ring.take(&mut end), ring.take(&mut end)), (7, 7));
        sending.join().unwrap();
    });
}

/// What a value looks like in two words.
fn two_words(value: u64) -> [u64; 2] {
    [value, !value]
}

/// Each of `count` items is copied beside the position, and read from there: in the `right` way only if it is of that item.
fn copies(count: u64, right: bool) {
    model_of_two(move || {
        let [a, b] = judges();
        let ring = Ring::new(2);
        let sending = {
            let ring = ring.clone();
            thread::spawn(move || {
                let mut end = ring.sender(&a).unwrap();
                for value in 1..=count {
                    end.wait(&a, 1, Deadline::NEVER).unwrap();
                    ring.fill(&end, value);
                    end.copy(&two_words(value));
                    end.publish(1);
                }
            })
        };
        let mut end = ring.receiver(&b).unwrap();
        for value in 1..=count {
            end.wait(&b, 1, Deadline::NEVER).unwrap();
            let mut words = [0; 2];
            let there = end.read_copy(&mut words);
            assert!(!(there || !right) || words == two_words(value), "{TORN}: {words:?}");
            assert_eq!(ring.take(&mut end), value);
        }
        sending.join().unwrap();
    });
}

const TORN: &str = "a copy is not of its item";

#[test]
fn a_copy_is_of_its_item_or_none() {
    copies(3, true);
}

#[test]
fn a_copy_is_not_believed_without_its_position() {
    expect_failure("a_copy_is_not_believed_without_its_position", TORN, || copies(3, false));
}

/// A sender that has sent `sent` items waits for room for `want`; the receiver takes `taken` of them one by one, and no
/// more unless it then `waits` for another.
fn asleep_for_room(capacity: u64, (sent, want): (u64, u64), taken: u64, waits: bool) {
    model_of_two(move || {
        let [a, b] = judges();
        let ring = Ring::new(capacity);
        let mut end = ring.receiver(&b).unwrap();
        let sending = {
            let ring = ring.clone();
            thread::spawn(move || {
                let mut end = ring.sender(&a).unwrap();
                end.wait(&a, sent, Deadline::NEVER).unwrap();
                end.publish(sent);
                end.wait(&a, want, Deadline::NEVER).unwrap();
                end.publish(1);
            })
        };
        for _ in 0..taken + u64::from(waits) {
            end.wait(&b, 1, Deadline::NEVER).unwrap();
            end.publish(1);
        }
        sending.join().unwrap();
    });
}

#[test]
fn a_sender_is_woken_when_half_of_the_ring_is_free() {
    asleep_for_room(4, (4, 1), 2, false);
    asleep_for_room(8, (8, 1), 4, false);
}

#[test]
fn a_sender_is_woken_when_nothing_is_left() {
    // The last of seven is less than a quarter.
    asleep_for_room(8, (7, 8), 7, true);
}

#[test]
fn a_sender_that_waits_hears_that_the_receiver_closed() {
    loom::model(|| {
        let [a, b] = judges();
        let ring = Ring::new(1);
        let receiving = {
            let ring = ring.clone();
            thread::spawn(move || {
                let mut end = ring.receiver(&b).unwrap();
                assert_eq!(ring.recv(&mut end, &b), Ok(1));
                end.close(&b);
            })
        };
        let mut end = ring.sender(&a).unwrap();
        assert_eq!(ring.send(&mut end, &a, 1), Ok(()));
        match ring.send(&mut end, &a, 2) {
            Ok(()) => assert_eq!(ring.send(&mut end, &a, 3), Err(PipeError::Closed)),
            Err(error) => assert_eq!(error, PipeError::Closed),
        }
        receiving.join().unwrap();
    });
}

/// The models are able to fail: the `wrong` one does, saying `what`. In another process, since loom may abort.
#[track_caller]
fn expect_failure(test: &str, what: &str, wrong: impl FnOnce()) {
    const WRONG: &str = "SHMKIT_WRONG_MODEL";
    if std::env::var_os(WRONG).is_some() {
        return wrong();
    }
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(WRONG, "1")
        .output()
        .unwrap();
    assert!(!run.status.success(), "it went unnoticed");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(said.contains(what), "it failed for another reason: {said}");
}

/// The way without a fence in the sender, which loom's `barrier` does not have: the kernel interrupts whoever runs, at
/// any instruction, and fences there.
fn commit_and_ring(heavy: bool) {
    loom::model(move || {
        let words = Arc::new([(); 4].map(|()| AtomicU32::new(0)));
        let sending = {
            let words = words.clone();
            thread::spawn(move || {
                let [tail, bell, asked, done] = &*words;
                let interrupt = || {
                    if asked.load(Acquire) == 1 {
                        fence(SeqCst);
                        done.swap(1, Release);
                    }
                };
                interrupt();
                tail.store(1, Release);
                interrupt();
                let rings = bell.load(Relaxed) == 1;
                interrupt();
                // Who does not run has been switched out, which is a fence.
                fence(SeqCst);
                done.swap(1, Release);
                rings
            })
        };
        let [tail, bell, asked, done] = &*words;
        bell.swap(1, Relaxed);
        fence(SeqCst);
        if heavy {
            asked.swap(1, Release);
            while done.load(Acquire) == 0 {
                thread::yield_now();
            }
            fence(SeqCst);
        }
        let seen = tail.load(Acquire) == 1;
        let rings = sending.join().unwrap();
        assert!(seen || rings, "{MISSED}");
    });
}

const MISSED: &str = "the sleeper sleeps, and nobody wakes it";

#[test]
fn a_sleepers_barrier_stands_for_both_fences() {
    commit_and_ring(true);
}

#[test]
fn without_any_fence_a_wake_up_is_missed() {
    expect_failure("without_any_fence_a_wake_up_is_missed", MISSED, || commit_and_ring(false));
}
