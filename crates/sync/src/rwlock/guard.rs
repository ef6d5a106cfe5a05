//! The right to look at the data of a readers-writer lock, or to change it.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, OwnerId, Seat};

use crate::held::{Exclusive, Held, Hold, Lock, leads_to_its_data};
use crate::{Guard, RawRwLock, Reading};

/// A lock that was taken for reading.
pub(crate) struct Shared<'a> {
    raw: RawRwLock<'a>,
    reading: Reading,
}

impl Lock for Shared<'_> {
    fn release(&self, me: OwnerId) {
        let _ = self.raw.release_read(me, &self.reading);
    }

    /// A reader changes nothing: its panic leaves the data as it was.
    fn poison(&self) {}
}

impl Lock for RawRwLock<'_> {
    fn release(&self, me: OwnerId) {
        let _ = self.release_write(me);
    }

    fn poison(&self) {
        RawRwLock::poison(*self);
    }
}

// SAFETY: the lock itself stands for the writer (`RwLockWriteGuard::new`), of whom there is one.
unsafe impl Exclusive for RawRwLock<'_> {
    fn make_consistent<J: Judge + ?Sized>(&self, judge: &J) {
        let _ = RawRwLock::make_consistent(*self, judge);
    }
}

/// The right to look at the data of an [`RwLock`](crate::RwLock); dropping it is the reader's end.
///
/// In a forked child it does nothing when dropped: the parent reads, not the child. Nor may the
/// child look at the data through it: that is part of what is promised to a `fork`, which is `unsafe`.
///
/// A guard stays with its thread, as `std`'s does. The lock itself belongs to the process.
#[must_use = "dropping the guard releases the lock"]
pub struct RwLockReadGuard<'a, T: ShmSafe, K: Judge = &'a Seat> {
    held: Held<Shared<'a>, T, K>,
    _data: PhantomData<&'a T>,
}

/// An [`RwLockReadGuard`] that borrows nothing, of [`RwLock::read_owned`](crate::RwLock::read_owned).
pub type OwnedRwLockReadGuard<T, K = Seat> = RwLockReadGuard<'static, T, K>;

impl<'a, T: ShmSafe, K: Judge> RwLockReadGuard<'a, T, K> {
    /// # Safety
    ///
    /// `id` must be this process's, have got `reading` from `raw`, and end it only by this guard. `data` must be valid
    /// for as long as `keeper` lives, and written to only by the writer of `raw`.
    pub(crate) unsafe fn new(
        raw: RawRwLock<'a>,
        reading: Reading,
        data: NonNull<T>,
        keeper: K,
        id: OwnerId,
    ) -> Self {
        // SAFETY: `id` is this process's, reads, and does not end that otherwise (caller).
        let hold = unsafe { Hold::new(Shared { raw, reading }, keeper, id, None) };
        // SAFETY: valid and guarded by `raw` (caller); any bytes are a `T: ShmSafe`.
        let held = unsafe { Held::new(hold, data) };
        Self { held, _data: PhantomData }
    }

    /// Goes on with a part of the data; the lock stays held.
    ///
    /// # Panics
    ///
    /// If `part` does, and in a forked child.
    ///
    /// # Examples
    ///
    /// ```
    /// # use shmkit_roster::model::ModelJudge;
    /// # use shmkit_sync::{MappedRwLockReadGuard, RwLockReadGuard};
    /// fn second<'a>(
    ///     pair: RwLockReadGuard<'a, [u64; 2], &'a ModelJudge>,
    /// ) -> MappedRwLockReadGuard<'a, u64, &'a ModelJudge> {
    ///     RwLockReadGuard::map(pair, |pair| &pair[1])
    /// }
    /// ```
    pub fn map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&T) -> &U,
    ) -> MappedRwLockReadGuard<'a, U, K> {
        let Ok(held) = guard.held.part(|data| Some(part(data))) else { unreachable!() };
        MappedRwLockReadGuard { held, _data: PhantomData }
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
        part: impl FnOnce(&T) -> Option<&U>,
    ) -> Result<MappedRwLockReadGuard<'a, U, K>, Self> {
        match guard.held.part(part) {
            Ok(held) => Ok(MappedRwLockReadGuard { held, _data: PhantomData }),
            Err(held) => Err(Self { held, _data: PhantomData }),
        }
    }
}

leads_to_its_data!(shared RwLockReadGuard, ShmSafe);

impl<T: ShmSafe, K: Judge> Guard for RwLockReadGuard<'_, T, K> {}

/// A part of the data of an [`RwLock`](crate::RwLock) to look at, made by [`RwLockReadGuard::map`]; dropping it is the
/// reader's end.
#[must_use = "dropping the guard releases the lock"]
pub struct MappedRwLockReadGuard<'a, T: ?Sized, K: Judge = &'a Seat> {
    held: Held<Shared<'a>, T, K>,
    _data: PhantomData<&'a T>,
}

impl<'a, T: ?Sized, K: Judge> MappedRwLockReadGuard<'a, T, K> {
    /// Goes on with a part of the part.
    ///
    /// # Panics
    ///
    /// As with [`RwLockReadGuard::map`].
    pub fn map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&T) -> &U,
    ) -> MappedRwLockReadGuard<'a, U, K> {
        let Ok(held) = guard.held.part(|data| Some(part(data))) else { unreachable!() };
        MappedRwLockReadGuard { held, _data: PhantomData }
    }

    /// Goes on with a part of the part, if there is such a part.
    ///
    /// # Errors
    ///
    /// The guard as it was, if `part` returned `None`.
    ///
    /// # Panics
    ///
    /// As with [`RwLockReadGuard::map`].
    pub fn filter_map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&T) -> Option<&U>,
    ) -> Result<MappedRwLockReadGuard<'a, U, K>, Self> {
        match guard.held.part(part) {
            Ok(held) => Ok(MappedRwLockReadGuard { held, _data: PhantomData }),
            Err(held) => Err(Self { held, _data: PhantomData }),
        }
    }
}

leads_to_its_data!(shared MappedRwLockReadGuard, ?Sized);

/// The right to change the data of an [`RwLock`](crate::RwLock); dropping it is the writer's end.
///
/// In a forked child it does nothing when dropped: the parent writes, not the child. Nor may the
/// child look at the data through it: that is part of what is promised to a `fork`, which is `unsafe`.
///
/// A guard stays with its thread, as `std`'s does. The lock itself belongs to the process.
#[must_use = "dropping the guard releases the lock"]
pub struct RwLockWriteGuard<'a, T: ShmSafe, K: Judge = &'a Seat> {
    held: Held<RawRwLock<'a>, T, K>,
    _data: PhantomData<&'a mut T>,
}

/// An [`RwLockWriteGuard`] that borrows nothing, of [`RwLock::write_owned`](crate::RwLock::write_owned).
pub type OwnedRwLockWriteGuard<T, K = Seat> = RwLockWriteGuard<'static, T, K>;

impl<'a, T: ShmSafe, K: Judge> RwLockWriteGuard<'a, T, K> {
    /// # Safety
    ///
    /// `id` must be this process's, be in `raw` as the writer, and end that only by this guard. `data` must be valid
    /// for as long as `keeper` lives, and touched only by who is in.
    pub(crate) unsafe fn new(
        raw: RawRwLock<'a>,
        data: NonNull<T>,
        keeper: K,
        id: OwnerId,
        dead: Option<OwnerId>,
    ) -> Self {
        // SAFETY: `id` is this process's, writes, and does not end that otherwise (caller).
        let hold = unsafe { Hold::new(raw, keeper, id, dead) };
        // SAFETY: valid and guarded by `raw` (caller); any bytes are a `T: ShmSafe`.
        let held = unsafe { Held::new(hold, data) };
        Self { held, _data: PhantomData }
    }

    /// Answers for the data: it is whole again, whatever has happened to it.
    ///
    /// For who got the guard out of [`LockError::OwnerDied`](crate::LockError::OwnerDied), and has repaired the data;
    /// or out of [`NotRecoverable`](crate::LockError::NotRecoverable), and has made it anew.
    pub fn make_consistent(&self) {
        self.held.make_consistent();
    }

    /// Returns the writer that died in the middle, if it is this guard that the lock passed to from it. The roster
    /// knows the process it was.
    pub fn dead_owner(&self) -> Option<OwnerId> {
        self.held.dead_owner()
    }

    /// Goes on as a reader, with nobody in between. All who wait for the writer's end are woken, unless there are fewer
    /// seats than places and others had all of them at this moment: then this one reads alone.
    ///
    /// Data that a death has left are answered for before ([`make_consistent`](Self::make_consistent)): otherwise they
    /// are given up, as by dropping the guard.
    ///
    /// # Panics
    ///
    /// In a forked child.
    ///
    /// # If a peer dies
    ///
    /// If it is this process, in the middle of this: the data is whole, and the next one is told of the death, or not.
    pub fn downgrade(guard: Self) -> RwLockReadGuard<'a, T, K> {
        let held = guard.held.turn(|&raw, me, keeper| {
            // Refused only if the word is not ours, because a wrong peer wrote to it: then there is nothing to end.
            let reading = raw.turn_reader(me, keeper).unwrap_or(Reading::NONE);
            Shared { raw, reading }
        });
        RwLockReadGuard { held, _data: PhantomData }
    }

    /// Goes on with a part of the data; the lock stays held.
    ///
    /// Who answers for data that a death has left does it before: a part cannot.
    ///
    /// # Panics
    ///
    /// If `part` does: then the lock is released, and poisoned. In a forked child.
    pub fn map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedRwLockWriteGuard<'a, U, K> {
        let Ok(held) = guard.held.part_mut(|data| Some(part(data))) else { unreachable!() };
        MappedRwLockWriteGuard { held, _data: PhantomData }
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
    ) -> Result<MappedRwLockWriteGuard<'a, U, K>, Self> {
        match guard.held.part_mut(part) {
            Ok(held) => Ok(MappedRwLockWriteGuard { held, _data: PhantomData }),
            Err(held) => Err(Self { held, _data: PhantomData }),
        }
    }
}

leads_to_its_data!(exclusive RwLockWriteGuard, ShmSafe);

impl<T: ShmSafe, K: Judge> Guard for RwLockWriteGuard<'_, T, K> {}

/// A part of the data of an [`RwLock`](crate::RwLock) to change, made by [`RwLockWriteGuard::map`]; dropping it is the
/// writer's end.
#[must_use = "dropping the guard releases the lock"]
pub struct MappedRwLockWriteGuard<'a, T: ?Sized, K: Judge = &'a Seat> {
    held: Held<RawRwLock<'a>, T, K>,
    _data: PhantomData<&'a mut T>,
}

impl<'a, T: ?Sized, K: Judge> MappedRwLockWriteGuard<'a, T, K> {
    /// Goes on with a part of the part.
    ///
    /// # Panics
    ///
    /// As with [`RwLockWriteGuard::map`].
    pub fn map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedRwLockWriteGuard<'a, U, K> {
        let Ok(held) = guard.held.part_mut(|data| Some(part(data))) else { unreachable!() };
        MappedRwLockWriteGuard { held, _data: PhantomData }
    }

    /// Goes on with a part of the part, if there is such a part.
    ///
    /// # Errors
    ///
    /// The guard as it was, if `part` returned `None`.
    ///
    /// # Panics
    ///
    /// As with [`RwLockWriteGuard::map`].
    pub fn filter_map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedRwLockWriteGuard<'a, U, K>, Self> {
        match guard.held.part_mut(part) {
            Ok(held) => Ok(MappedRwLockWriteGuard { held, _data: PhantomData }),
            Err(held) => Err(Self { held, _data: PhantomData }),
        }
    }
}

leads_to_its_data!(exclusive MappedRwLockWriteGuard, ?Sized);
