//! Two numbers that many may read and one may write.

use anyhow::Result;
use shmkit::{LockError, LockFailure, Objects, RwLock, Segment};

use super::{LONG, SHORT, Toy, failed, linger};
use crate::witness::Me;

type Pair = [u64; 2];

fn check(pair: &Pair) -> Result<(), String> {
    if pair[0] == pair[1] {
        return Ok(());
    }
    Err(format!("half-written, and not told: {pair:?}"))
}

pub(crate) struct Shared(RwLock<Pair>);

impl Shared {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.rwlock("rwlock", [0_u64; 2])?))
    }

    fn read(&self, random: &mut fastrand::Rng) -> Result<(), String> {
        let short = random.u8(..8) == 0;
        let wait = if short { SHORT } else { LONG };
        match self.0.read_timeout(wait) {
            Ok(pair) => {
                check(&pair)?;
                linger(random);
                // Nobody writes beside a reader.
                check(&pair)
            }
            // A writer repairs it.
            Err(LockError::OwnerDied(_)) => Ok(()),
            Err(LockError::Failed(LockFailure::TimedOut)) if short => Ok(()),
            Err(error) => Err(failed("read", error)),
        }
    }
}

impl Toy for Shared {
    fn name(&self) -> &'static str {
        "rwlock"
    }

    fn play(&self, me: Me<'_>, n: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        if random.u8(..4) != 0 {
            return self.read(random);
        }
        let short = random.u8(..8) == 0;
        let wait = if short { SHORT } else { LONG };
        let (mut pair, told) = match self.0.write_timeout(wait) {
            Ok(pair) => (pair, false),
            Err(LockError::OwnerDied(pair)) => (pair, true),
            Err(LockError::Failed(LockFailure::TimedOut)) if short => return Ok(()),
            Err(error) => return Err(failed("write", error)),
        };
        // A dead writer is told to whoever comes first, and that may have been a reader.
        me.enter(n, if told { Some(true) } else { None })?;
        if told {
            pair[1] = pair[0];
            pair.make_consistent();
        }
        check(&pair)?;
        pair[0] += 1;
        linger(random);
        pair[1] += 1;
        me.leave(n)
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        let pair = self.0.try_write().map_err(|error| failed("try_write", error))?;
        check(&pair)
    }
}
