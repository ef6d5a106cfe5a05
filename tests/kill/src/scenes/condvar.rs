//! Scenes of a condition variable: whoever is killed, no notification is lost with him, and none is invented.
//!
//! Each survivor needs a ticket, and there are as many as survivors, with a notification for each: one too few is
//! somebody who hangs.

use std::time::Duration;

use shmkit_sync::Wakeup;

use super::office::{With, arena, issue, open, take};
use crate::board::DONE;
use crate::{Actor, Arena, Cast, Fault, Scene, Stage, Take, Unit, Victim};

pub(super) const VICTIM: usize = 0;
/// Seats of those who must get through.
pub(super) const SURVIVORS: [usize; 2] = [1, 2];
pub(super) const NOTIFIER: usize = 3;
const BARGER: usize = 4;

/// The actor is about to wait, or to notify.
pub(super) const READY: u32 = 1;
/// The actor holds the lock.
pub(super) const INSIDE: u32 = 2;

/// Go on.
pub(super) const GO: u32 = 1;
/// Let go of the lock.
pub(super) const LEAVE: u32 = 2;

/// How often a waiter is given the chance to be woken.
const ATTEMPTS: u32 = 5;

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    vec![
        begin(With::Mutex),
        begin(With::RLock),
        woken(With::Mutex, false),
        woken(With::Mutex, true),
        woken(With::RLock, false),
        notify(With::Mutex),
        alone(),
        time_out(),
    ]
}

pub(super) fn survivor<'s>(
    stage: &'s Stage,
    seat: usize,
    arena: &Arena,
    with: With,
) -> Result<Cast<'s>, Fault> {
    stage.cast(seat, &|actor| {
        open(arena, with, |office| {
            actor.await_cue(GO)?;
            actor.phase(READY);
            take(office)?;
            actor.through();
            Ok(())
        })
    })
}

/// A victim that takes a ticket, waiting for it if it must.
pub(super) fn taker<'s>(stage: &'s Stage, arena: &Arena, with: With) -> Result<Victim<'s>, Fault> {
    stage.victim(VICTIM, &|actor| {
        open(arena, with, |office| {
            actor.mark();
            take(office)?;
            actor.mark();
            Ok(())
        })
    })
}

/// Issues a ticket and notifies one, as often as it must: as many tickets as survivors come to be there, whatever the
/// victim has taken.
fn notifier<'s>(
    stage: &'s Stage,
    arena: &Arena,
    with: With,
    survivors: u64,
) -> Result<Cast<'s>, Fault> {
    stage.cast(NOTIFIER, &|actor| {
        open(arena, with, |office| {
            actor.await_cue(GO)?;
            actor.phase(READY);
            for _ in 0..survivors {
                issue(office, 1)?;
            }
            Ok(())
        })
    })
}

fn name(scene: &str, with: With, barger: bool) -> String {
    let with = if with == With::RLock { "+rlock" } else { "" };
    format!("condvar/{scene}{with}{}", if barger { "+barger" } else { "" })
}

/// Who begins to wait is killed before it sleeps, with somebody asleep before it and somebody behind it.
fn begin(with: With) -> Scene {
    let about = "lock, begin to wait killed; one slept before, one comes after, two are notified";
    Scene::new(name("begin", with, false), about, 60, move |stage, point| {
        let arena = arena(with)?;
        let mut before = survivor(stage, SURVIVORS[0], &arena, with)?;
        before.cue(GO);
        before.await_asleep(READY)?;
        let mut victim = taker(stage, &arena, with)?;
        let mut after = survivor(stage, SURVIVORS[1], &arena, with)?;
        let reached = victim.advance_awake(point)?;
        after.cue(GO);
        after.await_asleep(READY)?;
        let killed = victim.kill();
        let notifier = notifier(stage, &arena, with, 2)?;
        notifier.cue(GO);
        notifier.finish()?;
        Ok(Take::new(reached, killed, [before.finish()?, after.finish()?]))
    })
}

/// A waiter is notified and killed, before it has the lock again or after; another sleeps behind it.
fn woken(with: With, barger: bool) -> Scene {
    let about = "a notified waiter killed; the other one gets the notification, or another ticket";
    Scene::new(name("notified", with, barger), about, 60, move |_, point| {
        // If the victim's slice runs out before it is notified, it is not woken: play again.
        let mut tries = 0..ATTEMPTS;
        loop {
            tries.next();
            let (take, woken) = play_woken(&Stage::new()?, with, barger, point)?;
            if woken || tries.is_empty() {
                return Ok(take);
            }
        }
    })
}

/// One attempt; also returns whether the victim was woken.
fn play_woken(stage: &Stage, with: With, barger: bool, point: u32) -> Result<(Take, bool), Fault> {
    let arena = arena(with)?;
    let mut victim = taker(stage, &arena, with)?;
    // 1, 2, 4, 8, 16 ms: the fifth slice leaves time for what follows.
    victim.run_to_sleep(5)?;
    let mut other = survivor(stage, SURVIVORS[0], &arena, with)?;
    other.cue(GO);
    other.await_asleep(READY)?;
    let notifier = notifier(stage, &arena, with, 1)?;
    notifier.cue(GO);
    let woken = victim.await_wake()?;
    notifier.finish()?;
    let mut barging = barger.then(|| cast_barger(stage, &arena, with)).transpose()?;
    if let Some(barger) = &mut barging {
        barger.cue(GO);
        barger.await_phase(INSIDE)?;
    }
    // Behind a barger it sleeps on the lock in the end.
    let reached = victim.advance_awake(point)?;
    let killed = victim.kill();
    if let Some(barger) = barging {
        barger.cue(LEAVE);
        barger.finish()?;
    }
    // The other one has the ticket.
    replace_the_ticket(stage, &arena, with)?;
    Ok((Take::new(reached, killed, [other.finish()?]), woken))
}

/// Issues another ticket, if the victim has taken the one that there was.
pub(super) fn replace_the_ticket(stage: &Stage, arena: &Arena, with: With) -> Result<(), Fault> {
    let more = stage.cast(SURVIVORS[1], &|_| {
        open(arena, with, |office| {
            let mut gone = false;
            office.inside(&mut |held| {
                // It has one of its own only if the victim took the first.
                let taken = held.taken();
                gone = taken > 0 && held.tickets() == 0;
                Ok(())
            })?;
            if gone { issue(office, 1) } else { Ok(()) }
        })
    })?;
    more.finish().map(|_| ())
}

/// A third process takes the lock before the notified waiter can.
fn cast_barger<'s>(stage: &'s Stage, arena: &Arena, with: With) -> Result<Cast<'s>, Fault> {
    stage.cast(BARGER, &|actor| {
        open(arena, with, |office| {
            actor.await_cue(GO)?;
            office.inside(&mut |_| {
                actor.phase(INSIDE);
                actor.await_cue(LEAVE)
            })
        })
    })
}

/// A notifier is killed with two waiters asleep: both get through, by it or by its heirs.
fn notify(with: With) -> Scene {
    let about = "lock, issue 2, notify 2, unlock killed with two waiters asleep";
    Scene::new(name("notify", with, false), about, 100, move |stage, point| {
        let arena = arena(with)?;
        let mut survivors = SURVIVORS
            .iter()
            .map(|&seat| survivor(stage, seat, &arena, with))
            .collect::<Result<Vec<_>, _>>()?;
        for survivor in &mut survivors {
            survivor.cue(GO);
            survivor.await_asleep(READY)?;
        }
        let mut victim = stage.victim(VICTIM, &|actor| {
            open(&arena, with, |office| {
                actor.mark();
                issue(office, 2)?;
                actor.mark();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let owed = stage.cast(NOTIFIER, &|_| {
            open(&arena, with, |office| {
                let mut none = false;
                office.inside(&mut |held| {
                    none = held.tickets() + held.taken() == 0;
                    Ok(())
                })?;
                // The victim owed them nothing yet. Where it did, this one changes nothing.
                if none { issue(office, 2) } else { Ok(()) }
            })
        })?;
        owed.finish()?;
        let through = survivors.into_iter().map(Cast::finish).collect::<Result<Vec<_>, _>>()?;
        Ok(Take::new(reached, killed, through))
    })
}

/// A notifier is killed with nobody asleep.
fn alone() -> Scene {
    let about = "lock, issue, notify nobody, unlock killed; then one comes";
    Scene::new("condvar/alone", about, 40, move |stage, point| {
        let with = With::Mutex;
        let arena = arena(with)?;
        let mut victim = stage.victim(VICTIM, &|actor: &Actor<'_>| {
            open(&arena, with, |office| {
                actor.mark();
                issue(office, 1)?;
                actor.mark();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let survivor = survivor(stage, SURVIVORS[0], &arena, with)?;
        let notifier = notifier(stage, &arena, with, 1)?;
        notifier.cue(GO);
        notifier.finish()?;
        survivor.cue(GO);
        Ok(Take::new(reached, killed, [survivor.finish()?]))
    })
}

/// Who gives up at its deadline is killed, at the very moment at which somebody notifies: it is the first in the queue.
fn time_out() -> Scene {
    let about = "wait for nothing killed; one sleeps behind it, one is notified at that moment";
    Scene::new("condvar/time-out", about, 100, move |stage, point| {
        let with = With::Mutex;
        let arena = arena(with)?;
        let mut victim = stage.victim(VICTIM, &|actor| {
            open(&arena, with, |office| {
                actor.mark();
                office.inside(&mut |held| {
                    if held.wait(Some(Duration::ZERO))? == Wakeup::Notified {
                        // It has no use for it.
                        held.notify(1)?;
                    }
                    Ok(())
                })?;
                actor.mark();
                Ok(())
            })
        })?;
        let mut survivor = survivor(stage, SURVIVORS[0], &arena, with)?;
        let mut notifier = notifier(stage, &arena, with, 1)?;
        let reached = victim.advance(Unit::Instruction, point)?;
        survivor.cue(GO);
        survivor.await_asleep(READY)?;
        notifier.cue(GO);
        // It gets through if the victim is not stopped with the lock.
        notifier.settle(DONE, Duration::from_millis(2));
        let killed = victim.kill();
        notifier.finish()?;
        Ok(Take::new(reached, killed, [survivor.finish()?]))
    })
}
