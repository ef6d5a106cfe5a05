//! Scenes of the pipe's ends whose heirs die, too, and of an end that is given up.

use std::mem;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_pipe::PipeError;

use super::ring::{CAPACITY, claim_receiver, claim_sender, item, make, number, succeed, with_pipe};
use crate::{Arena, Fault, LIMIT, Scene, Take, Unit};

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
        let arena = Arena::new()?;
        make(&arena)?;
        let first = stage.cast(1, &|actor| {
            with_pipe(&arena, |pipe| {
                let mut sender = claim_sender(&pipe)?;
                for number in 1..=CAPACITY {
                    sender
                        .send(item(number))
                        .map_err(|e| Fault::hung(format!("send: {}", e.error)))?;
                }
                drop(sender);
                let mut receiver = claim_receiver(&pipe)?;
                number(receiver.recv().map_err(|e| Fault::hung(format!("recv: {e}")))?)?;
                mem::forget(receiver); // Its process ends, and has not closed it.
                actor.through();
                Ok(())
            })
        })?;
        let first = first.finish()?;
        let mut victim = stage.victim(0, &|actor| {
            with_pipe(&arena, |pipe| {
                let received = &actor.sheet().words[RECEIVED];
                received.store(1, Relaxed);
                actor.mark();
                let mut receiver = claim_receiver(&pipe)?;
                for _ in 0..2 {
                    let found = receiver.recv().map_err(|e| Fault::hung(format!("recv: {e}")))?;
                    received.store(found[0], Relaxed);
                }
                actor.mark();
                mem::forget(receiver);
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let heir = stage.cast(2, &|actor| {
            let received = actor.sheet().words[RECEIVED].load(Relaxed);
            with_pipe(&arena, |pipe| succeed(&pipe, received, CAPACITY))?;
            actor.through();
            Ok(())
        })?;
        Ok(Take::new(reached, killed, [first, heir.finish()?]))
    })
}

/// The heir of a dead sender is killed while it claims and sends; its own heir goes on where it stopped.
pub(super) fn senders() -> Scene {
    let about = "the heir of a dead sender killed, too; the next one goes on where it stopped";
    Scene::new("pipe/heir+send", about, 60, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena)?;
        let first = stage.cast(1, &|actor| {
            with_pipe(&arena, |pipe| {
                let mut sender = claim_sender(&pipe)?;
                sender.send(item(1)).map_err(|e| Fault::hung(format!("send: {}", e.error)))?;
                mem::forget(sender); // Its process ends, and has not closed it.
                actor.through();
                Ok(())
            })
        })?;
        let first = first.finish()?;
        let mut victim = stage.victim(0, &|actor| {
            with_pipe(&arena, |pipe| {
                actor.mark();
                let mut sender = claim_sender(&pipe)?;
                for number in [11, 12] {
                    sender
                        .send(item(number))
                        .map_err(|e| Fault::hung(format!("send: {}", e.error)))?;
                }
                actor.mark();
                mem::forget(sender);
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let heir = stage.cast(2, &|actor| {
            with_pipe(&arena, |pipe| {
                let mut sender = claim_sender(&pipe)?;
                sender.send(item(21)).map_err(|e| Fault::hung(format!("send: {}", e.error)))?;
                drop(sender);
                let mut receiver = claim_receiver(&pipe)?;
                let mut all = Vec::new();
                loop {
                    match receiver.recv_timeout(LIMIT) {
                        Ok(found) => all.push(number(found)?),
                        Err(PipeError::Closed) => break,
                        Err(other) => return Err(Fault::hung(format!("recv: {other}"))),
                    }
                }
                let right: [&[u64]; 3] = [&[1, 21], &[1, 11, 21], &[1, 11, 12, 21]];
                if !right.contains(&all.as_slice()) {
                    return Err(Fault::torn(format!("received {all:?}")));
                }
                actor.through();
                Ok(())
            })
        })?;
        Ok(Take::new(reached, killed, [first, heir.finish()?]))
    })
}
