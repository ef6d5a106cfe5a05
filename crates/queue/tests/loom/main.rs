//! Every interleaving of who puts and who takes, and of one of them that dies before each of its steps.
#![cfg(loom)]

mod broadcast;
mod burial;
mod deaths;
mod messages;
mod ordered;

use std::sync::Arc as StdArc;
use std::sync::Mutex as StdMutex;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU64, Deadline, crash};
use shmkit_queue::{Delivery, Held, QueueError, RawQueue, Ring, Words};
use shmkit_roster::model::ModelJudge;

/// A queue with its items: who may read an old one does so in some interleaving.
struct Queue {
    raw: RawQueue,
    words: Vec<AtomicU64>,
    items: Vec<AtomicU64>,
}

impl Queue {
    fn new(capacity: u32, delivery: Delivery) -> Arc<Self> {
        let raw = RawQueue::new();
        raw.make(capacity, delivery, 0);
        Arc::new(Self {
            raw,
            words: (0..capacity).map(|_| AtomicU64::new(0)).collect(),
            items: (0..capacity).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    fn ring(&self) -> Ring<'_> {
        Ring::new(&self.raw, Words::of(&self.words))
    }

    fn put(&self, judge: &ModelJudge, value: u64) -> Result<(), QueueError> {
        self.put_all(judge, &[value])
    }

    /// Puts values: as many as there is room for at a time.
    fn put_all(&self, judge: &ModelJudge, mut values: &[u64]) -> Result<(), QueueError> {
        while !values.is_empty() {
            let claim = self.ring().claim(judge, values.len() as u32, Deadline::NEVER)?;
            let (part, rest) = values.split_at(claim.count());
            for (slot, value) in claim.slots(&self.ring()).zip(part) {
                self.items[slot as usize].store(*value, Relaxed);
            }
            self.ring().commit(claim)?;
            values = rest;
        }
        Ok(())
    }

    /// Returns the items of slots that are held.
    fn read(&self, held: &Held) -> Vec<u64> {
        held.slots(&self.ring()).map(|slot| self.item(slot)).collect()
    }

    fn get(&self, judge: &ModelJudge) -> Result<u64, QueueError> {
        let mut value = 0;
        self.ring().get(judge, Deadline::NEVER, |slot| value = self.item(slot))?;
        Ok(value)
    }

    fn item(&self, slot: u32) -> u64 {
        self.items[slot as usize].load(Relaxed)
    }

    /// Takes all there is until the queue is closed.
    fn drain(&self, judge: &ModelJudge) -> Vec<u64> {
        let mut got = Vec::new();
        loop {
            match self.get(judge) {
                Ok(value) => got.push(value),
                Err(QueueError::Closed) => return got,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn judges<const N: usize>() -> [ModelJudge; N] {
    ModelJudge::new(N as u32).try_into().expect("as many as were asked for")
}

/// Tries every interleaving with at most so many preemptions.
fn model(preemptions: usize, scene: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    let bound = model.preemption_bound.unwrap_or(preemptions);
    model.preemption_bound = Some(bound.min(preemptions));
    model.check(scene);
}

/// One puts 1 to `count`, and closes; another gets them.
fn in_order(capacity: u32, count: u64) {
    model(2, move || {
        let [a, b] = judges();
        let queue = Queue::new(capacity, Delivery::AtLeastOnce);
        let putting = {
            let queue = queue.clone();
            thread::spawn(move || {
                (1..=count).for_each(|value| queue.put(&a, value).unwrap());
                queue.raw.close();
                assert_eq!(queue.put(&a, 9), Err(QueueError::Closed));
            })
        };
        assert_eq!(queue.drain(&b), Vec::from_iter(1..=count));
        putting.join().unwrap();
        assert_eq!(queue.ring().len(), Ok(0));
    });
}

#[test]
fn items_come_in_order_and_once() {
    in_order(2, 3);
}

#[test]
fn a_full_queue_puts_to_sleep_and_an_empty_one_too() {
    in_order(1, 2);
    in_order(1, 3);
}

#[test]
fn a_batch_comes_in_order_too() {
    model(2, || {
        let [a, b] = judges();
        let queue = Queue::new(2, Delivery::AtLeastOnce);
        let putting = {
            let queue = queue.clone();
            thread::spawn(move || queue.put_all(&a, &[1, 2, 3]).unwrap())
        };
        let mut got = Vec::new();
        while got.len() < 3 {
            let held = queue.ring().take(&b, 2, Deadline::NEVER).unwrap();
            got.extend(queue.read(&held));
            queue.ring().done(held).unwrap();
        }
        assert_eq!(got, [1, 2, 3]);
        putting.join().unwrap();
    });
}

/// Two put, one gets: all of it, in each one's order.
fn two_put(capacity: u32, preemptions: usize) {
    model(preemptions, move || {
        let [a, b, c] = judges();
        let queue = Queue::new(capacity, Delivery::AtLeastOnce);
        let putting = [(a, vec![1, 2]), (b, vec![11])].map(|(judge, values)| {
            let queue = queue.clone();
            thread::spawn(move || {
                values.iter().for_each(|&value| queue.put(&judge, value).unwrap())
            })
        });
        let got: Vec<_> = (0..3).map(|_| queue.get(&c).unwrap()).collect();
        for thread in putting {
            thread.join().unwrap();
        }
        let of_first: Vec<_> = got.iter().copied().filter(|&value| value < 10).collect();
        assert_eq!(of_first, [1, 2]);
        assert!(got.contains(&11), "{got:?}");
    });
}

#[test]
fn each_producers_items_come_in_its_order() {
    two_put(1, 1);
    two_put(2, 1);
}

#[test]
fn two_take_what_one_puts_and_no_item_twice() {
    for capacity in [1, 2] {
        model(1, move || {
            let [a, b, c] = judges();
            let queue = Queue::new(capacity, Delivery::AtMostOnce);
            let taking = [b, c].map(|judge| {
                let queue = queue.clone();
                thread::spawn(move || queue.get(&judge).unwrap())
            });
            queue.put(&a, 1).unwrap();
            queue.put(&a, 2).unwrap();
            let mut got = taking.map(|thread| thread.join().unwrap());
            got.sort();
            assert_eq!(got, [1, 2]);
        });
    }
}

#[test]
fn what_is_put_beside_a_close_is_taken_or_refused() {
    model(3, || {
        let [a, b, c] = judges();
        let queue = Queue::new(2, Delivery::AtLeastOnce);
        let putting = {
            let queue = queue.clone();
            thread::spawn(move || queue.put(&a, 1))
        };
        let closing = {
            let queue = queue.clone();
            thread::spawn(move || {
                let _ = &b;
                queue.raw.close();
            })
        };
        let got = queue.drain(&c);
        closing.join().unwrap();
        match putting.join().unwrap() {
            Ok(()) => assert_eq!(got, [1]),
            Err(error) => assert_eq!((error, got), (QueueError::Closed, vec![])),
        }
    });
}

#[test]
fn what_is_given_back_is_taken_again_and_a_closed_queue_waits_for_it() {
    model(2, || {
        let [a, b] = judges();
        let queue = Queue::new(1, Delivery::AtMostOnce);
        queue.put(&a, 1).unwrap();
        queue.raw.close();
        let giving = {
            let queue = queue.clone();
            thread::spawn(move || {
                if let Ok(held) = queue.ring().take(&a, 1, Deadline::NEVER) {
                    queue.ring().give_back(held).unwrap();
                }
                queue.drain(&a)
            })
        };
        let mut got = queue.drain(&b);
        got.extend(giving.join().unwrap());
        assert_eq!(got, [1]);
    });
}

#[test]
fn who_joins_sleeps_until_all_is_done() {
    model(2, || {
        let [a, b] = judges();
        let queue = Queue::new(2, Delivery::AtLeastOnce);
        let done = StdArc::new(StdMutex::new(0));
        queue.put(&a, 1).unwrap();
        queue.put(&a, 2).unwrap();
        let taking = {
            let (queue, done) = (queue.clone(), done.clone());
            thread::spawn(move || {
                for _ in 0..2 {
                    let held = queue.ring().take(&b, 1, Deadline::NEVER).unwrap();
                    *done.lock().unwrap() += 1;
                    queue.ring().done(held).unwrap();
                }
            })
        };
        queue.ring().join(&a, Deadline::NEVER).unwrap();
        assert_eq!(*done.lock().unwrap(), 2);
        taking.join().unwrap();
    });
}
