//! Waiting for each other as everybody writes it first: the change in one step, the wake in the next, and sleeps without
//! end.

use std::time::Duration;

use shmkit_atomic::Ordering::{AcqRel, Acquire, Release};
use shmkit_atomic::futex::{self, ALL};
use shmkit_atomic::{AtomicU32, AtomicU64, Deadline};
use shmkit_layout::Offset;
use shmkit_roster::{OwnerId, Verdict, ask};

use crate::scenes::cell::{Kind as Cell, Wide, begin};
use crate::scenes::counting::{Doors, Kind as Counting};
use crate::scenes::event::{Kind as Event, wait};
use crate::scenes::once::agree;
use crate::{Arena, Fault};

/// An event whose setter first sets and then wakes.
pub(crate) const SET_THEN_WAKE: Event = Event {
    name: "event/set",
    about: "a set and its wake apart",
    floor: 6,
    victim: |arena, actor| {
        let word = word(arena, 0)?;
        actor.mark();
        set(word);
        actor.mark();
        Ok(())
    },
    wait: |arena, actor| {
        let word = word(arena, 0)?;
        wait(actor, || {
            // Acquire: pairs with the Release in `set`.
            while word.load(Acquire) == 0 {
                futex::wait(word, 0, Deadline::NEVER);
            }
            Ok(())
        })
    },
    set: |arena| {
        set(word(arena, 0)?);
        Ok(())
    },
};

fn set(word: &AtomicU32) {
    // Release: pairs with the Acquire of who waits.
    if word.compare_exchange(0, 1, Release, Acquire).is_ok() {
        futex::wake(word, ALL);
    }
}

/// A semaphore whose releaser first raises and then wakes, one after the other.
pub(crate) const RAISE_THEN_WAKE: Counting = Counting {
    name: "raise-then-wake",
    floor: 6,
    make: |_| Ok(()),
    open: |arena, then| then(&Raised(word(arena, 0)?)),
};

struct Raised<'a>(&'a AtomicU32);

impl Doors for Raised<'_> {
    fn acquire(&self) -> Result<(), Fault> {
        while !self.try_acquire()? {
            futex::wait(self.0, 0, Deadline::NEVER);
        }
        Ok(())
    }

    fn release(&self, count: u32) -> Result<(), Fault> {
        for _ in 0..count {
            // Release: pairs with the AcqRel in `try_acquire`.
            self.0.fetch_add(1, Release);
            futex::wake(self.0, 1);
        }
        Ok(())
    }

    fn try_acquire(&self) -> Result<bool, Fault> {
        // AcqRel: pairs with itself and with the Release in `release`.
        let lowered = self.0.fetch_update(AcqRel, Acquire, |value| value.checked_sub(1));
        Ok(lowered.is_ok())
    }
}

/// A value that is ready before it is written.
pub(crate) const READY_FIRST: Cell = Cell {
    name: "ready-first",
    about: "a value is ready before it is written",
    floor: 15,
    make: |_| Ok(()),
    write: |arena, actor| {
        let me = arena.join()?;
        actor.mark();
        make(arena, &me, 2)?;
        actor.mark();
        Ok(())
    },
    read: |arena, actor| {
        let me = arena.join()?;
        begin(actor)?;
        let found = make(arena, &me, 3)?;
        actor.through();
        agree(actor, found)
    },
};

/// Returns the value, and makes it if nobody alive has or is at it.
fn make(arena: &Arena, me: &shmkit_roster::Participant<'_>, number: u64) -> Result<Wide, Fault> {
    const READY: u32 = 1 << 30;
    let (word, words) = (word(arena, 0)?, words(arena)?);
    let id = me.id().ok_or_else(|| Fault::broken("joined and nobody"))?;
    loop {
        // Acquire: pairs with the Release below.
        let now = word.load(Acquire);
        if now == READY {
            return Ok(std::array::from_fn(|i| words[i].load(Acquire)));
        }
        let owner = OwnerId::from_word(now);
        if owner.is_some_and(|owner| ask(me, id, owner) != Verdict::Dead) {
            futex::wait(word, now, Deadline::after(Duration::from_millis(1)));
            continue;
        }
        // AcqRel: publishes the id.
        if word.compare_exchange(now, id.get(), AcqRel, Acquire).is_ok() {
            // The mistake: this belongs after the words. Release: pairs with the Acquire above.
            word.store(READY, Release);
            words.iter().for_each(|word| word.store(number, Release));
        }
    }
}

fn word(arena: &Arena, at: u64) -> Result<&AtomicU32, Fault> {
    let word = Offset::new(at).and_then(|at| arena.object().get(at));
    word.map_err(|e| Fault::broken(e.to_string()))
}

fn words(arena: &Arena) -> Result<&[AtomicU64], Fault> {
    let words = Offset::new(64).and_then(|at| arena.object().slice(at, 8));
    words.map_err(|e| Fault::broken(e.to_string()))
}
