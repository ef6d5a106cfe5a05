//! Scenes of a pool's words: whoever is killed at whatever step of a turn, each task is told of once, by its answer or by a death.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::{Object, Offset};
use shmkit_pool::raw::{CellState, Next, Progress, RawCell, RawWorker, Receipt, Turn, WorkerState};
use shmkit_queue::{Lease, QueueError};
use shmkit_roster::{Judge, OwnerId, Verdict, ask};
use shmkit_sync::Patience;

use super::account::{GO, begin};
use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Fault, LIMIT, Scene, Take, Unit};

type Queue<'a> = shmkit_queue::Queue<u32, Me<'a>>;

/// Tasks that stand in line at first.
pub(super) const TASKS: u32 = 3;
/// Room in the line.
const LINE: u64 = 16;
/// Where things are: two workers' words, cells, and the line.
const WORKERS: u64 = 0;
const CELLS: u64 = 4096;
const QUEUE: u64 = 8192;

/// [`Sheet::words`](crate::Sheet): a bit for each task that the victim has told of,
pub(super) const TOLD: usize = 0;
/// that the other worker has run,
pub(super) const RAN: usize = 1;
/// that is answered, and that has died.
const ANSWERED: usize = 2;
const DIED: usize = 3;

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    vec![turns("pool/turns"), turns(CONDEMNED), turns(WATCHED)]
}

/// The parent has said before that the worker is killed for the task that it is at.
const CONDEMNED: &str = "pool/condemned";
/// The parent looks at all tasks, and need not be told of any.
const WATCHED: &str = "pool/watched";

/// A worker is killed as it takes tasks and answers them; another one goes on, and the parent settles.
fn turns(name: &'static str) -> Scene {
    let about = "arrive, take, run, answer killed; each task is answered once, or has died once";
    Scene::new(name, about, 150, move |stage, point| {
        let arena = made()?;
        let parent = |_: &Actor<'_>| {
            with(&arena, |pool| {
                for number in 0..2 {
                    pool.worker(number)?.prepare();
                }
                for number in 0..TASKS {
                    let cell = pool.cell(number)?;
                    cell.queue(0).map_err(torn)?;
                    if name == WATCHED && !cell.watch(0) {
                        return Err(Fault::torn("nobody can look at what is queued"));
                    }
                    pool.line.put(number).map_err(|e| hung(e.error))?;
                }
                Ok(())
            })
        };
        stage.cast(4, &parent)?.finish()?;
        let mut victim = stage.victim(0, &|actor| {
            with(&arena, |pool| {
                actor.mark();
                pool.work(0, TASKS, None, |number| note(actor, TOLD, number), |_| ())?;
                actor.mark();
                Ok(())
            })
        })?;
        let other = stage.cast(1, &|actor| {
            with(&arena, |pool| {
                begin(actor)?;
                pool.work(1, u32::MAX, None, |_| (), |number| note(actor, RAN, number))?;
                actor.through();
                Ok(())
            })
        })?;
        let settler = stage.cast(2, &|actor| {
            with(&arena, |pool| {
                begin(actor)?;
                pool.settle(actor)?;
                pool.line.close().map_err(hung)?;
                actor.through();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        if name == CONDEMNED {
            // T1. T2 comes whether it is hit or not.
            let condemn = |_: &Actor<'_>| {
                with(&arena, |pool| {
                    let worker = pool.worker(0)?;
                    if let (generation, WorkerState::Busy(cell)) = worker.look().map_err(torn)? {
                        let _ = worker.condemn(generation, cell);
                    }
                    Ok(())
                })
            };
            stage.cast(4, &condemn)?.finish()?;
        }
        let killed = victim.kill();
        other.cue(GO);
        settler.cue(GO);
        let through = [settler.finish()?, other.finish()?];
        let end = |actor: &Actor<'_>| {
            let [told, ran, answered, died] =
                [TOLD, RAN, ANSWERED, DIED].map(|at| actor.sheet().words[at].load(Relaxed));
            let all = (1 << TASKS) - 1;
            // What it has told of is answered, and was run by nobody else.
            let is_once = answered | died == all && answered & died == 0 && died.count_ones() < 2;
            let is_told = told & (ran | died) == 0 && (told == 0 || name != WATCHED);
            if !is_once || !is_told || ran & !answered != 0 {
                let found =
                    format!("told {told:b}, ran {ran:b}, answered {answered:b}, died {died:b}");
                return Err(Fault::torn(found));
            }
            Ok(())
        };
        stage.cast(3, &end)?.finish()?;
        Ok(Take::new(reached, killed, through))
    })
}

/// The receipt for a number that was taken out of the line.
struct Ticket<'q, 'a>(Lease<'q, u32, Me<'a>>);

impl Receipt for Ticket<'_, '_> {
    fn done(self) {
        let _ = self.0.done();
    }

    fn give_back(self) {
        let _ = self.0.give_back();
    }
}

/// All of a pool that is shared, as one actor has it.
pub(super) struct Pool<'a> {
    arena: &'a Arena,
    pub(super) me: Me<'a>,
    pub(super) line: Queue<'a>,
}

impl Pool<'_> {
    pub(super) fn worker(&self, number: u64) -> Result<&RawWorker, Fault> {
        let at = WORKERS + number * size_of::<RawWorker>() as u64;
        self.arena.object().get(Offset::new(at).map_err(torn)?).map_err(torn)
    }

    pub(super) fn cell(&self, number: u32) -> Result<&RawCell, Fault> {
        let at = CELLS + u64::from(number) * 256;
        self.arena.object().get(Offset::new(at).map_err(torn)?).map_err(torn)
    }

    /// What a worker does, for so many tasks, or until the line is closed, or as long as the parent lives.
    pub(super) fn work(
        &self,
        place: u64,
        most: u32,
        parent: Option<OwnerId>,
        tell: impl Fn(u32),
        runs: impl Fn(u32),
    ) -> Result<(), Fault> {
        let (worker, me) = (self.worker(place)?, self.me.me().ok_or(Fault::broken("no name"))?);
        let (generation, _) = worker.look().map_err(torn)?;
        if !worker.arrive(generation, me) {
            return Err(Fault::torn("somebody else has its place"));
        }
        let turn = Turn { worker, generation, me };
        for _ in 0..most {
            let patience = Patience::from(LIMIT);
            let patience = parent.map_or(patience, |parent| patience.while_alive(parent));
            let lease = match self.line.take_deadline(patience) {
                Ok(lease) => lease,
                Err(QueueError::Closed | QueueError::PeerDied { .. }) => break,
                Err(error) => return Err(hung(error)),
            };
            let number = *lease;
            let run = |cell: &RawCell| {
                cell.advance(Progress::new(0, 1, 8));
                runs(number);
            };
            let next = turn.take(number, self.cell(number)?, Ticket(lease), run, || tell(number));
            if next.map_err(torn)? == Next::Leave {
                break;
            }
        }
        Ok(())
    }

    /// F1 and K1 to K3, until all tasks are told of.
    fn settle(&self, actor: &Actor<'_>) -> Result<(), Fault> {
        let me = self.me.me().ok_or(Fault::broken("no name"))?;
        let begun = std::time::Instant::now();
        let mut left = TASKS;
        while left > 0 {
            if begun.elapsed() > LIMIT {
                return Err(Fault::hung(format!("{left} tasks are not told of")));
            }
            for number in 0..TASKS {
                let cell = self.cell(number)?;
                let seen = cell.look().map_err(torn)?;
                match (seen.state, seen.owner) {
                    (CellState::Done, _) if cell.free(0, CellState::Done).is_some() => {
                        note(actor, ANSWERED, number);
                        left -= 1;
                    }
                    (CellState::Running, Some(owner))
                        if ask(self.me, me, owner) == Verdict::Dead
                            && cell.bury(seen).is_some() =>
                    {
                        // Whoever settles finds it by the dead one's word.
                        let state = self.worker(0)?.look().map_err(torn)?.1;
                        let names = [WorkerState::Busy(number), WorkerState::Condemned(number)];
                        if !names.contains(&state) {
                            return Err(Fault::torn(format!(
                                "it ran {number}, and says {state:?}"
                            )));
                        }
                        note(actor, DIED, number);
                        left -= 1;
                    }
                    _ => std::thread::yield_now(),
                }
            }
        }
        Ok(())
    }
}

fn line_of(arena: &Arena) -> Result<shmkit_layout::Region<'_>, Fault> {
    let object = arena.object();
    object.sub(QUEUE, object.len() as u64 - QUEUE).map_err(torn)
}

/// Makes the arena of a pool.
pub(super) fn made() -> Result<Arena, Fault> {
    let arena = Arena::new()?;
    // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
    let made =
        unsafe { shmkit_queue::Queue::<u32, _>::init(line_of(&arena)?, LINE.into(), &NOBODY) };
    made.map_err(|e| Fault::broken(e.to_string()))?;
    Ok(arena)
}

pub(super) fn with(
    arena: &Arena,
    then: impl FnOnce(Pool<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: the scene made a queue of this type and capacity here.
    let line = unsafe { Queue::attach(line_of(arena)?, LINE, &me) };
    let line = line.map_err(|e| Fault::broken(e.to_string()))?;
    then(Pool { arena, me: &me, line })
}

pub(super) fn note(actor: &Actor<'_>, at: usize, number: u32) {
    actor.sheet().words[at].fetch_or(1 << number, Relaxed);
}

pub(super) fn hung(error: QueueError) -> Fault {
    Fault::hung(error.to_string())
}

pub(super) fn torn(error: impl std::fmt::Display) -> Fault {
    Fault::torn(error.to_string())
}
