//! What is changed as a whole: snapshots, transactions over one thing and over several.

use anyhow::Result;
use shmkit::{
    MapMember, Member, Objects, Segment, Snapshot, SnapshotError, TransactionError, Transactional,
    TransactionalSet, TransactionalSetSpec,
};

use super::{SHORT, Toy, failed};
use crate::witness::Me;

/// Equal numbers.
type Many = [u64; 32];

pub(crate) struct Seen(Snapshot<Many>);

impl Seen {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.snapshot("snapshot", [0; 32])?))
    }

    fn look(&self) -> Result<(), String> {
        match self.0.load() {
            Ok(all) if all == [all[0]; 32] => Ok(()),
            Ok(all) => Err(format!("half-written: {all:?}")),
            Err(SnapshotError::Overtaken) => Ok(()),
            Err(error) => Err(failed("load", error)),
        }
    }
}

impl Toy for Seen {
    fn name(&self) -> &'static str {
        "snapshot"
    }

    fn play(&self, _: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        if random.u8(..3) > 0 {
            return self.look();
        }
        let mut writer = match self.0.writer_timeout(SHORT) {
            Ok(writer) => writer,
            Err(error) if error.is_timeout() => return Ok(()),
            Err(error) => return Err(failed("writer", error)),
        };
        for _ in 0..random.u8(1..4) {
            let n = random.u64(..);
            writer.update(|all| all.fill(n)).map_err(|error| failed("update", error))?;
        }
        Ok(())
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        self.look()
    }
}

const ACCOUNTS: usize = 16;

pub(crate) struct Bank(Transactional<[i64]>);

impl Bank {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.transactional::<[i64]>("bank", [100; ACCOUNTS], 256)?))
    }
}

impl Toy for Bank {
    fn name(&self) -> &'static str {
        "transactional"
    }

    fn play(&self, _: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let [from, to] = [0; 2].map(|_: u8| random.usize(..ACCOUNTS));
        let n = random.i64(0..100);
        let aborts = random.u8(..4) == 0;
        let end = self.0.transaction(|all| {
            *all.change(|all| &all[from])? -= n;
            super::linger(random);
            *all.change(|all| &all[to])? += n;
            if aborts { Err(TransactionError::Aborted) } else { Ok(()) }
        });
        match end {
            Ok(()) | Err(TransactionError::Aborted) => self.look_at_what_is_left(),
            Err(error) => Err(failed("transaction", error)),
        }
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        match self.0.read(|all| all.iter().sum::<i64>()) {
            Ok(sum) if sum == 100 * ACCOUNTS as i64 => Ok(()),
            Ok(sum) => Err(format!("the accounts have {sum} together")),
            Err(error) => Err(failed("read", error)),
        }
    }
}

/// What is in a set: a sum, and a map whose values have it.
pub(crate) struct Several {
    set: TransactionalSet,
    sum: Member<u64>,
    parts: MapMember<u64, u64>,
}

impl Several {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        let set = segment.transactional_set("set", TransactionalSetSpec::new(4096, 2048))?;
        let (sum, parts) =
            set.transaction(|set| Ok((set.member("sum", 0)?, set.map("parts", 20)?)))?;
        Ok(Self { set, sum, parts })
    }
}

impl Toy for Several {
    fn name(&self) -> &'static str {
        "set of several"
    }

    fn play(&self, _: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let (key, n) = (random.u64(..20), random.u64(..1000));
        let end = self.set.transaction(|set| {
            let before = if random.bool() {
                set.remove(&self.parts, &key)?
            } else {
                let before = set.value(&self.parts, &key)?.copied();
                set.insert(&self.parts, &key, &n)?;
                let sum = set.change(&self.sum, |sum| sum)?;
                *sum = sum.wrapping_add(n);
                before
            };
            super::linger(random);
            let sum = set.change(&self.sum, |sum| sum)?;
            *sum = sum.wrapping_sub(before.unwrap_or(0));
            Ok(())
        });
        end.map_err(|error| failed("transaction", error))?;
        self.look_at_what_is_left()
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        let found = self.set.read(|set| {
            let parts: u64 = set.entries(&self.parts)?.map(|(_, part)| part).sum();
            Ok((*set.get(&self.sum)?, parts))
        });
        match found {
            Ok((sum, parts)) if sum == parts => Ok(()),
            Ok((sum, parts)) => Err(format!("the sum is {sum}, and the parts have {parts}")),
            Err(error) => Err(failed("read", error)),
        }
    }
}
