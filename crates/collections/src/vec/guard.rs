//! A vector whose lock is held.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, RangeBounds};

use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, Seat};

use crate::SeqError;
use crate::seq::{Held, range_of, typed, typed_mut};

/// A [`ShmVec`](crate::ShmVec) whose lock is held: a slice of its elements, and what changes them. Dropped, it releases the
/// lock.
///
/// Each change happens at one store. In a forked child it is nobody's: its drop does nothing there, and the child must not
/// use it.
#[must_use = "dropping the guard releases the lock"]
pub struct VecGuard<'a, T: ShmSafe, K: Judge = Seat> {
    held: Held<'a, K>,
    elements: PhantomData<T>,
}

impl<'a, T: ShmSafe, K: Judge> VecGuard<'a, T, K> {
    pub(super) fn new(held: Held<'a, K>) -> Self {
        Self { held, elements: PhantomData }
    }

    /// Puts an element at the end.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room.
    pub fn push(&mut self, value: T) -> Result<(), SeqError> {
        self.held.push_back(bytemuck::bytes_of(&value))
    }

    /// Takes the last element out.
    pub fn pop(&mut self) -> Option<T> {
        let last = self.last().copied()?;
        self.held.keep(0, self.held.len() - 1);
        Some(last)
    }

    /// Stores an element, and returns the one before.
    ///
    /// # Errors
    ///
    /// [`SeqError::OutOfRange`] if there is no such one.
    pub fn set(&mut self, index: usize, value: T) -> Result<T, SeqError> {
        let before = self.element(index)?;
        self.held.set(index, bytemuck::bytes_of(&value))?;
        Ok(before)
    }

    /// Changes an element: `change` works on a copy, which takes its place when it returns.
    ///
    /// # Errors
    ///
    /// [`SeqError::OutOfRange`] if there is no such one.
    pub fn update<R>(
        &mut self,
        index: usize,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, SeqError> {
        self.held.update(index, |bytes| change(bytemuck::from_bytes_mut(bytes)))
    }

    /// Puts an element before the one of this index.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `NoSuchRange` if the index is above the length, `Full` if there is no room for a copy of all.
    pub fn insert(&mut self, index: usize, value: T) -> Result<(), SeqError> {
        self.held.splice(index..index, bytemuck::bytes_of(&value))
    }

    /// Takes an element out; those behind it move up.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `OutOfRange` if there is no such one, `Full` if there is no room for a copy of all.
    pub fn remove(&mut self, index: usize) -> Result<T, SeqError> {
        let value = self.element(index)?;
        self.held.splice(index..index + 1, &[])?;
        Ok(value)
    }

    /// Takes an element out, whose place the last one gets.
    ///
    /// # Errors
    ///
    /// [`SeqError::OutOfRange`] if there is no such one.
    pub fn swap_remove(&mut self, index: usize) -> Result<T, SeqError> {
        let value = self.element(index)?;
        self.held.swap_remove(index)?;
        Ok(value)
    }

    /// Puts elements at the end: all at once, or none.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room.
    pub fn extend_from_slice(&mut self, values: &[T]) -> Result<(), SeqError> {
        self.held.extend(bytemuck::cast_slice(values))
    }

    /// Puts other elements in the place of some, all at once.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `NoSuchRange`, or `Full` if there is no room for a copy of all.
    pub fn splice(&mut self, range: impl RangeBounds<usize>, with: &[T]) -> Result<(), SeqError> {
        let range = range_of(&range, self.held.len());
        self.held.splice(range, bytemuck::cast_slice(with))
    }

    /// Leaves the first `len` elements.
    pub fn truncate(&mut self, len: usize) {
        if len < self.held.len() {
            self.held.keep(0, len);
        }
    }

    /// Takes all elements out, and keeps their block for those to come.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Takes out, all at once, the elements of which `keep` says no.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room for a copy of all.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) -> Result<(), SeqError> {
        self.held.retain(keep)
    }

    /// Changes all elements at once: `change` works on a copy, which takes their place when it returns. So they are sorted.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room for a copy of all.
    pub fn update_all<R>(&mut self, change: impl FnOnce(&mut [T]) -> R) -> Result<R, SeqError> {
        self.held.rewrite(|bytes| {
            let all = typed_mut(bytes);
            (all.len(), change(all))
        })
    }

    /// Makes room for so many more elements.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room.
    pub fn reserve(&mut self, more: usize) -> Result<(), SeqError> {
        self.held.reserve(more)
    }

    /// Gives the memory back that no element needs.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room for a copy of all.
    pub fn shrink_to_fit(&mut self) -> Result<(), SeqError> {
        self.held.shrink()
    }

    /// Returns how many elements there is room for before a larger block is needed.
    pub fn capacity(&self) -> usize {
        self.held.capacity()
    }

    fn element(&self, index: usize) -> Result<T, SeqError> {
        let len = self.held.len();
        self.get(index).copied().ok_or(SeqError::OutOfRange { index, len })
    }
}

impl<T: ShmSafe, K: Judge> Deref for VecGuard<'_, T, K> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // The first one is in the first place, and aligned, as is checked when the lock is taken.
        typed(self.held.halves()[0])
    }
}

impl<'g, T: ShmSafe, K: Judge> IntoIterator for &'g VecGuard<'_, T, K> {
    type Item = &'g T;
    type IntoIter = core::slice::Iter<'g, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: ShmSafe + fmt::Debug, K: Judge> fmt::Debug for VecGuard<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
