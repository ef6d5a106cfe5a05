//! Scenes of anything that one process holds at a time: lock, unlock, taking over.
//!
//! Each is played with a *barger* as well: a third process that takes the lock in the window between a release and
//! the woken waiter's retry. Locks that hang, hang there.

use std::time::Duration;

use crate::{Actor, Arena, Fault, Scene, Stage, Take, Unit};

/// What a lock guards, and what its holder was told.
pub(crate) trait Entry {
    /// Whether the holder was told that the owner died; `None` if this lock tells nobody.
    fn told(&self) -> Option<bool>;
    /// Reads half `i` of the data.
    fn get(&self, i: usize) -> u64;
    /// Writes half `i` of the data. Writes are not merged or reordered by the compiler.
    fn set(&mut self, i: usize, value: u64);
    /// Says that the data was repaired.
    fn make_consistent(&self);
}

/// What runs inside.
pub(crate) type Inside<'i> = &'i mut dyn FnMut(&mut dyn Entry) -> Result<(), Fault>;

/// A handle to a lock, in an actor.
pub(crate) trait Gate {
    /// Locks, runs `inside`, unlocks.
    fn pass(&self, inside: Inside<'_>) -> Result<(), Fault>;
    /// The same if nobody alive holds it; `false` otherwise.
    fn try_pass(&self, inside: Inside<'_>) -> Result<bool, Fault>;
}

/// What an actor does with its handle.
pub(crate) type Use<'u> = &'u mut dyn FnMut(&dyn Gate) -> Result<(), Fault>;

/// A kind of lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// What it is called.
    pub name: &'static str,
    /// Makes one in a fresh arena.
    pub make: fn(&Arena) -> Result<(), Fault>,
    /// Joins the arena's roster and opens the lock.
    pub open: fn(&Arena, Use<'_>) -> Result<(), Fault>,
    /// Whether an heir is told that the owner died.
    pub tells: bool,
    /// The least instructions of its operations: unlock; lock and unlock; what a woken waiter does; what an heir does.
    pub floors: [u32; 4],
}

/// Who and what else is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Company {
    Nobody,
    /// A third process takes a free lock before the kill, and lets go after it.
    Barger,
    /// Signal handlers run in the survivors all the time.
    Signals,
}

/// The victim's seat.
const VICTIM: usize = 0;
/// Two survivors' seats.
const SURVIVORS: [usize; 2] = [1, 2];
const BARGER: usize = 3;
const HOLDER: usize = 4;

/// How often a waiter is given the chance to be woken.
const ATTEMPTS: u32 = 5;

/// The actor is at its lock: about to wait.
const WAITING: u32 = 1;
/// The actor is inside.
const INSIDE: u32 = 2;
/// The actor found the lock busy.
const BUSY: u32 = 3;

/// Go to the lock.
const GO: u32 = 1;
/// Let go of the lock.
const LEAVE: u32 = 2;

/// Returns the scenes of one kind of lock.
pub(crate) fn scenes(kind: Kind) -> Vec<Scene> {
    let mut scenes = vec![alone(kind)];
    for company in [Company::Nobody, Company::Barger, Company::Signals] {
        scenes.push(unlock_queued(kind, company));
    }
    for company in [Company::Nobody, Company::Barger] {
        scenes.push(woken_waiter(kind, company));
    }
    scenes.push(paused(kind));
    if kind.tells {
        scenes.push(heir(kind, false));
        scenes.push(heir(kind, true));
    }
    scenes
}

/// Lock and unlock with nobody about; survivors come after the kill.
pub(crate) fn alone(kind: Kind) -> Scene {
    let about = "lock, write, unlock killed; then two survivors come";
    Scene::new(name(kind, "alone", Company::Nobody), about, kind.floors[1], move |stage, point| {
        let arena = arena(kind)?;
        let mut victim = stage.victim(VICTIM, &|actor| {
            (kind.open)(&arena, &mut |gate| {
                actor.mark();
                gate.pass(&mut |entry| work(actor, entry))?;
                actor.mark();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let survivors = survivors(stage, &arena, kind, Company::Nobody)?;
        survivors.iter().for_each(|survivor| survivor.cue(GO));
        finish(reached, killed, survivors)
    })
}

/// The unlocker is killed with two waiters queued.
pub(crate) fn unlock_queued(kind: Kind, company: Company) -> Scene {
    let about = "write, unlock killed with two waiters asleep";
    Scene::new(name(kind, "unlock-queued", company), about, kind.floors[0], move |stage, point| {
        let arena = arena(kind)?;
        let mut victim = stage.victim(VICTIM, &|actor| holding(actor, &arena, kind))?;
        let mut survivors = survivors(stage, &arena, kind, company)?;
        let mut barging =
            (company == Company::Barger).then(|| cast_barger(stage, &arena, kind)).transpose()?;
        for survivor in &mut survivors {
            survivor.cue(GO);
            survivor.await_asleep(WAITING)?;
        }
        let reached = victim.advance(Unit::Instruction, point)?;
        if let Some(barger) = &mut barging {
            barge(barger);
        }
        let mut killed = victim.kill();
        if let Some(barger) = barging {
            killed = let_go(&barger);
            survivors.push(barger);
        }
        finish(reached, killed, survivors)
    })
}

/// A waiter is woken, and killed before it can take the lock or after; a second waiter sleeps behind it.
pub(crate) fn woken_waiter(kind: Kind, company: Company) -> Scene {
    let about = "a woken waiter killed, with another asleep behind it";
    Scene::new(name(kind, "woken-waiter", company), about, kind.floors[2], move |_, point| {
        // If the victim's slice runs out before the holder lets go, it is not woken: play again.
        let mut tries = 0..ATTEMPTS;
        loop {
            tries.next();
            let (take, woken) = play_woken(&Stage::new()?, kind, company, point)?;
            if woken || tries.is_empty() {
                return Ok(take);
            }
        }
    })
}

/// One attempt; also returns whether the victim was woken.
fn play_woken(
    stage: &Stage,
    kind: Kind,
    company: Company,
    point: u32,
) -> Result<(Take, bool), Fault> {
    let arena = arena(kind)?;
    let mut holder = stage.cast(HOLDER, &|actor| {
        (kind.open)(&arena, &mut |gate| gate.pass(&mut |entry| work_long(actor, entry)))
    })?;
    holder.await_phase(INSIDE)?;
    let mut other = survivor(stage, SURVIVORS[0], &arena, kind, company)?;
    let mut barging =
        (company == Company::Barger).then(|| cast_barger(stage, &arena, kind)).transpose()?;
    let mut victim = stage.victim(VICTIM, &|actor| {
        (kind.open)(&arena, &mut |gate| {
            actor.mark();
            gate.pass(&mut |entry| work(actor, entry))?;
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
    if let Some(barger) = &mut barging {
        barge(barger);
    }
    let reached = victim.advance_awake(point)?;
    let mut killed = victim.kill();
    let mut survivors = vec![other];
    if let Some(barger) = barging {
        killed = let_go(&barger);
        survivors.push(barger);
    }
    Ok((finish(reached, killed, survivors)?, woken))
}

/// The holder is stopped for a while, and nobody gets in: being slow is not being dead.
pub(crate) fn paused(kind: Kind) -> Scene {
    let about = "write, unlock paused with two waiters asleep; nobody may get in";
    Scene::new(name(kind, "paused", Company::Nobody), about, kind.floors[0], move |stage, point| {
        let arena = arena(kind)?;
        let mut victim = stage.victim(VICTIM, &|actor| holding(actor, &arena, kind))?;
        let mut survivors = survivors(stage, &arena, kind, Company::Nobody)?;
        for survivor in &mut survivors {
            survivor.cue(GO);
            survivor.await_asleep(WAITING)?;
        }
        let reached = victim.advance_each(point)?;
        // A few slices long: waiters look at who is alive, and must find that the owner is.
        std::thread::sleep(Duration::from_millis(6));
        let resumed = crate::now();
        if reached.end {
            victim.kill();
        } else {
            victim.release()?.finish()?;
        }
        finish(reached, resumed, survivors)
    })
}

/// The heir of a dead owner is killed while it takes over, repairs and goes on.
pub(crate) fn heir(kind: Kind, waiters: bool) -> Scene {
    let about = if waiters {
        "an heir killed in take-over, repair, unlock; two waiters came meanwhile"
    } else {
        "an heir killed in take-over, repair, unlock; then two survivors come"
    };
    let variant = if waiters { "heir+waiters" } else { "heir" };
    Scene::new(name(kind, variant, Company::Nobody), about, kind.floors[3], move |stage, point| {
        let arena = arena(kind)?;
        let mut first = stage.cast(HOLDER, &|actor| {
            (kind.open)(&arena, &mut |gate| {
                gate.pass(&mut |entry| {
                    actor.sheet().enter(actor.seat(), entry.told())?;
                    entry.set(0, 77);
                    actor.phase(INSIDE);
                    actor.await_cue(LEAVE)
                })
            })
        })?;
        first.await_phase(INSIDE)?;
        first.kill();
        let mut victim = stage.victim(VICTIM, &|actor| {
            (kind.open)(&arena, &mut |gate| {
                actor.mark();
                gate.pass(&mut |entry| work(actor, entry))?;
                actor.mark();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let mut survivors = survivors(stage, &arena, kind, Company::Nobody)?;
        if waiters {
            for survivor in &mut survivors {
                survivor.cue(GO);
                survivor.await_asleep(WAITING)?;
            }
        }
        let killed = victim.kill();
        survivors.iter().for_each(|survivor| survivor.cue(GO));
        finish(reached, killed, survivors)
    })
}

/// What everybody does inside: look, repair if told, write both halves.
pub(crate) fn work(actor: &Actor<'_>, entry: &mut dyn Entry) -> Result<(), Fault> {
    actor.sheet().enter(actor.seat(), entry.told())?;
    write(entry)?;
    actor.sheet().exit(actor.seat())
}

/// The same, and stays inside until told to leave.
fn work_long(actor: &Actor<'_>, entry: &mut dyn Entry) -> Result<(), Fault> {
    actor.sheet().enter(actor.seat(), entry.told())?;
    write(entry)?;
    actor.phase(INSIDE);
    actor.await_cue(LEAVE)?;
    actor.sheet().exit(actor.seat())
}

fn write(entry: &mut dyn Entry) -> Result<(), Fault> {
    let next = begin(entry)?;
    entry.set(0, next);
    entry.set(1, next);
    Ok(())
}

/// Looks, and repairs if told; returns what is to be written next.
pub(crate) fn begin(entry: &mut dyn Entry) -> Result<u64, Fault> {
    let first = entry.get(0);
    match entry.told() {
        Some(false) => {
            let second = entry.get(1);
            if first != second {
                return Err(Fault::torn(format!("read {first} and {second}, and was not told")));
            }
        }
        Some(true) => {
            entry.set(1, first);
            entry.make_consistent();
        }
        None => entry.set(1, first),
    }
    Ok(first + 1)
}

/// A victim that holds the lock before its operation begins.
fn holding(actor: &Actor<'_>, arena: &Arena, kind: Kind) -> Result<(), Fault> {
    (kind.open)(arena, &mut |gate| {
        gate.pass(&mut |entry| {
            actor.mark();
            work(actor, entry)
        })?;
        actor.mark();
        Ok(())
    })
}

fn survivor<'s>(
    stage: &'s Stage,
    seat: usize,
    arena: &Arena,
    kind: Kind,
    company: Company,
) -> Result<crate::Cast<'s>, Fault> {
    stage.cast(seat, &|actor| {
        (kind.open)(arena, &mut |gate| {
            actor.await_cue(GO)?;
            if company == Company::Signals {
                actor.rattle()?;
            }
            actor.phase(WAITING);
            gate.pass(&mut |entry| work(actor, entry))?;
            actor.through();
            Ok(())
        })
    })
}

fn survivors<'s>(
    stage: &'s Stage,
    arena: &Arena,
    kind: Kind,
    company: Company,
) -> Result<Vec<crate::Cast<'s>>, Fault> {
    SURVIVORS.iter().map(|&seat| survivor(stage, seat, arena, kind, company)).collect()
}

fn cast_barger<'s>(stage: &'s Stage, arena: &Arena, kind: Kind) -> Result<crate::Cast<'s>, Fault> {
    stage.cast(BARGER, &|actor| {
        (kind.open)(arena, &mut |gate| {
            actor.await_cue(GO)?;
            let got = gate.try_pass(&mut |entry| work_long(actor, entry))?;
            if !got {
                actor.phase(BUSY);
            }
            actor.through();
            Ok(())
        })
    })
}

/// The barger takes the lock if it is free at this moment. It may also have to wait for the stopped victim (a
/// semaphore has a lock inside): then it gets there after the kill.
fn barge(barger: &mut crate::Cast<'_>) {
    barger.cue(GO);
    barger.settle(INSIDE, Duration::from_millis(4));
}

/// The barger lets go, a little after the kill; returns when.
fn let_go(barger: &crate::Cast<'_>) -> u64 {
    std::thread::sleep(Duration::from_millis(2));
    let now = crate::now();
    barger.cue(LEAVE);
    now
}

/// Everybody must get through.
fn finish(
    reached: crate::Reached,
    killed: u64,
    survivors: Vec<crate::Cast<'_>>,
) -> Result<Take, Fault> {
    let through = survivors.into_iter().map(crate::Cast::finish).collect::<Result<Vec<_>, _>>()?;
    Ok(Take::new(reached, killed, through))
}

fn arena(kind: Kind) -> Result<Arena, Fault> {
    let arena = Arena::new()?;
    (kind.make)(&arena)?;
    Ok(arena)
}

fn name(kind: Kind, scene: &str, company: Company) -> String {
    let company = match company {
        Company::Nobody => "",
        Company::Barger => "+barger",
        Company::Signals => "+signals",
    };
    format!("{}/{scene}{company}", kind.name)
}
