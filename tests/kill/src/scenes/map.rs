//! Scenes of a map: whoever is killed, each entry is the old one or the new one, and nothing of its memory is lost.

use shmkit_collections::{MapError, MapSpec, ShmMap};
use shmkit_layout::Object;

use super::account::{self, Before};
use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Fault, Scene, Spread};

/// Bytes of the map.
pub(super) const MAP: u64 = 128 << 10;
/// Values are several words, all of them equal, or they are torn.
type Wide = [u64; 4];
pub(super) type Map<'a> = ShmMap<u64, Wide, Me<'a>>;

/// Keys that are there from the beginning, and those that come.
const OLD: u64 = 12;
const ALL: u64 = 16;
/// So many that they stand behind each other in their buckets.
const CROWD: u64 = 1000;
/// More than fit.
const MANY: u64 = 4000;

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let insert = "entries put in and replaced, killed; each is old or new, and no byte is lost";
    let remove = "entries taken out, killed; each is there or not, and no byte is lost";
    let update = "entries updated, killed; each is old or new, and no byte is lost";
    let heir = "the heir of one killed as it changes entries killed, too; as above";
    let grow = "entries put into a map that grows for them, killed; as above";
    let evict = "entries put into a full cache, which others make room for, killed; as above";
    let entry = "entries changed, put in and taken out at their places, killed; as above";
    let retain = "entries that are not to stay taken out, killed; as above";
    let bytes = MapSpec::bytes(MAP);
    let filled = Ground { spec: bytes, keys: OLD };
    // As many as there are buckets, about: behind each third one there is another.
    let crowded = Ground { spec: bytes, keys: CROWD };
    let fresh = Ground { spec: MapSpec::growing(0, MAP), keys: 0 };
    let full = Ground { spec: bytes.evicting(), keys: MANY };
    vec![
        scene("map/insert", insert, 1000, None, filled, insert_some),
        scene("map/remove", remove, 1000, None, filled, remove_some),
        scene("map/unlink", remove, 1000, None, crowded, |map| {
            (0..24).try_for_each(|key| map.remove(&key).map(drop))
        }),
        scene("map/update", update, 1000, None, filled, |map| {
            (0..6).try_for_each(|key| map.update(&key, |value| *value = [9; 4]).map(drop))
        }),
        scene("map/entry", entry, 1000, None, filled, |map| {
            map.entry(&0)?.and_modify(|value| *value = [8; 4])?.or_insert([7; 4])?;
            map.entry(&(ALL - 1))?.or_insert([7; 4])?;
            map.entry(&1)?.insert(&[6; 4])?;
            map.entry(&2)?.remove()?;
            map.get_or_insert_with(&(ALL - 2), || [5; 4]).map(drop)
        }),
        scene("map/retain", retain, 1000, None, filled, |map| map.retain(|key, _| key % 3 == 0)),
        scene("map/grow", grow, 1000, None, fresh, insert_some),
        scene("map/evict", evict, 1000, None, full, |map| put(map, MANY, 1)),
        scene("map/heir", heir, 1000, Some(Spread(12_000)), filled, |map| {
            remove_some(map)?;
            insert_some(map)
        }),
    ]
}

/// What there is before.
#[derive(Clone, Copy)]
struct Ground {
    spec: MapSpec,
    keys: u64,
}

fn insert_some(map: &Map<'_>) -> Result<(), MapError> {
    (8..ALL).try_for_each(|key| put(map, key, 1))
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
    ground: Ground,
    does: fn(&Map<'_>) -> Result<(), MapError>,
) -> Scene {
    Scene::new(name, about, floor, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena, ground.spec)?;
        let filler = |_: &Actor<'_>| {
            open(&arena, |map| (0..ground.keys).try_for_each(|key| put(map, key, 0)).map_err(hung))
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
pub(super) fn make(arena: &Arena, spec: MapSpec) -> Result<(), Fault> {
    // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
    let made = unsafe { ShmMap::<u64, Wide, _>::init(arena.object(), spec, &NOBODY) };
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
        if key > MANY || value != [value[0]; 4] {
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
