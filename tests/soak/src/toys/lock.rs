//! The locks without data, and the one that a thread may take again.

use anyhow::Result;
use shmkit::{Acquired, Lock, LockError, LockFailure, Objects, RLock, ReentrantMutex, Segment};

use super::{LONG, SHORT, Toy, failed, linger};
use crate::witness::Me;

/// Whether a wait may end without the lock: only one that was short on purpose.
fn in_vain(failure: LockFailure, short: bool) -> Result<(), String> {
    match failure {
        LockFailure::WouldBlock => Ok(()),
        LockFailure::TimedOut if short => Ok(()),
        failure => Err(failed("lock", failure)),
    }
}

fn told(acquired: Acquired) -> bool {
    acquired.dead_owner().is_some()
}

pub(crate) struct Plain(Lock);

impl Plain {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.lock("lock")?))
    }
}

impl Toy for Plain {
    fn name(&self) -> &'static str {
        "lock"
    }

    fn play(&self, me: Me<'_>, n: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let how = random.u8(..8);
        let result = match how {
            0 => self.0.try_acquire(),
            1 => self.0.acquire_timeout(SHORT),
            _ => self.0.acquire_timeout(LONG),
        };
        let acquired = match result {
            Ok(acquired) => acquired,
            Err(failure) => return in_vain(failure, how == 1),
        };
        me.enter(n, Some(told(acquired)))?;
        linger(random);
        me.leave(n)?;
        self.0.release().map_err(|error| failed("release", error))
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        if self.0.locked() { Err(format!("it is still held: {:?}", self.0)) } else { Ok(()) }
    }
}

pub(crate) struct Again(RLock);

impl Again {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.rlock("rlock")?))
    }
}

impl Toy for Again {
    fn name(&self) -> &'static str {
        "rlock"
    }

    fn play(&self, me: Me<'_>, n: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let how = random.u8(..8);
        let result = match how {
            0 => self.0.try_acquire(),
            1 => self.0.acquire_timeout(SHORT),
            _ => self.0.acquire_timeout(LONG),
        };
        let acquired = match result {
            Ok(acquired) => acquired,
            Err(failure) => return in_vain(failure, how == 1),
        };
        me.enter(n, Some(told(acquired)))?;
        if self.0.depth() != 1 {
            return Err(format!("taken once, and its depth is {}", self.0.depth()));
        }
        let more = random.u32(..3);
        for _ in 0..more {
            self.0.try_acquire().map_err(|error| failed("try_acquire again", error))?;
        }
        linger(random);
        for _ in 0..more {
            self.0.release().map_err(|error| failed("release", error))?;
        }
        me.leave(n)?;
        self.0.release().map_err(|error| failed("release", error))
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        if self.0.locked() { Err(format!("it is still held: {:?}", self.0)) } else { Ok(()) }
    }
}

/// Two equal numbers under a lock that its owner takes twice.
pub(crate) struct Reentrant(ReentrantMutex<[u64; 2]>);

impl Reentrant {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.reentrant_mutex("reentrant", [0_u64; 2])?))
    }
}

impl Toy for Reentrant {
    fn name(&self) -> &'static str {
        "reentrant mutex"
    }

    fn play(&self, me: Me<'_>, n: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let how = random.u8(..8);
        let result = match how {
            0 => self.0.try_lock(),
            1 => self.0.lock_timeout(SHORT),
            _ => self.0.lock_timeout(LONG),
        };
        let (pair, told) = match result {
            Ok(pair) => (pair, false),
            Err(LockError::OwnerDied(pair)) => (pair, true),
            Err(LockError::Failed(failure)) => return in_vain(failure, how == 1),
            Err(error) => return Err(failed("lock", error)),
        };
        me.enter(n, Some(told))?;
        if told {
            let [first, _] = pair.get();
            pair.set([first, first]);
            pair.make_consistent();
        }
        let [first, second] = pair.get();
        if first != second {
            return Err(format!("half-written, and not told: {:?}", pair.get()));
        }
        pair.set([first + 1, second]);
        linger(random);
        let again = self.0.try_lock().map_err(|error| failed("try_lock again", error))?;
        again.set([first + 1, second + 1]);
        drop(again);
        me.leave(n)
    }
}
