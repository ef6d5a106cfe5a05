//! Locks that one holds at a time.

use std::time::Duration;

use shmkit_layout::Object;
use shmkit_sync::{LockError, LockFailure, Mutex};

use super::{Op, Race, Turn};
use crate::scenes::lock::{Gate, Kind, work};
use crate::scenes::locks;
use crate::{Actor, Arena, Fault};

/// Shorter than the peer is paused, most of the time.
const SHORT: Duration = Duration::from_micros(300);

pub(super) const MUTEX: Race = Race {
    name: "mutex",
    make: locks::MUTEX.make,
    ops: &[
        Op { name: "lock", run: |arena, turn| pass(locks::MUTEX, arena, turn) },
        Op { name: "try", run: |arena, turn| try_pass(locks::MUTEX, arena, turn) },
        Op { name: "timeout", run: time_out },
    ],
    pairs: &[],
    judge: |arena, actor| look(locks::MUTEX, arena, actor),
};

pub(super) const SEMAPHORE: Race = Race {
    name: "semaphore",
    make: locks::SEMAPHORE.make,
    ops: &[
        Op { name: "acquire", run: |arena, turn| pass(locks::SEMAPHORE, arena, turn) },
        Op { name: "try", run: |arena, turn| try_pass(locks::SEMAPHORE, arena, turn) },
    ],
    pairs: &[],
    judge: |arena, actor| look(locks::SEMAPHORE, arena, actor),
};

/// Locks, changes the data, unlocks.
fn pass(kind: Kind, arena: &Arena, turn: &Turn<'_, '_>) -> Result<(), Fault> {
    (kind.open)(arena, &mut |gate| {
        turn.begin()?;
        gate.pass(&mut |entry| work(turn.actor, entry))?;
        turn.end();
        Ok(())
    })
}

/// The same if the lock is free.
pub(super) fn try_pass(kind: Kind, arena: &Arena, turn: &Turn<'_, '_>) -> Result<(), Fault> {
    (kind.open)(arena, &mut |gate| {
        turn.begin()?;
        gate.try_pass(&mut |entry| work(turn.actor, entry))?;
        turn.end();
        Ok(())
    })
}

/// Waits for the lock, but not for long.
fn time_out(arena: &Arena, turn: &Turn<'_, '_>) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make` made a mutex of this type here.
    let mutex = unsafe { Mutex::<[u64; 2], _>::attach(arena.object(), 1, &me) };
    let mutex = mutex.map_err(|e| Fault::broken(e.to_string()))?;
    turn.begin()?;
    match mutex.lock_timeout(SHORT) {
        Ok(mut guard) => {
            turn.actor.sheet().enter(turn.actor.seat(), Some(false))?;
            guard.iter_mut().for_each(|half| *half += 1);
            turn.actor.sheet().exit(turn.actor.seat())?;
        }
        Err(LockError::Failed(LockFailure::TimedOut)) => {}
        Err(other) => return Err(Fault::hung(format!("lock_timeout: {other}"))),
    }
    turn.end();
    Ok(())
}

/// The lock is free, and what it guards whole.
pub(super) fn look(kind: Kind, arena: &Arena, actor: &Actor<'_>) -> Result<(), Fault> {
    (kind.open)(arena, &mut |gate: &dyn Gate| {
        if gate.try_pass(&mut |entry| work(actor, entry))? {
            return Ok(());
        }
        Err(Fault::leaked("the lock is held, and nobody is in"))
    })
}
