//! An end that is handed over, and who does it is killed.

use std::thread::sleep;
use std::time::Duration;

use shmkit_pipe::PipeError;

use super::account::{GO, USING, begin};
use super::ring::{claim_receiver, claim_sender, make, number, send_one, with_pipe};
use crate::{Arena, Fault, LIMIT, Scene, Take, Unit};

/// Items that the victim sends before it hands its end over.
const BEFORE: u64 = 2;
/// What its successor sends: nothing comes after it.
const LATER: u64 = 21;

/// A sender hands its end over and is killed, before, in the middle of it or after it. The receiver gets what it has sent, hears of
/// a death or of nothing, and gets what the next one sends.
pub(super) fn sender() -> Scene {
    let about = "a sender that hands its end over killed; the next one has it, and nothing is lost";
    Scene::new("pipe/hand-over", about, 10, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena)?;
        let mut victim = stage.victim(0, &|actor| {
            with_pipe(&arena, |pipe| {
                let mut sender = claim_sender(&pipe)?;
                (1..=BEFORE).try_for_each(|number| send_one(&mut sender, number))?;
                actor.mark();
                sender.hand_over().map_err(|e| Fault::hung(format!("hand over: {e}")))?;
                actor.mark();
                Ok(())
            })
        })?;
        let mut receiver = stage.cast(1, &|actor| {
            with_pipe(&arena, |pipe| {
                let mut receiver = claim_receiver(&pipe)?;
                begin(actor)?;
                let mut got = Vec::new();
                while got.last() != Some(&LATER) {
                    match receiver.recv_timeout(LIMIT) {
                        Ok(found) => got.push(number(found)?),
                        // It is told again until the next one is there, which may have left again by then.
                        Err(PipeError::PeerDied { .. }) => sleep(Duration::from_millis(1)),
                        Err(other) => return Err(Fault::hung(format!("recv: {other}"))),
                    }
                }
                if got != [1, 2, LATER] {
                    return Err(Fault::torn(format!("received {got:?}")));
                }
                actor.through();
                Ok(())
            })
        })?;
        let heir = stage.cast(2, &|actor| {
            with_pipe(&arena, |pipe| {
                begin(actor)?;
                send_one(&mut claim_sender(&pipe)?, LATER)?;
                actor.through();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        receiver.cue(GO);
        receiver.await_asleep(USING)?;
        let killed = victim.kill();
        heir.cue(GO);
        Ok(Take::new(reached, killed, [receiver.finish()?, heir.finish()?]))
    })
}
