//! Scenes of a barrier: all pass or none, whoever is killed, and after a reset all meet again.

use std::time::Duration;

use shmkit_atomic::Ordering::{AcqRel, Acquire};
use shmkit_atomic::{AtomicU32, AtomicU64};
use shmkit_layout::{Object, Offset, OffsetError};
use shmkit_roster::{Judge, OwnerId};
use shmkit_sync::{Barrier, BarrierError, BarrierFrame};

use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Cast, Fault, Reached, Scene, Spread, Stage, Take, Unit};

/// Parties of the barrier.
const PARTIES: u32 = 3;
/// The victim's seat.
const VICTIM: usize = 0;
/// The seats of those who meet again in the end.
const SURVIVORS: [usize; 3] = [1, 2, 3];

/// The actor is about to wait.
const WAITING: u32 = 1;
/// The actor has passed or was told.
const OUT: u32 = 2;
/// Go and wait.
const GO: u32 = 1;
/// Go and wait again.
const AGAIN: u32 = 2;

/// Which words of the sheet count who has passed and who was told, and add up the numbers.
const PASSED: usize = 0;
const TOLD: usize = 1;
const NUMBERS: usize = 2;
/// Which word of the sheet has a bit for the name of each one that is killed.
const DOOMED: usize = 3;

/// Where the barrier's word lies, and its parties' cells, in bytes.
const WORD: u64 = 16;
const CELLS: u64 = size_of::<BarrierFrame>() as u64;
/// Of the upper half of a cell: that its party has registered.
const REGISTERED: u64 = 1 << 30;

/// How often a party is given the chance to be woken.
const ATTEMPTS: u32 = 5;

/// What is killed.
type Operation = fn(Barrier<Me<'_>>) -> Result<(), BarrierError>;

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    vec![
        scene("last", "the last of three killed as it arrives", 2, 100, |barrier| {
            barrier.wait().map(drop)
        }),
        scene("late", "one whose deadline has passed killed as it arrives", 1, 80, |barrier| {
            match barrier.wait_timeout(Duration::ZERO) {
                Err(BarrierError::TimedOut) => Ok(()),
                other => other.map(drop),
            }
        }),
        scene("abort", "an abort killed with two waiting", 2, 12, |barrier| barrier.abort()),
        scene("reset", "a reset killed with two waiting", 2, 50, |barrier| barrier.reset()),
        scene("party", "a party killed as it registers, with two waiting", 2, 40, |barrier| {
            barrier.party().map(drop)
        }),
        full(),
        woken(),
        heir(),
    ]
}

/// The victim does something to a barrier at which some are waiting.
fn scene(
    name: &str,
    about: &'static str,
    waiting: usize,
    floor: u32,
    operation: Operation,
) -> Scene {
    Scene::new(format!("barrier/{name}"), about, floor, move |stage, point| {
        let arena = arena()?;
        let mut victim = stage.victim(VICTIM, &|actor| {
            doomed(actor, &arena, |barrier| {
                actor.mark();
                operation(barrier).map_err(|e| Fault::hung(format!("the victim: {e}")))?;
                actor.mark();
                Ok(())
            })
        })?;
        let mut survivors = survivors(stage, &arena)?;
        for survivor in &mut survivors[..waiting] {
            survivor.cue(GO);
            survivor.await_asleep(WAITING)?;
        }
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        finish(
            stage,
            &arena,
            survivors,
            waiting,
            has_left_something(stage, &arena)?,
            reached,
            killed,
        )
    })
}

/// One dies in its registration, with two waiting, and who registers after it dies, too.
fn heir() -> Scene {
    let about = "a party killed as it registers after another one was, with two waiting";
    Scene::new("barrier/heir", about, 40, |stage, point| {
        let arena = arena()?;
        let register = |actor: &Actor<'_>| {
            doomed(actor, &arena, |barrier| {
                actor.mark();
                // It may be told of the first one's death; else it dies as a party.
                std::mem::forget(barrier.party());
                actor.mark();
                Ok(())
            })
        };
        let mut survivors = survivors(stage, &arena)?;
        for survivor in &mut survivors[..2] {
            survivor.cue(GO);
            survivor.await_asleep(WAITING)?;
            // Who comes next is to find out first.
            survivor.stop()?;
        }
        stage.dead(6, &register, Spread(1600).at(point))?;
        let first = has_left_something(stage, &arena)?;
        let mut victim = stage.victim(VICTIM, &register)?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        survivors[..2].iter().try_for_each(Cast::resume)?;
        let left = first || has_left_something(stage, &arena)?;
        finish(stage, &arena, survivors, 2, left, reached, killed)
    })
}

/// The victim has all places, but for those it has just given back: there is nobody else to notice its death but who
/// comes then.
fn full() -> Scene {
    let about = "who has the other places killed as it takes the last one and gives it back";
    Scene::new("barrier/full", about, 80, move |stage, point| {
        let arena = arena()?;
        let mut victim = stage.victim(VICTIM, &|actor| {
            doomed(actor, &arena, |barrier| {
                let party = || barrier.party().map_err(|e| Fault::hung(format!("the victim: {e}")));
                let _others = [party()?, party()?];
                actor.mark();
                drop(party()?);
                actor.mark();
                Ok(())
            })
        })?;
        let survivors = survivors(stage, &arena)?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        for survivor in &survivors[..2] {
            survivor.cue(GO);
        }
        finish(stage, &arena, survivors, 2, has_left_something(stage, &arena)?, reached, killed)
    })
}

/// A party that has passed is killed before it has left.
fn woken() -> Scene {
    let about = "a woken party killed as it leaves, with another";
    Scene::new("barrier/woken", about, 15, move |_, point| {
        // If the victim's slice runs out before the last one arrives, it is not woken: play again.
        let mut tries = 0..ATTEMPTS;
        loop {
            tries.next();
            let (take, woken) = play_woken(&Stage::new()?, point)?;
            if woken || tries.is_empty() {
                return Ok(take);
            }
        }
    })
}

/// One attempt; also returns whether the victim was woken.
fn play_woken(stage: &Stage, point: u32) -> Result<(Take, bool), Fault> {
    let arena = arena()?;
    let mut victim = stage.victim(VICTIM, &|actor| {
        doomed(actor, &arena, |barrier| {
            actor.mark();
            barrier.wait().map_err(|e| Fault::hung(format!("the victim: {e}")))?;
            actor.mark();
            Ok(())
        })
    })?;
    let mut survivors = survivors(stage, &arena)?;
    // 1, 2, 4, 8, 16 ms: the fifth slice leaves time for what follows.
    victim.run_to_sleep(5)?;
    for survivor in &mut survivors[..2] {
        survivor.cue(GO);
        survivor.await_phase(WAITING)?;
    }
    let woken = victim.await_wake()?;
    let reached = victim.advance_awake(point)?;
    let killed = victim.kill();
    let left = has_left_something(stage, &arena)?;
    Ok((finish(stage, &arena, survivors, 2, left, reached, killed)?, woken))
}

/// The first `waiting` survivors pass together or are told together; then all three meet, after a reset if it is broken.
/// `left`: whether the dead have left something by which the survivors must find out by themselves.
fn finish(
    stage: &Stage,
    arena: &Arena,
    mut survivors: [Cast<'_>; 3],
    waiting: usize,
    left: bool,
    reached: Reached,
    killed: u64,
) -> Result<Take, Fault> {
    let count = |at: usize| {
        // Acquire: pairs with the AcqRel in `meet`.
        stage.sheet().words[at].load(Acquire)
    };
    if !left {
        // The dead had not arrived, nor decided anything: they wait for another.
        once(stage, 4, arena, |barrier| barrier.abort())?;
    }
    // Else they find out by themselves.
    for survivor in &mut survivors[..waiting] {
        survivor.await_phase(OUT)?;
    }
    // All or none. Who passes and finds it broken afterwards has passed.
    let (passed, told) = (count(PASSED), count(TOLD));
    if passed != 0 && told != 0 {
        return Err(Fault::torn(format!("{passed} have passed and {told} were told otherwise")));
    }
    // Killed in its registration, a party may be missed again at once, by who comes now.
    once(stage, 5, arena, |barrier| barrier.reset())?;
    for survivor in &mut survivors {
        survivor.cue(AGAIN);
    }
    let recovered = crate::now();
    let through = survivors.map(Cast::finish);
    let mut last = killed;
    for through in through {
        // From the reset: what came before waited for the director.
        last = last.max(killed + through?.saturating_sub(recovered));
    }
    // 0 + 1 + 2, each once, in hexadecimal digits.
    let numbers = count(NUMBERS);
    if numbers != 0x111 {
        return Err(Fault::double_owner(format!("the numbers of those who met: {numbers:#x}")));
    }
    Ok(Take::new(reached, killed, [last]))
}

/// Returns whether the dead have left something that anybody could notice.
fn has_left_something(stage: &Stage, arena: &Arena) -> Result<bool, Fault> {
    let broken = |e: OffsetError| Fault::broken(e.to_string());
    let word = Offset::new(WORD).and_then(|at| arena.object().get::<AtomicU32>(at));
    let cells = Offset::new(CELLS)
        .and_then(|at| arena.object().slice::<AtomicU64>(at, PARTIES as usize))
        .map_err(broken)?;
    // Acquire: what was done before the word moved. And pairs with the AcqRel in `doomed`.
    let moved = word.map_err(broken)?.load(Acquire) != 0;
    let doomed = stage.sheet().words[DOOMED].load(Acquire);
    let counted = cells.iter().map(|cell| cell.load(Acquire)).any(|cell| {
        let (id, arrived) = (cell >> 32 & !REGISTERED, cell as u32 == 1);
        id != 0 && doomed >> id & 1 != 0 && (cell >> 32 & REGISTERED != 0 || arrived)
    });
    Ok(moved || counted)
}

/// One waits the first time, if it is told to, and again.
fn survivors<'s>(stage: &'s Stage, arena: &Arena) -> Result<[Cast<'s>; 3], Fault> {
    let survivor = |actor: &Actor<'_>| {
        open(arena, |barrier| {
            actor.await_cue(GO)?;
            // Who is told `AGAIN` only has not waited the first time.
            if actor.cue() < AGAIN {
                actor.phase(WAITING);
                let at = match barrier.wait() {
                    Ok(_) => PASSED,
                    Err(error) if error.is_broken() => TOLD,
                    Err(error) => return Err(Fault::hung(format!("wait: {error}"))),
                };
                // AcqRel: pairs with the Acquire in `finish`.
                actor.sheet().words[at].fetch_add(1, AcqRel);
                actor.phase(OUT);
            }
            actor.await_cue(AGAIN)?;
            let number =
                barrier.wait().map_err(|e| Fault::hung(format!("the second wait: {e}")))?;
            // AcqRel: as above.
            actor.sheet().words[NUMBERS].fetch_add(1 << (4 * number), AcqRel);
            actor.through();
            Ok(())
        })
    };
    let cast = |seat| stage.cast(seat, &survivor);
    let [one, two, three] = SURVIVORS;
    Ok([cast(one)?, cast(two)?, cast(three)?])
}

/// Somebody comes, does this and goes.
fn once(stage: &Stage, seat: usize, arena: &Arena, operation: Operation) -> Result<(), Fault> {
    let role = |_: &Actor<'_>| {
        open(arena, |barrier| operation(barrier).map_err(|e| Fault::hung(e.to_string())))
    };
    stage.cast(seat, &role)?.finish().map(drop)
}

fn arena() -> Result<Arena, Fault> {
    let arena = Arena::new()?;
    // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
    let made = unsafe { Barrier::init(arena.object(), PARTIES.into(), &NOBODY) };
    made.map_err(|e| Fault::broken(e.to_string()))?;
    Ok(arena)
}

fn open(
    arena: &Arena,
    then: impl FnOnce(Barrier<Me<'_>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    join(arena, |_, barrier| then(barrier))
}

/// As [`open`], of somebody who will be killed: it notes its name.
fn doomed(
    actor: &Actor<'_>,
    arena: &Arena,
    then: impl FnOnce(Barrier<Me<'_>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    join(arena, |id, barrier| {
        // AcqRel: pairs with the Acquire in `has_left_something`.
        actor.sheet().words[DOOMED].fetch_or(1 << id.get(), AcqRel);
        then(barrier)
    })
}

fn join(
    arena: &Arena,
    then: impl FnOnce(OwnerId, Barrier<Me<'_>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    let id = me.me().ok_or_else(|| Fault::hung("it has lost its place"))?;
    // SAFETY: `arena` made a barrier for so many here.
    let barrier = unsafe { Barrier::attach(arena.object(), PARTIES.into(), &me) };
    then(id, barrier.map_err(|e| Fault::broken(e.to_string()))?)
}
