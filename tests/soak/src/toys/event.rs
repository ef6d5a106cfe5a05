//! An event that everybody sets, clears and waits for.

use anyhow::Result;
use shmkit::{Event, EventError, Objects, Segment};

use super::{SHORT, Toy, failed};
use crate::witness::Me;

pub(crate) struct Pulsing(Event);

impl Pulsing {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.event("event")?))
    }
}

impl Toy for Pulsing {
    fn name(&self) -> &'static str {
        "event"
    }

    fn play(&self, _: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let event = &self.0;
        match random.u8(..4) {
            0 => event.set().map_err(|error| failed("set", error)),
            1 => event.clear().map_err(|error| failed("clear", error)),
            // A pulse: whoever waits now gets through.
            2 => event.set().and_then(|()| event.clear()).map_err(|error| failed("pulse", error)),
            _ => match event.wait_timeout(SHORT) {
                Ok(()) | Err(EventError::TimedOut) => Ok(()),
                Err(error) => Err(failed("wait", error)),
            },
        }
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        self.0.set().map_err(|error| failed("set", error))?;
        self.0.wait_timeout(super::LONG).map_err(|error| failed("wait for what is set", error))
    }

    fn patience(&self) -> std::time::Duration {
        SHORT
    }
}
