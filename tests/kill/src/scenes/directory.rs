//! The scene of a segment's directory: an object is whole or absent, whoever was killed while making it.

use shmkit_cell::Value;
use shmkit_layout::Object;
use shmkit_roster::Seat;
use shmkit_segment::{Options, Segment};

use super::cell::Wide;
use crate::{Actor, Fault, Reached, Role, Scene, Spread, Stage, Take, Unit, shm};

mod removal;

/// What the objects are made with.
const FIRST: Wide = [7; 8];

/// How many can take part.
const PARTICIPANTS: u32 = 8;

const VICTIM: usize = 0;
const SURVIVORS: [usize; 2] = [1, 2];
const MAKER: usize = 3;
/// Who dies before the victim.
const DEAD: usize = 4;
/// What that one makes.
const BIG: &str = "big";

/// The actor has the segment open.
const INSIDE: u32 = 1;
/// The actor is about to ask for the object.
const ASKING: u32 = 2;
/// Ask for the object.
const GO: u32 = 1;
/// Leave.
const LEAVE: u32 = 2;

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let about = "making an object in a segment killed; others find it whole or make it";
    let heirs =
        "the heir of a killed maker of a bigger object killed; others find it whole or make it";
    let growth =
        "making an object for which the directory grows killed; others find it whole or make it";
    let longer =
        "making an object for which the segment grows killed; others find it whole or make it";
    let grown = "the heir of a killed one for whom the segment grew killed; as above";
    let fixed = Memory { objects: 4, size: 8192, max: None };
    // Room for one object: the second one makes the segment grow.
    let shape = <Value<Wide> as Object<Seat>>::shape(&FIRST, PARTICIPANTS);
    let size = shape.map_or(1, |shape| shape.bytes);
    let grows = Memory { objects: 4, size, max: Some(1 << 20) };
    let mut scenes: Vec<_> = [
        ("directory/object", about, false, fixed),
        ("directory/heir", heirs, true, fixed),
        ("directory/growth", growth, false, Memory { objects: 1, ..fixed }),
        ("growth/object", longer, false, grows),
        ("growth/heir", grown, true, grows),
        ("growth/directory", growth, false, Memory { objects: 1, ..grows }),
    ]
    .map(scene)
    .into();
    scenes.extend(removal::scenes());
    scenes
}

/// The segment of a scene.
#[derive(Clone, Copy)]
struct Memory {
    /// How many objects its directory has room for at first.
    objects: u32,
    /// How many bytes there are for objects, and may be.
    size: u64,
    max: Option<u64>,
}

fn scene((name, about, heir, memory): (&'static str, &'static str, bool, Memory)) -> Scene {
    let scene = Scene::new(name, about, 300, move |stage, point| {
        cleanly(|name| play(stage, name, (heir, memory), point))
    });
    scene.named()
}

/// Plays with the name of a segment, and sees that nothing of it is left.
fn cleanly(play: impl FnOnce(&str) -> Result<Take, Fault>) -> Result<Take, Fault> {
    let take = play(&shm::name("directory"));
    let left = shm::left();
    for file in &left {
        let _ = std::fs::remove_file(file);
    }
    if left.is_empty() { take } else { take.and(Err(Fault::leaked(format!("{left:?}")))) }
}

fn play(
    stage: &Stage,
    name: &str,
    (heir, memory): (bool, Memory),
    point: u32,
) -> Result<Take, Fault> {
    let mut maker = stage.cast(MAKER, &|actor| {
        let options = Options::new(memory.size).max(memory.max).participants(PARTICIPANTS);
        let segment = options.objects(memory.objects).create(name);
        let segment = segment.map_err(|e| Fault::hung(e.to_string()))?;
        object(&segment, "before")?;
        actor.phase(INSIDE);
        actor.await_cue(LEAVE)
    })?;
    maker.await_phase(INSIDE)?;
    let making = |actor: &Actor<'_>| {
        let segment = open(name)?;
        actor.mark();
        object(&segment, "disputed")?;
        actor.mark();
        Ok(())
    };
    if heir {
        // Bigger than what is made in its place: what it has written to lies under two others, and is no word of theirs.
        let bigger = |actor: &Actor<'_>| {
            let segment = open(name)?;
            actor.mark();
            let made = segment.object::<Value<[u64; 128]>>(BIG, [u64::MAX; 128]);
            made.map_err(|e| Fault::hung(format!("object: {e}")))?;
            actor.mark();
            Ok(())
        };
        stage.dead(DEAD, &bigger, Spread(5000).at(point))?;
    }
    let (reached, killed, through) = contest(stage, name, point, &making, survive)?;
    maker.cue(LEAVE);
    maker.finish()?;
    Ok(Take::new(reached, killed, through))
}

/// One is killed as it does something to the segment; one survivor, who is inside already, waits for it at that moment, another
/// one comes later. Returns how far the first came, when it was killed, and when the others got through.
fn contest(
    stage: &Stage,
    name: &str,
    point: u32,
    does: &Role<'_>,
    survive: impl Fn(&Actor<'_>, &Segment) -> Result<(), Fault>,
) -> Result<(Reached, u64, [u64; 2]), Fault> {
    let mut victim = stage.victim(VICTIM, does)?;
    let survivor = |actor: &Actor<'_>| {
        let segment = open(name)?;
        actor.phase(INSIDE);
        actor.await_cue(GO)?;
        actor.phase(ASKING);
        survive(actor, &segment)
    };
    let [mut early, mut late] =
        [stage.cast(SURVIVORS[0], &survivor)?, stage.cast(SURVIVORS[1], &survivor)?];
    early.await_phase(INSIDE)?;
    late.await_phase(INSIDE)?;
    let reached = victim.advance(Unit::Instruction, point)?;
    early.cue(GO);
    early.await_asleep(ASKING)?;
    let killed = victim.kill();
    late.cue(GO);
    Ok((reached, killed, [early.finish()?, late.finish()?]))
}

/// Finds or makes the disputed object, and one more, and finds everything in order.
pub(crate) fn survive(actor: &Actor<'_>, segment: &Segment) -> Result<(), Fault> {
    for name in ["disputed", "after", "before"] {
        object(segment, name)?;
    }
    actor.through();
    let file = segment.path().and_then(|path| std::fs::metadata(path).ok());
    let file = file.map_or(0, |file| file.len());
    if file < segment.len() {
        let len = segment.len();
        return Err(Fault::torn(format!("the file has {file} bytes, and the segment {len}")));
    }
    let objects = segment.objects().map_err(|e| Fault::hung(format!("objects: {e}")))?;
    let mut names: Vec<String> = objects.into_iter().map(|entry| entry.name).collect();
    names.retain(|name| name != BIG);
    names.sort();
    if names == ["after", "before", "disputed"] {
        return Ok(());
    }
    Err(Fault::torn(format!("the directory holds {names:?}")))
}

pub(crate) fn open(name: &str) -> Result<Segment, Fault> {
    Segment::open(name).map_err(|e| Fault::hung(e.to_string()))
}

/// Finds or makes a value, and finds it whole.
pub(crate) fn object(segment: &Segment, name: &str) -> Result<(), Fault> {
    let value = segment.object::<Value<Wide>>(name, FIRST);
    let value = value.map_err(|e| Fault::hung(format!("object {name:?}: {e}")))?;
    let found = value.get().map_err(|e| Fault::hung(format!("get of {name:?}: {e}")))?;
    if found == FIRST {
        return Ok(());
    }
    Err(Fault::torn(format!("object {name:?} is {found:?}")))
}
