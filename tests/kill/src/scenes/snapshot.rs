//! Scenes of a snapshot: whoever is killed, readers see whole values, and the role goes to the next one.

use shmkit_cell::Snapshot;
use shmkit_layout::Object;

use super::cell::{Kind, Wide, begin, check, scene};
use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Fault, Scene, Spread, Take, Unit};

const OLD: Wide = [1; 8];
const NEW: Wide = [2; 8];
const LAST: Wide = [3; 8];

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let store = Kind {
        name: "snapshot/store",
        about: "SnapshotWriter::store killed; readers see old or new, and an heir writes",
        floor: 50,
        make,
        write: |arena, actor| {
            open(arena, |snapshot| {
                actor.mark();
                write(&snapshot, NEW)?;
                actor.mark();
                Ok(())
            })
        },
        read,
    };
    let update = Kind {
        name: "snapshot/update",
        about: "SnapshotWriter::update killed; readers see old or new, and an heir writes",
        write: |arena, actor| {
            open(arena, |snapshot| {
                actor.mark();
                let mut writer = snapshot.writer().map_err(hung)?;
                let add = |wide: &mut Wide| wide.iter_mut().for_each(|word| *word += 1);
                writer.update(add).map_err(hung)?;
                drop(writer);
                actor.mark();
                Ok(())
            })
        },
        ..store
    };
    let mut scenes: Vec<_> = [store, update].map(scene).into();
    scenes.push(heir());
    scenes.push(waiter());
    scenes
}

/// The heir of a writer that was killed anywhere is killed as well.
fn heir() -> Scene {
    let about = "the heir of a killed writer killed as it writes; readers see whole values";
    Scene::new("snapshot/heir", about, 50, |stage, point| {
        let arena = Arena::new()?;
        make(&arena)?;
        let user = |actor: &Actor<'_>| {
            open(&arena, |snapshot| {
                actor.mark();
                write(&snapshot, NEW)?;
                actor.mark();
                Ok(())
            })
        };
        stage.dead(3, &user, Spread(200).at(point))?;
        let mut victim = stage.victim(0, &user)?;
        let reader = |actor: &Actor<'_>| read(&arena, actor);
        let late = stage.cast(2, &reader)?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        late.cue(1);
        Ok(Take::new(reached, killed, [late.finish()?]))
    })
}

/// Somebody waits for a change as the writer is killed: it learns of one, the dead writer's or the heir's.
fn waiter() -> Scene {
    let about =
        "a writer killed beside one who waits for a change, which the heir makes at the latest";
    Scene::new("snapshot/waiter", about, 50, |stage, point| {
        let arena = Arena::new()?;
        make(&arena)?;
        let writer = |actor: &Actor<'_>| {
            open(&arena, |snapshot| {
                actor.mark();
                write(&snapshot, NEW)?;
                actor.mark();
                Ok(())
            })
        };
        let waiter = |actor: &Actor<'_>| {
            open(&arena, |snapshot| {
                begin(actor)?;
                snapshot.wait_changed(0).map_err(hung)?;
                check(snapshot.load().map_err(hung)?)?;
                actor.through();
                Ok(())
            })
        };
        let heir = |actor: &Actor<'_>| read(&arena, actor);
        let mut victim = stage.victim(0, &writer)?;
        let (early, late) = (stage.cast(1, &waiter)?, stage.cast(2, &heir)?);
        early.cue(1);
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        late.cue(1);
        let late = late.finish()?;
        Ok(Take::new(reached, killed, [early.finish()?, late]))
    })
}

fn hung(error: impl std::fmt::Display) -> Fault {
    Fault::hung(error.to_string())
}

fn make(arena: &Arena) -> Result<(), Fault> {
    // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
    let made = unsafe { Snapshot::init(arena.object(), OLD, &NOBODY) };
    made.map(drop).map_err(|e| Fault::broken(e.to_string()))
}

fn open(
    arena: &Arena,
    then: impl FnOnce(Snapshot<Wide, Me<'_>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make` made a snapshot of this type here.
    let snapshot = unsafe { Snapshot::<Wide, _>::attach(arena.object(), 1, &me) };
    then(snapshot.map_err(|e| Fault::broken(e.to_string()))?)
}

fn write(snapshot: &Snapshot<Wide, Me<'_>>, value: Wide) -> Result<(), Fault> {
    snapshot.writer().map_err(hung)?.store(value).map_err(hung)
}

fn read(arena: &Arena, actor: &Actor<'_>) -> Result<(), Fault> {
    open(arena, |snapshot| {
        begin(actor)?;
        let (version, found) = snapshot.load_with_version().map_err(hung)?;
        check(found)?;
        if version == 0 && found != OLD {
            return Err(Fault::torn(format!("read {found:?} as what was never written")));
        }
        let mut writer = snapshot.writer().map_err(hung)?;
        check(*writer)?;
        writer.store(LAST).map_err(hung)?;
        check(snapshot.load().map_err(hung)?)?;
        actor.through();
        Ok(())
    })
}
