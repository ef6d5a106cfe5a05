//! Two numbers under a lock, equal unless somebody is in the middle.

use anyhow::Result;
use shmkit::{LockError, LockFailure, Mutex, Objects, Segment};

use super::{LONG, SHORT, Toy, failed, linger};
use crate::witness::Me;

pub(crate) struct Locked(Mutex<[u64; 2]>);

impl Locked {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.mutex("mutex", [0_u64; 2])?))
    }
}

impl Toy for Locked {
    fn name(&self) -> &'static str {
        "mutex"
    }

    fn play(&self, me: Me<'_>, n: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let how = random.u8(..8);
        let result = match how {
            0 => self.0.try_lock(),
            1 => self.0.lock_timeout(SHORT),
            _ => self.0.lock_timeout(LONG),
        };
        let (mut pair, told) = match result {
            Ok(pair) => (pair, false),
            Err(LockError::OwnerDied(pair)) => (pair, true),
            Err(LockError::Failed(LockFailure::WouldBlock)) => return Ok(()),
            Err(LockError::Failed(LockFailure::TimedOut)) if how == 1 => return Ok(()),
            Err(error) => return Err(failed("lock", error)),
        };
        me.enter(n, Some(told))?;
        if told {
            pair[1] = pair[0];
            pair.make_consistent();
        }
        if pair[0] != pair[1] {
            return Err(format!("half-written, and not told: {pair:?}"));
        }
        pair[0] += 1;
        linger(random);
        pair[1] += 1;
        me.leave(n)
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        match self.0.try_lock() {
            Ok(pair) if pair[0] == pair[1] => Ok(()),
            Ok(pair) => Err(format!("half-written: {pair:?}")),
            Err(error) => Err(failed("try_lock", error)),
        }
    }
}
