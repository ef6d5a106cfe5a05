//! One value under its own lock.

mod exchange;
mod guard;

use core::fmt;
use std::time::Duration;

use shmkit_layout::{
    InPlace, Kind, Object, Offset, Region, Schema, Shape, ShapeError, ShmSafe, TypeTag,
};
use shmkit_roster::{Judge, Seat};
use shmkit_sync::{LockFailure, NotOwner, Patience};

pub use self::guard::{OwnedValueGuard, ValueGuard};

use crate::error::SetError;
use crate::halves::{Halves, shape_of, slots_at};
use crate::held::Held;
use crate::raw::value::RawValue;

/// How often [`Value::peek`] looks again.
pub(crate) const LOOKS: u32 = 100;

/// A value in shared memory, under a lock of its own.
///
/// Reads and writes wait for the lock; it is not recursive, so that a thread that holds a guard and asks for another
/// waits for itself, unless its process has no other thread: then it is told
/// [`WouldDeadlock`](shmkit_sync::LockFailure::WouldDeadlock). The threads of a process exclude each other as processes do. Handles are small and may be cloned.
///
/// A plain [`get`](Self::get) followed by a [`set`](Self::set) is two steps, between which others may write: use
/// [`update`](Self::update), or [`Atomic`](crate::Atomic) for numbers.
///
/// # If a peer dies
///
/// A write goes to a spare slot, which one store makes the value. Whoever is killed in the middle leaves the old value
/// whole and the lock to the next one, who is not told, since there is nothing to repair.
///
/// # Examples
///
/// ```
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// # let participant = ModelJudge::new(1).remove(0);
/// # let mut memory = [0_u128; 16];
/// # let base = core::ptr::NonNull::from(&mut memory).cast();
/// # // SAFETY: the array outlives the region, and nobody else sees it.
/// # let region = unsafe { Region::from_raw_parts(base, 256) };
/// use shmkit_cell::Value;
///
/// // SAFETY: the bytes are zero, and nobody else uses them.
/// let hits = unsafe { Value::<u64, _>::init(region, 5, &participant)? };
/// hits.update(|n| *n += 1)?;
/// assert_eq!(hits.get()?, 6);
///
/// let mut guard = hits.lock()?;
/// *guard *= 7;
/// assert_eq!(*guard, 42);
/// guard.discard();
/// assert_eq!(hits.get()?, 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Value<T, K = Seat> {
    place: Halves<'static, T>,
    /// Keeps mapped what the place leads to; so it is dropped last.
    keeper: K,
}

impl<T, K: Clone> Clone for Value<T, K> {
    fn clone(&self) -> Self {
        Self { place: self.place, keeper: self.keeper.clone() }
    }
}

impl<T, K: Copy> Copy for Value<T, K> {}

impl<T: ShmSafe, K: Judge> Value<T, K> {
    /// Returns a copy of the value.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if the lock cannot be taken.
    pub fn get(&self) -> Result<T, LockFailure> {
        self.get_by(Patience::ENDLESS)
    }

    /// Returns a copy of the value, if the lock is free by the end of `limit`.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if the lock cannot be taken; [`LockFailure::TimedOut`] after `limit`.
    pub fn get_timeout(&self, limit: Duration) -> Result<T, LockFailure> {
        self.get_by(limit.into())
    }

    /// Returns a copy of the value, if the lock is free by `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As [`get_timeout`](Self::get_timeout).
    pub fn get_deadline<'p>(&self, deadline: impl Into<Patience<'p>>) -> Result<T, LockFailure> {
        self.get_by(deadline.into())
    }

    /// Returns a copy of the value, if the lock is free.
    ///
    /// # Errors
    ///
    /// [`LockFailure::WouldBlock`] if it is not.
    pub fn try_get(&self) -> Result<T, LockFailure> {
        let held = self.take(None)?;
        Ok(*self.place.current(&held))
    }

    /// Returns a copy of the value without the lock: however long somebody holds it, be it stopped in the middle of a
    /// write. What it returns was the value at some moment of the call.
    ///
    /// It needs no place in the roster, either: a forked child may peek.
    ///
    /// # Errors
    ///
    /// [`LockFailure::WouldBlock`] if the value was written each time that it was looked at, a hundred times. It takes
    /// writers that commit while this process copies, so that it is nothing to a small value.
    pub fn peek(&self) -> Result<T, LockFailure> {
        let found = (0..LOOKS).find_map(|_| self.place.peek());
        found.map(|(_, value)| value).ok_or(LockFailure::WouldBlock)
    }

    /// Stores a value.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if the lock cannot be taken; then nothing was stored.
    pub fn set(&self, value: T) -> Result<(), LockFailure> {
        self.set_by(value, Patience::ENDLESS)
    }

    /// Stores a value, if the lock is free by the end of `limit`.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if the lock cannot be taken; [`LockFailure::TimedOut`] after `limit`.
    pub fn set_timeout(&self, value: T, limit: Duration) -> Result<(), LockFailure> {
        self.set_by(value, limit.into())
    }

    /// Stores a value, if the lock is free by `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As [`set_timeout`](Self::set_timeout).
    pub fn set_deadline<'p>(
        &self,
        value: T,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), LockFailure> {
        self.set_by(value, deadline.into())
    }

    /// Stores a value, if the lock is free.
    ///
    /// # Errors
    ///
    /// [`LockFailure::WouldBlock`] if it is not; then nothing was stored.
    pub fn try_set(&self, value: T) -> Result<(), LockFailure> {
        self.put(self.take(None)?, value)
    }

    /// Stores a number of another type, if it fits. It is never wrapped.
    ///
    /// # Errors
    ///
    /// [`SetError::Conversion`] if it does not fit, [`SetError::Failed`] if the lock cannot be taken.
    pub fn set_from<X: TryInto<T>>(&self, value: X) -> Result<(), SetError<X::Error>> {
        let value = value.try_into().map_err(SetError::Conversion)?;
        self.set(value).map_err(SetError::Failed)
    }

    /// Changes the value: no other write comes in between.
    ///
    /// `change` works on a copy in the spare slot, which becomes the value when it returns: nothing lies on the stack. If it
    /// panics, or if the process is killed in it, the old value stays. It must not fork a child that goes on in it.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if the lock cannot be taken; then `change` was not called.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R, LockFailure> {
        self.update_by(change, Patience::ENDLESS)
    }

    /// Changes the value, if the lock is free by the end of `limit`.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if the lock cannot be taken; [`LockFailure::TimedOut`] after `limit`.
    pub fn update_timeout<R>(
        &self,
        change: impl FnOnce(&mut T) -> R,
        limit: Duration,
    ) -> Result<R, LockFailure> {
        self.update_by(change, limit.into())
    }

    /// Changes the value, if the lock is free by `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As [`update_timeout`](Self::update_timeout).
    pub fn update_deadline<'p, R>(
        &self,
        change: impl FnOnce(&mut T) -> R,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<R, LockFailure> {
        self.update_by(change, deadline.into())
    }

    /// Changes the value, if the lock is free.
    ///
    /// # Errors
    ///
    /// [`LockFailure::WouldBlock`] if it is not; then `change` was not called.
    pub fn try_update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R, LockFailure> {
        self.change(self.take(None)?, change)
    }

    /// Takes the lock, and returns a guard that is the value in place.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if the lock cannot be taken.
    pub fn lock(&self) -> Result<ValueGuard<'_, T, &K>, LockFailure> {
        self.guard(&self.keeper, Some(Patience::ENDLESS))
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    ///
    /// [`LockFailure::WouldBlock`] if it is not.
    pub fn try_lock(&self) -> Result<ValueGuard<'_, T, &K>, LockFailure> {
        self.guard(&self.keeper, None)
    }

    /// Takes the lock, if it is free by the end of `limit`.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if the lock cannot be taken; [`LockFailure::TimedOut`] after `limit`.
    pub fn lock_timeout(&self, limit: Duration) -> Result<ValueGuard<'_, T, &K>, LockFailure> {
        self.guard(&self.keeper, Some(limit.into()))
    }

    /// Takes the lock, if it is free by `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As [`lock_timeout`](Self::lock_timeout).
    pub fn lock_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<ValueGuard<'_, T, &K>, LockFailure> {
        self.guard(&self.keeper, Some(deadline.into()))
    }

    /// Takes the lock as [`lock`](Self::lock) does, with a guard that borrows nothing: it has a clone of the handle's
    /// keeper.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    pub fn lock_owned(&self) -> Result<OwnedValueGuard<T, K>, LockFailure>
    where
        K: Clone,
    {
        self.guard(self.keeper.clone(), Some(Patience::ENDLESS))
    }

    /// As [`lock_owned`](Self::lock_owned), if the lock is free.
    ///
    /// # Errors
    ///
    /// As [`try_lock`](Self::try_lock).
    pub fn try_lock_owned(&self) -> Result<OwnedValueGuard<T, K>, LockFailure>
    where
        K: Clone,
    {
        self.guard(self.keeper.clone(), None)
    }

    /// As [`lock_owned`](Self::lock_owned), if the lock is free by the end of `limit`.
    ///
    /// # Errors
    ///
    /// As [`lock_timeout`](Self::lock_timeout).
    pub fn lock_owned_timeout(&self, limit: Duration) -> Result<OwnedValueGuard<T, K>, LockFailure>
    where
        K: Clone,
    {
        self.guard(self.keeper.clone(), Some(limit.into()))
    }

    /// As [`lock_owned`](Self::lock_owned), if the lock is free by `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As [`lock_timeout`](Self::lock_timeout).
    pub fn lock_owned_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<OwnedValueGuard<T, K>, LockFailure>
    where
        K: Clone,
    {
        self.guard(self.keeper.clone(), Some(deadline.into()))
    }

    fn get_by(&self, patience: Patience<'_>) -> Result<T, LockFailure> {
        let held = self.take(Some(patience))?;
        Ok(*self.place.current(&held))
    }

    fn set_by(&self, value: T, patience: Patience<'_>) -> Result<(), LockFailure> {
        self.put(self.take(Some(patience))?, value)
    }

    fn put(&self, held: Held<'_, &K>, value: T) -> Result<(), LockFailure> {
        *self.place.spare(&held) = value;
        self.place.commit(&held);
        Ok(())
    }

    fn update_by<R>(
        &self,
        change: impl FnOnce(&mut T) -> R,
        patience: Patience<'_>,
    ) -> Result<R, LockFailure> {
        self.change(self.take(Some(patience))?, change)
    }

    fn change<R>(
        &self,
        held: Held<'_, &K>,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, LockFailure> {
        let result = change(self.place.copied(&held));
        // `change` may have forked, and this may be the child.
        held.check().map_err(|NotOwner| LockFailure::NotJoined)?;
        self.place.commit(&held);
        Ok(result)
    }

    /// Takes the lock for a guard that has `keeper`: ours, or a clone of it.
    fn guard<G: Judge>(
        &self,
        keeper: G,
        patience: Option<Patience<'_>>,
    ) -> Result<ValueGuard<'static, T, G>, LockFailure> {
        let held = Held::take(&self.place.raw.mutex, keeper, patience)?;
        let panicking = std::thread::panicking();
        Ok(ValueGuard { place: self.place, changed: false, panicking, held })
    }

    fn take(&self, patience: Option<Patience<'_>>) -> Result<Held<'_, &K>, LockFailure> {
        Held::take(&self.place.raw.mutex, &self.keeper, patience)
    }

    /// # Safety
    ///
    /// As for [`Object::attach`].
    unsafe fn place(region: Region<'_>, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let raw = region.get(Offset::ZERO)?;
        Ok(Self { place: Halves::new(region, raw, slots_at::<RawValue, T>())?, keeper })
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([T: ShmSafe] Value<T>, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<T: ShmSafe, K: Judge> Object<K> for Value<T, K> {
    const KIND: Kind = Kind::new("value");
    const TAG: TypeTag = TypeTag::checked::<T>();
    const SCHEMA: Option<&'static Schema> = Some(T::SCHEMA);

    /// The first value.
    type Spec = T;

    fn shape(_first: &T, places: u32) -> Result<Shape, ShapeError> {
        Self::room(&(), places)
    }

    unsafe fn init(region: Region<'_>, first: T, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let mut value = unsafe { Self::place(region, keeper) }?;
        // SAFETY: mapped and aligned (`place`); nobody else uses the bytes (the caller's promise). Zero bytes are a
        // free lock and the index of this slot.
        unsafe { value.place.first().write(first) };
        Ok(value)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        ShapeError::unless_one(len)?;
        // SAFETY: the caller's promises.
        unsafe { Self::place(region, keeper) }
    }
}

// SAFETY: zero bytes are a free lock and the index of the first slot, where `init` puts the value, too.
unsafe impl<T: ShmSafe, K: Judge> InPlace<K> for Value<T, K> {
    type Size = ();
    type Values = T;

    fn room((): &(), _: u32) -> Result<Shape, ShapeError> {
        Ok(shape_of::<RawValue, T>(Self::KIND, Self::TAG))
    }

    unsafe fn init_with(
        region: Region<'_>,
        (): (),
        fill: impl FnOnce(&mut T),
        keeper: K,
    ) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let mut value = unsafe { Self::place(region, keeper) }?;
        // SAFETY: mapped and aligned (`place`), zero, which is a `T` (`Pod`), and nobody else uses it (caller).
        fill(unsafe { value.place.first().as_mut() });
        Ok(value)
    }
}

impl<T: ShmSafe, K> fmt::Debug for Value<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value")
            .field("type", &format_args!("{}", T::TAG))
            .field("owner", &self.place.raw.mutex.owner())
            .finish()
    }
}
