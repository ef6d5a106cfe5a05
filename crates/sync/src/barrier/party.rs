//! A registered party of a barrier.

use core::fmt;
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_roster::{Judge, OwnerId, Seat};

use crate::{ActionError, Barrier, BarrierError, Patience};

/// A registered party of a [`Barrier`]: one thread at a time. Dropping it gives its place to another. It
/// keeps the barrier.
///
/// In a forked child it does nothing: the parent is the party, not the child.
#[must_use = "dropping the party gives its place to another"]
pub struct Party<K: Judge = Seat> {
    barrier: Barrier<K>,
    /// Its cell's number.
    seat: usize,
    /// Who registered.
    id: Option<OwnerId>,
}

impl<K: Judge + Clone> Barrier<K> {
    /// Registers a party: from now on its death breaks the barrier even if it has not arrived.
    ///
    /// It takes one of the barrier's places until it is dropped, whether it waits or not.
    ///
    /// # Errors
    ///
    /// [`BarrierError::Full`] if all places are taken; `NotJoined`.
    ///
    /// # If a peer dies
    ///
    /// in the middle of its own registration, this call goes on after it. A stopped one is waited for. If all places
    /// are taken, one of them by somebody dead: [`BarrierError::PartyDied`], and the barrier is broken.
    pub fn party(&self) -> Result<Party<K>, BarrierError> {
        let seat = self.raw().register(self.keeper())?;
        Ok(Party::new(self.clone(), seat))
    }
}

impl<K: Judge> Party<K> {
    /// Makes the party that has just registered.
    fn new(barrier: Barrier<K>, seat: usize) -> Self {
        let id = barrier.keeper().me();
        Self { barrier, seat, id }
    }

    /// Waits until all parties have arrived, as [`Barrier::wait`].
    ///
    /// # Errors
    ///
    /// As with [`Barrier::wait`]; `NotJoined` in a forked child.
    ///
    /// # If a peer dies
    ///
    /// As with [`Barrier::wait`].
    pub fn wait(&mut self) -> Result<u32, BarrierError> {
        self.meet(self.barrier.patience())
    }

    /// Waits until all parties have arrived, for at most `wait`, as [`Barrier::wait_timeout`].
    ///
    /// # Errors
    ///
    /// As with [`Barrier::wait_timeout`]; `NotJoined` in a forked child.
    ///
    /// # If a peer dies
    ///
    /// As with [`Barrier::wait`].
    pub fn wait_timeout(&mut self, wait: Duration) -> Result<u32, BarrierError> {
        self.meet(Deadline::after(wait))
    }

    /// Waits until all parties have arrived, until `deadline` at most, or for as long as a [`Patience`] lasts, as [`Barrier::wait_deadline`].
    ///
    /// # Errors
    ///
    /// As with [`Barrier::wait_deadline`]; `NotJoined` in a forked child.
    ///
    /// # If a peer dies
    ///
    /// As with [`Barrier::wait`].
    pub fn wait_deadline<'p>(
        &mut self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<u32, BarrierError> {
        self.meet(deadline)
    }

    /// Waits until all parties have arrived, with an action, as [`Barrier::wait_with`].
    ///
    /// # Errors
    ///
    /// As with [`Barrier::wait_with`]; `NotJoined` in a forked child.
    ///
    /// # If a peer dies
    ///
    /// As with [`Barrier::wait`].
    pub fn wait_with<E>(
        &mut self,
        action: impl FnOnce() -> Result<(), E>,
    ) -> Result<u32, ActionError<E>> {
        self.ours()?;
        self.barrier.meet_with(Some(self.seat), self.barrier.patience(), action)
    }

    /// As [`wait_with`](Self::wait_with), for at most `wait`.
    ///
    /// # Errors
    ///
    /// As with [`Barrier::wait_with_timeout`]; `NotJoined` in a forked child.
    ///
    /// # If a peer dies
    ///
    /// As with [`Barrier::wait`].
    pub fn wait_with_timeout<E>(
        &mut self,
        wait: Duration,
        action: impl FnOnce() -> Result<(), E>,
    ) -> Result<u32, ActionError<E>> {
        self.ours()?;
        self.barrier.meet_with(Some(self.seat), Deadline::after(wait), action)
    }

    /// As [`wait_with`](Self::wait_with), until `deadline` at most, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As with [`Barrier::wait_with_deadline`]; `NotJoined` in a forked child.
    ///
    /// # If a peer dies
    ///
    /// As with [`Barrier::wait`].
    pub fn wait_with_deadline<'p, E>(
        &mut self,
        deadline: impl Into<Patience<'p>>,
        action: impl FnOnce() -> Result<(), E>,
    ) -> Result<u32, ActionError<E>> {
        self.ours()?;
        self.barrier.meet_with(Some(self.seat), deadline, action)
    }

    fn meet<'p>(&self, patience: impl Into<Patience<'p>>) -> Result<u32, BarrierError> {
        self.ours()?;
        self.barrier.meet(Some(self.seat), patience)
    }

    /// Whether this process is the one that registered, and not a forked child of it.
    fn ours(&self) -> Result<(), BarrierError> {
        let me = self.barrier.keeper().me();
        if me.is_some() && me == self.id { Ok(()) } else { Err(BarrierError::NotJoined) }
    }
}

impl<K: Judge> Drop for Party<K> {
    fn drop(&mut self) {
        if self.ours().is_ok() {
            self.barrier.raw().unregister(self.seat, self.barrier.keeper());
        }
    }
}

impl<K: Judge> fmt::Debug for Party<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Party({} of {})", self.seat, self.barrier.parties())
    }
}
