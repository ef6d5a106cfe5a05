//! A cell behind a lock that was given.

use core::fmt;

use shmkit_layout::ShmSafe;
use shmkit_roster::Judge;
use shmkit_sync::{Lock, LockFailure, LockGuard, RLock, RLockGuard};

use crate::{Array, ArrayError, Value};

/// A lock that can be given to a [`Synchronized`] cell: an [`RLock`] or a [`Lock`], or a reference to one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no lock that a cell can be given",
    note = "an `RLock` or a `Lock` is, or a reference to one; a `Mutex` guards data of its own"
)]
pub trait GivenLock: sealed::Sealed {
    /// The lock while it is held.
    type Held<'a>
    where
        Self: 'a;

    /// Takes the lock, waiting for as long as it takes.
    ///
    /// # Errors
    ///
    /// [`LockFailure`], but never `TimedOut` or `WouldBlock`.
    fn hold(&self) -> Result<Self::Held<'_>, LockFailure>;
}

mod sealed {
    /// Keeps the set of locks closed.
    pub trait Sealed {}
}

impl<K: Judge> sealed::Sealed for RLock<K> {}
impl<K: Judge> sealed::Sealed for Lock<K> {}
impl<L: sealed::Sealed> sealed::Sealed for &L {}

impl<K: Judge> GivenLock for RLock<K> {
    type Held<'a>
        = RLockGuard<'a, &'a K>
    where
        K: 'a;

    fn hold(&self) -> Result<Self::Held<'_>, LockFailure> {
        self.lock()
    }
}

impl<K: Judge> GivenLock for Lock<K> {
    type Held<'a>
        = LockGuard<'a, &'a K>
    where
        K: 'a;

    fn hold(&self) -> Result<Self::Held<'_>, LockFailure> {
        self.lock()
    }
}

impl<L: GivenLock> GivenLock for &L {
    type Held<'a>
        = L::Held<'a>
    where
        Self: 'a;

    fn hold(&self) -> Result<Self::Held<'_>, LockFailure> {
        (**self).hold()
    }
}

/// A cell behind a lock that was given: what Python's `Value` and `Array` are, whose lock is recursive unless one is
/// given, and may be shared by several of them.
///
/// Each operation takes that lock. With an [`RLock`] a thread that has it already takes it again, so that several
/// operations become one: Python's `with v.get_lock(): v.value += 1`, word for word. With a [`Lock`], which is not
/// recursive, it waits for itself, there as here. Who needs neither is better off with [`Value::update`], which takes one
/// lock instead of two.
///
/// It is a pair of two handles and nothing in shared memory; all who use the cell must pair it with the same lock. Who goes
/// past the lock ([`get_obj`](Self::get_obj)) still finds whole values: the cell has its own lock below.
///
/// # If a peer dies
///
/// while it has the lock, it passes on, and the cell is whole. What several operations were to do together may be
/// half-done: the guard of [`get_lock`](Self::get_lock) tells, while an operation here does not.
///
/// # Examples
///
/// ```
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// # use shmkit_sync::RLock;
/// # let participant = ModelJudge::new(1).remove(0);
/// # let mut memory = [0_u128; 64];
/// # let base = core::ptr::NonNull::from(&mut memory).cast();
/// # // SAFETY: the array outlives the region, and nobody else sees it.
/// # let region = unsafe { Region::from_raw_parts(base, 1024) };
/// # let (first, second) = (region.sub(0, 512)?, region.sub(512, 512)?);
/// use shmkit_cell::{Synchronized, Value};
///
/// # // SAFETY: the bytes are zero, and nobody else uses them.
/// # let (value, rlock) = unsafe {
/// #     (Value::<i32, _>::init(first, 5, &participant)?, RLock::init(second, (), &participant)?)
/// # };
/// let v = Synchronized::new(value, rlock);
/// {
///     let _held = v.get_lock().lock()?;
///     v.set(v.get()? + 1)?;
/// }
/// assert_eq!(v.get_obj().get()?, 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What is no lock is refused by the compiler:
///
/// ```compile_fail
/// fn unlocked(value: shmkit_cell::Value<i32>) {
///     let _ = shmkit_cell::Synchronized::new(value, "not a lock").get();
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Synchronized<C, L> {
    cell: C,
    lock: L,
}

impl<C, L: GivenLock> Synchronized<C, L> {
    /// Puts a lock before a cell.
    pub const fn new(cell: C, lock: L) -> Self {
        Self { cell, lock }
    }

    /// Returns the lock that was given.
    pub const fn get_lock(&self) -> &L {
        &self.lock
    }

    /// Returns the cell behind it, whose operations do not take that lock.
    pub const fn get_obj(&self) -> &C {
        &self.cell
    }

    /// Uses the cell under the lock.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if the lock cannot be taken; then `f` was not called.
    pub fn with<R>(&self, f: impl FnOnce(&C) -> R) -> Result<R, LockFailure> {
        let _held = self.lock.hold()?;
        Ok(f(&self.cell))
    }
}

impl<T: ShmSafe, K: Judge, L: GivenLock> Synchronized<Value<T, K>, L> {
    /// Returns a copy of the value.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if a lock cannot be taken.
    pub fn get(&self) -> Result<T, LockFailure> {
        self.with(Value::get)?
    }

    /// Stores a value.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if a lock cannot be taken; then nothing was stored.
    pub fn set(&self, value: T) -> Result<(), LockFailure> {
        self.with(|cell| cell.set(value))?
    }

    /// Changes the value: no other write comes in between.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if a lock cannot be taken; then `change` was not called.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R, LockFailure> {
        self.with(|cell| cell.update(change))?
    }

    /// Stores `new` if `current` is there, and returns what was there, as [`Value::compare_exchange`] does.
    ///
    /// # Errors
    ///
    /// [`LockFailure`] if a lock cannot be taken; the inner one is what is there, if it is not `current`.
    pub fn compare_exchange(&self, current: T, new: T) -> Result<Result<T, T>, LockFailure> {
        self.with(|cell| cell.compare_exchange(current, new))?
    }
}

impl<T: ShmSafe, K: Judge, L: GivenLock> Synchronized<Array<T, K>, L> {
    /// Returns a copy of an element.
    ///
    /// # Errors
    ///
    /// As [`Array::get`].
    pub fn get(&self, index: usize) -> Result<T, ArrayError> {
        self.with(|cell| cell.get(index))?
    }

    /// Stores one element.
    ///
    /// # Errors
    ///
    /// As [`Array::set`].
    pub fn set(&self, index: usize, value: T) -> Result<(), ArrayError> {
        self.with(|cell| cell.set(index, value))?
    }

    /// Changes one element: no other write comes in between.
    ///
    /// # Errors
    ///
    /// As [`Array::update`].
    pub fn update<R>(
        &self,
        index: usize,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, ArrayError> {
        self.with(|cell| cell.update(index, change))?
    }
}

impl<C: fmt::Debug, L: fmt::Debug> fmt::Debug for Synchronized<C, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Synchronized").field("cell", &self.cell).field("lock", &self.lock).finish()
    }
}
