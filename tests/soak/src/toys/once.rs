//! Values that are made once, whoever is killed making them.

use anyhow::Result;
use shmkit::{Objects, OnceCell, OnceError, Segment};

use super::{LONG, SHORT, Toy, failed, linger};
use crate::witness::Me;

/// How many there are: each can be made once only.
const CELLS: usize = 64;

type Four = [u64; 4];

pub(crate) struct Cells(Vec<OnceCell<Four>>);

impl Cells {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        let cell = |n| Ok(segment.once_cell(&format!("once {n}"))?);
        Ok(Self((0..CELLS).map(cell).collect::<Result<_>>()?))
    }
}

impl Toy for Cells {
    fn name(&self) -> &'static str {
        "once cell"
    }

    fn play(&self, _: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let n = random.usize(..CELLS);
        let first = random.u64(..);
        let mut pause = random.fork();
        let make = || {
            linger(&mut pause);
            [first; 4]
        };
        let how = random.u8(..4);
        let made = match how {
            0 => self.0[n].wait_timeout(SHORT),
            1 => self.0[n].try_get_or_init(make),
            _ => self.0[n].get_or_init_timeout(LONG, make),
        };
        match made {
            Ok(four) if four.iter().all(|&number| number == four[0]) => Ok(()),
            Ok(four) => Err(format!("half-made: {four:?}")),
            Err(OnceError::WouldBlock | OnceError::TimedOut | OnceError::OwnerDied { .. }) => {
                Ok(())
            }
            Err(error) => Err(failed("get_or_init", error)),
        }
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        for cell in &self.0 {
            let four = cell.get_or_init(|| [1; 4]).map_err(|error| failed("get_or_init", error))?;
            if four.iter().any(|&number| number != four[0]) {
                return Err(format!("half-made: {four:?}"));
            }
        }
        Ok(())
    }

    fn patience(&self) -> std::time::Duration {
        SHORT
    }
}
