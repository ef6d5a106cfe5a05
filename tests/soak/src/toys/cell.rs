//! Values and arrays: whole, whoever was killed in the middle.

use anyhow::Result;
use shmkit::{Array, LockError, Objects, Segment, Value};

use super::{Toy, failed};
use crate::witness::Me;

/// Four equal numbers.
type Four = [u64; 4];

fn check(four: Four) -> Result<(), String> {
    if four.iter().all(|&number| number == four[0]) {
        return Ok(());
    }
    Err(format!("half-written: {four:?}"))
}

pub(crate) struct Whole(Value<Four>);

impl Whole {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.value("value", [0; 4])?))
    }
}

impl Toy for Whole {
    fn name(&self) -> &'static str {
        "value"
    }

    fn play(&self, _: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let value = &self.0;
        match random.u8(..3) {
            0 => check(value.get().map_err(|error| failed("get", error))?),
            1 => value.set([random.u64(..); 4]).map_err(|error| failed("set", error)),
            _ => value
                .update(|four| {
                    let before = check(*four);
                    four.iter_mut().for_each(|number| *number = number.wrapping_add(1));
                    before
                })
                .map_err(|error| failed("update", error))?,
        }
    }
}

pub(crate) struct Elements(Array<Four>);

impl Elements {
    const LEN: usize = 8;

    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.array("array", Self::LEN)?))
    }
}

impl Toy for Elements {
    fn name(&self) -> &'static str {
        "array"
    }

    fn play(&self, _: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let at = random.usize(..Self::LEN);
        match random.u8(..3) {
            0 => check(self.0.get(at).map_err(|error| failed("get", error))?),
            1 => self.0.set(at, [random.u64(..); 4]).map_err(|error| failed("set", error)),
            _ => match self.0.lock() {
                Ok(elements) => elements.iter().try_for_each(|four| check(*four)),
                Err(LockError::Failed(failure)) => Err(failed("lock", failure)),
                Err(error) => Err(failed("told of a writer in the middle of an element", error)),
            },
        }
    }
}
