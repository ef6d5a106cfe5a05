//! Scenes of a pool's parent: killed at whatever step, it leaves words that are whole; no task runs twice, and the workers end.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_pool::raw::{CellState, WorkerState};
use shmkit_roster::{Judge, OwnerId};

use super::account::{GO, begin};
use super::pool::{Pool, RAN, TASKS, TOLD, hung, made, note, torn, with};
use crate::{Actor, Arena, Fault, Scene, Take, Unit};

/// [`Sheet::words`](crate::Sheet): the parent's name.
const PARENT: usize = 4;
/// The place of the worker that there is, and one that nobody is in.
const PLACE: u64 = 1;
const VACANT: u64 = 0;
/// The worker is at its first task.
const AT_WORK: u32 = 40;

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    vec![submits(), tells(), condemns()]
}

/// S1 to S4: the parent is killed as it gives tasks out and looks at them, while a worker takes them.
fn submits() -> Scene {
    let about = "queue, put in line, look killed; the worker runs what is there once, and ends";
    Scene::new("pool/submits", about, 100, |stage, point| {
        let arena = made()?;
        let mut victim = stage.victim(0, &|actor| {
            with(&arena, |pool| {
                introduce(actor, &pool)?;
                pool.worker(PLACE)?.prepare();
                actor.mark();
                for number in 0..TASKS {
                    let cell = pool.cell(number)?;
                    cell.queue(0).map_err(torn)?;
                    pool.line.put(number).map_err(|e| hung(e.error))?;
                    if cell.watch(0) {
                        cell.unwatch(0);
                    }
                }
                actor.mark();
                Ok(())
            })
        })?;
        let worker =
            stage.cast(1, &|actor| worker(&arena, actor, |number| note(actor, RAN, number)))?;
        worker.cue(GO);
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let through = worker.finish()?;
        let end = |actor: &Actor<'_>| {
            let ran = actor.sheet().words[RAN].load(Relaxed);
            with(&arena, |pool| {
                for number in 0..TASKS {
                    let seen = pool.cell(number)?.look().map_err(torn)?;
                    let expected = match seen.state {
                        CellState::Free | CellState::Queued => 0,
                        CellState::Done => 1,
                        other => return Err(Fault::torn(format!("{number} is {other:?}"))),
                    };
                    if (seen.generation, ran >> number & 1) != (0, expected) {
                        return Err(Fault::torn(format!("{number} is {seen:?}, ran {ran:b}")));
                    }
                }
                Ok(())
            })
        };
        stage.cast(3, &end)?.finish()?;
        Ok(Take::new(reached, killed, [through]))
    })
}

/// F1: the parent is killed as it tells of answers and frees their cells.
fn tells() -> Scene {
    let about = "look, free killed; what was told of is free, what was not is answered";
    Scene::new("pool/tells", about, 30, |stage, point| {
        let arena = made()?;
        let all_answered = |actor: &Actor<'_>| {
            with(&arena, |pool| {
                pool.worker(PLACE)?.prepare();
                for number in 0..TASKS {
                    pool.cell(number)?.queue(0).map_err(torn)?;
                    pool.line.put(number).map_err(|e| hung(e.error))?;
                }
                pool.work(PLACE, TASKS, None, |_| (), |number| note(actor, RAN, number))
            })
        };
        stage.cast(4, &all_answered)?.finish()?;
        let mut victim = stage.victim(0, &|actor| {
            with(&arena, |pool| {
                actor.mark();
                for number in 0..TASKS {
                    let cell = pool.cell(number)?;
                    let seen = cell.look().map_err(torn)?;
                    if cell.free(seen.generation, CellState::Done).is_some() {
                        note(actor, TOLD, number);
                    }
                }
                actor.mark();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let end = |actor: &Actor<'_>| {
            let told = actor.sheet().words[TOLD].load(Relaxed);
            with(&arena, |pool| {
                for number in 0..TASKS {
                    let seen = pool.cell(number)?.look().map_err(torn)?;
                    let is_told = told >> number & 1 == 1;
                    match (seen.generation, seen.state) {
                        (1, CellState::Free) => {}
                        (0, CellState::Done) if !is_told => {}
                        _ => {
                            return Err(Fault::torn(format!(
                                "{number} is {seen:?}, told {told:b}"
                            )));
                        }
                    }
                }
                Ok(())
            })
        };
        let through = stage.cast(3, &end)?.finish()?;
        Ok(Take::new(reached, killed, [through]))
    })
}

/// T1, T2 and K4: the parent is killed as it condemns a worker for its task, which it would kill then, and prepares a place for
/// the next one.
fn condemns() -> Scene {
    let about =
        "condemn, prepare killed; who was condemned takes no other task, and nobody else leaves";
    Scene::new("pool/condemns", about, 30, |stage, point| {
        let arena = made()?;
        let two_tasks = |_: &Actor<'_>| {
            with(&arena, |pool| {
                pool.worker(PLACE)?.prepare();
                for number in 0..2 {
                    pool.cell(number)?.queue(0).map_err(torn)?;
                    pool.line.put(number).map_err(|e| hung(e.error))?;
                }
                Ok(())
            })
        };
        stage.cast(4, &two_tasks)?.finish()?;
        let mut worker = stage.cast(1, &|actor| {
            with(&arena, |pool| {
                let runs = |number| {
                    note(actor, RAN, number);
                    actor.phase(AT_WORK);
                    // Without it the director says so.
                    let _ = actor.await_cue(GO);
                };
                pool.work(PLACE, 2, None, |_| (), runs)?;
                actor.through();
                Ok(())
            })
        })?;
        worker.await_phase(AT_WORK)?;
        let mut victim = stage.victim(0, &|actor| {
            with(&arena, |pool| {
                actor.mark();
                let worker = pool.worker(PLACE)?;
                if let (generation, WorkerState::Busy(cell)) = worker.look().map_err(torn)?
                    && worker.condemn(generation, cell)
                {
                    note(actor, TOLD, cell);
                }
                pool.worker(VACANT)?.prepare();
                actor.mark();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        worker.cue(GO);
        let through = worker.finish()?;
        let end = |actor: &Actor<'_>| {
            let [told, ran] = [TOLD, RAN].map(|at| actor.sheet().words[at].load(Relaxed));
            with(&arena, |pool| {
                let (_, left) = pool.worker(PLACE)?.look().map_err(torn)?;
                let is_condemned = left == WorkerState::Condemned(0);
                let next = pool.worker(VACANT)?.look().map_err(torn)?;
                let is_whole =
                    [(0, WorkerState::Vacant), (1, WorkerState::Starting)].contains(&next);
                let first = pool.cell(0)?.look().map_err(torn)?.state;
                let expected = if is_condemned { 1 } else { 3 };
                if !is_whole
                    || ran != expected
                    || told > u64::from(is_condemned)
                    || first != CellState::Done
                {
                    let found = format!("left {left:?}, ran {ran:b}, told {told:b}, next {next:?}");
                    return Err(Fault::torn(found));
                }
                Ok(())
            })
        };
        stage.cast(3, &end)?.finish()?;
        Ok(Take::new(reached, killed, [through]))
    })
}

/// Says who the parent is.
fn introduce(actor: &Actor<'_>, pool: &Pool<'_>) -> Result<(), Fault> {
    let me = pool.me.me().ok_or(Fault::broken("no name"))?;
    actor.sheet().words[PARENT].store(me.get().into(), Relaxed);
    Ok(())
}

/// A worker that runs what is in line as long as the parent lives.
fn worker(arena: &Arena, actor: &Actor<'_>, runs: impl Fn(u32)) -> Result<(), Fault> {
    with(arena, |pool| {
        begin(actor)?;
        let parent = actor.sheet().words[PARENT].load(Relaxed) as u32;
        pool.work(PLACE, u32::MAX, OwnerId::from_word(parent), |_| (), runs)?;
        actor.through();
        Ok(())
    })
}
