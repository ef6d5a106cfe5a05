//! Waiting for somebody of whom nobody can tell.

use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_roster::OwnerId;

use crate::PipeError;

/// How long to go on where nobody can tell whether the other side lives, as at a lock.
const BLIND: Duration = Duration::from_secs(1);

/// Of whom nobody could tell, and how long that is put up with.
#[derive(Default)]
pub(super) struct Blind(Option<(OwnerId, Deadline)>);

impl Blind {
    /// Nobody can tell of `peer`.
    pub(super) fn about(&mut self, peer: OwnerId) {
        self.0.get_or_insert((peer, Deadline::after(BLIND)));
    }

    /// After a vain look.
    ///
    /// # Errors
    ///
    /// Why the wait is over.
    pub(super) fn check(&self, deadline: Deadline) -> Result<(), PipeError> {
        let late = deadline.has_passed();
        match self.0 {
            Some((peer, end)) if late || end.has_passed() => Err(PipeError::CannotJudge { peer }),
            None if late => Err(PipeError::TimedOut),
            _ => Ok(()),
        }
    }
}
