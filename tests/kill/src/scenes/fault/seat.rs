//! Somebody who finds something wrong in a seat that somebody else had before.

use std::time::Duration;

use crate::{Fault, Scene, Take, Unit};

/// The last actor of a scene speaks late, and the one before it had nothing to say.
pub(crate) fn late_word() -> Scene {
    let about = "an actor in the seat of one that has ended finds something wrong";
    Scene::new("late-word", about, 1, |stage, point| {
        stage.cast(1, &|_| Ok(()))?.finish()?;
        let mut victim = stage.victim(0, &|actor| {
            actor.mark();
            actor.mark();
            Ok(())
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let last = stage.cast(1, &|_| {
            // Who does not wait for this one's word has gone on by then.
            std::thread::sleep(Duration::from_millis(5));
            Err(Fault::torn("it was heard"))
        })?;
        Ok(Take::new(reached, killed, [last.finish()?]))
    })
}
