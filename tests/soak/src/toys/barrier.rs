//! A barrier at which whoever comes meets whoever else does.

use anyhow::Result;
use shmkit::{Barrier, Objects, Segment};

use super::{SHORT, Toy, failed};
use crate::witness::Me;

const PARTIES: u32 = 3;

pub(crate) struct Meeting(Barrier);

impl Meeting {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.barrier("barrier", PARTIES)?))
    }
}

impl Toy for Meeting {
    fn name(&self) -> &'static str {
        "barrier"
    }

    fn play(&self, _: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let barrier = &self.0;
        match random.u8(..16) {
            0 => barrier.abort().map_err(|error| failed("abort", error)),
            _ => match barrier.wait_timeout(SHORT) {
                Ok(index) if index < PARTIES => Ok(()),
                Ok(index) => Err(format!("index {index} of {PARTIES}")),
                Err(error) if error.is_broken() => {
                    barrier.reset().map_err(|error| failed("reset", error))
                }
                Err(error) => Err(failed("wait", error)),
            },
        }
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        self.0.reset().map_err(|error| failed("reset", error))?;
        match self.0.n_waiting() {
            0 => Ok(()),
            waiting => Err(format!("{waiting} of the dead wait")),
        }
    }

    fn patience(&self) -> std::time::Duration {
        SHORT
    }
}
