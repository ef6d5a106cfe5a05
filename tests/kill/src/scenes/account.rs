//! The course of a scene after which nothing may be lost: when all are gone, somebody accounts for every byte.

use crate::actor::Role;
use crate::{Actor, Fault, Spread, Stage, Take, Unit};

/// Where the one who came before the victim dies, within what it does, if somebody did.
pub(super) type Before = Option<Spread>;

/// The survivor is about to use what the victim used.
pub(super) const USING: u32 = 1;
/// Go and use it.
pub(super) const GO: u32 = 1;

/// A survivor has come: it waits for its cue.
pub(super) fn begin(actor: &Actor<'_>) -> Result<(), Fault> {
    actor.await_cue(GO)?;
    actor.phase(USING);
    Ok(())
}

/// One is killed as it is the `user`; one survivor, who [begins](begin), uses the same at that moment, another comes later;
/// in the `end` nobody else is there.
pub(super) fn play(
    stage: &Stage,
    point: u32,
    before: Before,
    (user, survivor, end): (&Role<'_>, &Role<'_>, &Role<'_>),
) -> Result<Take, Fault> {
    if let Some(spread) = before {
        stage.dead(3, user, spread.at(point))?;
    }
    let mut victim = stage.victim(0, user)?;
    let (mut early, late) = (stage.cast(1, survivor)?, stage.cast(2, survivor)?);
    let reached = victim.advance(Unit::Instruction, point)?;
    early.cue(GO);
    early.await_asleep(USING)?;
    let killed = victim.kill();
    let early = early.finish()?;
    late.cue(GO);
    let through = [early, late.finish()?];
    stage.cast(4, end)?.finish()?;
    Ok(Take::new(reached, killed, through))
}
