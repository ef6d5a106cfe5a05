//! What the bytes of a queue say of it, for who looks without taking part.

use shmkit_layout::{Facts, Offset, Region, Shape};

use crate::broadcast::CELLS;
use crate::message::RING;
use crate::{RawBroadcast, RawOrdered, RawQueue, SubscriberCell};

/// Returns what the bytes of an object of this crate say of its state; nothing of other kinds, and of bytes that are too few or
/// make no sense. `region` begins at the object's first byte; a copy of its first kilobytes will do.
///
/// What was *put*, or *published*, counts from the making on.
pub fn facts(shape: &Shape, region: Region<'_>) -> Option<Facts> {
    match shape.kind.name() {
        "queue" => of_queue(region.get(Offset::ZERO).ok()?),
        "messages" => of_queue(region.get(Offset::new(RING).ok()?).ok()?),
        "lifo" | "priority" => {
            let queue: &RawOrdered = region.get(Offset::ZERO).ok()?;
            let facts = Facts::new().say("in line about", queue.len()).say("of", queue.capacity());
            Some(facts.say("closed", queue.is_closed()).say("put", queue.put()))
        }
        "bcast" => {
            let raw: &RawBroadcast = region.get(Offset::ZERO).ok()?;
            let facts = Facts::new().say("published", raw.tail()).say("of", raw.capacity());
            // Where not all cells were copied, nothing is said of them.
            let cells =
                region.slice::<SubscriberCell>(Offset::new(CELLS).ok()?, raw.cells() as usize);
            let Ok(cells) = cells else { return Some(facts) };
            let facts = facts.say("subscribers", raw.subscribers(cells) as u64);
            Some(match raw.behind(cells) {
                Some(behind) => facts.say("slowest behind by", behind),
                None => facts,
            })
        }
        _ => None,
    }
}

fn of_queue(queue: &RawQueue) -> Option<Facts> {
    let stats = queue.stats();
    let facts = Facts::new().say("in line about", queue.in_line()?).say("of", queue.capacity());
    let facts = facts.say("closed", queue.is_closed()).say("lost", stats.lost);
    let facts = facts.say("cut", stats.discarded).say("redelivered", stats.redelivered);
    Some(facts.say("put", queue.put_about()?))
}
