//! Scenes of a segment's life, killed or paused at every system call: create, attach, leave, remove.
//!
//! Whoever comes next gets in; a living participant's inode is the one with the name; nothing stays in `/dev/shm`.

use std::time::Duration;

use nix::sys::stat::{fstat, stat};
use shmkit_atomic::Ordering::Relaxed;
use shmkit_roster::{Judge, OwnerId, Verdict};
use shmkit_segment::{ErrorKind, OpenOptions, Options, Segment, SegmentError};

use crate::{Actor, Arena, Cast, Fault, Scene, Stage, Take, Unit, shm};

/// Bytes for the user, of which there is none.
const SIZE: u64 = 64;

const VICTIM: usize = 0;
const HOLDER: usize = 1;
const COMER: usize = 2;
const VISITOR: usize = 3;

/// The actor lives in the segment.
const INSIDE: u32 = 1;
/// Come.
const GO: u32 = 1;
/// Leave.
const LEAVE: u32 = 2;

/// What is there before the victim begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// No segment.
    Nothing,
    /// A segment whose only participant was killed.
    Orphan,
    /// A segment that somebody lives in, who leaves when the victim is no more.
    Holder,
    /// The same, and the holder leaves while the victim is stopped.
    Leaver,
}

/// What becomes of the victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is killed where it stopped.
    Kill,
    /// Somebody comes while it is stopped, and stays; then it is killed.
    KillBesideComer,
    /// Somebody comes while it is stopped, and stays; then it goes on.
    Pause,
}

/// A life of a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub name: &'static str,
    pub about: &'static str,
    pub before: Before,
    /// Marks, does something with the name, marks.
    pub op: fn(&Actor<'_>, &str) -> Result<(), Fault>,
    pub fate: Fate,
    pub floor: u32,
}

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    use Before::{Holder, Leaver, Nothing, Orphan};
    use Fate::{Kill, KillBesideComer, Pause};
    let life = |name, about, before, op, fate, floor| Life { name, about, before, op, fate, floor };
    let lives = [
        life("life/create", "create, leave killed", Nothing, create, Kill, 20),
        life("life/create+orphan", "create over an orphan killed", Orphan, create, Kill, 30),
        life(
            "life/create+comer",
            "create, leave killed after somebody came",
            Nothing,
            create,
            KillBesideComer,
            20,
        ),
        life(
            "life/create+pause",
            "create, leave paused, somebody comes",
            Nothing,
            create,
            Pause,
            20,
        ),
        life("life/visit", "open_or_create, leave killed", Nothing, visit, Kill, 20),
        life(
            "life/visit+leaver",
            "open_or_create killed after the others left",
            Leaver,
            visit,
            Kill,
            20,
        ),
        life(
            "life/visit+pause",
            "open_or_create paused, somebody comes",
            Nothing,
            visit,
            Pause,
            20,
        ),
        life("life/attach", "open, leave killed beside a survivor", Holder, attach, Kill, 15),
        life(
            "life/attach+leaver",
            "open, leave killed after the others left",
            Leaver,
            attach,
            Kill,
            15,
        ),
        life("life/attach+orphan", "open of an orphan killed", Orphan, attach, Kill, 15),
        life(
            "life/attach+pause",
            "open of an orphan paused, somebody comes",
            Orphan,
            attach,
            Pause,
            15,
        ),
        life("life/leave", "the last one's leaving killed", Nothing, leave, Kill, 6),
        life(
            "life/leave+comer",
            "the last one's leaving killed after somebody came",
            Nothing,
            leave,
            KillBesideComer,
            6,
        ),
        life(
            "life/leave+pause",
            "the last one's leaving paused, somebody comes",
            Nothing,
            leave,
            Pause,
            6,
        ),
        life("life/remove", "remove_if_dead of an orphan killed", Orphan, remove, Kill, 8),
        life(
            "life/remove+holder",
            "remove_if_dead of a living segment killed",
            Holder,
            remove,
            Kill,
            6,
        ),
        life(
            "life/remove+leaver",
            "remove_if_dead killed after the others left",
            Leaver,
            remove,
            Kill,
            6,
        ),
        life(
            "life/remove+comer",
            "remove_if_dead killed after somebody came",
            Orphan,
            remove,
            KillBesideComer,
            8,
        ),
        life(
            "life/remove+pause",
            "remove_if_dead paused, somebody comes",
            Orphan,
            remove,
            Pause,
            8,
        ),
        life("life/unlink", "unlink of an orphan killed", Orphan, unlink, Kill, 8),
    ];
    let mut scenes = vec![join()];
    scenes.extend(lives.map(scene));
    scenes
}

/// Plays one life.
pub(crate) fn scene(life: Life) -> Scene {
    Scene::new(life.name, life.about, life.floor, move |stage, point| {
        let name = shm::name("life");
        let take = play(stage, life, &name, point);
        let left = shm::left();
        for file in &left {
            // Not for the next take's sake only: a harness that leaks is no better than what it judges.
            let _ = std::fs::remove_file(file);
        }
        if left.is_empty() { take } else { take.and(Err(Fault::leaked(format!("{left:?}")))) }
    })
    .named()
}

fn play(stage: &Stage, life: Life, name: &str, point: u32) -> Result<Take, Fault> {
    let mut holder = None;
    if life.before != Before::Nothing {
        let mut actor = stage.cast(HOLDER, &|actor| {
            let segment = make(name)?;
            actor.phase(INSIDE);
            actor.await_cue(LEAVE)?;
            at_home(&segment, name)
        })?;
        actor.await_phase(INSIDE)?;
        match life.before {
            Before::Orphan => actor.kill(),
            _ => holder = Some(actor),
        }
    }
    let comer = stage.cast(COMER, &|actor| {
        actor.await_cue(GO)?;
        let segment = come(name)?;
        at_home(&segment, name)?;
        actor.phase(INSIDE);
        actor.through();
        actor.await_cue(LEAVE)?;
        at_home(&segment, name)
    })?;
    let mut comer = (life.fate != Fate::Kill).then_some(comer);
    let mut victim = stage.victim(VICTIM, &|actor| (life.op)(actor, name))?;
    let reached = victim.advance(Unit::SystemCall, point)?;
    if life.before == Before::Leaver
        && let Some(holder) = holder.take()
    {
        leave_now(holder)?;
    }
    if let Some(comer) = &mut comer {
        comer.cue(GO);
        // A victim that removes keeps it waiting.
        comer.settle(INSIDE, Duration::from_millis(8));
    }
    let killed = if life.fate == Fate::Pause && !reached.end {
        let resumed = crate::now();
        victim.release()?.finish()?;
        resumed
    } else {
        victim.kill()
    };
    let mut through = Vec::new();
    if let Some(mut comer) = comer {
        comer.await_phase(INSIDE)?;
        through.push(leave_now(comer)?);
    }
    if let Some(holder) = holder {
        leave_now(holder)?;
    }
    if life.before == Before::Holder || life.fate != Fate::Kill {
        let left = shm::left();
        if !left.is_empty() {
            return Err(Fault::leaked(format!("the last one out left {left:?}")));
        }
    }
    // If everybody was killed, the next visitor finds the name or not, gets in, and takes it with it.
    let visitor = stage.cast(VISITOR, &|actor| {
        let segment = come(name)?;
        at_home(&segment, name)?;
        drop(segment);
        actor.through();
        Ok(())
    })?;
    through.push(visitor.finish()?);
    Ok(Take::new(reached, killed, through))
}

fn leave_now(actor: Cast<'_>) -> Result<u64, Fault> {
    actor.cue(LEAVE);
    actor.finish()
}

/// The roster alone, in a memfd: a dead joiner's place is free and its name is not given again.
fn join() -> Scene {
    let about = "join and leave killed; whoever joins next has another id";
    Scene::new("roster/join", about, 12, |stage, point| {
        let arena = Arena::new()?;
        let mut victim = stage.victim(VICTIM, &|actor| {
            actor.mark();
            let me = arena.join()?;
            actor.sheet().words[0].store(me.id().map_or(0, |id| u64::from(id.get())), Relaxed);
            drop(me);
            actor.mark();
            Ok(())
        })?;
        let reached = victim.advance(Unit::SystemCall, point)?;
        let survivor = |actor: &Actor<'_>| {
            actor.await_cue(GO)?;
            let me = arena.join()?;
            let dead = OwnerId::from_word(actor.sheet().words[0].load(Relaxed) as u32);
            if let Some(dead) = dead {
                if me.id() == Some(dead) {
                    return Err(Fault::double_owner(format!("{dead} was given twice")));
                }
                if me.verdict(dead) != Verdict::Dead {
                    return Err(Fault::hung(format!(
                        "{dead} is dead, and is {:?}",
                        me.verdict(dead)
                    )));
                }
            }
            actor.through();
            Ok(())
        };
        let killed = victim.kill();
        let through = [1, 2].map(|seat| {
            let survivor = stage.cast(seat, &survivor)?;
            survivor.cue(GO);
            survivor.finish()
        });
        let [first, second] = through;
        Ok(Take::new(reached, killed, [first?, second?]))
    })
}

fn make(name: &str) -> Result<Segment, Fault> {
    options().create(name).map_err(|e| failed("create", &e))
}

pub(crate) fn come(name: &str) -> Result<Segment, Fault> {
    options().open_or_create(name).map_err(|e| failed("open_or_create", &e))
}

pub(crate) fn options() -> Options {
    Options::new(SIZE).participants(8).objects(1)
}

fn create(actor: &Actor<'_>, name: &str) -> Result<(), Fault> {
    actor.mark();
    // Somebody may have come first.
    allow(options().create(name).map(drop), &[ErrorKind::AlreadyExists])?;
    actor.mark();
    Ok(())
}

fn visit(actor: &Actor<'_>, name: &str) -> Result<(), Fault> {
    actor.mark();
    drop(come(name)?);
    actor.mark();
    Ok(())
}

fn attach(actor: &Actor<'_>, name: &str) -> Result<(), Fault> {
    actor.mark();
    // The last one may have left.
    allow(Segment::open(name).map(drop), &[ErrorKind::NotFound])?;
    actor.mark();
    Ok(())
}

fn leave(actor: &Actor<'_>, name: &str) -> Result<(), Fault> {
    let segment = make(name)?;
    actor.mark();
    drop(segment);
    actor.mark();
    Ok(())
}

fn remove(actor: &Actor<'_>, name: &str) -> Result<(), Fault> {
    actor.mark();
    allow(Segment::remove_if_dead(name).map(drop), &[])?;
    actor.mark();
    Ok(())
}

fn unlink(actor: &Actor<'_>, name: &str) -> Result<(), Fault> {
    actor.mark();
    allow(OpenOptions::new().unlink(name), &[ErrorKind::NotFound])?;
    actor.mark();
    Ok(())
}

/// Lets pass what may happen to a victim that was overtaken.
fn allow(result: Result<(), SegmentError>, allowed: &[ErrorKind]) -> Result<(), Fault> {
    match result {
        Err(error) if !allowed.contains(&error.kind()) => Err(failed("the victim's call", &error)),
        _ => Ok(()),
    }
}

fn failed(what: &str, error: &SegmentError) -> Fault {
    Fault::hung(format!("{what}: {error} ({:?})", error.kind()))
}

/// Checks that the segment that this actor lives in is the one with the name.
fn at_home(segment: &Segment, name: &str) -> Result<(), Fault> {
    let mine = fstat(segment.participant().file()?)?;
    let named = stat(&shm::file(name));
    match named {
        Ok(named) if (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino) => Ok(()),
        Ok(named) => Err(Fault::double_owner(format!(
            "split: inode {} lives, and the name leads to {}",
            mine.st_ino, named.st_ino
        ))),
        Err(error) => Err(Fault::double_owner(format!(
            "split: inode {} lives, and its name is gone ({error})",
            mine.st_ino
        ))),
    }
}
