//! Permits: never more out than there are, and all back from the dead.

use anyhow::Result;
use shmkit::{Objects, Segment, Semaphore, SemaphoreError};

use super::{LONG, SHORT, Toy, failed, linger};
use crate::witness::Me;

const PERMITS: u32 = 3;

pub(crate) struct Owned(Semaphore);

impl Owned {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.semaphore("semaphore", PERMITS)?))
    }
}

impl Toy for Owned {
    fn name(&self) -> &'static str {
        "semaphore"
    }

    fn play(&self, me: Me<'_>, n: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let how = random.u8(..8);
        let result = match how {
            0 => self.0.try_acquire(),
            1 => self.0.acquire_timeout(SHORT),
            2 | 3 => self.0.acquire_many(PERMITS),
            _ => self.0.acquire_timeout(LONG),
        };
        let permit = match result {
            Ok(permit) => permit,
            Err(SemaphoreError::WouldBlock) => return Ok(()),
            Err(SemaphoreError::TimedOut) if how == 1 => return Ok(()),
            Err(error) => return Err(failed("acquire", error)),
        };
        // All of them: nobody else has one.
        let alone = permit.count() == PERMITS;
        if alone {
            me.enter(n, None)?;
        }
        linger(random);
        if alone {
            me.leave(n)?;
        }
        permit.release().map_err(|error| failed("release", error))
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        let all = self.0.acquire_many(PERMITS).map_err(|error| failed("acquire_many", error))?;
        match self.0.try_acquire() {
            Err(SemaphoreError::WouldBlock) => {}
            Err(error) => return Err(failed("try_acquire", error)),
            Ok(_) => return Err("there is a permit too many".to_owned()),
        }
        drop(all);
        Ok(())
    }
}
