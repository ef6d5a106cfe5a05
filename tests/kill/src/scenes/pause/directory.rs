//! A segment's directory: making an object, and finding it.

use shmkit_segment::Options;

use super::{Op, Turn, named, play};
use crate::scenes::directory::{object, open, survive};
use crate::{Fault, Scene, Stage, Take, shm};

/// Keeps the segment.
const MAKER: usize = 3;
/// The maker has made it.
const MADE: u32 = 1;
/// Leave.
const LEAVE: u32 = 1;

/// Operations about the segment of a name.
const OPS: [Op<str>; 3] = [
    Op { name: "make", run: |name, turn| ask(name, turn, "disputed") },
    Op { name: "make-other", run: |name, turn| ask(name, turn, "after") },
    Op { name: "find", run: |name, turn| ask(name, turn, "before") },
];

/// Returns the scenes.
pub(super) fn scenes() -> Vec<Scene> {
    [(0, 0), (0, 1), (0, 2), (2, 0)]
        .into_iter()
        .map(|(first, second)| {
            let (first, second) = (&OPS[first], &OPS[second]);
            named("directory", first, second, move |stage, point| {
                let name = shm::name("pause");
                let take = within(stage, &name, point, first, second);
                let left = shm::left();
                for file in &left {
                    let _ = std::fs::remove_file(file);
                }
                if left.is_empty() {
                    take
                } else {
                    take.and(Err(Fault::leaked(format!("{left:?}"))))
                }
            })
            .named()
        })
        .collect()
}

/// Plays in a segment that somebody keeps meanwhile.
fn within(
    stage: &Stage,
    name: &str,
    point: u32,
    first: &Op<str>,
    second: &Op<str>,
) -> Result<Take, Fault> {
    let mut maker = stage.cast(MAKER, &|actor| {
        let options = Options::new(4096).participants(8).objects(4);
        let segment = options.create(name).map_err(|e| Fault::hung(e.to_string()))?;
        object(&segment, "before")?;
        actor.phase(MADE);
        actor.await_cue(LEAVE)
    })?;
    maker.await_phase(MADE)?;
    let take = play(stage, point, name, first, second, |name, actor| survive(actor, &open(name)?))?;
    maker.cue(LEAVE);
    maker.finish()?;
    Ok(take)
}

/// Finds an object or makes it, and finds it whole.
fn ask(name: &str, turn: &Turn<'_, '_>, what: &str) -> Result<(), Fault> {
    let segment = open(name)?;
    turn.begin()?;
    object(&segment, what)?;
    turn.end();
    Ok(())
}
