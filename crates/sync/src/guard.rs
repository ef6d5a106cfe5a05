//! The right to the data of a mutex.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use std::thread;

use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, OwnerId, Participant};

use crate::RawMutex;

/// The lock of a [`Mutex`](crate::Mutex) while it is held; dropping it releases the lock.
///
/// In a forked child it does nothing when dropped: the parent holds the lock, not the child.
///
/// A guard stays with its thread, as `std`'s does. The lock itself belongs to the process.
///
/// ```compile_fail
/// fn needs_send<T: Send>() {}
/// needs_send::<shmkit_sync::MutexGuard<'static, u64>>();
/// ```
#[must_use = "dropping the guard releases the lock"]
pub struct MutexGuard<'a, T: ShmSafe, J: Judge + ?Sized = Participant<'a>> {
    raw: &'a RawMutex,
    data: NonNull<T>,
    judge: &'a J,
    /// Who took the lock.
    id: OwnerId,
    /// The dead owner that it was taken from.
    dead: Option<OwnerId>,
    /// Whether the thread was panicking when it took the lock: then a panic at the drop is not of its making.
    panicking: bool,
    /// A reference to the data, that stays with its thread.
    _not_send: PhantomData<(&'a mut T, *const ())>,
}

// SAFETY: a shared guard gives `&T` (`ShmSafe` is Sync), `make_consistent` (one atomic store) and `&J` (Sync).
unsafe impl<T: ShmSafe, J: Judge + ?Sized> Sync for MutexGuard<'_, T, J> {}

impl<'a, T: ShmSafe, J: Judge + ?Sized> MutexGuard<'a, T, J> {
    /// # Safety
    ///
    /// `id` must be this process's, have taken `raw`, and release it only by this guard. `data` must be valid for
    /// `'a` and touched only by the holder of `raw`.
    #[inline]
    pub(crate) unsafe fn new(
        raw: &'a RawMutex,
        data: NonNull<T>,
        judge: &'a J,
        id: OwnerId,
        dead: Option<OwnerId>,
    ) -> Self {
        let panicking = thread::panicking();
        Self { raw, data, judge, id, dead, panicking, _not_send: PhantomData }
    }

    /// Answers for the data: it is whole again, whatever has happened to it.
    ///
    /// For who got the guard out of [`LockError::OwnerDied`](crate::LockError::OwnerDied), and has repaired the data;
    /// or out of [`NotRecoverable`](crate::LockError::NotRecoverable), and has made it anew.
    pub fn make_consistent(&self) {
        if self.is_ours() {
            // Refused only if the word is not ours, because a wrong peer wrote to it: then it is not ours to answer
            // for.
            let _ = self.raw.make_consistent(self.judge);
        }
    }

    /// Returns the dead owner that the lock was taken from, if this guard came with
    /// [`LockError::OwnerDied`](crate::LockError::OwnerDied). The roster knows the process it was.
    pub fn dead_owner(&self) -> Option<OwnerId> {
        self.dead
    }

    /// Returns whether this process is the one that took the lock, and not a forked child of it.
    #[inline]
    fn is_ours(&self) -> bool {
        self.judge.me() == Some(self.id)
    }

    #[inline]
    fn assert_ours(&self) {
        assert!(
            self.is_ours(),
            "a guard was used by a process that does not hold the lock: lock it after the fork"
        );
    }
}

impl<T: ShmSafe, J: Judge + ?Sized> Deref for MutexGuard<'_, T, J> {
    type Target = T;

    /// # Panics
    ///
    /// In a forked child, which inherited the guard but not the lock.
    #[inline]
    fn deref(&self) -> &T {
        self.assert_ours();
        // SAFETY: `data` is valid, and nobody writes to it: this process holds the lock (`new`, and the line above).
        // Any bytes are a `T: ShmSafe`.
        unsafe { self.data.as_ref() }
    }
}

impl<T: ShmSafe, J: Judge + ?Sized> DerefMut for MutexGuard<'_, T, J> {
    /// # Panics
    ///
    /// In a forked child, which inherited the guard but not the lock.
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.assert_ours();
        // SAFETY: as in `deref`; nobody reads it either, for `&mut self` is the only borrow of the only guard.
        unsafe { self.data.as_mut() }
    }
}

impl<T: ShmSafe, J: Judge + ?Sized> Drop for MutexGuard<'_, T, J> {
    #[inline]
    fn drop(&mut self) {
        if !self.is_ours() {
            return;
        }
        if !self.panicking && thread::panicking() {
            self.raw.poison();
        }
        // Refused only if the word is not ours, because a wrong peer wrote to it: then there is nothing to release.
        let _ = self.raw.release(self.id);
    }
}

impl<T: ShmSafe + fmt::Debug, J: Judge + ?Sized> fmt::Debug for MutexGuard<'_, T, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_ours() { (**self).fmt(f) } else { f.write_str("<not ours>") }
    }
}

impl<T: ShmSafe + fmt::Display, J: Judge + ?Sized> fmt::Display for MutexGuard<'_, T, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
