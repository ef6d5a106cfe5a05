//! Scenes of an event: who sets, pulses or waits is killed, and nobody who waits sleeps on.

use std::time::Duration;

use shmkit_atomic::AtomicU32;
use shmkit_atomic::Ordering::Acquire;
use shmkit_layout::{Object, Offset};
use shmkit_sync::Event;

use crate::arena::Me;
use crate::{Actor, Arena, Fault, Scene, Take, Unit};

/// The actor is about to wait.
const WAITING: u32 = 1;
/// Go.
const GO: u32 = 1;

/// The word, without the mark of who sleeps.
const MOVED: u32 = !(1 << 31);

/// How an event is used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub name: &'static str,
    pub about: &'static str,
    pub floor: u32,
    /// Joins, marks, does what is killed, marks.
    pub victim: fn(&Arena, &Actor<'_>) -> Result<(), Fault>,
    /// Joins, awaits `GO`, waits for the event.
    pub wait: fn(&Arena, &Actor<'_>) -> Result<(), Fault>,
    /// Joins and sets it.
    pub set: fn(&Arena) -> Result<(), Fault>,
}

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let set = Kind {
        name: "event/set",
        about: "set killed with two waiters asleep",
        floor: 12,
        victim: |arena, actor| {
            open(arena, |event| {
                actor.mark();
                event.set().map_err(broken)?;
                actor.mark();
                Ok(())
            })
        },
        wait: |arena, actor| open(arena, |event| wait(actor, || event.wait().map_err(broken))),
        set: |arena| open(arena, |event| event.set().map_err(broken)),
    };
    let pulse = Kind {
        name: "event/pulse",
        about: "set and clear killed with two waiters asleep",
        floor: 25,
        victim: |arena, actor| {
            open(arena, |event| {
                actor.mark();
                event.set().map_err(broken)?;
                event.clear().map_err(broken)?;
                actor.mark();
                Ok(())
            })
        },
        ..set
    };
    vec![setter(set), setter(pulse), waiter(set)]
}

/// Who sets is killed. Moved by it, the event lets everybody through; else somebody else sets it.
pub(crate) fn setter(kind: Kind) -> Scene {
    Scene::new(kind.name, kind.about, kind.floor, move |stage, point| {
        let arena = Arena::new()?;
        let mut victim = stage.victim(0, &|actor| (kind.victim)(&arena, actor))?;
        let waiter = |actor: &Actor<'_>| (kind.wait)(&arena, actor);
        let mut waiters = [stage.cast(1, &waiter)?, stage.cast(2, &waiter)?];
        for waiter in &mut waiters {
            waiter.cue(GO);
            waiter.await_asleep(WAITING)?;
        }
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let moved = arena
            .object()
            .get(Offset::<AtomicU32>::ZERO)
            .is_ok_and(|word| word.load(Acquire) & MOVED != 0);
        if !moved {
            stage.cast(3, &|_| (kind.set)(&arena))?.finish()?;
        }
        let [one, two] = waiters;
        Ok(Take::new(reached, killed, [one.finish()?, two.finish()?]))
    })
}

/// Who is about to sleep, or was woken, is killed; one waits beside it, and another comes later.
fn waiter(kind: Kind) -> Scene {
    let about = "a waiter killed on its way to sleep and out of it";
    Scene::new("event/waiter", about, 15, move |stage, point| {
        let arena = Arena::new()?;
        let mut victim = stage.victim(0, &|actor| {
            open(&arena, |event| {
                actor.mark();
                // Its slice runs out twice: it goes to sleep, wakes and leaves.
                let _ = event.wait_timeout(Duration::from_millis(2));
                actor.mark();
                Ok(())
            })
        })?;
        let waiter = |actor: &Actor<'_>| (kind.wait)(&arena, actor);
        let (mut early, late) = (stage.cast(1, &waiter)?, stage.cast(2, &waiter)?);
        early.cue(GO);
        early.await_asleep(WAITING)?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        late.cue(GO);
        stage.cast(3, &|_| (kind.set)(&arena))?.finish()?;
        Ok(Take::new(reached, killed, [early.finish()?, late.finish()?]))
    })
}

fn open(arena: &Arena, then: impl FnOnce(Event<Me<'_>>) -> Result<(), Fault>) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: the zero bytes of an arena are an event.
    let event = unsafe { Event::attach(arena.object(), 1, &me) };
    then(event.map_err(|e| Fault::broken(e.to_string()))?)
}

/// Awaits `GO`, waits, and is through.
pub(crate) fn wait(
    actor: &Actor<'_>,
    wait: impl FnOnce() -> Result<(), Fault>,
) -> Result<(), Fault> {
    actor.await_cue(GO)?;
    actor.phase(WAITING);
    wait()?;
    actor.through();
    Ok(())
}

fn broken(error: shmkit_sync::EventError) -> Fault {
    Fault::hung(format!("event: {error}"))
}
