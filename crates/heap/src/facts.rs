//! What the bytes of a heap say of it, for who looks without taking part.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::{Facts, Offset, Region, Shape};

use crate::HeapFrame;

/// Returns what the first bytes of a heap say of its state, tables left out; nothing of another kind, and of bytes that are too few
/// or make no sense.
///
/// How much of it is free only who goes through all its pages knows: see [`Heap::check`](crate::Heap::check).
pub fn facts(shape: &Shape, region: Region<'_>) -> Option<Facts> {
    if shape.kind.name() != "heap" {
        return None;
    }
    let frame: &HeapFrame = region.get(Offset::ZERO).ok()?;
    let (seats, shift, pages) = frame.numbers();
    let bytes = |pages: u64| pages.checked_mul(1_u64.checked_shl(shift)?);
    // Relaxed: a number for people.
    let reached = frame.end.load(Relaxed);
    let facts = Facts::new().say("bytes", bytes(frame.committed())?).say("of", bytes(pages)?);
    Some(facts.say("ever used", bytes(reached)?).say("seats", seats))
}
