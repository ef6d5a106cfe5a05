//! The two ends of a pipe of messages: short ones, one that is longer than the pipe, and an end that is handed over.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_pipe::PipeError;

use super::{Op, Race, Turn};
use crate::scenes::frames::{
    LONG, claim_receiver, claim_sender, failed, make, message, number, send, with_frames,
};
use crate::{Arena, Fault};

/// [`Sheet::words`](crate::Sheet): how many messages were received.
const RECEIVED: usize = 0;

pub(super) const FRAMES: Race = Race {
    name: "frames",
    make,
    ops: &[
        Op { name: "send", run: |arena, turn| sends(arena, turn, &[1, 2]) },
        Op { name: "stream", run: |arena, turn| sends(arena, turn, &[LONG]) },
        Op { name: "hand-over", run: hand_over },
        Op { name: "recv-two", run: |arena, turn| receive(arena, turn, &[1, 2]) },
        Op { name: "recv-long", run: |arena, turn| receive(arena, turn, &[LONG]) },
    ],
    // There is one of each end.
    pairs: &[(0, 3), (3, 0), (1, 4), (4, 1), (2, 3), (3, 2)],
    judge: |arena, actor| {
        with_frames(arena, |frames| {
            if actor.sheet().words[RECEIVED].load(Relaxed) == 0 {
                return Err(Fault::torn("nothing was received"));
            }
            match claim_receiver(&frames)?.try_recv() {
                Err(PipeError::Closed | PipeError::Empty) => Ok(()),
                other => Err(Fault::torn(format!("{other:?} is left"))),
            }
        })
    },
};

fn sends(arena: &Arena, turn: &Turn<'_, '_>, numbers: &[u64]) -> Result<(), Fault> {
    with_frames(arena, |frames| {
        let mut sender = claim_sender(&frames)?;
        turn.begin()?;
        numbers.iter().try_for_each(|number| send(&mut sender, *number))?;
        turn.end();
        Ok(())
    })
}

/// Sends one, hands its end over, takes it back, and sends another one.
fn hand_over(arena: &Arena, turn: &Turn<'_, '_>) -> Result<(), Fault> {
    with_frames(arena, |frames| {
        let mut sender = claim_sender(&frames)?;
        turn.begin()?;
        send(&mut sender, 1)?;
        let ticket = sender.hand_over().map_err(failed("hand over"))?;
        send(&mut claim_sender(&ticket)?, 2)?;
        turn.end();
        Ok(())
    })
}

fn receive(arena: &Arena, turn: &Turn<'_, '_>, numbers: &[u64]) -> Result<(), Fault> {
    with_frames(arena, |frames| {
        let mut receiver = claim_receiver(&frames)?;
        turn.begin()?;
        let received = numbers.iter().try_for_each(|expected| {
            let found = receiver.recv().map_err(failed("recv"))?;
            if found == message(*expected) {
                return Ok(());
            }
            Err(Fault::torn(format!("{:?} instead of {expected}", number(&found))))
        });
        turn.end();
        turn.actor.sheet().words[RECEIVED].store(numbers.len() as u64, Relaxed);
        received
    })
}
