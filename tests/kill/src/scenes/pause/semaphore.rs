//! A semaphore of three permits, of which two want two each.

use shmkit_layout::Object;
use shmkit_sync::{Semaphore, SemaphoreError};

use super::{Op, Race, Turn};
use crate::arena::{Me, NOBODY};
use crate::{Arena, Fault};

/// How many there are.
const COUNT: u32 = 3;

pub(super) const PERMITS: Race = Race {
    name: "permits",
    make: |arena| {
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        let made = unsafe { Semaphore::init(arena.object(), COUNT.into(), &NOBODY) };
        made.map(drop).map_err(|e| Fault::broken(e.to_string()))
    },
    ops: &[
        Op { name: "take-2", run: |arena, turn| take(arena, turn, 2) },
        Op { name: "take-1", run: |arena, turn| take(arena, turn, 1) },
    ],
    pairs: &[(0, 0), (0, 1), (1, 0)],
    judge: |arena, _| {
        open(arena, |semaphore| {
            let all = semaphore.try_acquire_many(COUNT);
            let all = all.map_err(|e| Fault::leaked(format!("a permit is lost: {e}")))?;
            match semaphore.try_acquire() {
                Err(SemaphoreError::WouldBlock) => {}
                other => return Err(Fault::double_owner(format!("one too many: {other:?}"))),
            }
            drop(all);
            Ok(())
        })
    },
};

fn take(arena: &Arena, turn: &Turn<'_, '_>, count: u32) -> Result<(), Fault> {
    open(arena, |semaphore| {
        turn.begin()?;
        let some = semaphore.acquire_many(count);
        drop(some.map_err(|e| Fault::hung(format!("acquire: {e}")))?);
        turn.end();
        Ok(())
    })
}

fn open(
    arena: &Arena,
    then: impl FnOnce(Semaphore<Me<'_>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make` made a semaphore of so many permits here.
    let semaphore = unsafe { Semaphore::attach(arena.object(), u64::from(COUNT), &me) };
    then(semaphore.map_err(|e| Fault::broken(e.to_string()))?)
}
