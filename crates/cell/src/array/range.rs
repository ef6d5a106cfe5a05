//! A range of a locked array.

use core::fmt;
use core::ops::{Deref, DerefMut, RangeBounds};

use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, Seat};
use shmkit_sync::{Guard, Patience};

use super::{Array, ArrayGuard};
use crate::error::{ArrayError, OutOfRange};

/// A range of a locked [`Array`], in place: a slice of its elements, counted from the first one of the range on.
///
/// It is an [`ArrayGuard`] that shows no other elements. The lock is the array's, so that there is one such guard at a time;
/// and who dies while it writes leaves a mark for the whole array, as with that one.
#[must_use = "a guard that is dropped at once releases the lock at once"]
pub struct ArrayRangeGuard<'a, T: ShmSafe, K: Judge = &'a Seat> {
    /// The first one's number in the array. So many lie there, `count` of them.
    start: usize,
    count: usize,
    guard: ArrayGuard<'a, T, K>,
}

impl<T: ShmSafe, K: Judge> Array<T, K> {
    /// Takes the lock, and returns a guard that is a slice of the elements of a range in place.
    ///
    /// # Errors
    ///
    /// [`ArrayError::NoSuchRange`] if the array does not have them all; otherwise see [`ArrayError`]. Who finds
    /// [`OwnerDied`](ArrayError::OwnerDied) or [`Poisoned`](ArrayError::Poisoned) has to repair the whole array:
    /// [`lock`](Self::lock).
    pub fn lock_range(
        &self,
        range: impl RangeBounds<usize>,
    ) -> Result<ArrayRangeGuard<'_, T, &K>, ArrayError> {
        self.lock_range_by(Some(Patience::ENDLESS), range)
    }
}

impl<'a, T: ShmSafe, K: Judge> ArrayRangeGuard<'a, T, K> {
    /// Of elements that are there.
    pub(super) fn new(guard: ArrayGuard<'a, T, K>, start: usize, count: usize) -> Self {
        Self { start, count, guard }
    }

    /// Stores one element of the range, as [`ArrayGuard::set`] does: without the mark of a bulk write.
    ///
    /// # Errors
    ///
    /// As there; the numbers in the error are the range's.
    pub fn set(&mut self, index: usize, value: T) -> Result<(), ArrayError> {
        if index >= self.count {
            return Err(OutOfRange { index, len: self.count }.into());
        }
        self.guard.set(self.start + index, value)
    }

    /// Makes it a guard of the whole array.
    pub fn into_whole(self) -> ArrayGuard<'a, T, K> {
        self.guard
    }
}

impl<T: ShmSafe, K: Judge> Deref for ArrayRangeGuard<'_, T, K> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.guard[self.start..][..self.count]
    }
}

impl<T: ShmSafe, K: Judge> DerefMut for ArrayRangeGuard<'_, T, K> {
    /// # Panics
    ///
    /// At the first mutable use, in a forked child, which inherited the guard but not the lock.
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.guard[self.start..][..self.count]
    }
}

impl<T: ShmSafe, K: Judge> Guard for ArrayRangeGuard<'_, T, K> {}

impl<T: ShmSafe + fmt::Debug, K: Judge> fmt::Debug for ArrayRangeGuard<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrayRangeGuard")
            .field("start", &self.start)
            .field("count", &self.count)
            .field("guard", &self.guard)
            .finish()
    }
}
