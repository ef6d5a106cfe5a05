//! Scenes of values and arrays: a killed writer leaves the old or the new value, or the next one is told.

use shmkit_cell::{Array, ArrayError, ArraySpec, Value};
use shmkit_layout::{Object, Offset};
use shmkit_sync::LockError;

use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Fault, Scene, Take, Unit};

/// A value of several words: all of them equal, or it is torn.
pub(crate) type Wide = [u64; 8];

const OLD: Wide = [1; 8];
const NEW: Wide = [2; 8];
/// What survivors write.
const LAST: Wide = [3; 8];

/// Elements of the array.
const LEN: usize = 4;
/// The element that the victim writes.
const AT: usize = 2;

/// The survivor is about to read.
const READING: u32 = 1;
/// Go and read.
const GO: u32 = 1;

/// What is written and killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub name: &'static str,
    pub about: &'static str,
    pub floor: u32,
    /// Makes it in a fresh arena, holding `OLD`.
    pub make: fn(&Arena) -> Result<(), Fault>,
    /// Joins, marks, writes `NEW`, marks.
    pub write: fn(&Arena, &Actor<'_>) -> Result<(), Fault>,
    /// Joins, awaits `GO`, reads, checks, and writes `LAST`.
    pub read: fn(&Arena, &Actor<'_>) -> Result<(), Fault>,
}

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let set = Kind {
        name: "value/set",
        about: "Value::set killed; readers see old or new",
        floor: 50,
        make: make_value,
        write: |arena, actor| {
            value(arena, |value| {
                actor.mark();
                value.set(NEW).map_err(|e| Fault::hung(format!("set: {e}")))?;
                actor.mark();
                Ok(())
            })
        },
        read: read_value,
    };
    let update = Kind {
        name: "value/update",
        about: "Value::update killed; readers see old or new",
        write: |arena, actor| {
            value(arena, |value| {
                actor.mark();
                let update = |wide: &mut Wide| wide.iter_mut().for_each(|word| *word += 1);
                value.update(update).map_err(|e| Fault::hung(format!("update: {e}")))?;
                actor.mark();
                Ok(())
            })
        },
        ..set
    };
    let element = Kind {
        name: "array/set",
        about: "Array::set killed; readers see the old or the new element",
        floor: 50,
        make: make_array,
        write: |arena, actor| {
            array(arena, |array| {
                actor.mark();
                array.set(AT, NEW).map_err(|e| Fault::hung(format!("set: {e}")))?;
                actor.mark();
                Ok(())
            })
        },
        read: read_element,
    };
    let range = Kind {
        name: "array/write_range",
        about: "a bulk write killed; readers see all old, all new, or are told",
        write: |arena, actor| {
            array(arena, |array| {
                actor.mark();
                let written = array.write_range(.., &[NEW; LEN]);
                written.map_err(|e| Fault::hung(format!("write_range: {e}")))?;
                actor.mark();
                Ok(())
            })
        },
        read: read_range,
        ..element
    };
    let heir = Kind {
        name: "array/heir",
        about: "the heir of a killed Array::set killed as it carries it out; readers see a whole element",
        floor: 30,
        make: leave_an_element,
        write: |arena, actor| {
            array(arena, |array| {
                actor.mark();
                array.get(AT).map_err(|e| Fault::hung(format!("get: {e}")))?;
                actor.mark();
                Ok(())
            })
        },
        ..element
    };
    let repairer = Kind {
        name: "array/repairer",
        about: "the heir of a killed bulk write killed as it repairs; readers see all new or are told",
        floor: 30,
        make: leave_a_range,
        write: |arena, actor| {
            array(arena, |array| {
                actor.mark();
                repair(&array, NEW)?;
                actor.mark();
                Ok(())
            })
        },
        ..range
    };
    [set, update, element, range, heir, repairer].map(scene).into()
}

/// An array as a writer leaves it that is killed with its element in the journal and half in its place.
fn leave_an_element(arena: &Arena) -> Result<(), Fault> {
    make_array(arena)?;
    let mut half = OLD;
    half[..3].copy_from_slice(&NEW[..3]);
    poke(arena, PENDING, AT as u64 + 1)?;
    poke(arena, JOURNAL, NEW)?;
    poke(arena, JOURNAL + (1 + AT as u64) * size_of::<Wide>() as u64, half)
}

/// An array as a writer leaves it that is killed amid a bulk write.
fn leave_a_range(arena: &Arena) -> Result<(), Fault> {
    make_array(arena)?;
    poke(arena, MARK, 1_u32)?;
    poke(arena, JOURNAL + size_of::<Wide>() as u64, [9; 8])
}

/// Where the words of an array lie, in bytes: part of the segment format.
const PENDING: u64 = 16;
const MARK: u64 = 24;
const JOURNAL: u64 = 32;

fn poke<T: shmkit_layout::ShmSafe>(arena: &Arena, at: u64, value: T) -> Result<(), Fault> {
    let written = Offset::new(at).and_then(|at| arena.object().write(at, value));
    written.map_err(|e| Fault::broken(e.to_string()))
}

/// Makes all elements new, and answers for them if somebody has to.
fn repair(array: &Array<Wide, Me<'_>>, new: Wide) -> Result<(), Fault> {
    match array.lock() {
        Ok(mut all) => all.fill(new),
        Err(LockError::OwnerDied(mut all)) => {
            all.fill(new);
            all.make_consistent();
        }
        Err(other) => return Err(Fault::hung(format!("lock: {other}"))),
    }
    Ok(())
}

/// The writer is killed; one reader waits at that moment, another comes later.
pub(crate) fn scene(kind: Kind) -> Scene {
    Scene::new(kind.name, kind.about, kind.floor, move |stage, point| {
        let arena = Arena::new()?;
        (kind.make)(&arena)?;
        let mut victim = stage.victim(0, &|actor| (kind.write)(&arena, actor))?;
        let reader = |actor: &Actor<'_>| (kind.read)(&arena, actor);
        let (mut early, late) = (stage.cast(1, &reader)?, stage.cast(2, &reader)?);
        let reached = victim.advance(Unit::Instruction, point)?;
        early.cue(GO);
        early.await_asleep(READING)?;
        let killed = victim.kill();
        late.cue(GO);
        Ok(Take::new(reached, killed, [early.finish()?, late.finish()?]))
    })
}

/// Checks what a reader found, where `OLD` and `NEW` are from the victim and `LAST` from another survivor.
pub(crate) fn check(found: Wide) -> Result<(), Fault> {
    if [OLD, NEW, LAST].contains(&found) {
        return Ok(());
    }
    Err(Fault::torn(format!("read {found:?}")))
}

fn value(
    arena: &Arena,
    then: impl FnOnce(Value<Wide, Me<'_>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make_value` made a value of this type here.
    let value = unsafe { Value::<Wide, _>::attach(arena.object(), 1, &me) };
    then(value.map_err(|e| Fault::broken(e.to_string()))?)
}

fn make_value(arena: &Arena) -> Result<(), Fault> {
    // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
    let made = unsafe { Value::init(arena.object(), OLD, &NOBODY) };
    made.map(drop).map_err(|e| Fault::broken(e.to_string()))
}

fn read_value(arena: &Arena, actor: &Actor<'_>) -> Result<(), Fault> {
    value(arena, |value| {
        begin(actor)?;
        check(value.get().map_err(|e| Fault::hung(format!("get: {e}")))?)?;
        value.set(LAST).map_err(|e| Fault::hung(format!("set: {e}")))?;
        actor.through();
        Ok(())
    })
}

fn array(
    arena: &Arena,
    then: impl FnOnce(Array<Wide, Me<'_>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make_array` made an array of this type and length here.
    let array = unsafe { Array::<Wide, _>::attach(arena.object(), LEN as u64, &me) };
    then(array.map_err(|e| Fault::broken(e.to_string()))?)
}

fn make_array(arena: &Arena) -> Result<(), Fault> {
    // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
    let made = unsafe { Array::init(arena.object(), ArraySpec::Copy(vec![OLD; LEN]), &NOBODY) };
    made.map(drop).map_err(|e| Fault::broken(e.to_string()))
}

fn read_element(arena: &Arena, actor: &Actor<'_>) -> Result<(), Fault> {
    array(arena, |array| {
        begin(actor)?;
        check(array.get(AT).map_err(|e| Fault::hung(format!("get: {e}")))?)?;
        let rest = array.to_vec().map_err(|e| Fault::hung(format!("to_vec: {e}")))?;
        for (at, &element) in rest.iter().enumerate() {
            check(element)?;
            if at != AT && element != OLD {
                return Err(Fault::torn(format!("element {at} became {element:?}")));
            }
        }
        array.set(AT, LAST).map_err(|e| Fault::hung(format!("set: {e}")))?;
        actor.through();
        Ok(())
    })
}

fn read_range(arena: &Arena, actor: &Actor<'_>) -> Result<(), Fault> {
    array(arena, |array| {
        begin(actor)?;
        match array.to_vec() {
            Ok(all) => {
                check(all[0])?;
                if all.iter().any(|element| *element != all[0]) {
                    return Err(Fault::torn(format!("read {all:?} and was not told")));
                }
            }
            Err(ArrayError::OwnerDied) => {}
            Err(other) => return Err(Fault::hung(format!("to_vec: {other}"))),
        }
        repair(&array, LAST)?;
        if array.to_vec().is_err() {
            return Err(Fault::torn("what was answered for is told of again"));
        }
        actor.through();
        Ok(())
    })
}

/// Waits for the cue, and says that the next thing is to read.
pub(crate) fn begin(actor: &Actor<'_>) -> Result<(), Fault> {
    actor.await_cue(GO)?;
    actor.phase(READING);
    Ok(())
}
