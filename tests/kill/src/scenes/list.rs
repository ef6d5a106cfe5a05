//! Scenes of a Python list: whoever is killed as it writes an item, it is the old one, the new one, or unfinished.

use shmkit_collections::{ListError, ListItem, ShareableList};

use super::cell::begin;
use crate::{Actor, Arena, Fault, Scene, Take, Unit};

/// What is in the list at first, and what the victim makes of it: to the same type, to another, and to and from None.
fn old() -> Vec<ListItem> {
    vec!["o".repeat(20).into(), 1.into(), "old".into(), ListItem::None, 5.5.into()]
}

fn new() -> Vec<ListItem> {
    vec!["n".repeat(24).into(), 2.into(), 3.into(), "new".into(), ListItem::None]
}

/// What survivors write.
fn last() -> Vec<ListItem> {
    vec![7.into(), "last".into(), true.into(), 9.5.into(), b"last".into()]
}

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let set =
        "items of a Python list set and killed; each is old or new, or says that it is unfinished";
    let make = "a Python list made and killed; it is whole, or empty";
    vec![
        scene("list/set", set, 300, true, |list| {
            (0..).zip(new()).try_for_each(|(at, item)| list.set(at, item))
        }),
        scene("list/make", make, 300, false, |_| Ok(())),
    ]
}

/// One changes or makes the list and is killed; one survivor uses it at that moment, another comes later.
fn scene(
    name: &str,
    about: &str,
    floor: u32,
    is_made: bool,
    does: fn(&ShareableList<'_>) -> Result<(), ListError>,
) -> Scene {
    Scene::new(name, about, floor, move |stage, point| {
        let arena = Arena::new()?;
        if is_made {
            ShareableList::make(arena.object(), &old()).map_err(broken)?;
        }
        let mut victim = stage.victim(0, &|actor| {
            let items = old();
            if is_made {
                let list = ShareableList::attach(arena.object()).map_err(broken)?;
                actor.mark();
                does(&list).map_err(broken)?;
            } else {
                actor.mark();
                ShareableList::make(arena.object(), &items).map_err(broken)?;
            }
            actor.mark();
            Ok(())
        })?;
        let survivor = |actor: &Actor<'_>| {
            begin(actor)?;
            survive(&arena)?;
            actor.through();
            Ok(())
        };
        let (early, late) = (stage.cast(1, &survivor)?, stage.cast(2, &survivor)?);
        let reached = victim.advance(Unit::Instruction, point)?;
        early.cue(1);
        let early = early.finish()?;
        let killed = victim.kill();
        late.cue(1);
        Ok(Take::new(reached, killed, [early, late.finish()?]))
    })
}

/// Finds every item whole or unfinished, and writes all of them.
fn survive(arena: &Arena) -> Result<(), Fault> {
    let list = ShareableList::attach(arena.object()).map_err(broken)?;
    if list.is_empty() {
        return Ok(());
    }
    let (old, new, last) = (old(), new(), last());
    for at in 0..old.len() {
        match list.get(at as i64) {
            Ok(found) if [&old[at], &new[at], &last[at]].contains(&&found) => {}
            Err(ListError::Unfinished { .. }) => {}
            other => return Err(Fault::torn(format!("item {at} is {other:?}"))),
        }
    }
    for (at, item) in (0..).zip(&last) {
        list.set(at, item.clone()).map_err(broken)?;
    }
    Ok(())
}

fn broken(error: ListError) -> Fault {
    Fault::broken(error.to_string())
}
