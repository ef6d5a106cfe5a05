//! Scenes of a pipe's server, which accepts one client after the other.

use shmkit_pipe::PipeError;
use shmkit_pipe::Receiver;

use super::ring::{Item, claim_receiver, claim_sender, item, make, number, with_pipe};
use crate::arena::Me;
use crate::{Arena, Fault, LIMIT, Scene, Take, Unit};

/// Items of the first client, of the victim, and of who comes after it.
const FIRST: [u64; 2] = [1, 2];
const VICTIM: [u64; 2] = [11, 12];
const LAST: u64 = 21;

/// The server has accepted the first client.
const SERVING: u32 = 1;
/// Go on.
const GO: u32 = 1;

fn failed(error: PipeError) -> Fault {
    Fault::hung(format!("the pipe: {error}"))
}

/// Receives to the end of the session.
fn rest(server: &mut Receiver<Item, Me<'_>>) -> Result<Vec<u64>, Fault> {
    let mut all = Vec::new();
    loop {
        match server.recv_timeout(LIMIT) {
            Ok(found) => all.push(number(found)?),
            Err(PipeError::Closed | PipeError::PeerDied { .. }) => return Ok(all),
            Err(other) => return Err(failed(other)),
        }
    }
}

/// A client is killed while it comes, sends and leaves; the server, which serves another one, and then whoever comes last,
/// meets each one's items in its own session only.
pub(super) fn client() -> Scene {
    let about = "a client that comes is killed; the server mixes nobody's items with another's";
    Scene::new("pipe/session", about, 60, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena)?;
        let mut server = stage.cast(1, &|actor| {
            with_pipe(&arena, |pipe| {
                let mut server = claim_receiver(&pipe)?;
                server.accept_timeout(LIMIT).map_err(failed)?;
                actor.phase(SERVING);
                actor.await_cue(GO)?;
                let first = rest(&mut server)?;
                if first != FIRST {
                    return Err(Fault::torn(format!("the first client sent {first:?}")));
                }
                let accepted = server.accept_timeout(LIMIT).map_err(failed)?;
                let last = rest(&mut server)?;
                // The victim may have published some: one by one.
                if last != [LAST] || accepted.skipped > VICTIM.len() as u64 {
                    return Err(Fault::torn(format!("{accepted:?} sent {last:?}")));
                }
                actor.through();
                Ok(())
            })
        })?;
        let first = stage.cast(2, &|actor| {
            with_pipe(&arena, |pipe| {
                let mut sender = claim_sender(&pipe)?;
                actor.await_cue(GO)?;
                for number in FIRST {
                    sender.send(item(number)).map_err(|e| failed(e.error))?;
                }
                drop(sender);
                actor.through();
                Ok(())
            })
        })?;
        server.await_phase(SERVING)?;
        first.cue(GO);
        let first = first.finish()?;
        let mut victim = stage.victim(0, &|actor| {
            with_pipe(&arena, |pipe| {
                actor.mark();
                let mut sender = claim_sender(&pipe)?;
                for number in VICTIM {
                    sender.send(item(number)).map_err(|e| failed(e.error))?;
                }
                drop(sender);
                actor.mark();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let last = stage.cast(3, &|actor| {
            with_pipe(&arena, |pipe| {
                let mut sender = claim_sender(&pipe)?;
                sender.send(item(LAST)).map_err(|e| failed(e.error))?;
                drop(sender);
                actor.through();
                Ok(())
            })
        })?;
        let last = last.finish()?;
        server.cue(GO);
        Ok(Take::new(reached, killed, [first, last, server.finish()?]))
    })
}

/// A server is killed while it accepts; its successor serves the same client, and what was left before is never met.
pub(super) fn server() -> Scene {
    let about = "accept and receive killed; a successor serves the same client, and only it";
    Scene::new("pipe/accept", about, 60, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena)?;
        let clients = stage.cast(1, &|actor| {
            with_pipe(&arena, |pipe| {
                for numbers in [FIRST, VICTIM] {
                    let mut sender = claim_sender(&pipe)?;
                    for number in numbers {
                        sender.send(item(number)).map_err(|e| failed(e.error))?;
                    }
                }
                actor.through();
                Ok(())
            })
        })?;
        let clients = clients.finish()?;
        let mut victim = stage.victim(0, &|actor| {
            with_pipe(&arena, |pipe| {
                let mut server = claim_receiver(&pipe)?;
                actor.mark();
                server.accept_timeout(LIMIT).map_err(failed)?;
                let found = number(server.recv().map_err(failed)?)?;
                actor.mark();
                if found == VICTIM[0] {
                    return Ok(());
                }
                Err(Fault::torn(format!("{found} came of who had left")))
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let successor = stage.cast(2, &|actor| {
            with_pipe(&arena, |pipe| {
                let mut server = claim_receiver(&pipe)?;
                let accepted = server.accept_timeout(LIMIT).map_err(failed)?;
                let all = rest(&mut server)?;
                if all != VICTIM && all != VICTIM[1..] {
                    return Err(Fault::torn(format!("{accepted:?} sent {all:?}")));
                }
                actor.through();
                Ok(())
            })
        })?;
        Ok(Take::new(reached, killed, [clients, successor.finish()?]))
    })
}
