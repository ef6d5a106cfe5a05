//! Scenes of the tracker, killed at every system call: nothing is changed otherwise.
//!
//! Afterwards a sweep finds everything that the dead had registered, and nothing that anybody alive has; who registers beside the
//! killed one gets through; and nothing is left.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shmkit_segment::Options;
use shmkit_tracker::{Kind, Sweep, Tracker, TrackerError, Watch};
use tempfile::TempDir;

use crate::{Actor, Fault, Scene, Stage, Take, Unit};

const VICTIM: usize = 0;
const LIVING: usize = 1;
const DEAD: usize = 2;
const COMER: usize = 3;

/// The actor has done what comes before.
const READY: u32 = 1;
/// Go on.
const GO: u32 = 1;
/// Leave.
const LEAVE: u32 = 2;

/// A step of the tracker's.
struct Step {
    name: &'static str,
    about: &'static str,
    /// What the victim does: up to a mark, and from it to the next.
    op: fn(&Actor<'_>, &Path) -> Result<(), Fault>,
    /// What is to become of the victim's own thing, if it was made.
    thing: Thing,
    floor: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Thing {
    /// It is released: the victim was killed with it.
    Released,
    /// It was there before, and nobody had announced it: either.
    Either,
    /// There is none.
    None,
}

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let step = |name, about, op, thing, floor| Step { name, about, op, thing, floor };
    let steps = [
        step("tracker/register", "register killed", register, Thing::Either, 10),
        step(
            "tracker/announce",
            "announce, make, register killed: what was made is never left",
            announce,
            Thing::Released,
            20,
        ),
        step("tracker/unregister", "unregister killed", unregister, Thing::Either, 8),
        step("tracker/join", "the first use of a tracker killed", join, Thing::None, 20),
        step(
            "tracker/sweep",
            "the release of what the dead had registered killed",
            sweep,
            Thing::None,
            20,
        ),
        step("tracker/watcher", "a watcher's every step killed", watch, Thing::None, 40),
        step("tracker/start", "the start of a watcher killed", start, Thing::None, 20),
    ];
    let mut scenes: Vec<_> = steps.map(scene).into();
    scenes.push(gc());
    scenes
}

/// A sweep beside somebody who comes: whoever is first, the comer has a segment with a name.
fn gc() -> Scene {
    let about = "the sweep of a dead segment killed after somebody came";
    Scene::new("tracker/sweep+comer", about, 20, |stage, point| {
        let folder = tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm")?;
        let path = folder.path();
        let options = || Options::new(64).directory(path);
        let mut dead = stage.cast(DEAD, &|actor| {
            let _segment = options().create("it").map_err(fault)?;
            actor.phase(READY);
            actor.await_cue(GO)
        })?;
        dead.await_phase(READY)?;
        dead.kill();
        let mut comer = stage.cast(COMER, &|actor| {
            actor.await_cue(GO)?;
            let segment = options().open_or_create("it").map_err(fault)?;
            actor.phase(READY);
            actor.await_cue(LEAVE)?;
            if !segment.is_linked() {
                return Err(Fault::torn("the segment of who came has lost its name"));
            }
            actor.through();
            Ok(())
        })?;
        let mut victim = stage.victim(VICTIM, &|actor| sweep(actor, path))?;
        let reached = victim.advance(Unit::SystemCall, point)?;
        comer.cue(GO);
        // A victim that removes keeps it waiting.
        comer.settle(READY, Duration::from_millis(8));
        let killed = victim.kill();
        comer.await_phase(READY)?;
        swept(path)?;
        comer.cue(LEAVE);
        let through = comer.finish()?;
        swept(path)?;
        let left = names(path)?;
        if !left.is_empty() {
            return Err(Fault::leaked(format!("{left:?}")));
        }
        Ok(Take::new(reached, killed, [through]))
    })
}

fn scene(step: Step) -> Scene {
    Scene::new(step.name, step.about, step.floor, move |stage, point| {
        let folder = tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm")?;
        play(stage, &step, &folder, point)
    })
}

fn play(stage: &Stage, step: &Step, folder: &TempDir, point: u32) -> Result<Take, Fault> {
    let path = folder.path();
    // Somebody who lives, with a thing and a segment that nobody may touch.
    let mut living = stage.cast(LIVING, &|actor| {
        let tracker = tracker(path)?;
        fs::write(path.join("sem.living"), "")?;
        tracker.register(Kind::Semaphore, "living").map_err(failed)?;
        let segment = Options::new(64).directory(path).create("living").map_err(fault)?;
        actor.phase(READY);
        actor.await_cue(GO)?;
        if !tracker.unregister(Kind::Semaphore, "living").map_err(failed)? {
            return Err(Fault::torn("what a living one had registered is registered no more"));
        }
        if !segment.is_linked() {
            return Err(Fault::torn("a living one's segment has lost its name"));
        }
        fs::remove_file(path.join("sem.living"))?;
        actor.through();
        Ok(())
    })?;
    living.await_phase(READY)?;
    // Somebody who is dead, and has left some of everything.
    let mut dead = stage.cast(DEAD, &|actor| {
        let tracker = tracker(path)?;
        fs::write(path.join("sem.dead"), "")?;
        tracker.register(Kind::Semaphore, "dead").map_err(failed)?;
        fs::create_dir_all(path.join("folder/in"))?;
        tracker.register(Kind::Directory, path.join("folder")).map_err(failed)?;
        let _segment = Options::new(64).directory(path).create("dead").map_err(fault)?;
        actor.phase(READY);
        actor.await_cue(GO)
    })?;
    dead.await_phase(READY)?;
    dead.kill();
    let mut victim = stage.victim(VICTIM, &|actor| (step.op)(actor, path))?;
    let reached = victim.advance(Unit::SystemCall, point)?;
    let killed = victim.kill();
    let comer = stage.cast(COMER, &|actor| {
        let tracker = tracker(path)?;
        fs::write(path.join("sem.comer"), "")?;
        tracker.register(Kind::Semaphore, "comer").map_err(failed)?;
        if !tracker.unregister(Kind::Semaphore, "comer").map_err(failed)? {
            return Err(Fault::torn("what was registered beside the dead is not"));
        }
        fs::remove_file(path.join("sem.comer"))?;
        actor.through();
        Ok(())
    })?;
    let comer = comer.finish()?;
    swept(path)?;
    check(&names(path)?, step.thing)?;
    living.cue(GO);
    let living = living.finish()?;
    // A watcher that was started may be at work.
    swept(path)?;
    let left = names(path)?;
    if left.iter().any(|name| name.contains("tracker") || name.contains("dead")) {
        return Err(Fault::leaked(format!("{left:?}")));
    }
    Ok(Take::new(reached, killed, [comer, living]))
}

/// Looks at what is left while somebody lives.
fn check(left: &[String], thing: Thing) -> Result<(), Fault> {
    let has = |name: &str| left.iter().any(|left| left == name);
    if !has("sem.living") || !has("shmkit.living") {
        return Err(Fault::torn(format!("what a living one has is gone: {left:?}")));
    }
    if ["sem.dead", "folder", "shmkit.dead"].into_iter().any(has)
        || has("sem.thing") && thing != Thing::Either
    {
        return Err(Fault::leaked(format!("{left:?}")));
    }
    Ok(())
}

fn names(path: &Path) -> Result<Vec<String>, Fault> {
    let name = |entry: std::io::Result<fs::DirEntry>| {
        Ok(entry?.file_name().to_string_lossy().into_owned())
    };
    fs::read_dir(path)?.map(name).collect()
}

/// Sweeps once.
fn swept(path: &Path) -> Result<(), Fault> {
    let report =
        Sweep::new().directory(path).run().map_err(|error| Fault::hung(error.to_string()))?;
    report.released.map(drop).map_err(failed)
}

fn tracker(path: &Path) -> Result<Tracker, Fault> {
    Tracker::in_directory(path).map_err(failed)
}

fn failed(error: TrackerError) -> Fault {
    Fault::hung(format!("{error} ({:?})", error.kind()))
}

fn fault(error: shmkit_segment::SegmentError) -> Fault {
    Fault::hung(error.to_string())
}

fn thing(path: &Path) -> PathBuf {
    path.join("sem.thing")
}

fn register(actor: &Actor<'_>, path: &Path) -> Result<(), Fault> {
    let tracker = tracker(path)?;
    fs::write(thing(path), "")?;
    actor.mark();
    tracker.register(Kind::Semaphore, "thing").map_err(failed)?;
    actor.mark();
    Ok(())
}

fn announce(actor: &Actor<'_>, path: &Path) -> Result<(), Fault> {
    let tracker = tracker(path)?;
    actor.mark();
    tracker.announce(Kind::Semaphore, "thing").map_err(failed)?;
    fs::write(thing(path), "")?;
    tracker.register(Kind::Semaphore, "thing").map_err(failed)?;
    actor.mark();
    Ok(())
}

fn unregister(actor: &Actor<'_>, path: &Path) -> Result<(), Fault> {
    let tracker = tracker(path)?;
    fs::write(thing(path), "")?;
    tracker.register(Kind::Semaphore, "thing").map_err(failed)?;
    actor.mark();
    tracker.unregister(Kind::Semaphore, "thing").map_err(failed)?;
    actor.mark();
    Ok(())
}

fn join(actor: &Actor<'_>, path: &Path) -> Result<(), Fault> {
    actor.mark();
    tracker(path)?;
    actor.mark();
    Ok(())
}

fn sweep(actor: &Actor<'_>, path: &Path) -> Result<(), Fault> {
    actor.mark();
    swept(path)?;
    actor.mark();
    Ok(())
}

/// A watcher that has all to do: a segment, a semaphore and a folder.
fn watch(actor: &Actor<'_>, path: &Path) -> Result<(), Fault> {
    actor.mark();
    let mut done = 0;
    Watch::new()
        .directory(path)
        .run(|_| {
            done += 1;
            if done == 3 {
                actor.mark();
            }
        })
        .map_err(failed)
}

fn start(actor: &Actor<'_>, path: &Path) -> Result<(), Fault> {
    let tracker = tracker(path)?;
    actor.mark();
    tracker.start().map_err(failed)?;
    actor.mark();
    Ok(())
}
