//! Scenes of a map: whoever is killed, each entry is the old one or the new one, and nothing of its memory is lost.

use shmkit_collections::{MapError, MapSpec, ShmMap};
use shmkit_layout::Object;

use super::account::{self, Before};
use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Fault, Scene, Spread};

/// Bytes of the map.
const MAP: u64 = 128 << 10;
/// Values are several words, all of them equal, or they are torn.
type Wide = [u64; 4];
pub(super) type Map<'a> = ShmMap<u64, Wide, Me<'a>>;

/// Keys that are there from the beginning, and those that come.
const OLD: u64 = 12;
const ALL: u64 = 16;

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let insert = "entries put in and replaced, killed; each is old or new, and no byte is lost";
    let remove = "entries taken out, killed; each is there or not, and no byte is lost";
    let update = "entries updated, killed; each is old or new, and no byte is lost";
    let heir = "the heir of one killed as it changes entries killed, too; as above";
    vec![
        scene("map/insert", insert, 1000, None, |map| {
            (8..ALL).try_for_each(|key| put(map, key, 1))
        }),
        scene("map/remove", remove, 1000, None, remove_some),
        scene("map/update", update, 1000, None, |map| {
            (0..6).try_for_each(|key| map.update(&key, |value| *value = [9; 4]).map(drop))
        }),
        scene("map/heir", heir, 1000, Some(Spread(12_000)), |map| {
            remove_some(map)?;
            (8..ALL).try_for_each(|key| put(map, key, 1))
        }),
    ]
}

fn remove_some(map: &Map<'_>) -> Result<(), MapError> {
    (0..6).try_for_each(|key| map.remove(&key).map(drop))
}

fn put(map: &Map<'_>, key: u64, fill: u64) -> Result<(), MapError> {
    map.insert(&key, &[fill; 4]).map(drop)
}

pub(super) fn hung(error: MapError) -> Fault {
    Fault::hung(error.to_string())
}

/// One changes the map and is killed; one survivor uses it at that moment, another comes later.
fn scene(
    name: &str,
    about: &str,
    floor: u32,
    before: Before,
    does: fn(&Map<'_>) -> Result<(), MapError>,
) -> Scene {
    Scene::new(name, about, floor, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena)?;
        let filler = |_: &Actor<'_>| {
            open(&arena, |map| (0..OLD).try_for_each(|key| put(map, key, 0)).map_err(hung))
        };
        stage.cast(4, &filler)?.finish()?;
        let user = |actor: &Actor<'_>| {
            open(&arena, |map| {
                actor.mark();
                does(map).map_err(hung)?;
                actor.mark();
                Ok(())
            })
        };
        let survivor = |actor: &Actor<'_>| {
            open(&arena, |map| {
                account::begin(actor)?;
                survive(map)?;
                actor.through();
                Ok(())
            })
        };
        // Nobody is there any more: what is left is the map's entries.
        let end = |_: &Actor<'_>| open(&arena, count);
        account::play(stage, point, before, (&user, &survivor, &end))
    })
}

/// Makes the map, in an arena that no actor knows yet.
pub(super) fn make(arena: &Arena) -> Result<(), Fault> {
    // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
    let made =
        unsafe { ShmMap::<u64, Wide, _>::init(arena.object(), MapSpec::bytes(MAP), &NOBODY) };
    made.map(drop).map_err(|e| Fault::broken(e.to_string()))
}

pub(super) fn open(
    arena: &Arena,
    then: impl FnOnce(&Map<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: the scene made a map of these types and so many bytes here.
    let map = unsafe { Map::attach(arena.object(), MAP, &me) };
    then(&map.map_err(|e| Fault::broken(e.to_string()))?)
}

/// Finds every entry whole, with the locks and without, and uses all of them.
fn survive(map: &Map<'_>) -> Result<(), Fault> {
    for key in 0..ALL {
        match map.get(&key).map_err(hung)? {
            Some(value) if value != [value[0]; 4] => {
                return Err(Fault::torn(format!("entry {key} is {value:?}")));
            }
            _ => {}
        }
    }
    whole(map)?;
    for key in 0..ALL {
        put(map, key, 2).map_err(hung)?;
    }
    for key in (0..ALL).step_by(2) {
        map.remove(&key).map_err(hung)?;
    }
    whole(map)
}

fn whole(map: &Map<'_>) -> Result<(), Fault> {
    for (key, value) in map.entries().map_err(hung)? {
        if key >= ALL || value != [value[0]; 4] {
            return Err(Fault::torn(format!("entry {key} is {value:?}")));
        }
    }
    Ok(())
}

fn count(map: &Map<'_>) -> Result<(), Fault> {
    whole(map)?;
    let (account, len) = (map.check().map_err(hung)?, map.entries().map_err(hung)?.len() as u64);
    if account.is_complete()
        && (account.kept_blocks, account.reserved_blocks) == (len, 0)
        && map.len() == len
    {
        return Ok(());
    }
    Err(Fault::leaked(format!(
        "{account}; there are {len} entries, and the map says {}",
        map.len()
    )))
}
