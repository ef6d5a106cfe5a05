//! The lock of a cell while it is held.

use core::marker::PhantomData;

use shmkit_roster::{Judge, OwnerId};
use shmkit_sync::{LockFailure, NotOwner, Outcome, Patience, RawMutex};

/// A held lock. Dropping it releases the lock; in a forked child, which does not hold it, it does nothing.
///
/// It has the keeper of its handle: a reference to it, or a clone.
pub(crate) struct Held<'a, K: Judge> {
    mutex: &'a RawMutex,
    keeper: K,
    /// Who took it.
    id: OwnerId,
    /// A guard stays with its thread, as `std`'s does.
    _not_send: PhantomData<*const ()>,
}

// SAFETY: through a shared reference one can look at the lock's word and ask the judge, which is `Sync`.
unsafe impl<K: Judge> Sync for Held<'_, K> {}

impl<'a, K: Judge> Held<'a, K> {
    /// Takes the lock waiting as long as `patience` lasts, or not at all if there is none.
    ///
    /// The death of an owner is settled here, in silence: the data of a cell says itself what became of it.
    #[inline]
    pub(crate) fn take(
        mutex: &'a RawMutex,
        keeper: K,
        patience: Option<Patience<'_>>,
    ) -> Result<Self, LockFailure> {
        // Asked once: another thread may lose our place and join again at any time.
        let id = keeper.me().ok_or(LockFailure::NotJoined)?;
        // SAFETY: the keeper has just said so.
        let outcome = unsafe { mutex.lock_as(id, &keeper, patience) }?;
        let held = Self { mutex, keeper, id, _not_send: PhantomData };
        match outcome {
            Outcome::Clean => {}
            // Refused only to who does not hold it, and we have just taken it.
            Outcome::OwnerDied | Outcome::NotRecoverable => {
                let _ = mutex.make_consistent(&held.keeper);
            }
        }
        Ok(held)
    }

    /// Returns an error if this process is not the one that took the lock, or no longer the owner: it must not write.
    pub(crate) fn check(&self) -> Result<(), NotOwner> {
        if self.keeper.me() == Some(self.id) && self.mutex.owner() == Some(self.id) {
            Ok(())
        } else {
            Err(NotOwner)
        }
    }
}

impl<K: Judge> Drop for Held<'_, K> {
    #[inline]
    fn drop(&mut self) {
        if self.keeper.me() == Some(self.id) {
            // SAFETY: `take` took it as `id`, which we still are, once, and what it guards is borrowed only through `self`,
            // which ends.
            // Refused only if the word is not ours, and then there is nothing to release.
            let _ = unsafe { self.mutex.unlock_as(self.id) };
        }
    }
}
