//! The two ends of a pipe.

use shmkit_pipe::{PipeError, SendError};

use super::{Op, Race, Turn};
use crate::scenes::ring::{CAPACITY, claim_receiver, claim_sender, item, make, number, with_pipe};
use crate::{Arena, Fault};

pub(super) const PIPE: Race = Race {
    name: "pipe",
    make,
    ops: &[
        Op { name: "send", run: |arena, turn| send(arena, turn, 0) },
        Op { name: "send-full", run: |arena, turn| send(arena, turn, CAPACITY) },
        Op { name: "close", run: close },
        Op { name: "recv", run: receive },
    ],
    // There is one of each end.
    pairs: &[(0, 3), (1, 3), (2, 3), (3, 0), (3, 1), (3, 2)],
    judge: |arena, actor| {
        with_pipe(arena, |pipe| {
            let mut receiver = claim_receiver(&pipe)?;
            let received = actor.sheet().words[0].load(shmkit_atomic::Ordering::Relaxed);
            for expected in received + 1.. {
                // Both have left in good order: their end is news if it comes with items, and nobody is waited for.
                match receiver.try_recv() {
                    Ok(found) if number(found)? == expected => {}
                    Ok(found) => {
                        return Err(Fault::torn(format!("{} instead of {expected}", found[0])));
                    }
                    Err(PipeError::Closed | PipeError::Empty) => break,
                    Err(other) => return Err(Fault::hung(format!("recv: {other}"))),
                }
            }
            Ok(())
        })
    },
};

/// Sends one item, after so many that nobody has received yet.
fn send(arena: &Arena, turn: &Turn<'_, '_>, before: u64) -> Result<(), Fault> {
    with_pipe(arena, |pipe| {
        let mut sender = claim_sender(&pipe)?;
        let mut send = |i| sender.send(item(i));
        let failed = |e: SendError<_>| Fault::hung(format!("send: {}", e.error));
        (1..=before).try_for_each(&mut send).map_err(failed)?;
        turn.begin()?;
        match send(before + 1) {
            // The receiver that has made room goes away.
            Err(e) if before > 0 && e.error == PipeError::Closed => {}
            sent => sent.map_err(failed)?,
        }
        turn.end();
        Ok(())
    })
}

fn close(arena: &Arena, turn: &Turn<'_, '_>) -> Result<(), Fault> {
    with_pipe(arena, |pipe| {
        let sender = claim_sender(&pipe)?;
        turn.begin()?;
        drop(sender);
        turn.end();
        Ok(())
    })
}

/// Receives one item, or hears that there will be none.
fn receive(arena: &Arena, turn: &Turn<'_, '_>) -> Result<(), Fault> {
    with_pipe(arena, |pipe| {
        let mut receiver = claim_receiver(&pipe)?;
        turn.begin()?;
        let found = receiver.recv();
        turn.end();
        match found {
            Ok(found) if number(found)? == 1 => {
                turn.actor.sheet().words[0].store(1, shmkit_atomic::Ordering::Relaxed);
                Ok(())
            }
            Ok(found) => Err(Fault::torn(format!("{} came first", found[0]))),
            Err(PipeError::Closed) => Ok(()),
            Err(other) => Err(Fault::hung(format!("recv: {other}"))),
        }
    })
}
