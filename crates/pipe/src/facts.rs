//! What the bytes of a pipe say of it, for who looks without taking part.

use shmkit_layout::{Facts, Offset, Region, Shape};

use crate::RawRing;

/// Bytes of an item of [`Frames`](crate::Frames).
const WORD: u64 = 8;

/// Returns what the bytes of an object of this crate say of its state; nothing of other kinds, and of bytes that are too few.
/// `region` begins at the object's first byte; a copy of its first kilobyte will do.
///
/// What was *sent* counts from the making on, in items, or in bytes where messages have any length: with what is around them.
pub fn facts(shape: &Shape, region: Region<'_>) -> Option<Facts> {
    let (unit, each) = match shape.kind.name() {
        "pipe" => ("items", 1),
        "frames" => ("bytes", WORD),
        _ => return None,
    };
    let ring: &RawRing = region.get(Offset::ZERO).ok()?;
    let numbers = [ring.len(), ring.capacity(), ring.sent()];
    let [lie, of, sent] = numbers.map(|items| items.saturating_mul(each));
    Some(Facts::new().say(unit, lie).say("of", of).say("sent", sent))
}
