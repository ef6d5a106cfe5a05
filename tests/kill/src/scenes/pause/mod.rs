//! Pauses: one operation stops before every instruction of it while another one runs beside it, to its end or to where
//! it sleeps; then the first goes on. Both must end, and what they leave must be in order.
//!
//! That is every order of two operations in which each runs in one piece but for one interruption. What it finds is a
//! wrong order of steps, and a look that is not repeated.
//!
//! A subject adds a `Race`: operations as data, and which of them meet.

mod barrier;
mod directory;
mod frames;
mod lock;
mod map;
mod messages;
mod once;
mod queue;
mod ring;
mod rwlock;
mod semaphore;
mod waiting;

use crate::{Actor, Arena, Fault, Scene, Stage, Take};

/// Who is stopped at every instruction, and who runs meanwhile.
const VICTIM: usize = 0;
const PEER: usize = 1;
/// Who looks at what they have left.
const JUDGE: usize = 2;

/// The peer is about to begin.
const READY: u32 = 1;
/// The peer is at its operation.
const AT_WORK: u32 = 2;
/// Begin.
const GO: u32 = 1;

/// One side of a race, as it sees itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn<'t, 's> {
    pub actor: &'t Actor<'s>,
    stepped: bool,
}

impl Turn<'_, '_> {
    /// What follows is the operation.
    pub(crate) fn begin(&self) -> Result<(), Fault> {
        if self.stepped {
            self.actor.mark();
            return Ok(());
        }
        self.actor.phase(READY);
        self.actor.await_cue(GO)?;
        self.actor.phase(AT_WORK);
        Ok(())
    }

    /// The operation has ended.
    pub(crate) fn end(&self) {
        if self.stepped {
            self.actor.mark();
        } else {
            self.actor.through();
        }
    }
}

/// One operation: prepares, [begins](Turn::begin), does it, [ends](Turn::end). `G` is what it is about.
#[derive(Debug)]
pub(crate) struct Op<G: ?Sized = Arena> {
    pub name: &'static str,
    pub run: fn(&G, &Turn<'_, '_>) -> Result<(), Fault>,
}

/// Operations that meet.
#[derive(Debug)]
pub(crate) struct Race {
    /// What they are about.
    pub name: &'static str,
    /// Makes it in a fresh arena.
    pub make: fn(&Arena) -> Result<(), Fault>,
    pub ops: &'static [Op],
    /// Which of them meet, the one that is stopped first; all, in both orders and with themselves, if there are none.
    pub pairs: &'static [(usize, usize)],
    /// Looks at what they have left: a third participant.
    pub judge: fn(&Arena, &Actor<'_>) -> Result<(), Fault>,
}

/// Every race. **A new subject adds its own here.**
const RACES: &[&Race] = &[
    &lock::MUTEX,
    &lock::SEMAPHORE,
    &semaphore::PERMITS,
    &rwlock::RWLOCK,
    &waiting::EVENT,
    &waiting::COUNT,
    &waiting::CONDITION,
    &waiting::DEATH,
    &barrier::MEETING,
    &barrier::PLACE,
    &once::MADE,
    &ring::PIPE,
    &frames::FRAMES,
    &queue::QUEUE,
    &messages::MESSAGES,
    &messages::LETTERS,
    &map::MAP,
];

/// Returns every scene of a pause.
pub fn all() -> Vec<Scene> {
    let mut scenes: Vec<Scene> = RACES.iter().flat_map(|race| scenes(race)).collect();
    scenes.extend(directory::scenes());
    scenes
}

/// Returns the scenes of one race.
fn scenes(race: &'static Race) -> Vec<Scene> {
    let all = || (0..race.ops.len()).flat_map(|a| (0..race.ops.len()).map(move |b| (a, b)));
    let pairs: Vec<_> = if race.pairs.is_empty() { all().collect() } else { race.pairs.to_vec() };
    let scene = |(first, second): (usize, usize)| {
        let (first, second) = (&race.ops[first], &race.ops[second]);
        named(race.name, first, second, move |stage, point| {
            let arena = Arena::new()?;
            (race.make)(&arena)?;
            play(stage, point, &arena, first, second, race.judge)
        })
    };
    pairs.into_iter().map(scene).collect()
}

/// Returns the only scene of a race.
pub(crate) fn only(race: &'static Race) -> Scene {
    let mut scenes = scenes(race);
    assert_eq!(scenes.len(), 1, "{} has several scenes", race.name);
    scenes.remove(0)
}

/// Makes the scene of two operations.
fn named<G: ?Sized>(
    subject: &str,
    first: &Op<G>,
    second: &Op<G>,
    play: impl Fn(&Stage, u32) -> Result<Take, Fault> + 'static,
) -> Scene {
    let name = format!("{subject}/{}|{}", first.name, second.name);
    let about =
        format!("{} paused at every instruction while another does {}", first.name, second.name);
    Scene::new(name, about, 10, play)
}

/// Plays two operations about `ground`, the first of which stops before its instruction `point`.
fn play<G: ?Sized>(
    stage: &Stage,
    point: u32,
    ground: &G,
    first: &Op<G>,
    second: &Op<G>,
    judge: impl Fn(&G, &Actor<'_>) -> Result<(), Fault>,
) -> Result<Take, Fault> {
    let side = |op: &Op<G>, actor: &Actor<'_>, stepped| (op.run)(ground, &Turn { actor, stepped });
    let mut peer = stage.cast(PEER, &|actor| side(second, actor, false))?;
    peer.await_phase(READY)?;
    let mut victim = stage.victim(VICTIM, &|actor| side(first, actor, true))?;
    // To where it sleeps at most: what it sleeps for is the peer's to bring.
    let reached = victim.advance_awake(point)?;
    peer.cue(GO);
    peer.await_asleep(AT_WORK)?;
    let resumed = crate::now();
    victim.release()?.finish()?;
    let through = peer.finish()?;
    stage.cast(JUDGE, &|actor| judge(ground, actor))?.finish()?;
    Ok(Take::new(reached, resumed, [through]))
}
