//! A pipe whose ends go from hand to hand: what one sender sent arrives in order and once.

use anyhow::Result;
use shmkit::{ClaimError, Objects, Pipe, PipeError, Segment};

use super::{SHORT, Toy, failed};
use crate::witness::Me;

/// Who sent it, and which of its items it is, from 0.
type Item = [u64; 2];

const CAPACITY: u64 = 64;

fn pipe(segment: &Segment) -> Result<Pipe<Item>> {
    Ok(segment.pipe("pipe", CAPACITY)?)
}

pub(crate) struct Sending(Pipe<Item>);

impl Sending {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(pipe(segment)?))
    }
}

impl Toy for Sending {
    fn name(&self) -> &'static str {
        "pipe/send"
    }

    fn play(&self, me: Me<'_>, n: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let mut sender = match self.0.sender() {
            Ok(sender) => sender,
            Err(ClaimError::Taken { .. }) => return Ok(()),
            Err(error) => return Err(failed("sender", error)),
        };
        me.enter(n, None)?;
        // A name for this hold of the end: nobody had it before.
        let name = random.u64(1..);
        for item in 0..random.u64(..200) {
            match sender.send_timeout([name, item], SHORT) {
                Ok(()) => {}
                Err(sent) => match sent.error {
                    PipeError::TimedOut | PipeError::Closed | PipeError::PeerDied { .. } => break,
                    error => return Err(failed("send", error)),
                },
            }
        }
        me.leave(n)?;
        if random.bool() {
            sender.hand_over().map_err(|error| failed("hand over", error))?;
        }
        Ok(())
    }

    fn patience(&self) -> std::time::Duration {
        SHORT
    }
}

pub(crate) struct Receiving(Pipe<Item>);

impl Receiving {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(pipe(segment)?))
    }
}

impl Toy for Receiving {
    fn name(&self) -> &'static str {
        "pipe/recv"
    }

    fn play(&self, me: Me<'_>, n: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let mut receiver = match self.0.receiver() {
            Ok(receiver) => receiver,
            Err(ClaimError::Taken { .. }) => return Ok(()),
            Err(error) => return Err(failed("receiver", error)),
        };
        me.enter(n, None)?;
        let mut last: Option<Item> = None;
        for _ in 0..random.u64(..200) {
            let item = match receiver.recv_timeout(SHORT) {
                Ok(item) => item,
                Err(PipeError::TimedOut | PipeError::Closed | PipeError::PeerDied { .. }) => break,
                Err(error) => return Err(failed("recv", error)),
            };
            match last {
                Some([name, number]) if item[0] == name && item[1] != number + 1 => {
                    return Err(format!("item {} came after {number}", item[1]));
                }
                Some([name, _]) if item[0] != name && item[1] != 0 => {
                    return Err(format!("a sender's first item is its number {}", item[1]));
                }
                _ => last = Some(item),
            }
        }
        me.leave(n)?;
        if random.bool() {
            receiver.hand_over().map_err(|error| failed("hand over", error))?;
        }
        Ok(())
    }

    fn patience(&self) -> std::time::Duration {
        SHORT
    }
}
