//! Waiting for each other: an event, a count, a condition.

use shmkit_layout::{Object, Region};
use shmkit_sync::{
    Condvar, Count, CountingSemaphore, Event, LockError, Mutex, MutexGuard, RawCountingSemaphore,
    Seated, WaitError,
};

use super::{Op, Race, Turn};
use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Fault};

/// Bytes of a condition variable with room to spare; its mutex lies behind them.
const CONDVAR: u64 = 1024;

pub(super) fn broken(error: impl std::fmt::Display) -> Fault {
    Fault::broken(error.to_string())
}

pub(super) fn hung(error: impl std::fmt::Display) -> Fault {
    Fault::hung(error.to_string())
}

/// Who waits gets through, though the event is set only for a moment.
pub(super) const EVENT: Race = Race {
    name: "event",
    make: |arena| {
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        unsafe { Event::init(arena.object(), (), &NOBODY) }.map(drop).map_err(broken)
    },
    ops: &[
        Op {
            name: "wait",
            run: |arena, turn| with_event(arena, turn, |event| event.wait().map_err(hung)),
        },
        Op {
            name: "set",
            run: |arena, turn| with_event(arena, turn, |event| event.set().map_err(hung)),
        },
        Op {
            name: "pulse",
            run: |arena, turn| {
                with_event(arena, turn, |event| {
                    event.set().and_then(|()| event.clear()).map_err(hung)
                })?;
                // For who began to wait only now.
                let me = arena.join()?;
                // SAFETY: `make` made an event here.
                let event = unsafe { Event::attach(arena.object(), 1, &me) }.map_err(broken)?;
                event.set().map_err(hung)
            },
        },
    ],
    pairs: &[(0, 1), (1, 0), (0, 2), (2, 0)],
    judge: |arena, _| {
        let me = arena.join()?;
        // SAFETY: `make` made an event here.
        let event = unsafe { Event::attach(arena.object(), 1, &me) }.map_err(broken)?;
        if event.is_set() { Ok(()) } else { Err(Fault::torn("it was set, and is not")) }
    },
};

fn with_event(
    arena: &Arena,
    turn: &Turn<'_, '_>,
    then: impl FnOnce(Event<Me<'_>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make` made an event here.
    let event = unsafe { Event::attach(arena.object(), 1, &me) }.map_err(broken)?;
    turn.begin()?;
    then(event)?;
    turn.end();
    Ok(())
}

/// One waits for the other's release.
pub(super) const COUNT: Race = Race {
    name: "count",
    make: |arena| {
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        let made = unsafe { CountingSemaphore::init(arena.object(), Count::unbounded(0), &NOBODY) };
        made.map(drop).map_err(broken)
    },
    ops: &[
        Op {
            name: "acquire",
            run: |arena, turn| with_count(arena, turn, |count| count.acquire().map_err(hung)),
        },
        Op {
            name: "release",
            run: |arena, turn| with_count(arena, turn, |count| count.release(1).map_err(hung)),
        },
    ],
    pairs: &[(0, 1), (1, 0)],
    judge: |arena, _| {
        let me = arena.join()?;
        match count(arena, &me)?.value() {
            0 => Ok(()),
            value => {
                Err(Fault::double_owner(format!("one released, one acquired, and {value} left")))
            }
        }
    },
};

fn count<'a>(arena: &'a Arena, me: Me<'a>) -> Result<CountingSemaphore<Me<'a>>, Fault> {
    let bound = u64::from(RawCountingSemaphore::MAX_VALUE);
    // SAFETY: `make` made one with this bound here.
    unsafe { CountingSemaphore::attach(arena.object(), bound, me) }.map_err(broken)
}

fn with_count(
    arena: &Arena,
    turn: &Turn<'_, '_>,
    then: impl FnOnce(CountingSemaphore<Me<'_>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    let count = count(arena, &me)?;
    turn.begin()?;
    then(count)?;
    turn.end();
    Ok(())
}

/// One waits until the other has said so.
pub(super) const CONDITION: Race = Race {
    name: "condvar",
    make: make_condition,
    ops: &[
        Op {
            name: "wait",
            run: |arena, turn| {
                with_condition(arena, turn, |said, condvar| {
                    let said = condvar.wait_while(lock(&said)?, |said| *said != 1);
                    said.map(drop).map_err(hung)
                })
            },
        },
        Op {
            name: "notify",
            run: |arena, turn| {
                with_condition(arena, turn, |said, condvar| {
                    let mut said = lock(&said)?;
                    *said = 1;
                    condvar.notify_one(&said).map(drop).map_err(hung)
                })
            },
        },
    ],
    pairs: &[(0, 1), (1, 0)],
    judge: nobody_waits,
};

/// One waits for what the other's child says, which dies before it notifies; the other repairs it, and does not notify
/// either. Whoever waits is told of the death.
pub(super) const DEATH: Race = Race {
    name: "condvar",
    make: make_condition,
    ops: &[
        Op {
            name: "hear-of-death",
            run: |arena, turn| {
                with_condition(arena, turn, |said, condvar| {
                    let mut said = repair(said.lock())?;
                    while *said != 1 {
                        said = match condvar.wait(said) {
                            Ok(said) => said,
                            Err(WaitError::OwnerDied(said, _)) => {
                                said.make_consistent();
                                said
                            }
                            Err(other) => return Err(hung(other)),
                        };
                    }
                    Ok(())
                })
            },
        },
        Op {
            name: "die-and-repair",
            run: |arena, turn| {
                turn.begin()?;
                turn.actor.outlive(&|| {
                    let me = arena.join()?;
                    let (mutex, _) = condition(arena, &me)?;
                    let mut said = repair(mutex.lock())?;
                    *said = 1;
                    // It ends with the lock in its hands.
                    std::mem::forget(said);
                    Ok(())
                })?;
                let me = arena.join()?;
                drop(repair(condition(arena, &me)?.0.lock())?);
                turn.end();
                Ok(())
            },
        },
    ],
    pairs: &[(0, 1)],
    judge: nobody_waits,
};

fn nobody_waits(arena: &Arena, _: &Actor<'_>) -> Result<(), Fault> {
    let me = arena.join()?;
    let (said, condvar) = condition(arena, &me)?;
    let said = said.try_lock().map_err(hung)?;
    match condvar.notify_all(&said).map_err(hung)? {
        0 => Ok(()),
        n => Err(Fault::leaked(format!("{n} still wait for what was said"))),
    }
}

/// Answers for a number that the dead have written in one step.
fn repair<'a>(
    locked: Result<MutexGuard<'a, u64, &'a Me<'a>>, LockError<MutexGuard<'a, u64, &'a Me<'a>>>>,
) -> Result<MutexGuard<'a, u64, &'a Me<'a>>, Fault> {
    match locked {
        Err(LockError::OwnerDied(said)) => {
            said.make_consistent();
            Ok(said)
        }
        locked => locked.map_err(hung),
    }
}

fn lock<'a>(said: &'a Mutex<u64, Me<'a>>) -> Result<MutexGuard<'a, u64, &'a Me<'a>>, Fault> {
    said.lock().map_err(|error: LockError<_>| hung(error))
}

/// A mutex is one over 0, as the bytes are.
fn make_condition(arena: &Arena) -> Result<(), Fault> {
    let place = arena.object().sub(0, CONDVAR).map_err(broken)?;
    // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
    unsafe { Condvar::init(place, Seated::new(()).seats(64), &NOBODY) }.map(drop).map_err(broken)
}

fn condition<'a>(
    arena: &'a Arena,
    me: Me<'a>,
) -> Result<(Mutex<u64, Me<'a>>, Condvar<Me<'a>>), Fault> {
    let place =
        |at, bytes| -> Result<Region<'a>, Fault> { arena.object().sub(at, bytes).map_err(broken) };
    // SAFETY: `make_condition` made one here.
    let condvar = unsafe { Condvar::attach(place(0, CONDVAR)?, 1, me) }.map_err(broken)?;
    // SAFETY: the bytes are zero, or hold a mutex over a number.
    let said = unsafe { Mutex::attach(place(CONDVAR, 128)?, 1, me) }.map_err(broken)?;
    Ok((said, condvar))
}

fn with_condition(
    arena: &Arena,
    turn: &Turn<'_, '_>,
    then: impl FnOnce(Mutex<u64, Me<'_>>, Condvar<Me<'_>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    let (said, condvar) = condition(arena, &me)?;
    turn.begin()?;
    then(said, condvar)?;
    turn.end();
    Ok(())
}
