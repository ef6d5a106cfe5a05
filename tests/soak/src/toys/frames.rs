//! A pipe of messages whose ends go from hand to hand, closed or handed over: what one sender sent arrives whole, in order and once.

use std::time::Duration;

use anyhow::Result;
use shmkit::{ClaimError, Frames, Objects, PipeError, Segment};

use super::{SHORT, Toy, failed, message};
use crate::witness::Me;

/// In bytes: some messages are longer, and streamed.
const CAPACITY: u64 = 4096;
const LONGEST: usize = 10_000;

fn frames(segment: &Segment) -> Result<Frames> {
    Ok(segment.frames("frames", CAPACITY)?)
}

pub(crate) struct Sending(Frames);

impl Sending {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(frames(segment)?))
    }
}

impl Toy for Sending {
    fn name(&self) -> &'static str {
        "frames/send"
    }

    fn play(&self, me: Me<'_>, n: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let mut sender = match self.0.sender() {
            Ok(sender) => sender,
            Err(ClaimError::Taken { .. }) => return Ok(()),
            Err(error) => return Err(failed("sender", error)),
        };
        me.enter(n, None)?;
        let name = random.u64(1..);
        for number in 0..random.u64(..100) {
            let longest = if random.u8(..) < 8 { LONGEST } else { 200 };
            let sent = message::make(name, number, random.usize(..longest));
            match sender.send_timeout(&sent, SHORT) {
                Ok(()) => {}
                Err(PipeError::TimedOut | PipeError::Closed | PipeError::PeerDied { .. }) => break,
                Err(error) => return Err(failed("send", error)),
            }
        }
        me.leave(n)?;
        if random.bool() {
            sender.hand_over().map_err(|error| failed("hand over", error))?;
        }
        Ok(())
    }

    fn patience(&self) -> Duration {
        SHORT
    }
}

pub(crate) struct Receiving(Frames);

impl Receiving {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(frames(segment)?))
    }
}

impl Toy for Receiving {
    fn name(&self) -> &'static str {
        "frames/recv"
    }

    fn play(&self, me: Me<'_>, n: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let mut receiver = match self.0.receiver() {
            Ok(receiver) => receiver,
            Err(ClaimError::Taken { .. }) => return Ok(()),
            Err(error) => return Err(failed("receiver", error)),
        };
        me.enter(n, None)?;
        // The name and the number of the last one; none at first, and where one was cut.
        let mut last: Option<(u64, u64)> = None;
        for _ in 0..random.u64(..100) {
            let (name, number) = match receiver.recv_timeout(SHORT) {
                Ok(bytes) => message::check(&bytes)?,
                Err(PipeError::Torn { .. }) => {
                    last = None;
                    continue;
                }
                Err(PipeError::TimedOut | PipeError::Closed | PipeError::PeerDied { .. }) => break,
                Err(error) => return Err(failed("recv", error)),
            };
            match last {
                Some((other, before)) if name == other && number != before + 1 => {
                    return Err(format!("message {number} came after {before}"));
                }
                Some((other, _)) if name != other && number != 0 => {
                    return Err(format!("a sender's first message is its number {number}"));
                }
                _ => last = Some((name, number)),
            }
        }
        me.leave(n)?;
        if random.bool() {
            receiver.hand_over().map_err(|error| failed("hand over", error))?;
        }
        Ok(())
    }

    fn patience(&self) -> Duration {
        SHORT
    }
}
