//! What the bytes of a collection say of it, for who looks without taking part.

use shmkit_layout::{Facts, Kind, Offset, Region, Shape};

use crate::map::{MapFrame, SHARDS, Shard, shards};
use crate::seq::SeqFrame;

/// Returns what the bytes of an object of this crate say of its state; nothing of other kinds, and of bytes that are too few.
/// `region` begins at the object's first byte; a copy of a few kilobytes will do.
pub fn facts(shape: &Shape, region: Region<'_>) -> Option<Facts> {
    match shape.kind.name() {
        "map" | "set" => {
            let frame: &MapFrame = region.get(Offset::ZERO).ok()?;
            let count = shards(frame.bits()) as usize;
            let shards: &[Shard] = region.slice(Offset::new(SHARDS).ok()?, count).ok()?;
            let len = shards.iter().fold(0_u64, |sum, shard| sum.saturating_add(shard.len()));
            Some(Facts::new().say("entries", len).say("evicts", frame.evicts()))
        }
        "vec" | "deque" | "string" => {
            let frame: &SeqFrame = region.get(Offset::ZERO).ok()?;
            // It begins with a lock.
            let lock = Shape { kind: Kind::new("mutex"), ..*shape };
            let facts = shmkit_sync::facts(&lock, region)?.say("length", frame.len());
            Some(match frame.bound() {
                Some(most) => facts.say("of", most),
                None => facts,
            })
        }
        _ => None,
    }
}
