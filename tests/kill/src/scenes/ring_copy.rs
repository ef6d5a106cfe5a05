//! The scene of a pipe whose items come one by one, so that each has a copy beside the position.

use std::time::{Duration, Instant};

use shmkit_atomic::Ordering::{Acquire, Release};
use shmkit_pipe::PipeError;

use super::ring::{claim_receiver, claim_sender, item, make, number, send_one, with_pipe};
use crate::{Arena, Fault, LIMIT, Scene, Take, Unit};

/// Items after which the receiver takes it that the next one comes alone, too.
const LEAD: u64 = 3;
/// The items of the successor: the first in a batch, which is not copied, the second alone.
const SUCCESSOR: [u64; 2] = [11, 12];

/// [`Sheet::words`](crate::Sheet): the number of the last item that the receiver has got.
const RECEIVED: usize = 0;
/// Go and use the end.
const GO: u32 = 1;

/// The sender is killed while it copies; the receiver sees each item whole, and those of a successor after them.
pub(super) fn copy() -> Scene {
    let about = "send with a copy killed; a successor sends to the same place, and no copy is torn";
    Scene::new("pipe/copy", about, 40, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena)?;
        let receiver = stage.cast(1, &|actor| {
            with_pipe(&arena, |pipe| {
                let mut receiver = claim_receiver(&pipe)?;
                let mut last = 0;
                while last != SUCCESSOR[1] {
                    match receiver.recv_timeout(LIMIT) {
                        Ok(found) => {
                            let found = number(found)?;
                            if found != last + 1 && !(last >= LEAD && found == SUCCESSOR[0]) {
                                return Err(Fault::torn(format!("{found} after {last}")));
                            }
                            last = found;
                            // Release: pairs with the Acquire below.
                            actor.sheet().words[RECEIVED].store(found, Release);
                        }
                        Err(PipeError::PeerDied { .. } | PipeError::Closed) => {
                            std::thread::sleep(Duration::from_micros(50));
                        }
                        Err(other) => return Err(Fault::hung(format!("recv: {other}"))),
                    }
                }
                actor.through();
                Ok(())
            })
        })?;
        let mut victim = stage.victim(0, &|actor| {
            with_pipe(&arena, |pipe| {
                let mut sender = claim_sender(&pipe)?;
                let mut send = |number| send_one(&mut sender, number);
                let end = Instant::now() + LIMIT;
                for number in 1..=LEAD {
                    send(number)?;
                    // Acquire: pairs with the Release above.
                    while actor.sheet().words[RECEIVED].load(Acquire) != number {
                        if Instant::now() > end {
                            return Err(Fault::hung(format!("item {number} never came")));
                        }
                        std::thread::yield_now();
                    }
                }
                actor.mark();
                send(LEAD + 1)?;
                send(LEAD + 2)?;
                actor.mark();
                Ok(())
            })
        })?;
        let successor = stage.cast(2, &|actor| {
            with_pipe(&arena, |pipe| {
                actor.await_cue(GO)?;
                let mut sender = claim_sender(&pipe)?;
                let failed = |e: PipeError| Fault::hung(format!("send: {e}"));
                sender.send_all(&[item(SUCCESSOR[0])]).map_err(|e| failed(e.error))?;
                sender.send(item(SUCCESSOR[1])).map_err(|e| failed(e.error))?;
                actor.through();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        successor.cue(GO);
        Ok(Take::new(reached, killed, [successor.finish()?, receiver.finish()?]))
    })
}
