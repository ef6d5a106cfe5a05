//! What is made once, while others wait for it.

use shmkit_layout::Object;
use shmkit_sync::OnceCell;

use super::waiting::{broken, hung};
use super::{Op, Race};
use crate::arena::Me;
use crate::{Arena, Fault};

/// One waits until the other has made the value, and has left: nobody has died.
pub(super) const MADE: Race = Race {
    name: "once",
    // Zero bytes are a cell that is empty.
    make: |_| Ok(()),
    ops: &[
        Op {
            name: "wait",
            run: |arena, turn| {
                let me = arena.join()?;
                let cell = cell(arena, &me)?;
                turn.begin()?;
                let made = *cell.wait().map_err(hung)?;
                turn.end();
                if made == 7 { Ok(()) } else { Err(Fault::torn(format!("{made} instead of 7"))) }
            },
        },
        Op {
            name: "make",
            run: |arena, turn| {
                let me = arena.join()?;
                cell(arena, &me)?.get_or_try_init(|| turn.begin().map(|()| 7)).map_err(hung)?;
                drop(me);
                turn.end();
                Ok(())
            },
        },
    ],
    pairs: &[(0, 1), (1, 0)],
    judge: |arena, _| {
        let me = arena.join()?;
        cell(arena, &me)?.get().map(drop).ok_or_else(|| Fault::torn("it was made, and is not"))
    },
};

fn cell<'a>(arena: &'a Arena, me: Me<'a>) -> Result<OnceCell<u64, Me<'a>>, Fault> {
    // SAFETY: the zero bytes of an arena are an empty cell.
    unsafe { OnceCell::attach(arena.object(), 1, me) }.map_err(broken)
}
