//! Scenes of the pipe's ends whose heirs die, too, and of an end that is given up.

use std::mem;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_pipe::{Pipe, PipeError};

use super::ring::{
    CAPACITY, Item, claim_receiver, claim_sender, make, number, receive_one, send_one, succeed,
    with_pipe,
};
use crate::arena::Me;
use crate::{Actor, Arena, Fault, LIMIT, Scene, Stage, Take, Unit};

/// The sender has its end.
const READY: u32 = 1;
/// Go on.
const GO: u32 = 1;
/// [`Sheet::words`](crate::Sheet): the number of the last item that a receiver had got.
const RECEIVED: usize = 0;

/// A receiver is killed while it gives its end up. Its successor is told that the sender has closed since, unless it had
/// left by then: then that is old news.
pub(super) fn leave() -> Scene {
    let about = "a receiver's leave killed; its heir is told of an end that nobody was told of";
    Scene::new("pipe/leave", about, 10, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena)?;
        let mut sender = stage.cast(1, &|actor| {
            with_pipe(&arena, |pipe| {
                let sender = claim_sender(&pipe)?;
                actor.phase(READY);
                actor.await_cue(GO)?;
                drop(sender);
                actor.through();
                Ok(())
            })
        })?;
        sender.await_phase(READY)?;
        let mut victim = stage.victim(0, &|actor| {
            with_pipe(&arena, |pipe| {
                let receiver = claim_receiver(&pipe)?;
                actor.mark();
                drop(receiver);
                actor.mark();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        sender.cue(GO);
        let sender = sender.finish()?;
        let heir = stage.cast(2, &|actor| {
            with_pipe(&arena, |pipe| {
                let left = pipe.receiving().is_none();
                let end = claim_receiver(&pipe)?.try_recv().map(drop);
                let right = if left { PipeError::Empty } else { PipeError::Closed };
                if end != Err(right) {
                    let found = format!("{end:?} after one that had left: {left}");
                    return Err(Fault::torn(found));
                }
                actor.through();
                Ok(())
            })
        })?;
        Ok(Take::new(reached, killed, [sender, heir.finish()?]))
    })
}

/// The heir of a dead receiver is killed while it claims and receives; its own heir gets the rest, once and in order, and
/// is told of the end.
pub(super) fn receivers() -> Scene {
    let about = "the heir of a dead receiver killed, too; the next one gets the rest once";
    Scene::new("pipe/heir", about, 60, move |stage, point| {
        succession(
            stage,
            point,
            |_, pipe| {
                let mut sender = claim_sender(pipe)?;
                (1..=CAPACITY).try_for_each(|number| send_one(&mut sender, number))?;
                drop(sender);
                let mut receiver = claim_receiver(pipe)?;
                receive_one(&mut receiver)?;
                mem::forget(receiver); // Its process ends, and has not closed it.
                Ok(())
            },
            |actor, pipe| {
                let received = &actor.sheet().words[RECEIVED];
                received.store(1, Relaxed);
                actor.mark();
                let mut receiver = claim_receiver(pipe)?;
                for _ in 0..2 {
                    received.store(receive_one(&mut receiver)?, Relaxed);
                }
                actor.mark();
                mem::forget(receiver);
                Ok(())
            },
            |actor, pipe| succeed(pipe, actor.sheet().words[RECEIVED].load(Relaxed), CAPACITY),
        )
    })
}

/// The heir of a dead sender is killed while it claims and sends; its own heir goes on where it stopped.
pub(super) fn senders() -> Scene {
    let about = "the heir of a dead sender killed, too; the next one goes on where it stopped";
    Scene::new("pipe/heir+send", about, 60, move |stage, point| {
        succession(
            stage,
            point,
            |_, pipe| {
                let mut sender = claim_sender(pipe)?;
                send_one(&mut sender, 1)?;
                mem::forget(sender); // Its process ends, and has not closed it.
                Ok(())
            },
            |actor, pipe| {
                actor.mark();
                let mut sender = claim_sender(pipe)?;
                [11, 12].into_iter().try_for_each(|number| send_one(&mut sender, number))?;
                actor.mark();
                mem::forget(sender);
                Ok(())
            },
            |_, pipe| {
                let mut sender = claim_sender(pipe)?;
                send_one(&mut sender, 21)?;
                drop(sender);
                let mut receiver = claim_receiver(pipe)?;
                let mut all = Vec::new();
                loop {
                    match receiver.recv_timeout(LIMIT) {
                        Ok(found) => all.push(number(found)?),
                        Err(PipeError::Closed) => break,
                        Err(other) => return Err(Fault::hung(format!("recv: {other}"))),
                    }
                }
                let right: [&[u64]; 3] = [&[1, 21], &[1, 11, 21], &[1, 11, 12, 21]];
                if right.contains(&all.as_slice()) {
                    return Ok(());
                }
                Err(Fault::torn(format!("received {all:?}")))
            },
        )
    })
}

/// What one of three does with the pipe.
type Does = fn(&Actor<'_>, &Pipe<Item, Me<'_>>) -> Result<(), Fault>;

/// Three have one end, one after the other: the `first` ends with it in its hands, its heir, the `victim`, is killed at
/// `point`, and the last one must get through.
fn succession(
    stage: &Stage,
    point: u32,
    first: Does,
    victim: Does,
    last: Does,
) -> Result<Take, Fault> {
    let arena = Arena::new()?;
    make(&arena)?;
    let survives = |does: Does| {
        let arena = &arena;
        move |actor: &Actor<'_>| {
            with_pipe(arena, |pipe| does(actor, &pipe))?;
            actor.through();
            Ok(())
        }
    };
    let first = stage.cast(1, &survives(first))?.finish()?;
    let mut victim = stage.victim(0, &|actor| with_pipe(&arena, |pipe| victim(actor, &pipe)))?;
    let reached = victim.advance(Unit::Instruction, point)?;
    let killed = victim.kill();
    let last = stage.cast(2, &survives(last))?;
    Ok(Take::new(reached, killed, [first, last.finish()?]))
}
