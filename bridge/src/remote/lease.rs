//! An item that was taken, and its receipt.

use std::fmt;

use shmkit::Item;

use super::side::Side;
use crate::RemoteError;
use crate::talk::{QueueAsk, QueueSaid, encode};

/// An item that this process has taken from a queue of another machine, and is not done with. Dropping it gives it back.
///
/// # If a peer dies
///
/// *This* process, or its link: another one gets the item, or nobody, as the queue was made.
#[must_use = "dropped at once, the item goes back"]
pub struct RemoteLease<'q, T: Item + ?Sized> {
    takes: &'q Side,
    lease: Option<u64>,
    value: T::Owned,
}

impl<'q, T: Item + ?Sized> RemoteLease<'q, T> {
    pub(super) fn new(takes: &'q Side, lease: u64, value: T::Owned) -> Self {
        Self { takes, lease: Some(lease), value }
    }

    /// Says that the item is done: nobody else gets it. It is, when this returns.
    ///
    /// # Errors
    ///
    /// [`RemoteError::Gone`]: nobody knows whether it is done; another may get it.
    pub fn done(mut self) -> Result<(), RemoteError> {
        let leases = self.lease.take().into_iter().collect();
        yes(&self.takes.ask(&encode(&QueueAsk::Done { leases }))?)
    }

    /// Gives the item back: whoever takes next gets it, before all others.
    pub fn give_back(self) {}
}

/// What is answered by yes or no.
pub(super) fn yes(answer: &[u8]) -> Result<(), RemoteError> {
    match postcard::from_bytes(answer) {
        Ok(QueueSaid::Yes) => Ok(()),
        Ok(QueueSaid::No(why)) => Err(why.into()),
        _ => Err(RemoteError::Decode),
    }
}

impl<T: Item + ?Sized> std::ops::Deref for RemoteLease<'_, T> {
    type Target = T::Owned;

    fn deref(&self) -> &T::Owned {
        &self.value
    }
}

impl<T: Item + ?Sized> Drop for RemoteLease<'_, T> {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.takes.say(&encode(&QueueAsk::Back { leases: vec![lease] }));
        }
    }
}

impl<T: Item<Owned: fmt::Debug> + ?Sized> fmt::Debug for RemoteLease<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RemoteLease").field(&self.value).finish()
    }
}
