//! Collections and the heap below them: whole, and none of their memory lost, whoever was killed in the middle.

use anyhow::Result;
use shmkit::{
    Account, BlockId, DequeSpec, Heap, MapError, Objects, Segment, SeqError, ShmDeque, ShmMap,
    ShmVec,
};

use super::{Toy, failed};
use crate::witness::Me;

/// Four equal numbers.
type Four = [u64; 4];
const BYTES: u64 = 1 << 18;
/// How many elements or keys there are, about.
const MANY: usize = 200;

fn check(all: &[Four]) -> Result<(), String> {
    match all.iter().find(|four| **four != [four[0]; 4]) {
        Some(four) => Err(format!("half-written: {four:?}")),
        None => Ok(()),
    }
}

/// Looks whether every byte is somewhere, and nothing is reserved by the dead.
fn accounted(account: &Account, blocks: u64) -> Result<(), String> {
    let whole = account.is_complete() && account.reserved_blocks == 0;
    if whole && account.kept_blocks <= blocks { Ok(()) } else { Err(account.to_string()) }
}

/// Nothing is there: somebody else was faster.
fn allowed<T>(result: Result<T, SeqError>) -> Result<(), String> {
    match result {
        Ok(_) | Err(SeqError::OutOfRange { .. } | SeqError::NoSuchRange { .. }) => Ok(()),
        Err(error) => Err(failed("a change", error)),
    }
}

pub(crate) struct Row(ShmVec<Four>);

impl Row {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.vec("vec", BYTES)?))
    }
}

impl Toy for Row {
    fn name(&self) -> &'static str {
        "vec"
    }

    fn play(&self, _: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let (row, at, four) = (&self.0, random.usize(..MANY), [random.u64(..); 4]);
        match random.u8(..8) {
            0 => check(&row.to_vec().map_err(|error| failed("to_vec", error))?),
            1 => allowed(row.set(at, four)),
            2 => allowed(row.swap_remove(at)),
            3 => allowed(row.remove(at)),
            4 => allowed(row.pop()),
            5 if row.len() > MANY => allowed(row.truncate(MANY / 2)),
            6 => allowed(row.insert(at.min(row.len()), four)),
            _ => allowed(row.push(four)),
        }
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        check(&self.0.to_vec().map_err(|error| failed("to_vec", error))?)?;
        accounted(&self.0.check().map_err(|error| failed("check", error))?, 1)
    }
}

pub(crate) struct Latest(ShmDeque<Four>);

impl Latest {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.deque("deque", DequeSpec::bytes(BYTES).max_len(MANY as u32))?))
    }
}

impl Toy for Latest {
    fn name(&self) -> &'static str {
        "deque"
    }

    fn play(&self, _: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let (all, at, four) = (&self.0, random.usize(..MANY), [random.u64(..); 4]);
        match random.u8(..8) {
            0 => check(&all.to_vec().map_err(|error| failed("to_vec", error))?),
            1 => allowed(all.set(at, four)),
            2 => allowed(all.pop_back()),
            3 => allowed(all.pop_front()),
            4 => allowed(all.push_front(four)),
            _ => allowed(all.push_back(four)),
        }
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        let all = self.0.to_vec().map_err(|error| failed("to_vec", error))?;
        if all.len() > MANY {
            return Err(format!("{} elements where there may be {MANY}", all.len()));
        }
        check(&all)?;
        accounted(&self.0.check().map_err(|error| failed("check", error))?, 1)
    }
}

pub(crate) struct Entries(ShmMap<u64, Four>);

impl Entries {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.map("map", BYTES)?))
    }
}

/// Looks at a value of a map, of which each begins with its key.
fn value(key: u64, four: Option<Four>) -> Result<(), String> {
    match four {
        Some(four) if four[0] != key || four[1..] != [four[1]; 3] => {
            Err(format!("the value of {key} is {four:?}"))
        }
        _ => Ok(()),
    }
}

impl Toy for Entries {
    fn name(&self) -> &'static str {
        "map"
    }

    fn play(&self, _: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let (map, key, n) = (&self.0, random.u64(..MANY as u64), random.u64(..));
        let error = |error: MapError| failed("a change", error);
        match random.u8(..5) {
            0 => value(key, map.get(&key).map_err(error)?),
            1 => value(key, map.remove(&key).map_err(error)?),
            2 => {
                let add = |four: &mut Four| {
                    *four = [
                        four[0],
                        four[1].wrapping_add(1),
                        four[1].wrapping_add(1),
                        four[1].wrapping_add(1),
                    ]
                };
                value(key, map.update(&key, add).map_err(error)?)
            }
            3 => {
                let place = map.entry(&key).map_err(error)?;
                value(key, Some(place.or_insert([key, n, n, n]).map_err(error)?))
            }
            _ => value(key, map.insert(&key, &[key, n, n, n]).map_err(error)?),
        }
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        let all = self.0.entries().map_err(|error| failed("entries", error))?;
        all.iter().try_for_each(|(key, four)| value(*key, Some(*four)))?;
        if all.len() as u64 != self.0.len() {
            return Err(format!("{} entries, and {} were counted", all.len(), self.0.len()));
        }
        let account = self.0.check().map_err(|error| failed("check", error))?;
        accounted(&account, all.len() as u64)
    }
}

/// Blocks that nobody keeps: they are taken and given back, or their owner is killed.
pub(crate) struct Blocks(Heap);

impl Blocks {
    pub(crate) fn new(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.heap("heap", BYTES)?))
    }
}

impl Toy for Blocks {
    fn name(&self) -> &'static str {
        "heap"
    }

    fn play(&self, me: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let mut held: Vec<(shmkit::Block<'_>, u8)> = Vec::new();
        for _ in 0..random.usize(1..12) {
            let len = 1 << random.u32(..13);
            let mark = random.u8(..) ^ me.seat as u8;
            match self.0.reserve_bytes(len) {
                Ok(mut block) => {
                    block.as_mut_slice().fill(mark);
                    held.push((block, mark));
                }
                Err(shmkit::HeapError::Full { .. }) => {}
                Err(error) => return Err(failed("reserve", error)),
            }
            super::linger(random);
            if let Some((block, mark)) =
                held.iter().find(|(block, mark)| block.as_slice().iter().any(|byte| byte != mark))
            {
                let id: BlockId = block.id();
                return Err(format!("somebody wrote to block {id:?}, which was all {mark}"));
            }
            if random.bool() && !held.is_empty() {
                drop(held.swap_remove(random.usize(..held.len())));
            }
        }
        Ok(())
    }

    fn look_at_what_is_left(&self) -> Result<(), String> {
        accounted(&self.0.check().map_err(|error| failed("check", error))?, 0)
    }
}
