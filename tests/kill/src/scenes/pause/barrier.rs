//! Meeting at a barrier, and leaving one.

use shmkit_layout::Object;
use shmkit_sync::{Barrier, BarrierError};

use super::waiting::{broken, hung};
use super::{Op, Race, Turn};
use crate::arena::{Me, NOBODY};
use crate::{Arena, Fault};

/// Parties of the barrier.
const PARTIES: u32 = 2;

/// Two meet, or one waits for somebody who breaks the barrier instead.
pub(super) const MEETING: Race = Race {
    name: "barrier",
    make: |arena| {
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        unsafe { Barrier::init(arena.object(), PARTIES.into(), &NOBODY) }.map(drop).map_err(broken)
    },
    ops: &[
        Op {
            name: "meet",
            run: |arena, turn| {
                with_barrier(arena, turn, |barrier| barrier.wait().map(drop).map_err(hung))
            },
        },
        Op {
            name: "wait-in-vain",
            run: |arena, turn| {
                with_barrier(arena, turn, |barrier| match barrier.wait() {
                    Err(BarrierError::Broken) => Ok(()),
                    other => Err(Fault::torn(format!("the barrier was broken: {other:?}"))),
                })
            },
        },
        Op {
            name: "abort",
            run: |arena, turn| with_barrier(arena, turn, |barrier| barrier.abort().map_err(hung)),
        },
    ],
    pairs: &[(0, 0), (1, 2), (2, 1)],
    judge: |arena, _| {
        let me = arena.join()?;
        match barrier(arena, PARTIES, &me)?.n_waiting() {
            0 => Ok(()),
            n => Err(Fault::leaked(format!("{n} still wait"))),
        }
    },
};

fn barrier<'a>(arena: &'a Arena, parties: u32, me: Me<'a>) -> Result<Barrier<Me<'a>>, Fault> {
    // SAFETY: `make` made a barrier of so many parties here.
    unsafe { Barrier::attach(arena.object(), parties.into(), me) }.map_err(broken)
}

fn with_barrier(
    arena: &Arena,
    turn: &Turn<'_, '_>,
    then: impl FnOnce(Barrier<Me<'_>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    let barrier = barrier(arena, PARTIES, &me)?;
    turn.begin()?;
    then(barrier)?;
    turn.end();
    Ok(())
}

/// One waits for the only place at a barrier, and the other gives it back and leaves: nobody has died.
pub(super) const PLACE: Race = Race {
    name: "place",
    make: |arena| {
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        unsafe { Barrier::init(arena.object(), 1.into(), &NOBODY) }.map(drop).map_err(broken)
    },
    ops: &[
        Op {
            name: "wait",
            run: |arena, turn| {
                let me = arena.join()?;
                let barrier = barrier(arena, 1, &me)?;
                turn.begin()?;
                barrier.wait().map_err(hung)?;
                turn.end();
                Ok(())
            },
        },
        Op {
            name: "leave",
            run: |arena, turn| {
                let me = arena.join()?;
                let party = barrier(arena, 1, &me)?.party().map_err(hung)?;
                turn.begin()?;
                drop(party);
                drop(me);
                turn.end();
                Ok(())
            },
        },
    ],
    pairs: &[(0, 1)],
    judge: |arena, _| {
        let me = arena.join()?;
        barrier(arena, 1, &me)?.wait().map(drop).map_err(hung)
    },
};
