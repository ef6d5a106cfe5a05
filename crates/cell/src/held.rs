//! The lock of a cell while it is held.

use core::marker::PhantomData;

use shmkit_atomic::Deadline;
use shmkit_roster::{Judge, OwnerId};
use shmkit_sync::{LockFailure, NotOwner, Outcome, RawMutex};

/// A held lock. Dropping it releases the lock; in a forked child, which does not hold it, it does nothing.
pub(crate) struct Held<'a, J: Judge + ?Sized> {
    mutex: &'a RawMutex,
    judge: &'a J,
    /// Who took it.
    id: OwnerId,
    /// A guard stays with its thread, as `std`'s does.
    _not_send: PhantomData<*const ()>,
}

// SAFETY: through a shared reference one can look at the lock's word and ask the judge, which is `Sync`.
unsafe impl<J: Judge + ?Sized> Sync for Held<'_, J> {}

impl<'a, J: Judge + ?Sized> Held<'a, J> {
    /// Takes the lock by `deadline`, or at once if there is none.
    ///
    /// The death of an owner is settled here, in silence: the data of a cell says itself what became of it.
    pub(crate) fn take(
        mutex: &'a RawMutex,
        judge: &'a J,
        deadline: Option<Deadline>,
    ) -> Result<Self, LockFailure> {
        let outcome = match deadline {
            Some(deadline) => mutex.lock(judge, deadline)?,
            None => mutex.try_lock(judge)?,
        };
        // From the word, not from the judge: another thread may lose our place and join again at any time.
        let id = mutex.owner().ok_or(LockFailure::NotJoined)?;
        let held = Self { mutex, judge, id, _not_send: PhantomData };
        match outcome {
            Outcome::Clean => {}
            // Refused only to who does not hold it, and we have just taken it.
            Outcome::OwnerDied | Outcome::NotRecoverable => drop(mutex.make_consistent(judge)),
        }
        Ok(held)
    }

    /// Returns an error if this process is not the one that took the lock, or no longer the owner: it must not write.
    pub(crate) fn check(&self) -> Result<(), NotOwner> {
        if self.judge.me() == Some(self.id) && self.mutex.owner() == Some(self.id) {
            Ok(())
        } else {
            Err(NotOwner)
        }
    }
}

impl<J: Judge + ?Sized> Drop for Held<'_, J> {
    fn drop(&mut self) {
        if self.judge.me() == Some(self.id) {
            // SAFETY: `take` took it, once, and what it guards is borrowed only through `self`, which ends.
            // Refused only if the word is not ours, and then there is nothing to release.
            let _ = unsafe { self.mutex.unlock(self.judge) };
        }
    }
}
