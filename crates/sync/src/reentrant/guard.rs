//! The right to the data of a mutex that its owner may take again.

use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use std::thread;

use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, OwnerId, Seat};

use crate::condvar::monitor::Monitor;
use crate::condvar::waitable;
use crate::outcome::Taken;
use crate::{Guard, RawReentrantMutex, ThreadToken};

/// One of the times that a thread has taken a [`ReentrantMutex`](crate::ReentrantMutex); dropping it undoes this one, and
/// dropping the last one releases the lock, in whatever order.
///
/// It gives the value as a [`Cell`]: to be read and written in whole, or, where it is an array, element by element
/// (`as_slice_of_cells`).
///
/// In a forked child it does nothing when dropped: the parent holds the lock, not the child. A guard stays with its
/// thread, which is the lock's owner; not even a reference to it may be sent.
///
/// ```compile_fail
/// fn needs_sync<T: Sync>() {}
/// needs_sync::<shmkit_sync::ReentrantMutexGuard<'static, u64>>();
/// ```
#[must_use = "dropping the guard releases the lock"]
pub struct ReentrantMutexGuard<'a, T: ShmSafe, K: Judge = &'a Seat> {
    raw: &'a RawReentrantMutex,
    data: NonNull<T>,
    keeper: K,
    /// Who took the lock.
    id: OwnerId,
    /// The dead owner that it was taken from.
    dead: Option<OwnerId>,
    /// The thread that took it, and that a guard cannot leave: a token is not Send.
    thread: ThreadToken,
    /// Whether the thread was panicking when it took the lock: then a panic at the drop is not of its making.
    panicking: bool,
    _data: PhantomData<&'a Cell<T>>,
}

/// A [`ReentrantMutexGuard`] that borrows nothing, of [`ReentrantMutex::lock_owned`](crate::ReentrantMutex::lock_owned).
pub type OwnedReentrantMutexGuard<T, K = Seat> = ReentrantMutexGuard<'static, T, K>;

impl<'a, T: ShmSafe, K: Judge> ReentrantMutexGuard<'a, T, K> {
    /// # Safety
    ///
    /// The two of `who` must be this process's id and this thread's token; they must have taken `raw` once for this, and
    /// release that only by this guard. `data` must be valid for as long as `keeper` lives, and touched only by the thread
    /// that holds `raw`, through such guards.
    #[inline]
    pub(crate) unsafe fn new(
        raw: &'a RawReentrantMutex,
        data: NonNull<T>,
        keeper: K,
        who: (OwnerId, ThreadToken),
        dead: Option<OwnerId>,
    ) -> Self {
        let (id, thread) = who;
        let panicking = thread::panicking();
        Self { raw, data, keeper, id, dead, thread, panicking, _data: PhantomData }
    }

    /// Answers for the data: it is whole again, whatever has happened to it.
    ///
    /// For who got the guard out of [`LockError::OwnerDied`](crate::LockError::OwnerDied), and has repaired the data;
    /// or out of [`NotRecoverable`](crate::LockError::NotRecoverable), and has made it anew.
    pub fn make_consistent(&self) {
        // Refused only if the lock is not ours, in a forked child or because a wrong peer wrote to it: then it is not
        // ours to answer for.
        let _ = self.raw.make_consistent(&self.keeper);
    }

    /// Returns the dead owner that the lock was taken from, if it was by this guard. The roster knows the process it
    /// was.
    pub fn dead_owner(&self) -> Option<OwnerId> {
        self.dead
    }

    /// Returns whether the thread that took the lock still has it, and this is not a forked child of its process.
    #[inline]
    fn is_ours(&self) -> bool {
        self.keeper.me() == Some(self.id) && self.raw.is_mine(self.id, self.thread)
    }
}

impl<T: ShmSafe, K: Judge> waitable::sealed::Lock for ReentrantMutexGuard<'_, T, K> {
    type Judge = K;

    fn monitor(&self) -> Option<(OwnerId, Monitor<'_>)> {
        self.is_ours().then_some((self.id, Monitor::Reentrant(self.raw)))
    }

    fn judge(&self) -> &K {
        &self.keeper
    }

    /// Other guards of this thread may have lent the data: if the lock could not be taken again, it would stay lent.
    fn is_alone(&self) -> bool {
        self.raw.levels() == 1
    }

    fn retaken(&mut self, taken: Taken) -> waitable::Complaint {
        self.dead = taken.dead;
        (!taken.is_plain()).then_some(taken.outcome())
    }

    fn lost(mut self) {
        self.id = OwnerId::GONE;
    }
}

impl<T: ShmSafe, K: Judge> Deref for ReentrantMutexGuard<'_, T, K> {
    type Target = Cell<T>;

    #[inline]
    fn deref(&self) -> &Cell<T> {
        // SAFETY: `data` is valid as long as `keeper` lives (`new`), a `Cell<T>` has the layout of its `T`, and any bytes
        // are a `T: ShmSafe`. Only this thread touches them, which holds the lock (a forked child that comes here breaks
        // the contract of its fork), and only through such cells, which do not leave it.
        unsafe { self.data.cast::<Cell<T>>().as_ref() }
    }
}

impl<T: ShmSafe, K: Judge> Guard for ReentrantMutexGuard<'_, T, K> {}

impl<T: ShmSafe, K: Judge> Drop for ReentrantMutexGuard<'_, T, K> {
    #[inline]
    fn drop(&mut self) {
        if !self.is_ours() {
            return;
        }
        if !self.panicking && thread::panicking() {
            self.raw.mutex().poison();
        }
        // Refused only if the mutex below is not ours, because a wrong peer wrote to it: then there is nothing to release.
        let _ = self.raw.release(self.id, self.thread);
    }
}

impl<T: ShmSafe + fmt::Debug, K: Judge> fmt::Debug for ReentrantMutexGuard<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_ours() { self.get().fmt(f) } else { f.write_str("<not ours>") }
    }
}
