//! Scenes: who does what to whom, as data.

use std::fmt;
use std::time::Duration;

use crate::actor::{Cast, Role};
use crate::board::Board;
use crate::{Fault, Reached, Sheet, Victim};

/// What a scene does for one kill point.
type Play = dyn Fn(&Stage, u32) -> Result<Take, Fault>;

/// A scene: an operation that is killed at every point, and what must hold afterwards.
pub struct Scene {
    /// What it is called on the command line.
    pub name: String,
    /// What happens in it.
    pub about: String,
    /// The least points that such an operation can have: below it, something else was killed.
    pub floor: u32,
    /// Whether it leaves files of the dead in `/dev/shm` for a while, which creators of another scene would clear away: one
    /// such scene at a time.
    pub named: bool,
    play: Box<Play>,
}

/// One play of a scene.
#[derive(Clone, Copy, Debug)]
pub struct Take {
    /// How far the victim got.
    pub reached: Reached,
    /// From the kill to the last survivor's getting through.
    pub recovery: Duration,
}

impl Take {
    /// Makes a take of a victim that got as far as `reached` and was killed at `killed`; `through` are the moments at
    /// which the survivors got through. All in nanoseconds of `CLOCK_MONOTONIC`.
    pub fn new(reached: Reached, killed: u64, through: impl IntoIterator<Item = u64>) -> Self {
        // Who got through before the kill needed no recovery.
        let last = through.into_iter().max().unwrap_or(0).saturating_sub(killed);
        Self { reached, recovery: Duration::from_nanos(last) }
    }
}

impl Scene {
    /// Makes a scene. `play` is called for each point, on a fresh stage, and kills the victim there.
    pub fn new(
        name: impl Into<String>,
        about: impl Into<String>,
        floor: u32,
        play: impl Fn(&Stage, u32) -> Result<Take, Fault> + 'static,
    ) -> Self {
        Self { name: name.into(), about: about.into(), floor, named: false, play: Box::new(play) }
    }

    /// Says that the scene uses named segments.
    pub(crate) fn named(self) -> Self {
        Self { named: true, ..self }
    }

    /// Plays the scene for one kill point.
    ///
    /// # Errors
    ///
    /// What went wrong in it.
    pub fn play(&self, point: u32) -> Result<Take, Fault> {
        (self.play)(&Stage::new()?, point)
    }
}

impl fmt::Debug for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scene").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Where one take is played: a fresh board and nobody on it.
#[derive(Debug)]
pub struct Stage {
    board: Board,
}

impl Stage {
    pub(crate) fn new() -> Result<Self, Fault> {
        Ok(Self { board: Board::new()? })
    }

    /// Forks an actor.
    ///
    /// # Errors
    ///
    /// That of `fork`.
    pub fn cast(&self, seat: usize, role: &Role<'_>) -> Result<Cast<'_>, Fault> {
        Cast::fork(&self.board, seat, role)
    }

    /// Forks the actor that will be killed, and lets it run to its first mark.
    ///
    /// # Errors
    ///
    /// If it does not get there.
    pub fn victim(&self, seat: usize, role: &Role<'_>) -> Result<Victim<'_>, Fault> {
        Victim::fork(&self.board, seat, role)
    }

    /// Forks an actor that is killed so many instructions after its first mark, or at its end: whoever comes next is its
    /// heir.
    ///
    /// # Errors
    ///
    /// If it does not get to its mark, or sleeps for ever.
    pub fn dead(&self, seat: usize, role: &Role<'_>, steps: u32) -> Result<(), Fault> {
        let mut dead = self.victim(seat, role)?;
        dead.advance_each(steps)?;
        dead.kill();
        Ok(())
    }

    /// Returns what the actors and the director share.
    pub fn sheet(&self) -> &Sheet {
        &self.board
    }
}

/// Where the first of two dies, for every point of the second one's death: spread over so many instructions, and the same
/// whenever a point is played again.
///
/// As many as the first one's operation has, or it never dies in the rest of it: the same operation's own scene says how many.
#[derive(Clone, Copy, Debug)]
pub struct Spread(pub u32);

impl Spread {
    /// Returns how many instructions the first one does: as many as it may if the second one runs to its end, which has the
    /// most to do then.
    pub fn at(self, point: u32) -> u32 {
        if point == u32::MAX {
            return self.0 - 1;
        }
        // A step without a common divisor with what is likely: neighbours die far from each other.
        point.wrapping_mul(37) % self.0
    }
}
