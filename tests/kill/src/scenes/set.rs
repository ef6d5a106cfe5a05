//! Scenes of a set: whoever is killed, each key is there or not, and nothing of its memory is lost.

use shmkit_collections::{MapError, ShmSet};
use shmkit_layout::Object;

use super::account;
use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Fault, Scene};

/// Bytes of the set.
const SET: u64 = 128 << 10;
/// Keys that stay, those that go, and those that come.
const STAY: [&str; 2] = ["one that stays", "two that stays"];
const GO: [&str; 3] = ["one that goes", "two", "three that go"];
const COME: [&str; 3] = ["a", "one that comes", "another one that comes"];

type Set<'a> = ShmSet<str, Me<'a>>;

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let about = "keys put into a set, put in again and taken out, killed; each is there or not, and no byte is lost";
    let scene = Scene::new("set/change", about, 1000, |stage, point| {
        let arena = Arena::new()?;
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        let made = unsafe { ShmSet::<str, _>::init(arena.object(), SET.into(), &NOBODY) };
        made.map(drop).map_err(|e| Fault::broken(e.to_string()))?;
        let filler = |_: &Actor<'_>| {
            open(&arena, |set| set.extend(STAY.into_iter().chain(GO)).map_err(hung))
        };
        stage.cast(4, &filler)?.finish()?;
        let user = |actor: &Actor<'_>| {
            open(&arena, |set| {
                actor.mark();
                change(set).map_err(hung)?;
                actor.mark();
                Ok(())
            })
        };
        let survivor = |actor: &Actor<'_>| {
            open(&arena, |set| {
                account::begin(actor)?;
                whole(set)?;
                change(set).map_err(hung)?;
                actor.through();
                Ok(())
            })
        };
        let end = |_: &Actor<'_>| open(&arena, count);
        account::play(stage, point, None, (&user, &survivor, &end))
    });
    vec![scene]
}

fn change(set: &Set<'_>) -> Result<(), MapError> {
    for (comes, goes) in COME.into_iter().zip(GO) {
        set.insert(comes)?;
        set.insert(STAY[0])?;
        set.remove(goes)?;
    }
    Ok(())
}

fn hung(error: MapError) -> Fault {
    Fault::hung(error.to_string())
}

fn open(arena: &Arena, then: impl FnOnce(&Set<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: the scene made a set of so many bytes here.
    let set = unsafe { Set::attach(arena.object(), SET, &me) };
    then(&set.map_err(|e| Fault::broken(e.to_string()))?)
}

/// What stays is there, and nothing is that never was.
fn whole(set: &Set<'_>) -> Result<(), Fault> {
    let keys = set.iter().collect::<Result<Vec<_>, _>>().map_err(hung)?;
    let known = |key: &str| STAY.iter().chain(&GO).chain(&COME).any(|known| *known == key);
    for key in STAY {
        if !set.contains(key).map_err(hung)? {
            return Err(Fault::torn(format!("\"{key}\" is not there any more")));
        }
    }
    match keys.iter().find(|key| !known(key)) {
        Some(key) => Err(Fault::torn(format!("\"{key}\" was never put in"))),
        None => Ok(()),
    }
}

/// Nobody is there any more: what is left is the set's keys.
fn count(set: &Set<'_>) -> Result<(), Fault> {
    whole(set)?;
    let (account, len) = (set.check().map_err(hung)?, set.iter().count() as u64);
    let blocks = (account.kept_blocks, account.reserved_blocks);
    if account.is_complete() && blocks == (len, 0) && set.len() == len {
        return Ok(());
    }
    Err(Fault::leaked(format!("{account}; there are {len} keys, and {} are said to be", set.len())))
}
