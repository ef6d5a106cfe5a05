//! What the bytes of an object say of its state, whatever kind it is.

use serde_json::Value;
use shmkit::layout::{Fact, Facts, Offset, Region, Shape};
use shmkit::pipe::RawRing;
use shmkit::queue::RawQueue;
use shmkit::tracker::{Entry, Inspection};
use shmkit::{collections, sync};

/// As much of an object is copied: what is told of each kind lies in its first bytes.
const MOST: usize = 1 << 16;

/// Returns what is known of an object. Nothing of a kind that is not known, or that cannot be read.
pub(crate) fn of(inspection: &Inspection, entry: &Entry) -> Facts {
    let facts = inspection.look(entry, MOST, |region| look(&entry.shape, region));
    facts.ok().flatten().unwrap_or_default()
}

fn look(shape: &Shape, region: Region<'_>) -> Option<Facts> {
    sync::facts(shape, region)
        .or_else(|| collections::facts(shape, region))
        .or_else(|| ring(shape, region))
}

fn ring(shape: &Shape, region: Region<'_>) -> Option<Facts> {
    match shape.kind.name() {
        "pipe" => {
            let ring: &RawRing = region.get(Offset::ZERO).ok()?;
            Some(Facts::new().say("items", ring.len()).say("of", ring.capacity()))
        }
        "frames" => {
            let ring: &RawRing = region.get(Offset::ZERO).ok()?;
            // Words of eight bytes.
            let [used, of] = [ring.len(), ring.capacity()].map(|words| words.saturating_mul(8));
            Some(Facts::new().say("bytes", used).say("of", of))
        }
        "queue" => {
            let queue: &RawQueue = region.get(Offset::ZERO).ok()?;
            let stats = queue.stats();
            let facts = Facts::new().say("in line about", queue.in_line()?);
            let facts = facts.say("of", queue.capacity()).say("closed", queue.is_closed());
            Some(facts.say("lost", stats.lost).say("redelivered", stats.redelivered))
        }
        _ => None,
    }
}

pub(crate) fn json(fact: Fact) -> Value {
    match fact {
        Fact::Number(number) => number.into(),
        Fact::Is(is) => is.into(),
        Fact::Word(word) => word.into(),
        _ => Value::Null,
    }
}
