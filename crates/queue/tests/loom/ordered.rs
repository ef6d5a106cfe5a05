//! Every interleaving at a queue with an order of its own, and of one who dies before each of its steps.

use shmkit_atomic::AtomicU32;
use shmkit_atomic::crash::everywhere;
use shmkit_queue::{OrderedRing, OrderedSlot, RawOrdered};

use super::*;

/// A stack with its items, which loom watches for races.
struct Stack {
    raw: RawOrdered,
    line: Vec<AtomicU32>,
    slots: Vec<OrderedSlot>,
    items: Vec<UnsafeCell<u64>>,
}

// SAFETY: items are touched under the lock; loom checks that.
unsafe impl Sync for Stack {}
// SAFETY: as above.
unsafe impl Send for Stack {}

impl Stack {
    fn new(capacity: u32) -> Arc<Self> {
        let this = Self {
            raw: RawOrdered::new(),
            line: (0..capacity).map(|_| AtomicU32::new(0)).collect(),
            slots: (0..capacity).map(|_| OrderedSlot::new()).collect(),
            items: (0..capacity).map(|_| UnsafeCell::new(0)).collect(),
        };
        this.ring().make();
        Arc::new(this)
    }

    fn ring(&self) -> OrderedRing<'_> {
        OrderedRing::new(&self.raw, &self.line, &self.slots, true)
    }

    fn put(&self, judge: &ModelJudge, value: u64) {
        let put = self.ring().put(judge, Deadline::NEVER, 1, |_, slot| {
            crash::step();
            // SAFETY: the slot is empty, under the lock; loom checks that nobody else touches its item.
            self.items[slot as usize].with_mut(|item| unsafe { *item = value });
            0
        });
        assert_eq!(put, Ok(1));
    }

    fn get(&self, judge: &ModelJudge) -> Result<u64, QueueError> {
        let mut value = 0;
        self.ring().take(judge, Deadline::NEVER, 1, |_, slot, _| {
            // SAFETY: under the lock; loom checks that nobody writes to the item.
            value = self.items[slot as usize].with(|item| unsafe { *item });
        })?;
        Ok(value)
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

#[test]
fn who_puts_into_a_full_stack_and_who_takes_from_an_empty_one_wake_each_other() {
    model(2, || {
        let [a, b] = judges();
        let stack = Stack::new(1);
        let putting = {
            let stack = stack.clone();
            thread::spawn(move || {
                (1..=2).for_each(|value| stack.put(&a, value));
                stack.raw.close();
            })
        };
        assert_eq!(stack.drain(&b), [1, 2]);
        putting.join().unwrap();
    });
}

#[test]
fn what_a_dead_one_left_in_the_middle_is_whole_to_its_heir() {
    everywhere("put, put, get", 1, |steps, lives| {
        let [mortal, b] = judges();
        let stack = Stack::new(2);
        let putting = {
            let stack = stack.clone();
            thread::spawn(move || {
                stack.put(&b, 21);
                b
            })
        };
        let mut taken = None;
        let life = crash::after(steps, || {
            stack.put(&mortal, 1);
            taken = stack.get(&mortal).ok();
        });
        if life.is_err() {
            lives.died();
            mortal.die();
        }
        let b = putting.join().unwrap();
        stack.raw.close();
        let mut got = stack.drain(&b);
        assert_eq!(stack.raw.len(), 0);
        got.extend(taken);
        assert!(got.iter().all(|value| [1, 21].contains(value)), "{got:?}");
        got.dedup();
        // What it had taken, and did not live to see, is gone: one item.
        assert!(got.len() + usize::from(life.is_err()) >= 2, "{got:?}");
    });
}
