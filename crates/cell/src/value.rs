//! One value under its own lock.

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use std::time::{Duration, Instant};

use shmkit_atomic::Ordering::{Relaxed, Release};
use shmkit_atomic::{AtomicU32, Deadline};
use shmkit_layout::{
    Kind, Object, Offset, Region, Shape, ShapeError, Shared, ShmSafe, TypeTag, align_up,
};
use shmkit_roster::{Judge, Seat};
use shmkit_sync::{LockFailure, NotOwner, RawMutex};

use crate::error::SetError;
use crate::held::Held;
use crate::{LINE, in_program_order};

/// The words of a value; its two slots follow.
///
/// ```text
///  0 mutex  16 current  20 reserved  24 … padding to T's alignment … slot 0 | slot 1
/// ```
#[repr(C)]
struct RawValue {
    mutex: RawMutex,
    /// Bit 0: the slot that is the value. The other slot is spare: the holder of the lock writes there, then flips
    /// this bit by one store. Stored by the holder only; the other bits are 0 and not looked at.
    current: AtomicU32,
    reserved: AtomicU32,
}

// SAFETY: `repr(C)`, a `Shared` mutex and two atomics; any bit pattern of `current` means a slot.
unsafe impl Shared for RawValue {}

const _: () = assert!(size_of::<RawValue>() == 24, "part of the segment format");

/// A value in shared memory, under a lock of its own.
///
/// Reads and writes wait for the lock; it is not recursive, so that a thread that holds a guard and asks for another
/// waits for itself. The threads of a process exclude each other as processes do. Handles are small and may be cloned.
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
    place: Place<'static, T>,
    /// Keeps mapped what the place leads to; so it is dropped last.
    keeper: K,
}

/// Where a value lies.
struct Place<'a, T> {
    raw: &'a RawValue,
    /// The first of two slots.
    slots: NonNull<T>,
}

impl<T> Clone for Place<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Place<'_, T> {}

// SAFETY: the slots are read and written under the lock only, and hold plain values (`ShmSafe: Send + Sync`).
unsafe impl<T: ShmSafe> Send for Place<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ShmSafe> Sync for Place<'_, T> {}

impl<T: ShmSafe> Place<'_, T> {
    /// Copies the value out, under the lock.
    fn read<K: Judge>(self, _held: &Held<'_, K>) -> T {
        let current = self.raw.current.load(Relaxed) & 1;
        // SAFETY: there are two slots (`Value::place`), and `current` is 0 or 1.
        let slot = unsafe { self.slots.add(current as usize) };
        // SAFETY: mapped and aligned (`Value::place`); the lock is held, so that nobody writes; any bytes are a `T`
        // (`Pod`).
        unsafe { slot.read() }
    }

    /// Writes the spare slot and makes it the value, under the lock.
    fn write<K: Judge>(self, _held: &Held<'_, K>, value: T) {
        let spare = (self.raw.current.load(Relaxed) & 1) ^ 1;
        // SAFETY: there are two slots (`Value::place`), and `spare` is 0 or 1.
        let slot = unsafe { self.slots.add(spare as usize) };
        // SAFETY: mapped and aligned (`Value::place`); the lock is held, so that nobody reads or writes.
        unsafe { slot.write(value) };
        // Release: the slot is whole before it becomes the value. It pairs with the kernel's word that this process is
        // dead (`ask`), and with nothing between the living, whom the lock keeps apart.
        self.raw.current.store(spare, Release);
        // The slot that was the value is spare only from here on: a second write under this lock stays behind it.
        in_program_order();
    }
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
        self.get_by(Deadline::NEVER)
    }

    /// Returns a copy of the value, if the lock is free by the end of `limit`.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if the lock cannot be taken; [`LockFailure::TimedOut`] after `limit`.
    pub fn get_timeout(&self, limit: Duration) -> Result<T, LockFailure> {
        self.get_by(Deadline::after(limit))
    }

    /// Returns a copy of the value, if the lock is free by `instant`.
    ///
    /// # Errors
    ///
    /// As [`get_timeout`](Self::get_timeout).
    pub fn get_deadline(&self, instant: Instant) -> Result<T, LockFailure> {
        self.get_by(Deadline::at(instant))
    }

    /// Returns a copy of the value, if the lock is free.
    ///
    /// # Errors
    ///
    /// [`LockFailure::WouldBlock`] if it is not.
    pub fn try_get(&self) -> Result<T, LockFailure> {
        let held = self.take(None)?;
        Ok(self.place.read(&held))
    }

    /// Stores a value.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if the lock cannot be taken; then nothing was stored.
    pub fn set(&self, value: T) -> Result<(), LockFailure> {
        self.set_by(value, Deadline::NEVER)
    }

    /// Stores a value, if the lock is free by the end of `limit`.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if the lock cannot be taken; [`LockFailure::TimedOut`] after `limit`.
    pub fn set_timeout(&self, value: T, limit: Duration) -> Result<(), LockFailure> {
        self.set_by(value, Deadline::after(limit))
    }

    /// Stores a value, if the lock is free by `instant`.
    ///
    /// # Errors
    ///
    /// As [`set_timeout`](Self::set_timeout).
    pub fn set_deadline(&self, value: T, instant: Instant) -> Result<(), LockFailure> {
        self.set_by(value, Deadline::at(instant))
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

    /// Changes the value in place: no other write comes in between.
    ///
    /// `change` works on a private copy, which becomes the value when it returns. If it panics, or if the process is
    /// killed in it, the old value stays.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if the lock cannot be taken; then `change` was not called.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R, LockFailure> {
        self.update_by(change, Deadline::NEVER)
    }

    /// Changes the value in place, if the lock is free by the end of `limit`.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if the lock cannot be taken; [`LockFailure::TimedOut`] after `limit`.
    pub fn update_timeout<R>(
        &self,
        change: impl FnOnce(&mut T) -> R,
        limit: Duration,
    ) -> Result<R, LockFailure> {
        self.update_by(change, Deadline::after(limit))
    }

    /// Changes the value in place, if the lock is free by `instant`.
    ///
    /// # Errors
    ///
    /// As [`update_timeout`](Self::update_timeout).
    pub fn update_deadline<R>(
        &self,
        change: impl FnOnce(&mut T) -> R,
        instant: Instant,
    ) -> Result<R, LockFailure> {
        self.update_by(change, Deadline::at(instant))
    }

    /// Takes the lock, and returns a guard with a private copy of the value.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if the lock cannot be taken.
    pub fn lock(&self) -> Result<ValueGuard<'_, T, &K>, LockFailure> {
        self.guard(&self.keeper, Some(Deadline::NEVER))
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
        self.guard(&self.keeper, Some(Deadline::after(limit)))
    }

    /// Takes the lock, if it is free by `instant`.
    ///
    /// # Errors
    ///
    /// As [`lock_timeout`](Self::lock_timeout).
    pub fn lock_deadline(&self, instant: Instant) -> Result<ValueGuard<'_, T, &K>, LockFailure> {
        self.guard(&self.keeper, Some(Deadline::at(instant)))
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
        self.guard(self.keeper.clone(), Some(Deadline::NEVER))
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

    fn get_by(&self, deadline: Deadline) -> Result<T, LockFailure> {
        let held = self.take(Some(deadline))?;
        Ok(self.place.read(&held))
    }

    fn set_by(&self, value: T, deadline: Deadline) -> Result<(), LockFailure> {
        let held = self.take(Some(deadline))?;
        self.place.write(&held, value);
        Ok(())
    }

    fn update_by<R>(
        &self,
        change: impl FnOnce(&mut T) -> R,
        deadline: Deadline,
    ) -> Result<R, LockFailure> {
        let held = self.take(Some(deadline))?;
        let mut copy = self.place.read(&held);
        let result = change(&mut copy);
        // `change` may have forked, and this may be the child.
        held.check().map_err(|NotOwner| LockFailure::NotJoined)?;
        self.place.write(&held, copy);
        Ok(result)
    }

    /// Takes the lock for a guard that has `keeper`: ours, or a clone of it.
    fn guard<G: Judge>(
        &self,
        keeper: G,
        deadline: Option<Deadline>,
    ) -> Result<ValueGuard<'static, T, G>, LockFailure> {
        let held = Held::take(&self.place.raw.mutex, keeper, deadline)?;
        let copy = self.place.read(&held);
        let panicking = std::thread::panicking();
        Ok(ValueGuard { place: self.place, copy, changed: false, panicking, held })
    }

    fn take(&self, deadline: Option<Deadline>) -> Result<Held<'_, &K>, LockFailure> {
        Held::take(&self.place.raw.mutex, &self.keeper, deadline)
    }

    /// # Safety
    ///
    /// As for [`Object::attach`].
    unsafe fn place(region: Region<'_>, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let raw = region.get(Offset::ZERO)?;
        let slots = region.place(Offset::new(slots_at::<T>())?, 2)?;
        Ok(Self { place: Place { raw, slots }, keeper })
    }
}

/// Where the slots begin, in bytes from the first byte of the value.
const fn slots_at<T>() -> u64 {
    match align_up(size_of::<RawValue>() as u64, align_of::<T>() as u64) {
        Some(at) => at,
        None => panic!("an alignment near 2^64"),
    }
}

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<T: ShmSafe, K: Judge> Object<K> for Value<T, K> {
    const KIND: Kind = Kind::new("value");
    const TAG: TypeTag = T::TAG;

    /// The first value.
    type Spec = T;

    fn shape(_first: &T) -> Result<Shape, ShapeError> {
        let bytes = slots_at::<T>() + 2 * size_of::<T>() as u64;
        let align = LINE.max(align_of::<T>() as u64);
        Ok(Shape { kind: Self::KIND, tag: T::TAG, len: 1, bytes, align })
    }

    unsafe fn init(region: Region<'_>, first: T, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let value = unsafe { Self::place(region, keeper) }?;
        // SAFETY: mapped and aligned (`place`); nobody else uses the bytes (the caller's promise). Zero bytes are a
        // free lock and the index of this slot.
        unsafe { value.place.slots.write(first) };
        Ok(value)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        if len != 1 {
            return Err(ShapeError::Length { found: len, min: 1, max: 1 });
        }
        // SAFETY: the caller's promises.
        unsafe { Self::place(region, keeper) }
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

/// A locked [`Value`], as a private copy.
///
/// If it was changed, the copy becomes the value when the guard is dropped, unless a panic drops it; then the lock is
/// released. In a forked child an inherited guard does nothing.
#[must_use = "a guard that is dropped at once releases the lock at once"]
pub struct ValueGuard<'a, T: ShmSafe, K: Judge = &'a Seat> {
    place: Place<'a, T>,
    copy: T,
    /// The copy was borrowed mutably since it was last the value.
    changed: bool,
    /// The thread was panicking already when it took the lock.
    panicking: bool,
    /// Has the keeper; so it is dropped last.
    held: Held<'a, K>,
}

/// A [`ValueGuard`] that borrows nothing, of [`Value::lock_owned`].
pub type OwnedValueGuard<T, K = Seat> = ValueGuard<'static, T, K>;

impl<T: ShmSafe, K: Judge> ValueGuard<'_, T, K> {
    /// Makes the copy the value now, and keeps the lock.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] in a forked child, which inherited the guard but not the lock: nothing was stored.
    pub fn commit(&mut self) -> Result<(), NotOwner> {
        self.held.check()?;
        self.place.write(&self.held, self.copy);
        self.changed = false;
        Ok(())
    }

    /// Releases the lock; what was changed and not committed is forgotten.
    pub fn discard(mut self) {
        self.changed = false;
    }
}

impl<T: ShmSafe, K: Judge> Deref for ValueGuard<'_, T, K> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.copy
    }
}

impl<T: ShmSafe, K: Judge> DerefMut for ValueGuard<'_, T, K> {
    fn deref_mut(&mut self) -> &mut T {
        self.changed = true;
        &mut self.copy
    }
}

impl<T: ShmSafe, K: Judge> Drop for ValueGuard<'_, T, K> {
    fn drop(&mut self) {
        if self.changed && (self.panicking || !std::thread::panicking()) {
            // Refused in a forked child only, whose copy is nobody's value.
            let _ = self.commit();
        }
    }
}

impl<T: ShmSafe + fmt::Debug, K: Judge> fmt::Debug for ValueGuard<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ValueGuard").field(&self.copy).finish()
    }
}
