//! The doorbell: no ring is lost, with several sleepers and several commits to a ring.

use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::AtomicU32;
use shmkit_atomic::Deadline;
use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{Doorbell, Slices, crash};

use crate::{model, seeded, with_every_crash};

/// Items that producers add and consumers take.
struct Stock {
    items: AtomicU32,
    bell: Doorbell,
}

impl Stock {
    fn new() -> Arc<Self> {
        Arc::new(Self { items: AtomicU32::new(0), bell: Doorbell::new() })
    }

    /// Adds `n` items and rings for them.
    fn put(&self, n: u32, all: bool) {
        if seeded::is("ring-first") {
            self.bell.ring(n);
            self.items.fetch_add(n, Release);
            return;
        }
        crash::step();
        self.items.fetch_add(n, Release);
        if all {
            self.bell.ring_all();
        } else {
            self.bell.ring(n);
        }
    }

    fn try_take(&self) -> bool {
        let mut items = self.items.load(Acquire);
        while items > 0 {
            match self.items.compare_exchange(items, items - 1, AcqRel, Relaxed) {
                Ok(_) => return true,
                Err(now) => items = now,
            }
        }
        false
    }

    /// Takes an item, sleeping to `deadline` at a time. Nothing but a ring ends a sleep without deadline.
    fn take(&self, deadline: impl Fn() -> Deadline) {
        if self.try_take() {
            return;
        }
        loop {
            let armed = self.bell.arm();
            if !seeded::is("look-before-arming") && self.try_take() {
                return;
            }
            self.bell.sleep(armed, deadline());
            if self.try_take() {
                return;
            }
        }
    }
}

fn never() -> Deadline {
    Deadline::NEVER
}

/// Two consumers, of whom one takes twice; a producer that adds one, then two with one ring.
fn no_ring_is_lost(all: bool) {
    model(move || {
        let stock = Stock::new();
        let consumers = [1, 2].map(|takes| {
            let stock = stock.clone();
            thread::spawn(move || (0..takes).for_each(|_| stock.take(never)))
        });
        stock.put(1, all);
        stock.put(2, all);
        for consumer in consumers {
            consumer.join().unwrap();
        }
    });
}

#[test]
fn no_ring_for_some_is_lost() {
    no_ring_is_lost(false);
}

#[test]
fn no_ring_for_all_is_lost() {
    no_ring_is_lost(true);
}

/// A ring whose item is gone already takes the mark away, at the very moment at which somebody comes to sleep, and
/// somebody else sets it again: the ring for the other two items must not be lost in between.
#[test]
fn no_ring_after_one_for_nothing_is_lost() {
    model(|| {
        let stock = Stock::new();
        // Somebody was about to sleep, and went away.
        let _ = stock.bell.arm();
        let consumers = [(); 2].map(|()| {
            let stock = stock.clone();
            thread::spawn(move || stock.take(never))
        });
        stock.bell.ring(1);
        stock.put(2, false);
        for consumer in consumers {
            consumer.join().unwrap();
        }
    });
}

#[test]
fn no_ring_of_two_ringers_is_lost() {
    model(|| {
        let stock = Stock::new();
        let ringer = {
            let stock = stock.clone();
            thread::spawn(move || stock.put(1, false))
        };
        let consumer = {
            let stock = stock.clone();
            thread::spawn(move || (0..2).for_each(|_| stock.take(never)))
        };
        stock.put(1, true);
        ringer.join().unwrap();
        consumer.join().unwrap();
    });
}

#[test]
fn the_end_of_a_slice_makes_good_for_a_dead_ringer() {
    with_every_crash("doorbell", |steps, lives| {
        let stock = Stock::new();
        let [ringer, consumer] = ModelJudge::new(2).try_into().unwrap();
        let thread = {
            let stock = stock.clone();
            thread::spawn(move || {
                use shmkit_roster::{Judge, Verdict};
                let mut slices = Slices::new();
                loop {
                    let armed = stock.bell.arm();
                    // The verdict first: a commit that came before the death is not overlooked.
                    let dead = consumer.verdict(ringer_id()) == Verdict::Dead;
                    if stock.try_take() || dead {
                        return;
                    }
                    stock.bell.sleep(armed, slices.next(Deadline::NEVER));
                }
            })
        };
        if crash::after(steps, || {
            stock.put(1, false);
            stock.put(1, false);
        })
        .is_err()
        {
            lives.died();
            ringer.die();
        }
        thread.join().unwrap();
    });
}

fn ringer_id() -> shmkit_roster::OwnerId {
    shmkit_roster::OwnerId::new(1).unwrap()
}
