//! Semaphores that nobody owns: what the dead had taken stays lost, and the bound is never passed.

use anyhow::Result;
use shmkit::{CountingError, CountingSemaphore, Objects, Segment};

use super::{SHORT, Toy, failed};
use crate::witness::Me;

const BOUND: u32 = 4;

pub(crate) struct Bounded(CountingSemaphore);

impl Bounded {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.bounded_semaphore("bounded", BOUND)?))
    }

    fn check(&self) -> Result<(), String> {
        let value = self.0.value();
        if value <= BOUND { Ok(()) } else { Err(format!("{value}, and {BOUND} is the bound")) }
    }
}

impl Toy for Bounded {
    fn name(&self) -> &'static str {
        "bounded semaphore"
    }

    fn play(&self, _: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        self.check()?;
        let moved = match random.u8(..4) {
            0 => self.0.try_acquire(),
            1 => self.0.acquire_timeout(SHORT),
            // More than was taken: the bound is what is tried.
            _ => self.0.release(random.u32(1..3)),
        };
        match moved {
            Ok(())
            | Err(CountingError::WouldBlock)
            | Err(CountingError::TimedOut)
            | Err(CountingError::PastBound { .. }) => self.check(),
            Err(error) => Err(failed("acquire or release", error)),
        }
    }

    fn patience(&self) -> std::time::Duration {
        SHORT
    }
}
