//! Scenes of a value that is made once: a killed maker's is never seen, and all survivors see the same.

use shmkit_atomic::Ordering::{AcqRel, Acquire};
use shmkit_layout::Object;
use shmkit_sync::OnceCell;

use super::cell::{Kind, Wide, begin, check};
use crate::arena::Me;
use crate::{Actor, Arena, Fault, Scene, Take, Unit};

/// What the victim makes, and what survivors make.
const NEW: Wide = [2; 8];
const LAST: Wide = [3; 8];

/// Which word of the sheet says what a survivor has seen.
const SEEN: usize = 0;

/// The first maker is in the middle.
const INSIDE: u32 = 2;
/// Never given: the first maker is killed.
const LEAVE: u32 = 2;

pub(crate) const MADE: Kind = Kind {
    name: "once/make",
    about: "a maker killed; who waits and who comes later see one whole value",
    floor: 40,
    make: |_| Ok(()),
    write: |arena, actor| {
        open(arena, |cell| {
            actor.mark();
            cell.get_or_init(|| NEW).map_err(|e| Fault::hung(format!("get_or_init: {e}")))?;
            actor.mark();
            Ok(())
        })
    },
    read: |arena, actor| {
        open(arena, |cell| {
            begin(actor)?;
            let made = cell.get_or_init(|| LAST);
            let value = *made.map_err(|e| Fault::hung(format!("get_or_init: {e}")))?;
            actor.through();
            agree(actor, value)
        })
    },
};

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    vec![super::cell::scene(MADE), heir()]
}

/// The heir of a dead maker is killed while it takes over and makes the value.
fn heir() -> Scene {
    let about = "the heir of a dead maker killed; the next one makes it";
    Scene::new("once/heir", about, 60, move |stage, point| {
        let arena = Arena::new()?;
        let mut first = stage.cast(3, &|actor| {
            open(&arena, |cell| {
                let made = cell.get_or_try_init(|| {
                    actor.phase(INSIDE);
                    actor.await_cue(LEAVE).map(|()| NEW)
                });
                made.map(drop).map_err(|e| Fault::hung(e.to_string()))
            })
        })?;
        first.await_phase(INSIDE)?;
        first.kill();
        let mut victim = stage.victim(0, &|actor| (MADE.write)(&arena, actor))?;
        let reader = |actor: &Actor<'_>| (MADE.read)(&arena, actor);
        let (mut early, late) = (stage.cast(1, &reader)?, stage.cast(2, &reader)?);
        let reached = victim.advance(Unit::Instruction, point)?;
        early.cue(1);
        early.await_asleep(1)?;
        let killed = victim.kill();
        late.cue(1);
        Ok(Take::new(reached, killed, [early.finish()?, late.finish()?]))
    })
}

/// All who see it see the same, and whole.
pub(crate) fn agree(actor: &Actor<'_>, value: Wide) -> Result<(), Fault> {
    check(value)?;
    // AcqRel: pairs with itself in the other survivor.
    let before = actor.sheet().words[SEEN].compare_exchange(0, value[0], AcqRel, Acquire);
    match before {
        Err(other) if other != value[0] => {
            Err(Fault::double_owner(format!("one has seen {other}, another {}", value[0])))
        }
        _ => Ok(()),
    }
}

fn open(
    arena: &Arena,
    then: impl FnOnce(OnceCell<Wide, Me<'_>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: the zero bytes of an arena are an empty cell.
    let cell = unsafe { OnceCell::<Wide, _>::attach(arena.object(), 1, &me) };
    then(cell.map_err(|e| Fault::broken(e.to_string()))?)
}
