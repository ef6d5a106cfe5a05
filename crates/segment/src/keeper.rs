//! What a handle keeps: its segment's mapping and place, and that its object is marked as used.
//!
//! A handle's keeper has a share in a [`Use`], which counts one more; the object is marked in the segment for as long as the
//! count is above 0. A clone of a handle shares the use of the first.

use std::any::Any;
use std::sync::Arc;

use shmkit_roster::{Judge, Keep, Participant, Seat};

use crate::directory::{Directory, Keeper, Reason, not_joined};
use crate::index::State;
use crate::shared::Shared;

/// The use that a handle makes of an object, and its clones.
struct Use {
    shared: Arc<Shared>,
    entry: u32,
    generation: u64,
}

// SAFETY: what `shared` keeps.
unsafe impl Keep for Use {
    fn participant(&self) -> &Participant<'_> {
        self.shared.participant()
    }

    fn any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

/// A share in a segment, of no object.
pub(crate) struct Whole(pub(crate) Arc<Shared>);

// SAFETY: what `Shared` keeps.
unsafe impl Keep for Whole {
    fn participant(&self) -> &Participant<'_> {
        self.0.participant()
    }

    fn any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

/// Returns a share in the segment that a seat keeps, if it keeps one: itself, or by an object.
#[cfg(feature = "serde")]
pub(crate) fn shared_of(seat: &Seat) -> Option<Arc<Shared>> {
    match seat.kept::<Use>() {
        Some(Use { shared, .. }) => Some(shared.clone()),
        None => seat.kept::<Whole>().map(|whole| whole.0.clone()),
    }
}

/// Returns which object's a seat is, if it is one's, and the segment that it keeps, if it keeps one.
#[cfg(feature = "serde")]
pub(crate) fn kept_by(seat: &Seat) -> Option<(&Shared, Option<(u32, u64)>)> {
    match seat.kept::<Use>() {
        Some(Use { shared, entry, generation }) => Some((shared, Some((*entry, *generation)))),
        None => Some((&seat.kept::<Whole>()?.0, None)),
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let Self { shared, entry, generation } = self;
        let participant = shared.participant();
        let directory = shared.directory();
        let was_last = shared.uses().of(*entry).end(|| {
            // A forked child that has not joined has marked nothing.
            if let (Some(me), Ok(directory)) = (participant.me(), &directory) {
                // What is damaged is for who looks for something to say.
                let _ = directory.unmark(me, *entry);
            }
        });
        if let (true, Ok(directory)) = (was_last && participant.me().is_some(), directory) {
            let _ = directory.release_unlinked(*entry, *generation, participant);
        }
    }
}

/// The keeper of a segment's handles.
#[derive(Clone, Copy)]
pub(crate) struct Counted<'s>(pub(crate) &'s Arc<Shared>);

impl Keeper<Seat> for Counted<'_> {
    type Judge = Participant<'static>;

    fn judge(&self) -> &Participant<'static> {
        self.0.participant()
    }

    fn begin(
        &self,
        directory: Directory<'_>,
        entry: u32,
        state: State,
        look: bool,
    ) -> Result<Option<Seat>, Reason> {
        let me = self.judge().me().ok_or_else(not_joined)?;
        let generation = state.generation();
        let mark = || {
            let is_there = directory.mark(me, entry, state, look)?;
            if !is_there {
                directory.unmark(me, entry)?;
            }
            Ok(is_there)
        };
        if !self.0.uses().of(entry).begin(generation, mark)? {
            // Its last user may have looked before the mark was taken away.
            directory.release_unlinked(entry, generation, self.judge())?;
            return Ok(None);
        }
        Ok(Some(Seat::new(Arc::new(Use { shared: self.0.clone(), entry, generation }))))
    }
}

impl Shared {
    /// Marks in a forked child, which has joined, what it has inherited handles to. Returns an entry that was removed
    /// meanwhile, if there is one.
    pub(crate) fn use_inherited(&self) -> Result<Option<u32>, Reason> {
        let Ok(directory) = self.directory() else { return Ok(None) };
        let Some(me) = self.participant().me() else { return Ok(None) };
        for (entry, handles) in self.uses().all() {
            if let Some(generation) = handles.inherited()
                && !directory.mark_inherited(me, entry, generation)?
            {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}
