//! What a pause finds: two steps that look like one, and two in the wrong order.

use std::hint::black_box;

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_layout::Offset;

use crate::scenes::pause::{Op, Race, Turn};
use crate::scenes::ring::{Item, item, number};
use crate::{Arena, Fault};

/// A counter that is read in one step and written in the next.
pub(crate) const LOAD_THEN_STORE: Race = Race {
    name: "load-then-store",
    make: |_| Ok(()),
    ops: &[Op { name: "add", run: add }],
    pairs: &[],
    judge: |arena, _| match words(arena)?[0].load(Relaxed) {
        2 => Ok(()),
        other => Err(Fault::torn(format!("{other} after two additions"))),
    },
};

fn add(arena: &Arena, turn: &Turn<'_, '_>) -> Result<(), Fault> {
    let count = &words(arena)?[0];
    turn.begin()?;
    // The mistake: another may add in between.
    let found = black_box(count.load(Relaxed));
    count.store(found + 1, Relaxed);
    turn.end();
    Ok(())
}

/// A sender that says that an item is there before it is.
pub(crate) const TAIL_FIRST: Race = Race {
    name: "tail-first",
    make: |_| Ok(()),
    ops: &[Op { name: "send", run: send }, Op { name: "recv", run: receive }],
    pairs: &[(0, 1)],
    judge: |_, _| Ok(()),
};

fn send(arena: &Arena, turn: &Turn<'_, '_>) -> Result<(), Fault> {
    let words = words(arena)?;
    turn.begin()?;
    // The mistake: this belongs after the item. Release: pairs with the Acquire in `receive`.
    words[0].store(1, Release);
    for (word, value) in words[1..].iter().zip(item(1)) {
        word.store(value, Relaxed);
    }
    turn.end();
    Ok(())
}

fn receive(arena: &Arena, turn: &Turn<'_, '_>) -> Result<(), Fault> {
    let words = words(arena)?;
    turn.begin()?;
    // Acquire: pairs with the Release in `send`.
    if words[0].load(Acquire) == 1 {
        let found: Item = std::array::from_fn(|i| words[1 + i].load(Relaxed));
        number(found)?;
    }
    turn.end();
    Ok(())
}

fn words(arena: &Arena) -> Result<&[AtomicU64], Fault> {
    arena.object().slice(Offset::ZERO, 8).map_err(|e| Fault::broken(e.to_string()))
}
