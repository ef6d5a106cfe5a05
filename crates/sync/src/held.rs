//! A lock while it is held: the one place that says who may use what it guards, and what its end does.

use core::fmt;
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};
use std::thread;

use shmkit_roster::{Judge, OwnerId};

/// A lock that was taken, as its guard knows it.
pub(crate) trait Lock {
    /// Releases it. Refused only if it is not `me` who holds it, because a wrong peer wrote to its words: then there
    /// is nothing to release.
    fn release(&self, me: OwnerId);

    /// Says that a thread panicked while it held the lock.
    fn poison(&self);
}

/// A lock that one may hold at a time.
///
/// # Safety
///
/// Nobody else must have taken it between [`Hold::new`] and [`Lock::release`].
pub(crate) unsafe trait Exclusive: Lock {
    /// Answers for the data. Refused as [`Lock::release`] is.
    fn make_consistent<J: Judge + ?Sized>(&self, judge: &J);
}

/// A lock that is held. Dropping it releases the lock; in a forked child, which does not hold it, it does nothing.
///
/// It has the keeper of its handle: a reference to it, or an own clone, which makes the guard an owned one.
pub(crate) struct Hold<L: Lock, K: Judge> {
    lock: L,
    /// Who took the lock.
    id: OwnerId,
    /// The dead owner that it was taken from.
    dead: Option<OwnerId>,
    /// Whether the thread was panicking when it took the lock: then a panic at the drop is not of its making.
    panicking: bool,
    /// Dropped last: it keeps mapped what `lock` leads to.
    keeper: K,
}

impl<L: Lock, K: Judge> Hold<L, K> {
    /// # Safety
    ///
    /// `id` must be this process's, have taken `lock`, and release it only by dropping this. `keeper` must keep mapped
    /// what `lock` leads to.
    #[inline]
    pub(crate) unsafe fn new(lock: L, keeper: K, id: OwnerId, dead: Option<OwnerId>) -> Self {
        Self { lock, id, dead, panicking: thread::panicking(), keeper }
    }

    /// Returns whether this process is the one that took the lock, and not a forked child of it.
    #[inline]
    fn is_ours(&self) -> bool {
        self.keeper.me() == Some(self.id)
    }

    #[inline]
    fn assert_ours(&self) {
        assert!(
            self.is_ours(),
            "a guard was used by a process that does not hold the lock: lock it after the fork"
        );
    }

    /// Goes on as the hold of another lock, into which `turn` turns this one.
    ///
    /// # Panics
    ///
    /// In a forked child, which inherited the guard but not the lock.
    fn turn<M: Lock>(self, turn: impl FnOnce(&L, OwnerId, &K) -> M) -> Hold<M, K>
    where
        L: Copy,
    {
        self.assert_ours();
        let this = ManuallyDrop::new(self);
        let lock = turn(&this.lock, this.id, &this.keeper);
        // SAFETY: `this` is neither dropped nor used again.
        let keeper = unsafe { ptr::read(&this.keeper) };
        Hold { lock, id: this.id, dead: this.dead, panicking: this.panicking, keeper }
    }
}

impl<L: Lock, K: Judge> Drop for Hold<L, K> {
    #[inline]
    fn drop(&mut self) {
        if !self.is_ours() {
            return;
        }
        if !self.panicking && thread::panicking() {
            self.lock.poison();
        }
        self.lock.release(self.id);
    }
}

/// A held lock, and what of its data the guard leads to: the inside of every guard.
///
/// Whose the lock is, is asked when a guard is made and when it is dropped, not whenever the data are looked at: that
/// would cost more than most of what is done to them. So a forked child must not use a guard that it inherited.
pub(crate) struct Held<L: Lock, T: ?Sized, K: Judge> {
    hold: Hold<L, K>,
    data: NonNull<T>,
}

// SAFETY: a shared guard gives `&T`, `make_consistent` (atomic steps) and `&K` (every `Judge` is Sync). A guard with
// which one can wait or notify as well says itself that it is not Sync.
unsafe impl<L: Lock + Sync, T: ?Sized + Sync, K: Judge> Sync for Held<L, T, K> {}

impl<L: Lock, T: ?Sized, K: Judge> Held<L, T, K> {
    /// # Safety
    ///
    /// `data` must be valid for as long as the keeper of `hold` lives, hold a `T`, and be guarded by the lock of `hold`.
    #[inline]
    pub(crate) unsafe fn new(hold: Hold<L, K>, data: NonNull<T>) -> Self {
        Self { hold, data }
    }

    /// Returns the lock.
    #[inline]
    pub(crate) fn lock(&self) -> &L {
        &self.hold.lock
    }

    /// Returns who took the lock, if it is this process and not a forked child of it.
    pub(crate) fn owner(&self) -> Option<OwnerId> {
        self.hold.is_ours().then_some(self.hold.id)
    }

    /// The lock was given up and taken again, from the dead owner if there is one.
    pub(crate) fn retaken(&mut self, dead: Option<OwnerId>) {
        self.hold.dead = dead;
    }

    /// The lock was given up and could not be taken again: it is not ours to release.
    pub(crate) fn lost(&mut self) {
        self.hold.id = OwnerId::GONE;
    }

    /// Returns the judge in whose name the lock was taken.
    pub(crate) fn judge(&self) -> &K {
        &self.hold.keeper
    }

    /// Returns the dead owner that the lock was taken from.
    pub(crate) fn dead_owner(&self) -> Option<OwnerId> {
        self.hold.dead
    }

    #[inline]
    pub(crate) fn get(&self) -> &T {
        // SAFETY: `data` is valid (`new`), and nobody writes to it: this process holds the lock. (A forked child, which
        // does not, has broken the contract of its fork by coming here.)
        unsafe { self.data.as_ref() }
    }

    /// Leads to a part of the data, if `part` finds it: what it returns lives as long as the data does.
    ///
    /// # Panics
    ///
    /// In a forked child, which inherited the guard but not the lock.
    pub(crate) fn part<U: ?Sized>(
        self,
        part: impl FnOnce(&T) -> Option<&U>,
    ) -> Result<Held<L, U, K>, Self> {
        self.hold.assert_ours();
        match part(self.get()).map(NonNull::from) {
            Some(data) => Ok(Held { hold: self.hold, data }),
            None => Err(self),
        }
    }

    /// Shows the data, but not in a forked child.
    pub(crate) fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result
    where
        T: fmt::Debug,
    {
        if self.hold.is_ours() { self.get().fmt(f) } else { f.write_str("<not ours>") }
    }
}

impl<L: Exclusive, T: ?Sized, K: Judge> Held<L, T, K> {
    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut T {
        // SAFETY: as in `get`; nobody reads it either, for the lock is `Exclusive` and `&mut self` is the only borrow
        // of its only guard.
        unsafe { self.data.as_mut() }
    }

    /// Leads to a part of the data that may be changed, if `part` finds it: it lives as long as the data does.
    ///
    /// # Panics
    ///
    /// In a forked child, which inherited the guard but not the lock.
    pub(crate) fn part_mut<U: ?Sized>(
        mut self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<Held<L, U, K>, Self> {
        self.hold.assert_ours();
        match part(self.get_mut()).map(NonNull::from) {
            Some(data) => Ok(Held { hold: self.hold, data }),
            None => Err(self),
        }
    }

    /// Goes on with another lock of the same data, into which `turn` turns this one.
    ///
    /// # Panics
    ///
    /// In a forked child, which inherited the guard but not the lock.
    pub(crate) fn turn<M: Lock>(self, turn: impl FnOnce(&L, OwnerId, &K) -> M) -> Held<M, T, K>
    where
        L: Copy,
    {
        Held { hold: self.hold.turn(turn), data: self.data }
    }

    /// Answers for the data, but not in a forked child.
    pub(crate) fn make_consistent(&self) {
        if self.hold.is_ours() {
            self.hold.lock.make_consistent(&self.hold.keeper);
        }
    }
}

/// Lets a guard, whose field `held` is a [`Held`], be used as what it leads to: `shared` to look, `exclusive` to change.
macro_rules! leads_to_its_data {
    (shared $guard:ident, $($bound:tt)+) => {
        impl<T: $($bound)+, K: Judge> Deref for $guard<'_, T, K> {
            type Target = T;

            #[inline]
            fn deref(&self) -> &T {
                self.held.get()
            }
        }

        impl<T: $($bound)+ + fmt::Debug, K: Judge> fmt::Debug for $guard<'_, T, K> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.held.debug(f)
            }
        }

        impl<T: $($bound)+ + fmt::Display, K: Judge> fmt::Display for $guard<'_, T, K> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    };
    (exclusive $guard:ident, $($bound:tt)+) => {
        $crate::held::leads_to_its_data!(shared $guard, $($bound)+);

        impl<T: $($bound)+, K: Judge> DerefMut for $guard<'_, T, K> {
            #[inline]
            fn deref_mut(&mut self) -> &mut T {
                self.held.get_mut()
            }
        }
    };
}
pub(crate) use leads_to_its_data;
