//! Scenes of the bits that say in which rows of seats somebody is: whoever dies between bit and seat, those who look find
//! everybody alive, in each row.

use std::thread;
use std::time::Duration;

use shmkit_layout::Object;
use shmkit_sync::{RwLock, Seated, SemaphoreError};

use super::condvar;
use super::office::{self, With};
use super::rwlock::{self, Role};
use super::semaphore::{self, OWNED};
use crate::arena::NOBODY;
use crate::{Actor, Arena, Cast, Fault, LIMIT, Scene, Spread, Stage, Take, Unit};

const VICTIM: usize = 0;
/// Who looks for the others.
const LOOKER: usize = 1;
/// Who was there before the victim, and who came after it: each in a row of its own.
const STAYING: [usize; 2] = [2, 3];
const CROWD: usize = 4;
/// Who dies before the victim.
const DEAD: usize = 5;

/// The actor is about to look.
const WAITING: u32 = 1;
/// The actor has its seat.
const INSIDE: u32 = 2;
/// The actor has found that others have theirs.
const FOUND: u32 = 3;

/// Go and look.
const GO: u32 = 1;
/// Give the seat back.
const LEAVE: u32 = 2;

/// Threads that fill a row of a condition variable's seats.
const ROW: u32 = 16;
/// What those who have a chance to do wrong are given for it.
const CHANCE: Duration = Duration::from_millis(2);

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    vec![
        readers(false),
        readers(true),
        permits(false),
        permits(true),
        sleepers(true),
        sleepers(false),
    ]
}

/// A reader killed between two others, all in rows of their own, or with one home for all: a writer waits for both who live,
/// whoever goes first.
fn readers(one_home: bool) -> Scene {
    let (name, about) = if one_home {
        ("rwlock/one-home", "read killed in a seat beside its home; a writer waits for the others")
    } else {
        ("rwlock/rows", "read killed; a writer waits for who reads in the row before and after it")
    };
    Scene::new(name, about, 40, move |stage, point| {
        let arena = Arena::new()?;
        let pair = Seated::new(rwlock::Pair::default());
        let pair = if one_home { pair.seats(1) } else { pair };
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        let made = unsafe { RwLock::init(arena.object(), pair, &NOBODY) };
        made.map_err(|e| Fault::broken(e.to_string()))?;
        let reader = |actor: &Actor<'_>| {
            rwlock::open(&arena, |lock| {
                rwlock::enter(actor, &lock, Role::Read, &mut || {
                    actor.phase(INSIDE);
                    actor.await_cue(LEAVE)
                })
            })
        };
        let before = staying(stage, STAYING[0], &reader)?;
        let mut victim = stage.victim(VICTIM, &|actor| {
            rwlock::open(&arena, |lock| {
                actor.mark();
                rwlock::enter(actor, &lock, Role::Read, &mut || Ok(()))?;
                actor.mark();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let after = staying(stage, STAYING[1], &reader)?;
        let mut writer = stage.cast(LOOKER, &|actor| {
            rwlock::open(&arena, |lock| {
                actor.await_cue(GO)?;
                actor.phase(WAITING);
                rwlock::enter(actor, &lock, Role::Write, &mut || {
                    actor.phase(INSIDE);
                    Ok(())
                })?;
                actor.through();
                Ok(())
            })
        })?;
        writer.cue(GO);
        writer.await_asleep(WAITING)?;
        let (first, last) = if point % 2 == 0 { (before, after) } else { (after, before) };
        first.cue(LEAVE);
        first.finish()?;
        // If it has overlooked the one that stays, it writes now.
        writer.settle(INSIDE, CHANCE);
        let left = crate::now();
        last.cue(LEAVE);
        last.finish()?;
        Ok(Take::new(reached, killed.max(left), [writer.finish()?]))
    })
}

/// A holder of a permit killed between two others, all in rows of their own: who counts the permits finds both who live.
/// Or its heir is killed, as it counts.
fn permits(heir: bool) -> Scene {
    let (name, about) = if heir {
        ("semaphore/heir", "the heir of one killed as it takes 1 of 3 killed; who counts finds all")
    } else {
        ("semaphore/rows", "take 1 of 3, give back, killed; who counts finds all in other rows")
    };
    Scene::new(name, about, 100, move |stage, point| {
        let arena = Arena::new()?;
        (OWNED.make)(&arena)?;
        let hung = |what: &str, e: SemaphoreError| Fault::hung(format!("{what}: {e}"));
        let holder = |actor: &Actor<'_>| {
            semaphore::open(&arena, |semaphore| {
                let one = semaphore.acquire().map_err(|e| hung("acquire", e))?;
                actor.phase(INSIDE);
                actor.await_cue(LEAVE)?;
                drop(one);
                Ok(())
            })
        };
        let before = staying(stage, STAYING[0], &holder)?;
        let taker = |actor: &Actor<'_>| {
            semaphore::open(&arena, |semaphore| {
                actor.mark();
                drop(semaphore.acquire().map_err(|e| hung("acquire", e))?);
                actor.mark();
                Ok(())
            })
        };
        if heir {
            stage.dead(DEAD, &taker, Spread(1100).at(point))?;
        }
        let mut victim = stage.victim(VICTIM, &taker)?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let after = staying(stage, STAYING[1], &holder)?;
        let mut looker = stage.cast(LOOKER, &|actor| {
            semaphore::open(&arena, |semaphore| {
                // Twice: to look at the rows may have changed them.
                for _ in 0..2 {
                    match semaphore.try_acquire_many(2) {
                        Err(SemaphoreError::WouldBlock) => {}
                        Ok(_) => return Err(Fault::double_owner("a holder was not counted")),
                        Err(other) => return Err(hung("try_acquire_many", other)),
                    }
                    drop(semaphore.try_acquire().map_err(|e| hung("try_acquire", e))?);
                }
                actor.phase(FOUND);
                semaphore::take_all(&semaphore, actor)
            })
        })?;
        looker.await_phase(FOUND)?;
        before.cue(LEAVE);
        after.cue(LEAVE);
        before.finish()?;
        after.finish()?;
        Ok(Take::new(reached, killed.max(crate::now()), [looker.finish()?]))
    })
}

/// Who waits for a moment only is killed in a row of seats of which another one is, before it or after it: that one is
/// notified.
fn sleepers(before: bool) -> Scene {
    let (name, about) = if before {
        ("condvar/rows", "a short wait killed beside another in its row; all others are notified")
    } else {
        ("condvar/rows+late", "a short wait killed alone in its row; who comes there is notified")
    };
    Scene::new(name, about, 100, move |stage, point| {
        let with = With::Mutex;
        let arena = office::arena(with)?;
        let crowd = stage.cast(CROWD, &|actor| {
            office::open(&arena, with, |office| {
                let took = thread::scope(|scope| {
                    let threads: Vec<_> =
                        (0..ROW).map(|_| scope.spawn(|| office::take(office))).collect();
                    threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
                });
                for took in took {
                    took.map_err(|_| Fault::hung("a thread panicked"))??;
                }
                actor.through();
                Ok(())
            })
        })?;
        let end = std::time::Instant::now() + LIMIT;
        while office::waiters(&arena)? != ROW {
            if std::time::Instant::now() >= end {
                return Err(Fault::broken("the first row does not fill"));
            }
            thread::sleep(Duration::from_micros(50));
        }
        let mut other = condvar::survivor(stage, LOOKER, &arena, with)?;
        let mut come = || {
            other.cue(condvar::GO);
            other.await_asleep(condvar::READY)
        };
        if before {
            come()?;
        }
        let mut victim = stage.victim(VICTIM, &|actor| {
            office::open(&arena, with, |office| {
                actor.mark();
                office.inside(&mut |held| held.wait(Some(Duration::ZERO)).map(drop))?;
                actor.mark();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        if !before {
            come()?;
        }
        let notifier = stage.cast(condvar::NOTIFIER, &|_| {
            office::open(&arena, with, |office| office::issue(office, u64::from(ROW) + 1))
        })?;
        notifier.finish()?;
        Ok(Take::new(reached, killed, [other.finish()?, crowd.finish()?]))
    })
}

/// Somebody who takes a seat and keeps it until it may leave.
fn staying<'s>(stage: &'s Stage, seat: usize, role: &crate::Role<'_>) -> Result<Cast<'s>, Fault> {
    let mut cast = stage.cast(seat, role)?;
    cast.await_phase(INSIDE)?;
    Ok(cast)
}
