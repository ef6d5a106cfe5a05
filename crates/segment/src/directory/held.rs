//! The directory's lock, and who has it.

use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_roster::{Judge, OwnerId};
use shmkit_sync::{LockFailure, Outcome, RawMutex};

use super::Directory;
use super::error::Reason;
use super::table::LOCK;

impl<'a> Directory<'a> {
    /// Locks the directory, and sets right what who died holding it has left.
    pub(super) fn hold<'h, J: Judge>(self, judge: &'h J) -> Result<Held<'h, J>, Reason>
    where
        'a: 'h,
    {
        let lock: &RawMutex = self.word(LOCK)?;
        let waited = self.time_limit;
        let fails = |failure| Reason::Lock { failure, owner: lock.owner(), waited };
        let outcome = lock.lock(judge, Deadline::after(waited)).map_err(fails)?;
        self.held(lock, judge, outcome)
    }

    /// Locks the directory, unless somebody else, or we, have it.
    pub(super) fn try_hold<'h, J: Judge>(self, judge: &'h J) -> Result<Option<Held<'h, J>>, Reason>
    where
        'a: 'h,
    {
        let lock: &RawMutex = self.word(LOCK)?;
        match lock.try_lock(judge) {
            Ok(outcome) => self.held(lock, judge, outcome).map(Some),
            Err(_) => Ok(None),
        }
    }

    fn held<'h, J: Judge>(
        self,
        lock: &'h RawMutex,
        judge: &'h J,
        outcome: Outcome,
    ) -> Result<Held<'h, J>, Reason> {
        let id = lock.owner();
        let held = Held { lock, judge, id };
        match outcome {
            Outcome::Clean => {}
            // Its heirs do it again, if this one dies or fails.
            Outcome::OwnerDied | Outcome::NotRecoverable => {
                held.check()?;
                self.repair()?;
                // The lock is ours, so this can fail only in a forked child, whose every step fails.
                let _ = lock.make_consistent(judge);
            }
        }
        Ok(held)
    }
}

/// The locked directory.
pub(super) struct Held<'a, J: Judge> {
    lock: &'a RawMutex,
    pub(super) judge: &'a J,
    /// Who took it.
    pub(super) id: Option<OwnerId>,
}

impl<J: Judge> Held<'_, J> {
    /// Fails if this process is not, or no longer, the one that took the lock: it must not write.
    pub(super) fn check(&self) -> Result<(), Reason> {
        if self.id.is_some() && self.judge.me() == self.id && self.lock.owner() == self.id {
            return Ok(());
        }
        let owner = self.lock.owner();
        Err(Reason::Lock { failure: LockFailure::NotJoined, owner, waited: Duration::ZERO })
    }
}

impl<J: Judge> Drop for Held<'_, J> {
    fn drop(&mut self) {
        // SAFETY: `hold` took it, once, and what it guards is used only by who has a `Held`, which ends.
        // Fails only if the lock is not ours, in a forked child: then it is not ours to release.
        let _ = unsafe { self.lock.unlock(self.judge) };
    }
}
