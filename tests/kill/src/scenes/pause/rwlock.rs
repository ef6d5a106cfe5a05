//! Readers and writers.

use super::{Op, Race, Turn, lock};
use crate::scenes::rwlock::{Role, WRITERS, enter, open};
use crate::{Arena, Fault};

pub(super) const RWLOCK: Race = Race {
    name: "rwlock",
    make: WRITERS.make,
    ops: &[
        Op { name: "read", run: |arena, turn| play(arena, turn, Role::Read) },
        Op { name: "write", run: |arena, turn| play(arena, turn, Role::Write) },
        Op { name: "downgrade", run: |arena, turn| play(arena, turn, Role::Downgrade) },
        Op { name: "try-write", run: |arena, turn| lock::try_pass(WRITERS, arena, turn) },
    ],
    pairs: &[],
    judge: |arena, actor| lock::look(WRITERS, arena, actor),
};

fn play(arena: &Arena, turn: &Turn<'_, '_>, role: Role) -> Result<(), Fault> {
    open(arena, |lock| {
        turn.begin()?;
        enter(turn.actor, &lock, role, &mut || Ok(()))?;
        turn.end();
        Ok(())
    })
}
