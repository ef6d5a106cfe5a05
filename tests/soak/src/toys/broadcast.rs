//! A broadcast whose publisher changes: what one published arrives at all who are there in order, whole and once.

use anyhow::Result;
use shmkit::{Broadcast, BroadcastError, BroadcastSpec, Objects, Overrun, Segment, Start};

use super::{LONG, SHORT, Toy, failed};
use crate::witness::Me;

/// Who published it, and which of its items it is, from 0; and all its bits turned.
type Item = [u64; 4];

const CAPACITY: u64 = 32;

fn broadcast(segment: &Segment, overrun: Overrun) -> Result<Broadcast<Item>> {
    let name = format!("broadcast {overrun:?}");
    // Every process may be there, and die, before anybody passes it over.
    Ok(segment.broadcast(&name, BroadcastSpec::new(CAPACITY).overrun(overrun))?)
}

pub(crate) struct Publishing(Broadcast<Item>);

impl Publishing {
    pub(crate) fn new(segment: &Segment, overrun: Overrun) -> Result<Self> {
        Ok(Self(broadcast(segment, overrun)?))
    }
}

impl Toy for Publishing {
    fn name(&self) -> &'static str {
        if self.0.overrun() == Overrun::Wait { "broadcast/send" } else { "broadcast/send over" }
    }

    fn play(&self, me: Me<'_>, n: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let mut publisher = match self.0.publisher() {
            Ok(publisher) => publisher,
            Err(BroadcastError::Taken { .. }) => return Ok(()),
            Err(error) => return Err(failed("publisher", error)),
        };
        me.enter(n, None)?;
        // A name for this hold of the role: nobody had it before.
        let name = random.u64(1..);
        for number in 0..random.u64(..200) {
            let item = [name, number, !name, !number];
            // Those who receive leave, or die, or go on: it is through long before.
            publisher.send_timeout(item, LONG).map_err(|e| failed("send", e.error))?;
        }
        me.leave(n)
    }
}

pub(crate) struct Subscribing(Broadcast<Item>);

impl Subscribing {
    pub(crate) fn new(segment: &Segment, overrun: Overrun) -> Result<Self> {
        Ok(Self(broadcast(segment, overrun)?))
    }
}

impl Toy for Subscribing {
    fn name(&self) -> &'static str {
        if self.0.overrun() == Overrun::Wait { "broadcast/recv" } else { "broadcast/recv over" }
    }

    fn play(&self, _: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let start = if random.bool() { Start::Newest } else { Start::Oldest };
        let mut subscriber = self.0.subscribe(start).map_err(|error| failed("subscribe", error))?;
        let mut last: Option<Item> = None;
        for _ in 0..random.u64(..200) {
            let item = match subscriber.recv_timeout(SHORT) {
                Ok(item) => item,
                Err(BroadcastError::Lagged { .. }) if self.0.overrun() == Overrun::Skip => {
                    last = None;
                    continue;
                }
                Err(
                    BroadcastError::TimedOut
                    | BroadcastError::Closed
                    | BroadcastError::PublisherDied { .. },
                ) => break,
                Err(error) => return Err(failed("recv", error)),
            };
            let [name, number, turned, over] = item;
            if (!turned, !over) != (name, number) {
                return Err(format!("a torn item: {item:x?}"));
            }
            match last {
                Some([other, before, ..]) if name == other && number != before + 1 => {
                    return Err(format!("item {number} came after {before}"));
                }
                Some([other, ..]) if name != other && number != 0 => {
                    return Err(format!("a publisher's first item is its number {number}"));
                }
                _ => last = Some(item),
            }
        }
        Ok(())
    }

    fn patience(&self) -> std::time::Duration {
        SHORT
    }
}
