//! Scenes of a counting semaphore: what a dead one took is lost, and nothing else is.

use std::time::{Duration, Instant};

use shmkit_atomic::AtomicU32;
use shmkit_atomic::Ordering::{AcqRel, Acquire};
use shmkit_layout::{Object, Offset};
use shmkit_sync::{Count, CountingError, CountingSemaphore};

use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Cast, Fault, LIMIT, Scene, Stage, Take, Unit};

/// The actor is about to acquire.
const WAITING: u32 = 1;
/// Go and acquire.
const GO: u32 = 1;
/// Release.
const RELEASE: u32 = 1;

/// Which word of the sheet counts who has acquired.
const TAKEN: usize = 0;
/// The word, without the mark of who sleeps.
const VALUE: u32 = !(1 << 31);

/// How often a taker is given the chance to be woken.
const ATTEMPTS: u32 = 5;

/// How a semaphore of value 0 is used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub name: &'static str,
    pub floor: u32,
    /// Makes it in a fresh arena.
    pub make: fn(&Arena) -> Result<(), Fault>,
    /// Joins, opens it, and hands over what acquires, what releases, and what says whether it is 0.
    pub open: fn(&Arena, Use<'_>) -> Result<(), Fault>,
}

/// What an actor does with it.
pub(crate) type Use<'u> = &'u mut dyn FnMut(&dyn Doors) -> Result<(), Fault>;

/// A handle to a semaphore, in an actor.
pub(crate) trait Doors {
    /// Lowers it, sleeping while it is 0.
    fn acquire(&self) -> Result<(), Fault>;
    /// Raises it.
    fn release(&self, count: u32) -> Result<(), Fault>;
    /// Lowers it if it is not 0.
    fn try_acquire(&self) -> Result<bool, Fault>;
}

impl Doors for CountingSemaphore<Me<'_>> {
    fn acquire(&self) -> Result<(), Fault> {
        CountingSemaphore::acquire(self).map_err(|e| Fault::hung(format!("acquire: {e}")))
    }

    fn release(&self, count: u32) -> Result<(), Fault> {
        CountingSemaphore::release(self, count).map_err(|e| Fault::hung(format!("release: {e}")))
    }

    fn try_acquire(&self) -> Result<bool, Fault> {
        match CountingSemaphore::try_acquire(self) {
            Ok(()) => Ok(true),
            Err(CountingError::WouldBlock) => Ok(false),
            Err(other) => Err(Fault::hung(format!("try_acquire: {other}"))),
        }
    }
}

const COUNTING: Kind = Kind {
    name: "counting",
    floor: 12,
    make: |arena| {
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        let made = unsafe { CountingSemaphore::init(arena.object(), Count::unbounded(0), &NOBODY) };
        made.map(drop).map_err(|e| Fault::broken(e.to_string()))
    },
    open: |arena, then| {
        let me = arena.join()?;
        let bound = i32::MAX as u64;
        // SAFETY: `make` made such a semaphore here.
        let doors = unsafe { CountingSemaphore::attach(arena.object(), bound, &me) };
        then(&doors.map_err(|e| Fault::broken(e.to_string()))?)
    },
};

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    vec![releaser(COUNTING), woken_taker(COUNTING)]
}

/// Who releases two is killed with two takers asleep: both get one, or neither.
pub(crate) fn releaser(kind: Kind) -> Scene {
    let about = "a release of two killed with two takers asleep";
    Scene::new(format!("{}/release", kind.name), about, kind.floor, move |stage, point| {
        let arena = arena(kind)?;
        let mut victim = stage.victim(0, &|actor| {
            (kind.open)(&arena, &mut |doors| {
                actor.mark();
                doors.release(2)?;
                actor.mark();
                Ok(())
            })
        })?;
        let taker = |actor: &Actor<'_>| take(actor, &arena, kind);
        let mut takers = [stage.cast(1, &taker)?, stage.cast(2, &taker)?];
        for taker in &mut takers {
            taker.cue(GO);
            taker.await_asleep(WAITING)?;
        }
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let taken = settle(stage, &arena, &takers)?;
        match taken {
            0 => release(stage, &arena, kind, 2)?,
            2 => {}
            _ => {
                return Err(Fault::hung(
                    "two were released, one taker got one and the other sleeps",
                ));
            }
        }
        let [one, two] = takers;
        let through = [one.finish()?, two.finish()?];
        nothing_left(stage, &arena, kind, 0)?;
        // How long the others took only counts if the dead one had released.
        Ok(Take::new(reached, if taken == 0 { u64::MAX } else { killed }, through))
    })
}

/// A taker is woken, and killed before it can take or after; another sleeps behind it.
fn woken_taker(kind: Kind) -> Scene {
    let about = "a woken taker killed, with another asleep behind it";
    Scene::new(format!("{}/woken", kind.name), about, 8, move |_, point| {
        // If the victim's slice runs out before the release, it is not woken: play again.
        let mut tries = 0..ATTEMPTS;
        loop {
            tries.next();
            let (take, woken) = play_woken(&Stage::new()?, kind, point)?;
            if woken || tries.is_empty() {
                return Ok(take);
            }
        }
    })
}

/// One attempt; also returns whether the victim was woken.
fn play_woken(stage: &Stage, kind: Kind, point: u32) -> Result<(Take, bool), Fault> {
    let arena = arena(kind)?;
    let releaser = stage.cast(3, &|actor| {
        (kind.open)(&arena, &mut |doors| {
            actor.await_cue(RELEASE)?;
            doors.release(1)
        })
    })?;
    let mut victim = stage.victim(0, &|actor| {
        (kind.open)(&arena, &mut |doors| {
            actor.mark();
            doors.acquire()?;
            actor.mark();
            Ok(())
        })
    })?;
    let mut other = stage.cast(1, &|actor| take(actor, &arena, kind))?;
    // 1, 2, 4, 8, 16 ms: the fifth slice leaves time for what follows.
    victim.run_to_sleep(5)?;
    other.cue(GO);
    other.await_asleep(WAITING)?;
    releaser.cue(RELEASE);
    let woken = victim.await_wake()?;
    releaser.finish()?;
    let reached = victim.advance_awake(point)?;
    let killed = victim.kill();
    let others = [other];
    let taken = settle(stage, &arena, &others)?;
    let [other] = others;
    if taken == 0 {
        // The dead one took it with it, as documented.
        release(stage, &arena, kind, 1)?;
    }
    let through = other.finish()?;
    nothing_left(stage, &arena, kind, 0)?;
    Ok((Take::new(reached, if taken == 0 { u64::MAX } else { killed }, [through]), woken))
}

fn take(actor: &Actor<'_>, arena: &Arena, kind: Kind) -> Result<(), Fault> {
    (kind.open)(arena, &mut |doors| {
        actor.await_cue(GO)?;
        actor.phase(WAITING);
        doors.acquire()?;
        // AcqRel: pairs with the Acquire in `settle`.
        actor.sheet().words[TAKEN].fetch_add(1, AcqRel);
        actor.through();
        Ok(())
    })
}

/// Waits until all takers have acquired, or nothing is left and the others sleep; returns how many have.
fn settle(stage: &Stage, arena: &Arena, takers: &[Cast<'_>]) -> Result<u64, Fault> {
    let end = Instant::now() + LIMIT;
    let word = arena.object().get(Offset::<AtomicU32>::ZERO);
    let word = word.map_err(|e| Fault::broken(e.to_string()))?;
    loop {
        // In this order: who has lowered it is not asleep until it has counted itself and ended.
        // Acquire, both: the second is read after the first, the state after both.
        let value = word.load(Acquire) & VALUE;
        let taken = stage.sheet().words[TAKEN].load(Acquire);
        let asleep = takers.iter().filter(|taker| taker.is_asleep()).count() as u64;
        if taken == takers.len() as u64 || value == 0 && taken + asleep == takers.len() as u64 {
            return Ok(taken);
        }
        if Instant::now() >= end {
            return Err(Fault::hung(format!("{value} are there, and somebody sleeps for one")));
        }
        std::thread::sleep(Duration::from_micros(50));
    }
}

fn release(stage: &Stage, arena: &Arena, kind: Kind, count: u32) -> Result<(), Fault> {
    let role = |_: &Actor<'_>| (kind.open)(arena, &mut |doors| doors.release(count));
    stage.cast(4, &role)?.finish().map(drop)
}

/// So many are left, and not one more.
fn nothing_left(stage: &Stage, arena: &Arena, kind: Kind, left: u32) -> Result<(), Fault> {
    let role = |_: &Actor<'_>| {
        (kind.open)(arena, &mut |doors| {
            let mut found = 0;
            while doors.try_acquire()? {
                found += 1;
            }
            if found > left {
                return Err(Fault::double_owner(format!("{found} are left, and not {left}")));
            }
            Ok(())
        })
    };
    stage.cast(5, &role)?.finish().map(drop)
}

fn arena(kind: Kind) -> Result<Arena, Fault> {
    let arena = Arena::new()?;
    (kind.make)(&arena)?;
    Ok(arena)
}
