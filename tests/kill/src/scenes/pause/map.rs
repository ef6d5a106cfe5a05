//! A map that is looked into without a lock, while what was found there is taken out and its memory is given to another entry.

use super::{Op, Race};
use crate::Fault;
use crate::scenes::map::{MAP as BYTES, Map, hung, make, open};

/// The key that is looked for.
const KEY: u64 = 3;
/// One that comes meanwhile.
const OTHER: u64 = 9;

pub(super) const MAP: Race = Race {
    name: "map",
    make: |arena| {
        make(arena, BYTES.into())?;
        open(arena, |map| put(map, KEY, 1))
    },
    ops: &[
        Op {
            name: "get",
            run: |arena, turn| {
                open(arena, |map| {
                    turn.begin()?;
                    let found = map.get(&KEY).map_err(hung)?;
                    turn.end();
                    match found {
                        None | Some([1, 1, 1, 1] | [2, 2, 2, 2]) => Ok(()),
                        Some(value) => Err(Fault::torn(format!("{value:?} was found"))),
                    }
                })
            },
        },
        Op {
            name: "replace",
            run: |arena, turn| {
                open(arena, |map| {
                    turn.begin()?;
                    put(map, KEY, 2)?;
                    put(map, OTHER, 5)?;
                    turn.end();
                    Ok(())
                })
            },
        },
        Op {
            name: "remove",
            run: |arena, turn| {
                open(arena, |map| {
                    turn.begin()?;
                    map.remove(&KEY).map_err(hung)?;
                    put(map, OTHER, 5)?;
                    turn.end();
                    Ok(())
                })
            },
        },
    ],
    pairs: &[(0, 1), (0, 2), (1, 0), (2, 0), (1, 2)],
    judge: |arena, _| {
        open(arena, |map| {
            for key in [KEY, OTHER] {
                let (glanced, locked) = (map.get(&key), map.read(&key, |bytes| bytes.to_vec()));
                let (glanced, locked) = (glanced.map_err(hung)?, locked.map_err(hung)?);
                if glanced.map(|value| value.map(u64::to_ne_bytes).concat()) != locked {
                    return Err(Fault::torn(format!(
                        "{glanced:?} without the lock, {locked:?} with it"
                    )));
                }
            }
            Ok(())
        })
    },
};

fn put(map: &Map<'_>, key: u64, fill: u64) -> Result<(), Fault> {
    map.insert(&key, &[fill; 4]).map(drop).map_err(hung)
}
