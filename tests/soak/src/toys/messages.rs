//! Queues, of items and of messages: what was put is whole, and what two have died with is a dead letter.

use std::time::Duration;

use anyhow::Result;
use shmkit::{MessageQueue, MessageSpec, Objects, Queue, QueueError, QueueSpec, Segment};

use super::{SHORT, Toy, failed, linger, message};
use crate::witness::Me;

const CAPACITY: u64 = 16;
/// In bytes: of all messages that lie in blocks.
const BYTES: u64 = 1 << 18;
const LONGEST: usize = 30_000;
const DEATHS: u32 = 2;

/// A number, itself twice, and its bits turned.
type Item = [u64; 3];

fn item(number: u64) -> Item {
    [number, number, !number]
}

fn check(item: Item) -> Result<(), String> {
    let [number, again, turned] = item;
    let is_whole = number == again && turned == !number;
    if is_whole { Ok(()) } else { Err(format!("a torn item: {item:x?}")) }
}

/// What may become of an operation on a queue that others use.
fn may_be<T>(what: &str, result: Result<T, QueueError>) -> Result<Option<T>, String> {
    match result {
        Ok(got) => Ok(Some(got)),
        Err(QueueError::TimedOut | QueueError::Empty | QueueError::Full) => Ok(None),
        Err(error) => Err(failed(what, error)),
    }
}

pub(crate) struct Items(Queue<Item>);

impl Items {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.queue("queue", QueueSpec::new(CAPACITY).give_up_after(DEATHS))?))
    }
}

impl Toy for Items {
    fn name(&self) -> &'static str {
        "queue"
    }

    fn play(&self, _: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let queue = &self.0;
        match random.u8(..8) {
            0..3 => {
                let put = queue.put_timeout(item(random.u64(..)), SHORT);
                may_be("put", put.map_err(|refused| refused.error))?;
            }
            3..5 => {
                if let Some(got) = may_be("get", queue.get_timeout(SHORT))? {
                    check(got)?;
                }
            }
            5 => {
                let letters = queue.dead_letters().ok_or("it gives up")?;
                if let Some(letter) = may_be("letter", letters.try_get())? {
                    check(letter)?;
                }
            }
            _ => {
                if let Some(lease) = may_be("take", queue.take_timeout(SHORT))? {
                    check(*lease)?;
                    linger(random);
                    let settled = if random.bool() { lease.done() } else { lease.give_back() };
                    settled.map_err(|error| failed("done", error))?;
                }
            }
        }
        Ok(())
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        // Two rounds of what the dead may have, and nothing is left.
        let letters = self.0.dead_letters().ok_or("it gives up")?;
        for queue in [&self.0, &letters] {
            while let Some(got) = may_be("get", queue.get_timeout(SHORT * 20))? {
                check(got)?;
            }
        }
        may_be("join", self.0.join_timeout(SHORT * 20))?.ok_or("something is never done".into())
    }

    fn patience(&self) -> Duration {
        SHORT
    }
}

pub(crate) struct Messages(MessageQueue);

impl Messages {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        let spec = MessageSpec::new(CAPACITY, BYTES).give_up_after(DEATHS);
        Ok(Self(segment.message_queue("messages", spec)?))
    }
}

impl Toy for Messages {
    fn name(&self) -> &'static str {
        "messages"
    }

    fn play(&self, me: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let queue = &self.0;
        match random.u8(..8) {
            0..3 => {
                let longest = if random.bool() { LONGEST } else { 100 };
                let sent = message::make(me.number(), random.u64(..), random.usize(..longest));
                may_be("put", queue.put_timeout(&sent, SHORT))?;
            }
            3..5 => {
                if let Some(got) = may_be("get", queue.get_timeout(SHORT))? {
                    message::check(&got)?;
                }
            }
            5 => {
                let letters = queue.dead_letters().ok_or("it gives up")?;
                if let Some(letter) = may_be("letter", letters.try_get())? {
                    message::check(&letter)?;
                }
            }
            _ => {
                if let Some(lease) = may_be("take", queue.take_timeout(SHORT))? {
                    message::check(&lease)?;
                    linger(random);
                    message::check(&lease)?;
                    let settled = if random.bool() { lease.done() } else { lease.give_back() };
                    settled.map_err(|error| failed("done", error))?;
                }
            }
        }
        Ok(())
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        let letters = self.0.dead_letters().ok_or("it gives up")?;
        for queue in [&self.0, &letters] {
            while let Some(got) = may_be("get", queue.get_timeout(SHORT * 20))? {
                message::check(&got)?;
            }
        }
        may_be("join", self.0.join_timeout(SHORT * 20))?.ok_or("something is never done")?;
        // Nothing of it is lost: the longest that there is room for fits.
        let longest = vec![7; self.0.max_len() as usize];
        may_be("put", self.0.put_timeout(&longest, super::LONG))?.ok_or("memory is lost")?;
        may_be("get", self.0.try_get())?.map(drop).ok_or("what was put is not there".into())
    }

    fn patience(&self) -> Duration {
        SHORT
    }
}
