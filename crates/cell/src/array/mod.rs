//! Many values under one lock.

mod by;
mod forms;
mod guard;
#[cfg(feature = "ndarray")]
mod ndarray;
mod part;
mod place;
mod range;
mod spec;
mod stride;
mod text;

use core::fmt;
use core::ops::RangeBounds;
use core::ptr::NonNull;
use std::time::Duration;

use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, Seat};
use shmkit_sync::{LockError, LockFailure, Patience};

pub use self::guard::{ArrayGuard, OwnedArrayGuard};
pub use self::part::ArrayPart;
pub use self::range::ArrayRangeGuard;
pub use self::spec::{ArraySpec, elements_at};
pub use self::stride::{Strided, StridedMut};

use self::place::Place;
use crate::error::{ArrayError, SetError};
use crate::held::Held;
use crate::raw::array::{CLEAN, PANICKED};

/// Values in shared memory, under one lock.
///
/// Operations wait for the lock; it is not recursive, so that a thread that holds a guard and calls an operation of
/// the array waits for itself, unless its process has no other thread: then it is told
/// [`WouldDeadlock`](LockFailure::WouldDeadlock). Each has three more forms, which give up. Handles are small and may be
/// cloned.
///
/// # If a peer dies
///
/// A write of *one element* ([`set`](Self::set), [`update`](Self::update)) is journaled: the next one to take the lock
/// finds the old value or the new one, and is not told. A *bulk write* ([`write_range`](Self::write_range),
/// [`fill`](Self::fill), or the elements through a guard) sets a mark first: if its writer is killed in the middle,
/// every operation answers [`OwnerDied`](ArrayError::OwnerDied) until somebody has repaired the elements and called
/// [`make_consistent`](ArrayGuard::make_consistent). Somebody who was killed while reading leaves no trace.
///
/// # Examples
///
/// ```
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// # let participant = ModelJudge::new(1).remove(0);
/// # let mut memory = [0_u128; 32];
/// # let base = core::ptr::NonNull::from(&mut memory).cast();
/// # // SAFETY: the array outlives the region, and nobody else sees it.
/// # let region = unsafe { Region::from_raw_parts(base, 512) };
/// use shmkit_cell::{Array, ArrayError, OutOfRange};
///
/// // SAFETY: the bytes are zero, and nobody else uses them.
/// let row = unsafe { Array::<i64, _>::init(region, [1, 2, 3, 4, 5].into(), &participant)? };
/// row.set(1, 20)?;
/// row.write_range(3.., &[40, 50])?;
/// assert_eq!(row.to_vec()?, [1, 20, 3, 40, 50]);
/// assert_eq!(row.read_step(.., 2)?, [1, 3, 50]);
/// assert_eq!(row.get(5), Err(ArrayError::OutOfRange(OutOfRange { index: 5, len: 5 })));
///
/// row.update_all(|elements| elements.iter_mut().for_each(|n| *n = -*n))?;
/// assert_eq!(row.iter()?.sum::<i64>(), -114);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// After a death:
///
/// ```
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// # let [participant, peer] = ModelJudge::new(2).try_into().unwrap();
/// # let mut memory = [0_u128; 32];
/// # let base = core::ptr::NonNull::from(&mut memory).cast();
/// # // SAFETY: the array outlives the region, and nobody else sees it.
/// # let region = unsafe { Region::from_raw_parts(base, 512) };
/// # use shmkit_cell::Array;
/// # // SAFETY: the bytes are zero, and nobody else uses them.
/// # let row = unsafe { Array::<i64, _>::init(region, [1; 5].into(), &peer)? };
/// # core::mem::forget({ let mut guard = row.lock().unwrap(); guard[0] = 7; guard });
/// # peer.die();
/// # // SAFETY: made above.
/// # let row = unsafe { Array::<i64, _>::attach(region, 5, &participant)? };
/// use shmkit_cell::ArrayError;
/// use shmkit_sync::LockError;
///
/// let guard = match row.lock() {
///     Err(LockError::OwnerDied(mut guard)) => {
///         guard.fill(0);
///         guard.make_consistent();
///         guard
///     }
///     other => other.map_err(ArrayError::from)?,
/// };
/// assert_eq!(*guard, [0; 5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Array<T, K = Seat> {
    place: Place<'static, T>,
    /// Keeps mapped what the place leads to; so it is dropped last.
    keeper: K,
}

impl<T, K: Clone> Clone for Array<T, K> {
    fn clone(&self) -> Self {
        Self { place: self.place, keeper: self.keeper.clone() }
    }
}

impl<T, K: Copy> Copy for Array<T, K> {}

impl<T, K> Array<T, K> {
    /// Returns how many elements there are. It never changes.
    pub const fn len(&self) -> usize {
        self.place.len
    }

    /// Returns whether there are no elements.
    pub const fn is_empty(&self) -> bool {
        self.place.len == 0
    }

    /// Returns where the elements lie, one behind the other, for views of them that another language has. They stay there as long as the
    /// handle, or a clone of it; who looks at them without the lock sees what others write meanwhile.
    pub const fn as_ptr(&self) -> NonNull<T> {
        // SAFETY: the journal is one element long and lies in front of the elements, in the same region.
        unsafe { self.place.journal.add(1) }
    }
}

impl<T: ShmSafe, K: Judge> Array<T, K> {
    /// Returns a copy of an element.
    ///
    /// # Errors
    ///
    /// [`ArrayError::OutOfRange`] if there is no such element; otherwise see [`ArrayError`].
    pub fn get(&self, index: usize) -> Result<T, ArrayError> {
        self.get_by(Some(Patience::ENDLESS), index)
    }

    /// Stores one element.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); then nothing was stored.
    pub fn set(&self, index: usize, value: T) -> Result<(), ArrayError> {
        self.set_by(Some(Patience::ENDLESS), index, value)
    }

    /// Stores a number of another type as one element, if it fits. It is never wrapped.
    ///
    /// # Errors
    ///
    /// [`SetError::Conversion`] if it does not fit, [`SetError::Failed`] as [`set`](Self::set).
    pub fn set_from<X: TryInto<T>>(
        &self,
        index: usize,
        value: X,
    ) -> Result<(), SetError<X::Error, ArrayError>> {
        let value = value.try_into().map_err(SetError::Conversion)?;
        self.set(index, value).map_err(SetError::Failed)
    }

    /// Changes one element: no other write comes in between.
    ///
    /// `change` works on a copy in the journal, which becomes the element when it returns: nothing lies on the stack. If it
    /// panics, or if the process is killed in it, the old element stays. It must not fork a child that goes on in it.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); then `change` was not called.
    pub fn update<R>(
        &self,
        index: usize,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, ArrayError> {
        self.update_by(Some(Patience::ENDLESS), index, change)
    }

    /// Stores `new` as an element if `current` is there, and returns what was there. They are compared as bytes.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); the inner one is what is there, if it is not `current`. Then nothing was stored.
    pub fn compare_exchange(
        &self,
        index: usize,
        current: T,
        new: T,
    ) -> Result<Result<T, T>, ArrayError> {
        self.compare_exchange_by(Some(Patience::ENDLESS), index, current, new)
    }

    /// Returns copies of all elements, as they were at one moment.
    ///
    /// # Errors
    ///
    /// See [`ArrayError`].
    pub fn to_vec(&self) -> Result<Vec<T>, ArrayError> {
        self.to_vec_by(Some(Patience::ENDLESS))
    }

    /// Returns copies of the elements of a range, as they were at one moment.
    ///
    /// # Errors
    ///
    /// [`ArrayError::NoSuchRange`] if the array does not have them all; otherwise see [`ArrayError`].
    pub fn read_range(&self, range: impl RangeBounds<usize>) -> Result<Vec<T>, ArrayError> {
        self.read_range_by(Some(Patience::ENDLESS), range)
    }

    /// Copies the elements of a range, as they are at one moment, to `values`.
    ///
    /// # Errors
    ///
    /// As [`read_range`](Self::read_range); [`ArrayError::Count`] if `values` has another length than the range.
    pub fn read_into(
        &self,
        range: impl RangeBounds<usize>,
        values: &mut [T],
    ) -> Result<(), ArrayError> {
        self.read_into_by(Some(Patience::ENDLESS), range, values)
    }

    /// Returns copies of every `step`-th element of a range, from its first on, as they were at one moment.
    ///
    /// # Errors
    ///
    /// As [`read_range`](Self::read_range); [`ArrayError::ZeroStep`] if `step` is 0.
    pub fn read_step(
        &self,
        range: impl RangeBounds<usize>,
        step: usize,
    ) -> Result<Vec<T>, ArrayError> {
        self.read_step_by(Some(Patience::ENDLESS), range, step)
    }

    /// Returns an iterator over copies of all elements, as they were at one moment. It does not hold the lock.
    ///
    /// # Errors
    ///
    /// See [`ArrayError`].
    pub fn iter(&self) -> Result<std::vec::IntoIter<T>, ArrayError> {
        Ok(self.to_vec()?.into_iter())
    }

    /// Stores `values` as the elements of a range, all at one moment.
    ///
    /// # Errors
    ///
    /// As [`read_into`](Self::read_into); then nothing was stored.
    pub fn write_range(
        &self,
        range: impl RangeBounds<usize>,
        values: &[T],
    ) -> Result<(), ArrayError> {
        self.write_range_by(Some(Patience::ENDLESS), range, values)
    }

    /// Stores `values` as every `step`-th element of a range, from its first on, all at one moment.
    ///
    /// # Errors
    ///
    /// As [`write_range`](Self::write_range); [`ArrayError::ZeroStep`] if `step` is 0.
    pub fn write_step(
        &self,
        range: impl RangeBounds<usize>,
        step: usize,
        values: &[T],
    ) -> Result<(), ArrayError> {
        self.write_step_by(Some(Patience::ENDLESS), range, step, values)
    }

    /// Stores `value` as every element, all at one moment.
    ///
    /// # Errors
    ///
    /// See [`ArrayError`].
    pub fn fill(&self, value: T) -> Result<(), ArrayError> {
        self.fill_by(Some(Patience::ENDLESS), value)
    }

    /// Changes the elements in place, all at one moment. A panic of `change` leaves the array poisoned.
    ///
    /// # Errors
    ///
    /// See [`ArrayError`]; then `change` was not called.
    pub fn update_all<R>(&self, change: impl FnOnce(&mut [T]) -> R) -> Result<R, ArrayError> {
        self.update_all_by(Some(Patience::ENDLESS), change)
    }

    /// Takes the lock, and returns a guard that is a slice of the elements in place.
    ///
    /// The error carries the guard; `map_err(ArrayError::from)` turns it into one that does not.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`] or [`LockError::Poisoned`], with the guard, if a bulk write was not finished and nobody
    /// has called [`make_consistent`](ArrayGuard::make_consistent) since; [`LockError::Failed`] if the lock cannot be
    /// taken.
    pub fn lock(&self) -> Result<ArrayGuard<'_, T, &K>, LockError<ArrayGuard<'_, T, &K>>> {
        self.guard(&self.keeper, Some(Patience::ENDLESS))
    }

    /// Takes the lock, and makes good what a bulk write has left that was cut short by a death or a panic: calls `repair`
    /// with the elements then, and answers for them.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if the lock cannot be taken.
    pub fn lock_or_repair(
        &self,
        repair: impl FnOnce(&mut [T]),
    ) -> Result<ArrayGuard<'_, T, &K>, LockFailure> {
        LockError::repaired(self.lock(), |guard| {
            repair(guard);
            guard.make_consistent();
        })
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock); [`LockFailure::WouldBlock`] if it is not free.
    pub fn try_lock(&self) -> Result<ArrayGuard<'_, T, &K>, LockError<ArrayGuard<'_, T, &K>>> {
        self.guard(&self.keeper, None)
    }

    /// Takes the lock, if it is free by the end of `limit`.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock); [`LockFailure::TimedOut`] after `limit`.
    pub fn lock_timeout(
        &self,
        limit: Duration,
    ) -> Result<ArrayGuard<'_, T, &K>, LockError<ArrayGuard<'_, T, &K>>> {
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
    ) -> Result<ArrayGuard<'_, T, &K>, LockError<ArrayGuard<'_, T, &K>>> {
        self.guard(&self.keeper, Some(deadline.into()))
    }

    /// Takes the lock as [`lock`](Self::lock) does, with a guard that borrows nothing: it has a clone of the handle's
    /// keeper.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    pub fn lock_owned(&self) -> Result<OwnedArrayGuard<T, K>, LockError<OwnedArrayGuard<T, K>>>
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
    pub fn try_lock_owned(&self) -> Result<OwnedArrayGuard<T, K>, LockError<OwnedArrayGuard<T, K>>>
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
    pub fn lock_owned_timeout(
        &self,
        limit: Duration,
    ) -> Result<OwnedArrayGuard<T, K>, LockError<OwnedArrayGuard<T, K>>>
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
    ) -> Result<OwnedArrayGuard<T, K>, LockError<OwnedArrayGuard<T, K>>>
    where
        K: Clone,
    {
        self.guard(self.keeper.clone(), Some(deadline.into()))
    }

    /// Takes the lock for a guard that has `keeper`: ours, or a clone of it.
    fn guard<G: Judge>(
        &self,
        keeper: G,
        patience: Option<Patience<'_>>,
    ) -> Result<ArrayGuard<'static, T, G>, LockError<ArrayGuard<'static, T, G>>> {
        let place = self.place;
        let held = Held::take(&place.raw.mutex, keeper, patience).map_err(LockError::Failed)?;
        // SAFETY: `held` has the lock.
        let mark = unsafe { place.enter() };
        let panicking = std::thread::panicking();
        let guard = ArrayGuard { place, mark, writing: false, panicking, held };
        match mark {
            CLEAN => Ok(guard),
            PANICKED => Err(LockError::Poisoned(guard)),
            _ => Err(LockError::OwnerDied(guard)),
        }
    }

    fn take(&self, patience: Option<Patience<'_>>) -> Result<(Held<'_, &K>, u32), LockFailure> {
        let held = Held::take(&self.place.raw.mutex, &self.keeper, patience)?;
        // SAFETY: `held` has the lock.
        let mark = unsafe { self.place.enter() };
        Ok((held, mark))
    }
}

impl<T: ShmSafe, K> fmt::Debug for Array<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array")
            .field("type", &format_args!("{}", T::TAG))
            .field("len", &self.place.len)
            .field("owner", &self.place.raw.mutex.owner())
            .finish()
    }
}
