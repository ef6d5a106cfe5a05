//! A locked array.

use core::fmt;
use core::ops::{Deref, DerefMut, RangeBounds};

use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, Seat};
use shmkit_sync::{Guard, LockFailure};

use super::place::Place;
use super::{ArrayRangeGuard, Strided, StridedMut};
use crate::error::ArrayError;
use crate::held::Held;
use crate::raw::array::{CLEAN, PANICKED, WRITING};

/// A locked [`Array`](crate::Array): a slice of its elements, in place.
///
/// The first mutable use sets the mark of a bulk write, and the end of the guard takes it away; what is written in
/// between has no copy elsewhere. A panic that ends the guard leaves the array poisoned. In a forked child an inherited
/// guard releases nothing, and must not be used.
///
/// # If a peer dies
///
/// If *this* process is killed while the mark is set, the next one to come is told; if the guard was only read from,
/// or written with [`set`](Self::set), it is not.
#[must_use = "a guard that is dropped at once releases the lock at once"]
pub struct ArrayGuard<'a, T: ShmSafe, K: Judge = &'a Seat> {
    pub(super) place: Place<'a, T>,
    /// The mark that was found, and that stays until somebody answers for the elements.
    pub(super) mark: u32,
    /// The mark was set by this guard.
    pub(super) writing: bool,
    /// The thread was panicking already when it took the lock.
    pub(super) panicking: bool,
    /// Has the keeper; so it is dropped last.
    pub(super) held: Held<'a, K>,
}

/// An [`ArrayGuard`] that borrows nothing, of [`Array::lock_owned`](crate::Array::lock_owned).
pub type OwnedArrayGuard<T, K = Seat> = ArrayGuard<'static, T, K>;

impl<'a, T: ShmSafe, K: Judge> ArrayGuard<'a, T, K> {
    /// Stores one element, of which a killed writer leaves the old value or the new one, without the mark of a bulk
    /// write.
    ///
    /// # Errors
    ///
    /// [`ArrayError::OutOfRange`] if there is no such element; [`LockFailure::NotJoined`] in a forked child, which does
    /// not hold the lock. Then nothing was stored.
    pub fn set(&mut self, index: usize, value: T) -> Result<(), ArrayError> {
        self.place.in_range(index)?;
        self.held.check().map_err(|_| LockFailure::NotJoined)?;
        self.place.write(&self.held, index, value);
        Ok(())
    }

    /// Lends every `step`-th element of a range, from its first on, in place.
    ///
    /// # Errors
    ///
    /// [`ArrayError::NoSuchRange`] if the array does not have them all; [`ArrayError::ZeroStep`] if `step` is 0.
    pub fn strided(
        &self,
        range: impl RangeBounds<usize>,
        step: usize,
    ) -> Result<Strided<'_, T>, ArrayError> {
        let (start, count) = self.place.resolve(range)?;
        Strided::new(&self[start..][..count], step)
    }

    /// The same, to be written: a mutable use of the guard.
    ///
    /// # Errors
    ///
    /// As [`strided`](Self::strided).
    pub fn strided_mut(
        &mut self,
        range: impl RangeBounds<usize>,
        step: usize,
    ) -> Result<StridedMut<'_, T>, ArrayError> {
        let (start, count) = self.place.resolve(range)?;
        StridedMut::new(&mut self[start..][..count], step)
    }

    /// Makes it a guard of a range alone: of an owned one, an owned one.
    ///
    /// # Errors
    ///
    /// [`ArrayError::NoSuchRange`] if the array does not have it; then the lock is released.
    pub fn into_range(
        self,
        range: impl RangeBounds<usize>,
    ) -> Result<ArrayRangeGuard<'a, T, K>, ArrayError> {
        let (start, count) = self.place.resolve(range)?;
        Ok(ArrayRangeGuard::new(self, start, count))
    }

    /// Answers for the elements as they are now: the array is neither poisoned nor left by a dead owner any more.
    ///
    /// Does nothing in a forked child, which does not hold the lock.
    pub fn make_consistent(&mut self) {
        if self.held.check().is_ok() {
            self.place.raw.mark(CLEAN);
            self.mark = CLEAN;
            self.writing = false;
        }
    }
}

impl<T: ShmSafe, K: Judge> Deref for ArrayGuard<'_, T, K> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.place.elements(&self.held)
    }
}

impl<T: ShmSafe, K: Judge> DerefMut for ArrayGuard<'_, T, K> {
    /// # Panics
    ///
    /// At the first mutable use, in a forked child, which inherited the guard but not the lock.
    fn deref_mut(&mut self) -> &mut [T] {
        if !self.writing {
            assert!(
                self.held.check().is_ok(),
                "a guard was used by a process that does not hold the array's lock: lock it after the fork"
            );
            self.place.raw.mark(WRITING);
            self.writing = true;
        }
        self.place.elements_mut(&self.held)
    }
}

impl<T: ShmSafe, K: Judge> Guard for ArrayGuard<'_, T, K> {}

impl<T: ShmSafe, K: Judge> Drop for ArrayGuard<'_, T, K> {
    fn drop(&mut self) {
        if !self.writing || self.held.check().is_err() {
            return;
        }
        let panicked = std::thread::panicking() && !self.panicking;
        let mark = if self.mark == CLEAN && panicked { PANICKED } else { self.mark };
        self.place.raw.mark(mark);
    }
}

impl<T: ShmSafe + fmt::Debug, K: Judge> fmt::Debug for ArrayGuard<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_tuple("ArrayGuard");
        if self.held.check().is_ok() {
            debug.field(&&**self);
        }
        debug.finish()
    }
}
