//! A stack, and a queue by priority: what comes is whole, what comes together is in order, and there is room again.

use anyhow::Result;
use shmkit::{LifoQueue, Objects, PriorityQueue, QueueError, Segment};

use super::{LONG, SHORT, Toy, failed};
use crate::witness::Me;

/// A number, and all its bits turned.
type Item = [u64; 2];

const CAPACITY: u64 = 16;

fn whole(item: Item) -> Result<u64, String> {
    if item[0] == !item[1] { Ok(item[0]) } else { Err(format!("a torn item: {item:x?}")) }
}

/// What the end of a short time is not.
fn unless_over<T>(what: &str, result: Result<T, QueueError>) -> Result<Option<T>, String> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(QueueError::TimedOut | QueueError::Full | QueueError::Empty) => Ok(None),
        Err(error) => Err(failed(what, error)),
    }
}

pub(crate) struct Stack(LifoQueue<Item>);

impl Stack {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.lifo_queue("stack", CAPACITY)?))
    }
}

impl Toy for Stack {
    fn name(&self) -> &'static str {
        "lifo"
    }

    fn play(&self, _: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let number = random.u64(..);
        if random.bool() {
            let put = self.0.put_timeout([number, !number], SHORT).map_err(|e| e.error);
            return unless_over("put", put).map(drop);
        }
        match unless_over("get", self.0.get_timeout(SHORT))? {
            Some(item) => whole(item).map(drop),
            None => Ok(()),
        }
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        while let Some(item) = unless_over("try_get", self.0.try_get())? {
            whole(item)?;
        }
        let all: Vec<Item> = (0..CAPACITY).map(|number| [number, !number]).collect();
        self.0.put_all_timeout(&all, LONG).map_err(|e| failed("put_all", e.error))
    }

    fn patience(&self) -> std::time::Duration {
        SHORT
    }
}

pub(crate) struct Priorities(PriorityQueue<Item>);

impl Priorities {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.priority_queue("priorities", CAPACITY)?))
    }
}

impl Toy for Priorities {
    fn name(&self) -> &'static str {
        "priority"
    }

    fn play(&self, _: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let mut batch = [(0, [0; 2]); 5];
        let some = random.usize(1..=batch.len());
        if random.bool() {
            for (priority, item) in &mut batch[..some] {
                let number = random.u64(..);
                (*priority, *item) = ((number % 7) as i64, [number, !number]);
            }
            let put = self.0.put_all_timeout(&batch[..some], SHORT).map_err(|e| e.error);
            return unless_over("put", put).map(drop);
        }
        let got = self.0.get_batch_timeout(&mut batch[..some], SHORT);
        let count = unless_over("get", got)?.unwrap_or(0);
        for &(priority, item) in &batch[..count] {
            if whole(item)? % 7 != priority.cast_unsigned() {
                return Err(format!("{item:x?} of {priority}"));
            }
        }
        if !batch[..count].is_sorted_by_key(|&(priority, _)| priority) {
            return Err(format!("out of order: {:?}", &batch[..count]));
        }
        Ok(())
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        let mut last = i64::MIN;
        while let Some((priority, item)) = unless_over("try_get", self.0.try_get())? {
            whole(item)?;
            if priority < last {
                return Err(format!("{priority} after {last}"));
            }
            last = priority;
        }
        Ok(())
    }

    fn patience(&self) -> std::time::Duration {
        SHORT
    }
}
