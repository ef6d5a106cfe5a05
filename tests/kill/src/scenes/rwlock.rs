//! Scenes of the readers-writer lock: what readers see, and whom a dead reader or writer keeps out.

use std::hint::black_box;
use std::time::Duration;

use shmkit_layout::Object;
use shmkit_sync::{LockError, LockFailure, RwLock, RwLockWriteGuard};

use super::lock::{self, Company, Entry, Gate, Inside, Kind, Use};
use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Cast, Fault, Scene, Stage, Take, Unit};

const VICTIM: usize = 0;
/// Seat of the first of those who must get through.
const FIRST: usize = 1;
/// Whoever was there before.
const ELDER: usize = 4;

/// The actor is about to enter.
const WAITING: u32 = 1;
/// The actor is inside.
const INSIDE: u32 = 2;

/// Go and enter.
const GO: u32 = 1;
/// Let go of the lock.
const LEAVE: u32 = 2;

/// What somebody does with the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Read,
    Write,
    /// Writes, and goes on as a reader.
    Downgrade,
}

use Role::{Downgrade, Read, Write};

/// Where the victim is when the operation that is killed begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// It enters, acts and leaves.
    Outside,
    /// It is in: it acts and leaves, and the others sleep meanwhile.
    Inside,
}

/// What happened before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    /// A reader was killed while it read.
    DeadReader,
    /// A writer was killed in the middle.
    DeadWriter,
    /// A reader is in, and leaves after the kill.
    LiveReader,
}

/// How the victim ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Killed,
    /// It is stopped for a while: being slow is not being dead.
    Paused,
}

/// A scene: its name, what was before, what the victim does, and who must get through.
#[derive(Clone, Copy, Debug)]
struct Plot {
    name: &'static str,
    about: &'static str,
    before: Before,
    victim: (From, Role),
    others: [Role; 2],
    fate: Fate,
    floor: u32,
}

const PLOTS: [Plot; 10] = [
    Plot {
        name: "rwlock/read",
        about: "read killed; then a reader and a writer come",
        before: Before::Nothing,
        victim: (From::Outside, Read),
        others: [Read, Write],
        fate: Fate::Killed,
        floor: 40,
    },
    Plot {
        name: "rwlock/read-queued",
        about: "a reader's end killed; a writer waits for it, and a reader for the writer",
        before: Before::Nothing,
        victim: (From::Inside, Read),
        others: [Write, Read],
        fate: Fate::Killed,
        floor: 20,
    },
    Plot {
        name: "rwlock/read-paused",
        about: "a reader's end paused; the writer that waits for it must not get in",
        before: Before::Nothing,
        victim: (From::Inside, Read),
        others: [Write, Write],
        fate: Fate::Paused,
        floor: 20,
    },
    Plot {
        name: "rwlock/write-readers",
        about: "write and unlock killed with two readers asleep",
        before: Before::Nothing,
        victim: (From::Inside, Write),
        others: [Read, Read],
        fate: Fate::Killed,
        floor: 40,
    },
    Plot {
        name: "rwlock/write-paused",
        about: "write and unlock paused with a reader and a writer asleep; nobody may get in",
        before: Before::Nothing,
        victim: (From::Inside, Write),
        others: [Read, Write],
        fate: Fate::Paused,
        floor: 40,
    },
    Plot {
        name: "rwlock/downgrade",
        about: "write, downgrade, read killed with a writer and a reader asleep",
        before: Before::Nothing,
        victim: (From::Inside, Downgrade),
        others: [Write, Read],
        fate: Fate::Killed,
        floor: 60,
    },
    Plot {
        name: "rwlock/drain",
        about: "a writer that waits for a reader killed; a reader and a writer come meanwhile",
        before: Before::LiveReader,
        victim: (From::Outside, Write),
        others: [Read, Write],
        fate: Fate::Killed,
        floor: 60,
    },
    Plot {
        name: "rwlock/drain-dead",
        about: "a writer that finds a dead reader killed; a writer and a reader come meanwhile",
        before: Before::DeadReader,
        victim: (From::Outside, Write),
        others: [Write, Read],
        fate: Fate::Killed,
        floor: 60,
    },
    Plot {
        name: "rwlock/reading-heir",
        about: "a reader that inherits from a dead writer killed; a reader and a writer come",
        before: Before::DeadWriter,
        victim: (From::Outside, Read),
        others: [Read, Write],
        fate: Fate::Killed,
        floor: 60,
    },
    Plot {
        name: "rwlock/writing-heir",
        about: "a writer that repairs what a dead one left killed; a reader and a writer come",
        before: Before::DeadWriter,
        victim: (From::Outside, Write),
        others: [Read, Write],
        fate: Fate::Killed,
        floor: 80,
    },
];

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let mut scenes: Vec<Scene> = PLOTS.iter().map(|&plot| scene(plot)).collect();
    // Of a lock that one holds at a time: writers only.
    scenes.push(lock::unlock_queued(WRITERS, Company::Barger));
    scenes.push(lock::unlock_queued(WRITERS, Company::Signals));
    scenes.push(lock::woken_waiter(WRITERS, Company::Barger));
    scenes.push(lock::heir(WRITERS, true));
    scenes.push(woken_reader());
    scenes
}

fn scene(plot: Plot) -> Scene {
    Scene::new(plot.name, plot.about, plot.floor, move |stage, point| {
        let arena = Arena::new()?;
        (WRITERS.make)(&arena)?;
        play(stage, &arena, plot, point)
    })
}

fn play(stage: &Stage, arena: &Arena, plot: Plot, point: u32) -> Result<Take, Fault> {
    let mut elder = elder(stage, arena, plot.before)?;
    let (from, role) = plot.victim;
    let mut victim = stage.victim(VICTIM, &|actor| {
        open(arena, |lock| match from {
            From::Outside => {
                actor.mark();
                enter(actor, &lock, role, &mut || Ok(()))?;
                actor.mark();
                Ok(())
            }
            From::Inside => {
                enter(actor, &lock, role, &mut || {
                    actor.mark();
                    Ok(())
                })?;
                actor.mark();
                Ok(())
            }
        })
    })?;
    let mut others = Vec::new();
    for (i, other) in plot.others.into_iter().enumerate() {
        others.push(survivor(stage, FIRST + i, arena, other)?);
    }
    let mut gather = || {
        others.iter_mut().try_for_each(|other| {
            other.cue(GO);
            other.await_asleep(WAITING)
        })
    };
    if from == From::Inside {
        gather()?;
    }
    // A writer that waits for a reader who stays is driven to its first sleep.
    let reached = if plot.before == Before::LiveReader {
        victim.advance_awake(point)?
    } else if plot.fate == Fate::Paused {
        victim.advance_each(point)?
    } else {
        victim.advance(Unit::Instruction, point)?
    };
    if from == From::Outside && plot.before != Before::Nothing {
        gather()?;
    }
    let ended = match plot.fate {
        Fate::Killed => victim.kill(),
        Fate::Paused => {
            // A few slices long: waiters look at who is alive, and must find that the victim is.
            std::thread::sleep(Duration::from_millis(6));
            let resumed = crate::now();
            if reached.end {
                victim.kill();
            } else {
                victim.release()?.finish()?;
            }
            resumed
        }
    };
    others.iter().for_each(|other| other.cue(GO));
    if let Some(elder) = &mut elder {
        elder.cue(LEAVE);
    }
    let through = others.into_iter().map(Cast::finish).collect::<Result<Vec<_>, _>>()?;
    if let Some(elder) = elder {
        elder.finish()?;
    }
    Ok(Take::new(reached, ended, through))
}

/// A reader that a writer's end has woken is killed; a writer sleeps beside it.
fn woken_reader() -> Scene {
    let about = "a woken reader killed, with a writer asleep beside it";
    Scene::new("rwlock/woken-reader", about, 60, move |_, point| {
        // If the victim's slice runs out before the holder lets go, it is not woken: play again.
        let mut tries = 0..5;
        loop {
            tries.next();
            let arena = Arena::new()?;
            (WRITERS.make)(&arena)?;
            let (take, woken) = play_woken(&Stage::new()?, &arena, point)?;
            if woken || tries.is_empty() {
                return Ok(take);
            }
        }
    })
}

/// One attempt; also returns whether the victim was woken.
fn play_woken(stage: &Stage, arena: &Arena, point: u32) -> Result<(Take, bool), Fault> {
    let mut holder = stage.cast(ELDER, &|actor| {
        open(arena, |lock| {
            enter(actor, &lock, Write, &mut || {
                actor.phase(INSIDE);
                actor.await_cue(LEAVE)
            })
        })
    })?;
    holder.await_phase(INSIDE)?;
    let mut other = survivor(stage, FIRST, arena, Write)?;
    let mut victim = stage.victim(VICTIM, &|actor| {
        open(arena, |lock| {
            actor.mark();
            enter(actor, &lock, Read, &mut || Ok(()))?;
            actor.mark();
            Ok(())
        })
    })?;
    // 1, 2, 4, 8, 16 ms: the fifth slice leaves time for what follows.
    victim.run_to_sleep(5)?;
    other.cue(GO);
    other.await_asleep(WAITING)?;
    holder.cue(LEAVE);
    let woken = victim.await_wake()?;
    holder.finish()?;
    let reached = victim.advance_awake(point)?;
    let killed = victim.kill();
    Ok((Take::new(reached, killed, [other.finish()?]), woken))
}

/// Plays what was before; returns who is still in.
fn elder<'s>(stage: &'s Stage, arena: &Arena, before: Before) -> Result<Option<Cast<'s>>, Fault> {
    let role = match before {
        Before::Nothing => return Ok(None),
        Before::DeadReader | Before::LiveReader => Read,
        Before::DeadWriter => Write,
    };
    let mut elder = stage.cast(ELDER, &|actor| {
        open(arena, |lock| {
            enter(actor, &lock, role, &mut || {
                actor.phase(INSIDE);
                actor.await_cue(LEAVE)
            })
        })
    })?;
    elder.await_phase(INSIDE)?;
    if before == Before::LiveReader {
        return Ok(Some(elder));
    }
    elder.kill();
    Ok(None)
}

fn survivor<'s>(
    stage: &'s Stage,
    seat: usize,
    arena: &Arena,
    role: Role,
) -> Result<Cast<'s>, Fault> {
    stage.cast(seat, &|actor| {
        open(arena, |lock| {
            actor.await_cue(GO)?;
            actor.phase(WAITING);
            enter(actor, &lock, role, &mut || Ok(()))?;
            actor.through();
            Ok(())
        })
    })
}

/// Enters, is inside, acts, leaves. A writer is `inside` in the middle of its change.
pub(crate) fn enter(
    actor: &Actor<'_>,
    lock: &RwLock<Pair, Me<'_>>,
    role: Role,
    inside: &mut dyn FnMut() -> Result<(), Fault>,
) -> Result<(), Fault> {
    if role == Read {
        return read(lock, inside);
    }
    let (mut guard, told) = writing(lock.write())?;
    actor.sheet().enter(actor.seat(), Some(told))?;
    let mut entry = Held { guard: &mut guard, told };
    let next = lock::begin(&mut entry)?;
    entry.set(0, next);
    inside()?;
    entry.set(1, next);
    actor.sheet().exit(actor.seat())?;
    if role == Downgrade {
        let reading = RwLockWriteGuard::downgrade(guard);
        let found = *black_box(&*reading);
        if found != [next, next] {
            return Err(Fault::double_owner(format!("wrote {next} and read {found:?}")));
        }
    }
    Ok(())
}

fn read(
    lock: &RwLock<Pair, Me<'_>>,
    inside: &mut dyn FnMut() -> Result<(), Fault>,
) -> Result<(), Fault> {
    let (guard, told) = match lock.read() {
        Ok(guard) => (guard, false),
        Err(LockError::OwnerDied(guard)) => (guard, true),
        Err(other) => return Err(Fault::hung(format!("read: {other}"))),
    };
    let found = *black_box(&*guard);
    if found[0] != found[1] && !told {
        return Err(Fault::torn(format!("read {found:?}, and was not told")));
    }
    inside()?;
    let again = *black_box(&*guard);
    if found != again {
        return Err(Fault::double_owner(format!("{found:?} became {again:?} under a reader")));
    }
    Ok(())
}

/// The data.
pub(crate) type Pair = [u64; 2];

pub(crate) fn open(
    arena: &Arena,
    then: impl FnOnce(RwLock<Pair, Me<'_>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make` made a lock of this type here.
    let lock = unsafe { RwLock::<Pair, _>::attach(arena.object(), 1, &me) };
    then(lock.map_err(|e| Fault::broken(e.to_string()))?)
}

/// The lock as one that one holds at a time.
pub(crate) const WRITERS: Kind = Kind {
    name: "rwlock/write",
    make: |arena| {
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        let made = unsafe { RwLock::<Pair, _>::init(arena.object(), [0, 0].into(), &NOBODY) };
        made.map(drop).map_err(|e| Fault::broken(e.to_string()))
    },
    open: |arena, then: Use<'_>| open(arena, |lock| then(&lock)),
    tells: true,
    floors: [60, 100, 60, 100],
};

type WriteGuard<'a> = RwLockWriteGuard<'a, Pair, &'a Me<'a>>;

fn writing<'a>(
    result: Result<WriteGuard<'a>, LockError<WriteGuard<'a>>>,
) -> Result<(WriteGuard<'a>, bool), Fault> {
    match result {
        Ok(guard) => Ok((guard, false)),
        Err(LockError::OwnerDied(guard)) => Ok((guard, true)),
        Err(other) => Err(Fault::hung(format!("write: {other}"))),
    }
}

impl Gate for RwLock<Pair, Me<'_>> {
    fn pass(&self, inside: Inside<'_>) -> Result<(), Fault> {
        let (mut guard, told) = writing(self.write())?;
        inside(&mut Held { guard: &mut guard, told })
    }

    fn try_pass(&self, inside: Inside<'_>) -> Result<bool, Fault> {
        match self.try_write() {
            Err(LockError::Failed(LockFailure::WouldBlock)) => Ok(false),
            result => {
                let (mut guard, told) = writing(result)?;
                inside(&mut Held { guard: &mut guard, told }).map(|()| true)
            }
        }
    }
}

struct Held<'g, 'a> {
    guard: &'g mut WriteGuard<'a>,
    told: bool,
}

impl Entry for Held<'_, '_> {
    fn told(&self) -> Option<bool> {
        Some(self.told)
    }

    fn get(&self, i: usize) -> u64 {
        black_box(&**self.guard)[i]
    }

    fn set(&mut self, i: usize, value: u64) {
        // The compiler must believe that each write is seen.
        black_box(&mut **self.guard)[i] = value;
        black_box(&mut **self.guard);
    }

    fn make_consistent(&self) {
        self.guard.make_consistent();
    }
}
