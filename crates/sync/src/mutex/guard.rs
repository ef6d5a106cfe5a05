//! The right to the data of a mutex, and to a part of it.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, OwnerId, Seat};

use crate::condvar::monitor::Monitor;
use crate::condvar::waitable;
use crate::held::{Exclusive, Held, Hold, Lock, leads_to_its_data};
use crate::outcome::Taken;
use crate::{Guard, RawMutex};

impl Lock for &RawMutex {
    #[inline]
    fn release(&self, me: OwnerId) {
        let _ = RawMutex::release(self, me);
    }

    fn poison(&self) {
        RawMutex::poison(self);
    }
}

// SAFETY: it is a mutex.
unsafe impl Exclusive for &RawMutex {
    fn make_consistent<J: Judge + ?Sized>(&self, judge: &J) {
        let _ = RawMutex::make_consistent(self, judge);
    }
}

impl<T: ShmSafe, K: Judge> waitable::sealed::Lock for MutexGuard<'_, T, K> {
    type Judge = K;

    fn monitor(&self) -> Option<(OwnerId, Monitor<'_>)> {
        Some((self.held.owner()?, Monitor::Mutex(self.held.lock())))
    }

    fn judge(&self) -> &K {
        self.held.judge()
    }

    fn retaken(&mut self, taken: Taken) -> waitable::Complaint {
        self.held.retaken(taken.dead);
        (!taken.is_plain()).then_some(taken.outcome())
    }

    fn lost(mut self) {
        self.held.lost();
    }
}

/// The lock of a [`Mutex`](crate::Mutex) while it is held; dropping it releases the lock.
///
/// In a forked child it does nothing when dropped: the parent holds the lock, not the child. Nor may the
/// child look at the data through it: that is part of what is promised to a `fork`, which is `unsafe`.
///
/// A guard stays with its thread, as `std`'s does. The lock itself belongs to the process.
///
/// ```compile_fail
/// fn needs_send<T: Send>() {}
/// needs_send::<shmkit_sync::MutexGuard<'static, u64>>();
/// ```
///
/// Not even a reference to it may be sent, since with one a [`Condvar`](crate::Condvar) is notified: two threads would do
/// so at a time, both under the lock. A reference to the data may be.
///
/// ```compile_fail
/// fn needs_sync<T: Sync>() {}
/// needs_sync::<shmkit_sync::MutexGuard<'static, u64>>();
/// ```
///
/// ```
/// # use shmkit_roster::model::ModelJudge;
/// # use shmkit_sync::MutexGuard;
/// fn look(numbers: &MutexGuard<'_, [u64; 2], &ModelJudge>) -> u64 {
///     let numbers: &[u64; 2] = numbers;
///     std::thread::scope(|scope| scope.spawn(|| numbers[0] + numbers[1]).join().unwrap())
/// }
/// ```
#[must_use = "dropping the guard releases the lock"]
pub struct MutexGuard<'a, T: ShmSafe, K: Judge = &'a Seat> {
    held: Held<&'a RawMutex, T, K>,
    _data: PhantomData<&'a mut T>,
    _not_sync: PhantomData<*const ()>,
}

/// A [`MutexGuard`] that borrows nothing, of [`Mutex::lock_owned`](crate::Mutex::lock_owned).
pub type OwnedMutexGuard<T, K = Seat> = MutexGuard<'static, T, K>;

impl<'a, T: ShmSafe, K: Judge> MutexGuard<'a, T, K> {
    /// # Safety
    ///
    /// `id` must be this process's, have taken `raw`, and release it only by this guard. `raw` and `data` must be valid
    /// as long as `keeper` lives, and `data` touched only by the holder of `raw`.
    #[inline]
    pub(crate) unsafe fn new(
        raw: &'a RawMutex,
        data: NonNull<T>,
        keeper: K,
        id: OwnerId,
        dead: Option<OwnerId>,
    ) -> Self {
        // SAFETY: `id` is this process's, has taken `raw`, and does not release it otherwise (caller).
        let hold = unsafe { Hold::new(raw, keeper, id, dead) };
        // SAFETY: valid and guarded by `raw` (caller); any bytes are a `T: ShmSafe`.
        let held = unsafe { Held::new(hold, data) };
        Self { held, _data: PhantomData, _not_sync: PhantomData }
    }

    /// Answers for the data: it is whole again, whatever has happened to it.
    ///
    /// For who got the guard out of [`LockError::OwnerDied`](crate::LockError::OwnerDied), and has repaired the data;
    /// or out of [`NotRecoverable`](crate::LockError::NotRecoverable), and has made it anew.
    pub fn make_consistent(&self) {
        self.held.make_consistent();
    }

    /// Returns the dead owner that the lock was taken from, if this guard came with
    /// [`LockError::OwnerDied`](crate::LockError::OwnerDied). The roster knows the process it was.
    pub fn dead_owner(&self) -> Option<OwnerId> {
        self.held.dead_owner()
    }

    /// Goes on with a part of the data; the lock stays held. An associated function, like the others, so that it does
    /// not hide a method of `T`.
    ///
    /// Who answers for data that a death has left does it before: a part cannot.
    ///
    /// # Panics
    ///
    /// If `part` does: then the lock is released, and poisoned. In a forked child.
    ///
    /// # Examples
    ///
    /// ```
    /// # use shmkit_roster::model::ModelJudge;
    /// # use shmkit_sync::{MappedMutexGuard, Mutex, MutexGuard};
    /// fn second<'a>(
    ///     pair: MutexGuard<'a, [u64; 2], &'a ModelJudge>,
    /// ) -> MappedMutexGuard<'a, u64, &'a ModelJudge> {
    ///     MutexGuard::map(pair, |pair| &mut pair[1])
    /// }
    /// ```
    pub fn map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedMutexGuard<'a, U, K> {
        let Ok(held) = guard.held.part_mut(|data| Some(part(data))) else { unreachable!() };
        MappedMutexGuard { held, _data: PhantomData }
    }

    /// Goes on with a part of the data, if there is such a part; the lock stays held.
    ///
    /// # Errors
    ///
    /// The guard as it was, if `part` returned `None`.
    ///
    /// # Panics
    ///
    /// As with [`map`](Self::map).
    pub fn filter_map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedMutexGuard<'a, U, K>, Self> {
        match guard.held.part_mut(part) {
            Ok(held) => Ok(MappedMutexGuard { held, _data: PhantomData }),
            Err(held) => Err(Self { held, _data: PhantomData, _not_sync: PhantomData }),
        }
    }
}

leads_to_its_data!(exclusive MutexGuard, ShmSafe);

impl<T: ShmSafe, K: Judge> Guard for MutexGuard<'_, T, K> {}

/// A part of the data of a [`Mutex`](crate::Mutex) while the lock is held, made by [`MutexGuard::map`]; dropping it
/// releases the lock.
///
/// In a forked child it does nothing when dropped, as the [`MutexGuard`] that it was. A reference to it may be sent: no
/// condition variable takes it.
#[must_use = "dropping the guard releases the lock"]
pub struct MappedMutexGuard<'a, T: ?Sized, K: Judge = &'a Seat> {
    held: Held<&'a RawMutex, T, K>,
    _data: PhantomData<&'a mut T>,
}

impl<'a, T: ?Sized, K: Judge> MappedMutexGuard<'a, T, K> {
    /// Goes on with a part of the part.
    ///
    /// # Panics
    ///
    /// As with [`MutexGuard::map`].
    pub fn map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedMutexGuard<'a, U, K> {
        let Ok(held) = guard.held.part_mut(|data| Some(part(data))) else { unreachable!() };
        MappedMutexGuard { held, _data: PhantomData }
    }

    /// Goes on with a part of the part, if there is such a part.
    ///
    /// # Errors
    ///
    /// The guard as it was, if `part` returned `None`.
    ///
    /// # Panics
    ///
    /// As with [`MutexGuard::map`].
    pub fn filter_map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedMutexGuard<'a, U, K>, Self> {
        match guard.held.part_mut(part) {
            Ok(held) => Ok(MappedMutexGuard { held, _data: PhantomData }),
            Err(held) => Err(Self { held, _data: PhantomData }),
        }
    }
}

leads_to_its_data!(exclusive MappedMutexGuard, ?Sized);
