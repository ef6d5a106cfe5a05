//! Items that are written and read where they lie.

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, Seat};

use super::{BroadcastError, RawPublisher, RawSubscriber};

/// The place of the next item, to be written by the [publisher](crate::Publisher): of [`reserve`](crate::Publisher::reserve).
///
/// # If a peer dies
///
/// *This* one, before it has published: nobody sees anything, and a successor has the place.
#[must_use = "dropped, it publishes nothing"]
pub struct Unpublished<'s, T: ShmSafe, K: Judge = Seat> {
    pub(super) raw: &'s mut RawPublisher<'static>,
    pub(super) keeper: &'s K,
    pub(super) at: NonNull<T>,
}

impl<T: ShmSafe, K: Judge> Unpublished<'_, T, K> {
    /// Publishes the item.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::NotJoined`] or [`BroadcastError::NotMine`] in a forked child, and if the role was taken over.
    pub fn publish(self) -> Result<(), BroadcastError> {
        self.raw.check(self.keeper)?;
        self.raw.publish(1);
        Ok(())
    }
}

impl<T: ShmSafe, K: Judge> Deref for Unpublished<'_, T, K> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: there is room, so that nobody reads there, and the publisher, who alone writes, is borrowed; aligned and valid
        // as long as its keeper is borrowed, and any bytes are a `T`.
        unsafe { self.at.as_ref() }
    }
}

impl<T: ShmSafe, K: Judge> DerefMut for Unpublished<'_, T, K> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { self.at.as_mut() }
    }
}

impl<T: ShmSafe + fmt::Debug, K: Judge> fmt::Debug for Unpublished<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unpublished").field(&**self).finish()
    }
}

/// An item that a [subscriber](crate::Subscriber) has not released yet: of [`peek`](crate::Subscriber::peek).
///
/// # If a peer dies
///
/// The publisher's death changes nothing: the item is whole, and its place is nobody else's before it is released.
#[must_use = "dropped, it is the next item again"]
pub struct Peeked<'s, T: ShmSafe, K: Judge = Seat> {
    pub(super) raw: &'s mut RawSubscriber<'static>,
    pub(super) keeper: &'s K,
    pub(super) at: NonNull<T>,
}

impl<T: ShmSafe, K: Judge> Peeked<'_, T, K> {
    /// Releases the item: it is received, and its place may be written to.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::NotJoined`] or [`BroadcastError::NotMine`] in a forked child, and if this process has lost its place.
    pub fn release(self) -> Result<(), BroadcastError> {
        self.raw.check(self.keeper)?;
        self.raw.release(1);
        Ok(())
    }
}

impl<T: ShmSafe, K: Judge> Deref for Peeked<'_, T, K> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: it is ready, so that nobody writes there before it is released, for which the subscriber is borrowed; aligned
        // and valid as long as its keeper is borrowed, and any bytes are a `T`.
        unsafe { self.at.as_ref() }
    }
}

impl<T: ShmSafe + fmt::Debug, K: Judge> fmt::Debug for Peeked<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Peeked").field(&**self).finish()
    }
}

// SAFETY: a publisher that is borrowed, which is `Send`, and the place of a value that is, too.
unsafe impl<T: ShmSafe, K: Judge> Send for Unpublished<'_, T, K> {}
// SAFETY: as above, of a subscriber.
unsafe impl<T: ShmSafe, K: Judge> Send for Peeked<'_, T, K> {}
