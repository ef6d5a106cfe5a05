//! A store of a few goods: who brings one waits while it is full, who takes one while it is empty.

use anyhow::Result;
use shmkit::{Condvar, LockError, Mutex, MutexGuard, Objects, Segment, WaitError};

use super::{LONG, SHORT, Toy, failed, linger};
use crate::witness::Me;

const ROOM: u64 = 4;

/// Goods brought and taken, ever.
type Goods = [u64; 2];

fn check(goods: &Goods) -> Result<(), String> {
    match goods[0].checked_sub(goods[1]) {
        Some(there) if there <= ROOM => Ok(()),
        _ => Err(format!("{} were brought and {} taken", goods[0], goods[1])),
    }
}

pub(crate) struct Store {
    goods: Mutex<Goods>,
    changed: Condvar,
}

impl Store {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        let goods = segment.mutex("goods", [0_u64; 2])?;
        Ok(Self { goods, changed: segment.condvar("changed")? })
    }

    fn lock(&self) -> Result<MutexGuard<'_, Goods>, String> {
        match self.goods.lock_timeout(LONG) {
            Ok(goods) => Ok(goods),
            // Each change is one step.
            Err(LockError::OwnerDied(goods)) => {
                goods.make_consistent();
                Ok(goods)
            }
            Err(error) => Err(failed("lock", error)),
        }
    }
}

impl Toy for Store {
    fn name(&self) -> &'static str {
        "condvar"
    }

    fn play(&self, _: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let side = random.usize(..2);
        let busy = |goods: &mut Goods| match side {
            0 => goods[0] - goods[1] >= ROOM,
            _ => goods[0] <= goods[1],
        };
        let goods = self.lock()?;
        check(&goods)?;
        let (mut goods, busy) = match self.changed.wait_while_timeout(goods, busy, SHORT) {
            Ok(waited) => waited,
            Err(WaitError::OwnerDied(goods, _)) => {
                goods.make_consistent();
                return check(&goods);
            }
            Err(error) => return Err(failed("wait", error)),
        };
        check(&goods)?;
        if !busy {
            goods[side] += 1;
            linger(random);
            let notified = match random.u8(..4) {
                0 => self.changed.notify_all(&goods),
                _ => self.changed.notify_one(&goods),
            };
            notified.map_err(|error| failed("notify", error))?;
        }
        check(&goods)
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        let goods = self.lock()?;
        // Whoever waits is dead, and is passed over.
        let notified = self.changed.notify_all(&goods).map_err(|e| failed("notify_all", e))?;
        if notified != 0 {
            return Err(format!("{notified} of the dead were notified"));
        }
        check(&goods)
    }

    fn patience(&self) -> std::time::Duration {
        SHORT
    }
}
