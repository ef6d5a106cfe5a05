//! Plays a scene at every point, and counts.

use std::time::{Duration, Instant};

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use crate::{Fault, Kind, Scene, Take, changes, metronome};

/// Takes in which the victim runs to its end, to learn how many points there are.
const REHEARSALS: u32 = 3;

/// Between two looks at the clock of a director that waits.
const TICK: Duration = Duration::from_millis(20);

/// Points of an operation that mostly spins before it sleeps.
const LONG: u32 = 5000;

/// Which points of a scene are played, from the first, evenly.
#[derive(Clone, Copy, Debug)]
pub enum Points {
    /// Every so manyth.
    Every(u32),
    /// About so many.
    About(u32),
    /// Every one, but only about so many of an operation that is longer than 5000.
    EveryUnlessLong(u32),
    /// Every instruction by which something has changed that survivors may see.
    Changes,
}

/// How a scene is played.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Which points are played.
    pub points: Points,
    /// After how many faults a scene is stopped.
    pub patience: usize,
}

/// What came of a scene.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Kills.
    pub points: u32,
    /// What went wrong.
    pub faults: Vec<(u32, Fault)>,
    /// Recovery times, one for each point that went well.
    pub recoveries: Vec<Duration>,
    /// How long all of it took.
    pub elapsed: Duration,
}

impl Tally {
    /// Returns how often `kind` went wrong.
    pub fn count(&self, kind: Kind) -> usize {
        self.faults.iter().filter(|(_, fault)| fault.kind == kind).count()
    }

    /// Returns the worst recovery time.
    pub fn worst(&self) -> Duration {
        self.recoveries.iter().copied().max().unwrap_or_default()
    }

    /// Returns the median recovery time.
    pub fn median(&self) -> Duration {
        let mut sorted = self.recoveries.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

/// Plays `scene` by `plan`. `watch` hears after each take how many points are done and how many there may be.
pub fn run(scene: &Scene, plan: Plan, watch: &mut dyn FnMut(&Tally, u32)) -> Tally {
    let begin = Instant::now();
    let mut tally = Tally::default();
    if let Err(fault) = metronome::start(TICK) {
        tally.faults.push((0, fault));
        return tally;
    }
    let mut length = rehearse(scene, plan.patience, &mut tally.faults);
    if tally.faults.is_empty() && length < scene.floor {
        tally.faults.push((
            0,
            Fault::broken(format!(
                "the operation has {length} points, and at least {} were expected",
                scene.floor
            )),
        ));
    }
    let _counted = matches!(plan.points, Points::Changes).then(|| {
        let counted = changes::count();
        length = rehearse(scene, plan.patience, &mut tally.faults);
        counted
    });
    let stride = match plan.points {
        Points::Changes => 1,
        Points::Every(stride) => stride,
        Points::EveryUnlessLong(_) if length <= LONG => 1,
        Points::About(points) | Points::EveryUnlessLong(points) => length / points.max(1),
    };
    let stride = stride.max(1);
    let mut point = 0;
    // An operation that takes turns (a slice runs out, a lock is contended) may be longer than in the rehearsals.
    let most = length.saturating_mul(4);
    while tally.faults.len() < plan.patience && point <= most {
        let take = play(scene, point);
        tally.points += 1;
        let mut end = point >= most;
        match take {
            Ok(take) => {
                tally.recoveries.push(take.recovery);
                end |= take.reached.end && point >= length;
            }
            Err(fault) => tally.faults.push((point, fault)),
        }
        watch(&tally, length / stride + 1);
        if end {
            break;
        }
        point += stride;
    }
    tally.elapsed = begin.elapsed();
    tally
}

/// Returns how many points there are for a victim that runs to its end.
fn rehearse(scene: &Scene, patience: usize, faults: &mut Vec<(u32, Fault)>) -> u32 {
    let mut length = 0;
    for _ in 0..REHEARSALS {
        if faults.len() >= patience {
            break;
        }
        match play(scene, u32::MAX) {
            Ok(take) => length = length.max(take.reached.steps),
            Err(fault) => faults.push((u32::MAX, fault)),
        }
    }
    length
}

/// One take, after which no process may be left.
fn play(scene: &Scene, point: u32) -> Result<Take, Fault> {
    let take = scene.play(point);
    match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        Err(nix::Error::ECHILD) => take,
        Ok(WaitStatus::StillAlive) => {
            take.and(Err(Fault::leaked("a process of the scene lives on")))
        }
        other => take.and(Err(Fault::leaked(format!("a process was left behind: {other:?}")))),
    }
}
