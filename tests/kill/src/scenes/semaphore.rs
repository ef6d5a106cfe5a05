//! Scenes of a semaphore with several permits: they all come back, and not one more.

use shmkit_layout::Object;
use shmkit_sync::{Semaphore, SemaphoreError};

use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Fault, Scene, Take, Unit};

/// Permits of the semaphore.
const PERMITS: u32 = 3;
/// What the victim takes.
const SOME: u32 = 2;

/// The survivor is about to wait for all permits.
const WAITING: u32 = 1;
/// Go and wait.
const GO: u32 = 1;

/// How a semaphore is used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub name: &'static str,
    pub floor: u32,
    /// Makes it in a fresh arena.
    pub make: fn(&Arena) -> Result<(), Fault>,
    /// Joins, marks, takes `SOME` permits, gives them back, marks.
    pub take_some: fn(&Arena, &Actor<'_>) -> Result<(), Fault>,
    /// Joins, awaits `GO`, takes all permits, finds that there is not one more, gives them back.
    pub take_all: fn(&Arena, &Actor<'_>) -> Result<(), Fault>,
}

pub(super) const OWNED: Kind = Kind {
    name: "semaphore/permits",
    floor: 100,
    make: |arena| {
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        let made = unsafe { Semaphore::init(arena.object(), PERMITS.into(), &NOBODY) };
        made.map(drop).map_err(|e| Fault::broken(e.to_string()))
    },
    take_some: |arena, actor| {
        open(arena, |semaphore| {
            actor.mark();
            let some =
                semaphore.acquire_many(SOME).map_err(|e| Fault::hung(format!("acquire: {e}")))?;
            drop(some);
            actor.mark();
            Ok(())
        })
    },
    take_all: |arena, actor| {
        open(arena, |semaphore| {
            actor.await_cue(GO)?;
            actor.phase(WAITING);
            take_all(&semaphore, actor)
        })
    },
};

pub(super) fn open(
    arena: &Arena,
    then: impl FnOnce(Semaphore<Me<'_>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make` made a semaphore of so many permits here.
    let semaphore = unsafe { Semaphore::attach(arena.object(), u64::from(PERMITS), &me) };
    then(semaphore.map_err(|e| Fault::broken(e.to_string()))?)
}

/// Takes all permits, finds that there is not one more, gives them back.
pub(super) fn take_all(semaphore: &Semaphore<Me<'_>>, actor: &Actor<'_>) -> Result<(), Fault> {
    let all = semaphore.acquire_many(PERMITS).map_err(|e| Fault::hung(format!("acquire: {e}")))?;
    actor.sheet().enter(actor.seat(), None)?;
    match semaphore.try_acquire() {
        Err(SemaphoreError::WouldBlock) => {}
        Ok(_) => return Err(Fault::double_owner("there is a permit too many")),
        Err(other) => return Err(Fault::hung(format!("try_acquire: {other}"))),
    }
    actor.sheet().exit(actor.seat())?;
    drop(all);
    actor.through();
    Ok(())
}

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    vec![scene(OWNED)]
}

/// Who takes and gives back permits is killed; one survivor waits for all of them, another comes later.
pub(crate) fn scene(kind: Kind) -> Scene {
    let about = "take 2 of 3, give back, killed; survivors take all 3, and not one more";
    Scene::new(kind.name, about, kind.floor, move |stage, point| {
        let arena = Arena::new()?;
        (kind.make)(&arena)?;
        let mut victim = stage.victim(0, &|actor| (kind.take_some)(&arena, actor))?;
        let survivor = |actor: &Actor<'_>| (kind.take_all)(&arena, actor);
        let (mut early, late) = (stage.cast(1, &survivor)?, stage.cast(2, &survivor)?);
        let reached = victim.advance(Unit::Instruction, point)?;
        early.cue(GO);
        early.await_asleep(WAITING)?;
        let killed = victim.kill();
        late.cue(GO);
        Ok(Take::new(reached, killed, [early.finish()?, late.finish()?]))
    })
}
