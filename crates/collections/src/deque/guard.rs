//! A deque whose lock is held.

use core::fmt;
use core::iter::Chain;
use core::marker::PhantomData;
use core::slice;

use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, Seat};

use crate::SeqError;
use crate::seq::{Held, typed, typed_mut};

/// A [`ShmDeque`](crate::ShmDeque) whose lock is held. Dropped, it releases the lock.
///
/// Each change happens at one store. In a forked child it is nobody's: its drop does nothing there, and the child must not
/// use it.
#[must_use = "dropping the guard releases the lock"]
pub struct DequeGuard<'a, T: ShmSafe, K: Judge = Seat> {
    held: Held<'a, K>,
    elements: PhantomData<T>,
}

/// The elements of a deque, from the front to the back.
type Iter<'g, T> = Chain<slice::Iter<'g, T>, slice::Iter<'g, T>>;

impl<'a, T: ShmSafe, K: Judge> DequeGuard<'a, T, K> {
    pub(super) fn new(held: Held<'a, K>) -> Self {
        Self { held, elements: PhantomData }
    }

    /// Puts an element at the back; where there may be no more, the one at the front goes.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room.
    pub fn push_back(&mut self, value: T) -> Result<(), SeqError> {
        self.held.push_back(bytemuck::bytes_of(&value))
    }

    /// Puts an element at the front; where there may be no more, the one at the back goes.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room.
    pub fn push_front(&mut self, value: T) -> Result<(), SeqError> {
        self.held.push_front(bytemuck::bytes_of(&value))
    }

    /// Takes the element at the back out.
    pub fn pop_back(&mut self) -> Option<T> {
        let value = self.back().copied()?;
        self.held.keep(0, self.len() - 1);
        Some(value)
    }

    /// Takes the element at the front out.
    pub fn pop_front(&mut self) -> Option<T> {
        let value = self.front().copied()?;
        self.held.keep(1, self.len() - 1);
        Some(value)
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
    /// [`SeqError`]; `NoSuchRange` if the index is above the length, `Bounded` if there may be no more, `Full` if there is no
    /// room for a copy of all.
    pub fn insert(&mut self, index: usize, value: T) -> Result<(), SeqError> {
        if let Some(most) = self.held.bound().filter(|most| *most <= self.len()) {
            return Err(SeqError::Bounded { most });
        }
        self.held.splice(index..index, bytemuck::bytes_of(&value))
    }

    /// Takes an element out.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `OutOfRange` if there is no such one, `Full` if there is no room for a copy of all.
    pub fn remove(&mut self, index: usize) -> Result<T, SeqError> {
        let value = self.element(index)?;
        self.held.splice(index..index + 1, &[])?;
        Ok(value)
    }

    /// Puts elements at the back: all at once, or none. Where there may be no more, as many go from the front.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room.
    pub fn extend_from_slice(&mut self, values: &[T]) -> Result<(), SeqError> {
        self.held.extend(bytemuck::cast_slice(values))
    }

    /// Leaves the first `len` elements.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
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

    /// Changes all elements at once: `change` works on a copy, which takes their place when it returns. So they are sorted, or
    /// rotated.
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

    /// Returns how many elements there are.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many elements there is room for before a larger block is needed.
    pub fn capacity(&self) -> usize {
        self.held.capacity()
    }

    /// Returns an element, counted from the front.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.held.get(index).map(bytemuck::from_bytes)
    }

    /// Returns the element at the front.
    pub fn front(&self) -> Option<&T> {
        self.get(0)
    }

    /// Returns the element at the back.
    pub fn back(&self) -> Option<&T> {
        self.get(self.len().checked_sub(1)?)
    }

    /// Returns all elements, in two slices one behind the other.
    pub fn as_slices(&self) -> (&[T], &[T]) {
        let [first, second] = self.held.halves();
        (typed(first), typed(second))
    }

    /// Goes through the elements from the front to the back.
    pub fn iter(&self) -> Iter<'_, T> {
        let (first, second) = self.as_slices();
        first.iter().chain(second)
    }

    /// Returns a copy of all elements, from the front to the back.
    pub fn to_vec(&self) -> Vec<T> {
        let (first, second) = self.as_slices();
        [first, second].concat()
    }

    fn element(&self, index: usize) -> Result<T, SeqError> {
        let len = self.len();
        self.get(index).copied().ok_or(SeqError::OutOfRange { index, len })
    }
}

impl<'g, T: ShmSafe, K: Judge> IntoIterator for &'g DequeGuard<'_, T, K> {
    type Item = &'g T;
    type IntoIter = Iter<'g, T>;

    fn into_iter(self) -> Iter<'g, T> {
        self.iter()
    }
}

impl<T: ShmSafe + fmt::Debug, K: Judge> fmt::Debug for DequeGuard<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}
