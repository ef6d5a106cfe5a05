//! What the bytes of an object say of its state, whatever kind it is.

use serde_json::Value;
use shmkit::layout::{Fact, Facts, Region, Shape};
use shmkit::pool::look::Look;
use shmkit::tracker::{Entry, Inspection};
use shmkit::{collections, heap, pipe, pool, queue, sync};

/// As much of an object is copied: what is told of each kind lies in its first bytes.
const MOST: usize = 1 << 16;
/// And of a pool's table, which has a word for each task: those of 65,000 tasks.
const MOST_OF_POOL: usize = 1 << 24;

/// Returns what is known of an object. Nothing of a kind that is not known, or that cannot be read.
pub(crate) fn of(inspection: &Inspection, entry: &Entry) -> Facts {
    seen(inspection, entry, look).unwrap_or_default()
}

/// Returns what the workers of a pool do, if it is one that can be read.
pub(crate) fn pool(inspection: &Inspection, entry: &Entry) -> Option<Look> {
    seen(inspection, entry, pool::look::look)
}

fn seen<R>(
    inspection: &Inspection,
    entry: &Entry,
    look: impl FnOnce(&Shape, Region<'_>) -> Option<R>,
) -> Option<R> {
    let most = if entry.shape.kind.name() == "pool" { MOST_OF_POOL } else { MOST };
    inspection.look(entry, most, |region| look(&entry.shape, region)).ok().flatten()
}

fn look(shape: &Shape, region: Region<'_>) -> Option<Facts> {
    sync::facts(shape, region)
        .or_else(|| collections::facts(shape, region))
        .or_else(|| pipe::facts(shape, region))
        .or_else(|| queue::facts(shape, region))
        .or_else(|| heap::facts(shape, region))
        .or_else(|| pool::look::facts(shape, region))
}

pub(crate) fn json(fact: Fact) -> Value {
    match fact {
        Fact::Number(number) => number.into(),
        Fact::Is(is) => is.into(),
        Fact::Word(word) => word.into(),
        _ => Value::Null,
    }
}
