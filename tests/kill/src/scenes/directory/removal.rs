//! Removing and unlinking an object, ceasing to use one that was unlinked, and using its entry and bytes again: whoever is
//! killed on the way, an object is there whole or gone, nobody loses one that is in use, and every byte is free again.

use shmkit_cell::Value;
use shmkit_segment::{Entry, ObjectErrorKind, Options, Segment};

use super::super::cell::Wide;
use super::{DEAD, FIRST, INSIDE, LEAVE, MAKER, SURVIVORS, cleanly, contest, object, open};
use crate::{Actor, Fault, Scene, Spread, Stage, Take};

/// What is removed.
const DISPUTED: &str = "disputed";
/// What the victim does.
type Act = fn(&Segment, &Actor<'_>) -> Result<(), Fault>;

/// Returns the scenes.
pub(super) fn scenes() -> Vec<Scene> {
    let acts: [(&'static str, &'static str, bool, Act); 6] = [
        ("directory/remove", "who removes an object killed; others find it or not", false, remove),
        ("directory/unlink", "who unlinks an object killed; others find it or not", false, unlink),
        (
            "directory/last",
            "the last user of an unlinked object killed as it drops it; its bytes are free",
            false,
            last,
        ),
        (
            "directory/reuse",
            "who makes an object of another's entry and bytes killed; others make it",
            false,
            reuse,
        ),
        (
            "directory/use",
            "who finds an object and drops it killed; others remove it",
            false,
            use_it,
        ),
        (
            "directory/removers",
            "who removes after a killed remover killed; others find it or not",
            true,
            remove,
        ),
    ];
    acts.map(|(name, about, heir, act)| {
        let play =
            move |stage: &Stage, point| cleanly(|name| play(stage, name, (heir, act), point));
        Scene::new(name, about, 300, play).named()
    })
    .into()
}

fn play(stage: &Stage, name: &str, (heir, act): (bool, Act), point: u32) -> Result<Take, Fault> {
    let mut maker = stage.cast(MAKER, &|actor| {
        let options = Options::new(2048).participants(8).objects(4);
        let segment = options.create(name).map_err(|e| Fault::hung(e.to_string()))?;
        for name in ["before", DISPUTED, "other"] {
            object(&segment, name)?;
        }
        // What is used all the time is there all the time.
        let used = find(&segment, "before")?;
        actor.phase(INSIDE);
        actor.await_cue(LEAVE)?;
        match used.get() {
            Ok(FIRST) => Ok(()),
            other => Err(Fault::torn(format!("what was used all the time is {other:?}"))),
        }
    })?;
    maker.await_phase(INSIDE)?;
    if heir {
        let remover = |actor: &Actor<'_>| {
            let segment = open(name)?;
            actor.mark();
            gone(segment.remove_object("other"))?;
            actor.mark();
            Ok(())
        };
        stage.dead(DEAD, &remover, Spread(4200).at(point))?;
    }
    let does = |actor: &Actor<'_>| act(&open(name)?, actor);
    let (reached, killed, through) = contest(stage, name, point, &does, survive)?;
    // All of it is there for others, when nobody uses it: one after the other, as each fills the segment.
    let check = |_: &Actor<'_>| whole(&open(name)?);
    stage.cast(SURVIVORS[0], &check)?.finish()?;
    maker.cue(LEAVE);
    maker.finish()?;
    Ok(Take::new(reached, killed, through))
}

fn remove(segment: &Segment, actor: &Actor<'_>) -> Result<(), Fault> {
    actor.mark();
    gone(segment.remove_object(DISPUTED))?;
    actor.mark();
    Ok(())
}

fn unlink(segment: &Segment, actor: &Actor<'_>) -> Result<(), Fault> {
    let used = find(segment, DISPUTED)?;
    actor.mark();
    gone(segment.unlink_object(DISPUTED))?;
    actor.mark();
    drop(used);
    Ok(())
}

fn last(segment: &Segment, actor: &Actor<'_>) -> Result<(), Fault> {
    let used = find(segment, DISPUTED)?;
    gone(segment.unlink_object(DISPUTED))?;
    actor.mark();
    drop(used);
    actor.mark();
    Ok(())
}

fn reuse(segment: &Segment, actor: &Actor<'_>) -> Result<(), Fault> {
    gone(segment.remove_object(DISPUTED))?;
    actor.mark();
    object(segment, DISPUTED)?;
    actor.mark();
    Ok(())
}

fn use_it(segment: &Segment, actor: &Actor<'_>) -> Result<(), Fault> {
    actor.mark();
    drop(find(segment, DISPUTED)?);
    actor.mark();
    Ok(())
}

/// Finds or makes the disputed object, uses it, and has it removed, as another one does at the same time.
fn survive(actor: &Actor<'_>, segment: &Segment) -> Result<(), Fault> {
    for name in ["before", DISPUTED] {
        object(segment, name)?;
    }
    gone(segment.unlink_object(DISPUTED))?;
    actor.through();
    match segment.remove_object("before") {
        Err(error) if error.kind() == ObjectErrorKind::InUse => Ok(()),
        other => Err(Fault::double_owner(format!("what is used is removed: {other:?}"))),
    }
}

/// Nobody uses anything but `before`: all else can be removed, and its bytes are one object's.
fn whole(segment: &Segment) -> Result<(), Fault> {
    let objects = segment.objects().map_err(|e| Fault::hung(format!("objects: {e}")))?;
    let named = |entry: &&Entry| entry.name != "before" && !entry.is_unlinked;
    for entry in objects.iter().filter(named) {
        gone(segment.remove_object(&entry.name))?;
    }
    // A segment of 2,048 bytes: with what a value of 64 takes beside it, 3 quarters are what is left at least.
    let all = segment.make::<Value<[u64; 96]>>("all", [7; 96]);
    drop(all.map_err(|e| Fault::leaked(format!("bytes of {objects:?}: {e}")))?);
    gone(segment.remove_object("all"))?;
    for n in 0..3 {
        object(segment, &format!("{n}"))?;
    }
    Ok(())
}

fn find(segment: &Segment, name: &str) -> Result<Value<Wide>, Fault> {
    segment.find(name).map_err(|e| Fault::hung(format!("find {name:?}: {e}")))
}

/// It was removed by us or by somebody else.
fn gone(result: Result<(), shmkit_segment::ObjectError>) -> Result<(), Fault> {
    match result {
        Err(error) if error.kind() != ObjectErrorKind::NotFound => {
            Err(Fault::hung(format!("removal: {error}")))
        }
        _ => Ok(()),
    }
}
