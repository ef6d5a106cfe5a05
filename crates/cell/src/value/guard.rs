//! A locked value.

use core::fmt;
use core::ops::{Deref, DerefMut};

use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, Seat};
use shmkit_sync::NotOwner;

use crate::halves::Halves;
use crate::held::Held;

/// A locked [`Value`](crate::Value), in place.
///
/// The first mutable use copies the value to its spare slot, which becomes the value when the guard is dropped, unless a
/// panic drops it; then the lock is released. In a forked child an inherited guard does nothing, and must not be used.
#[must_use = "a guard that is dropped at once releases the lock at once"]
pub struct ValueGuard<'a, T: ShmSafe, K: Judge = &'a Seat> {
    pub(super) place: Halves<'a, T>,
    /// The spare slot is what the guard shows: it was borrowed mutably since the last commit.
    pub(super) changed: bool,
    /// The thread was panicking already when it took the lock.
    pub(super) panicking: bool,
    /// Has the keeper; so it is dropped last.
    pub(super) held: Held<'a, K>,
}

/// A [`ValueGuard`] that borrows nothing, of [`Value::lock_owned`](crate::Value::lock_owned).
pub type OwnedValueGuard<T, K = Seat> = ValueGuard<'static, T, K>;

impl<T: ShmSafe, K: Judge> ValueGuard<'_, T, K> {
    /// Makes what was changed the value now, and keeps the lock.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] in a forked child, which inherited the guard but not the lock: nothing was stored.
    pub fn commit(&mut self) -> Result<(), NotOwner> {
        self.held.check()?;
        if self.changed {
            self.place.commit(&self.held);
            self.changed = false;
        }
        Ok(())
    }

    /// Releases the lock; what was changed and not committed is forgotten.
    pub fn discard(mut self) {
        self.changed = false;
    }
}

impl<T: ShmSafe, K: Judge> Deref for ValueGuard<'_, T, K> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        if self.changed { self.place.written(&self.held) } else { self.place.current(&self.held) }
    }
}

impl<T: ShmSafe, K: Judge> DerefMut for ValueGuard<'_, T, K> {
    /// # Panics
    ///
    /// At the first mutable use, in a forked child, which inherited the guard but not the lock.
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        if self.changed {
            return self.place.spare(&self.held);
        }
        assert!(
            self.held.check().is_ok(),
            "a guard was used by a process that does not hold the value's lock: lock it after the fork"
        );
        self.changed = true;
        self.place.copied(&self.held)
    }
}

impl<T: ShmSafe, K: Judge> Drop for ValueGuard<'_, T, K> {
    fn drop(&mut self) {
        if self.changed && (self.panicking || !std::thread::panicking()) {
            // Refused in a forked child only, whose writes are nobody's value.
            let _ = self.commit();
        }
    }
}

impl<T: ShmSafe + fmt::Debug, K: Judge> fmt::Debug for ValueGuard<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_tuple("ValueGuard");
        if self.held.check().is_ok() {
            debug.field(&**self);
        }
        debug.finish()
    }
}
