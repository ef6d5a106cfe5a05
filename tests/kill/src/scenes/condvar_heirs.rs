//! Scenes of a condition variable in which two die: the second one has inherited something from the first.

use std::time::{Duration, Instant};

use super::condvar::{
    GO, INSIDE, LEAVE, NOTIFIER, READY, SURVIVORS, replace_the_ticket, survivor, taker,
};
use super::office::{With, arena, open, waiters};
use crate::{Arena, Cast, Fault, LIMIT, Scene, Stage, Take};

/// Who dies first, of those that wait.
const FIRST: usize = 5;

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    vec![of_a_notification(), of_the_lock(With::Mutex), of_the_lock(With::RLock)]
}

/// Issues a ticket and notifies `n`, and keeps the lock until it may leave.
fn lingering<'s>(stage: &'s Stage, arena: &Arena, with: With, n: u32) -> Result<Cast<'s>, Fault> {
    stage.cast(NOTIFIER, &|actor| {
        open(arena, with, |office| {
            actor.await_cue(GO)?;
            office.inside(&mut |held| {
                held.issue(1);
                let woken = held.notify(n)?;
                if woken != n {
                    return Err(Fault::hung(format!("{woken} woken for {n}")));
                }
                actor.phase(INSIDE);
                actor.await_cue(LEAVE)
            })
        })
    })
}

/// A notified waiter is killed before it has the lock; the one to whom its notification went on is killed, too.
fn of_a_notification() -> Scene {
    let about = "the heir of a killed waiter's notification killed; another one sleeps behind it";
    Scene::new("condvar/heir", about, 60, move |stage, point| {
        let with = With::Mutex;
        let arena = arena(with)?;
        let mut first = survivor(stage, FIRST, &arena, with)?;
        first.cue(GO);
        first.await_asleep(READY)?;
        let mut victim = taker(stage, &arena, with)?;
        victim.run_to_sleep(1)?;
        let mut other = survivor(stage, SURVIVORS[0], &arena, with)?;
        other.cue(GO);
        other.await_asleep(READY)?;
        let mut notifier = lingering(stage, &arena, with, 1)?;
        notifier.cue(GO);
        notifier.await_phase(INSIDE)?;
        // It is awake, and waits for the lock.
        first.kill();
        notifier.cue(LEAVE);
        notifier.finish()?;
        // The victim stops at the end of its slice, so that it is the other one who passes the notification on to it.
        victim.await_wake()?;
        let end = Instant::now() + LIMIT;
        while waiters(&arena)? != 1 {
            if Instant::now() >= end {
                return Err(Fault::hung("nobody passed the notification on"));
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        other.await_asleep(READY)?;
        let reached = victim.advance_awake(point)?;
        let killed = victim.kill();
        replace_the_ticket(stage, &arena, with)?;
        Ok(Take::new(reached, killed, [other.finish()?]))
    })
}

/// A notifier is killed with the lock in its hands and nobody notified; the waiter that takes the lock over is killed, too.
fn of_the_lock(with: With) -> Scene {
    let about = "the waiter that takes the lock over from a killed notifier killed; another sleeps";
    let name =
        if with == With::RLock { "condvar/heir-of-lock+rlock" } else { "condvar/heir-of-lock" };
    Scene::new(name, about, 60, move |stage, point| {
        let arena = arena(with)?;
        let mut victim = taker(stage, &arena, with)?;
        victim.run_to_sleep(1)?;
        let mut other = survivor(stage, SURVIVORS[0], &arena, with)?;
        other.cue(GO);
        other.await_asleep(READY)?;
        let mut notifier = lingering(stage, &arena, with, 0)?;
        notifier.cue(GO);
        notifier.await_phase(INSIDE)?;
        // It would take over first, as the victim is slowed down.
        other.stop()?;
        notifier.kill();
        victim.await_wake()?;
        let reached = victim.advance_awake(point)?;
        let killed = victim.kill();
        other.resume()?;
        replace_the_ticket(stage, &arena, with)?;
        Ok(Take::new(reached, killed, [other.finish()?]))
    })
}
