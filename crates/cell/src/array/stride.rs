//! Every so many elements, in place.

use core::iter::StepBy;
use core::ops::{Index, IndexMut};
use core::slice;

use crate::error::ArrayError;

/// Refuses a step of which no element would be the second.
pub(super) fn not_zero(step: usize) -> Result<(), ArrayError> {
    if step == 0 { Err(ArrayError::ZeroStep) } else { Ok(()) }
}

/// Every so many elements of a locked [`Array`](crate::Array), lent by [`ArrayGuard::strided`](crate::ArrayGuard::strided):
/// Python's `a[2:9:3]`, without a copy.
#[derive(Clone, Copy, Debug)]
pub struct Strided<'a, T> {
    /// From the first one on.
    elements: &'a [T],
    /// At least 1.
    step: usize,
}

impl<'a, T> Strided<'a, T> {
    pub(super) fn new(elements: &'a [T], step: usize) -> Result<Self, ArrayError> {
        not_zero(step)?;
        Ok(Self { elements, step })
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.elements.len().div_ceil(self.step)
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Returns the one of this number, counted in steps.
    pub fn get(&self, index: usize) -> Option<&'a T> {
        self.elements.get(index.checked_mul(self.step)?)
    }

    /// Goes through them.
    pub fn iter(&self) -> StepBy<slice::Iter<'a, T>> {
        self.elements.iter().step_by(self.step)
    }
}

impl<'a, T> IntoIterator for Strided<'a, T> {
    type Item = &'a T;
    type IntoIter = StepBy<slice::Iter<'a, T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> Index<usize> for Strided<'_, T> {
    type Output = T;

    /// # Panics
    ///
    /// If there is none of this number.
    fn index(&self, index: usize) -> &T {
        self.get(index).unwrap_or_else(|| none_there(index, self.len()))
    }
}

/// The same to be written: [`ArrayGuard::strided_mut`](crate::ArrayGuard::strided_mut).
#[derive(Debug)]
pub struct StridedMut<'a, T> {
    elements: &'a mut [T],
    /// At least 1.
    step: usize,
}

impl<'a, T> StridedMut<'a, T> {
    pub(super) fn new(elements: &'a mut [T], step: usize) -> Result<Self, ArrayError> {
        not_zero(step)?;
        Ok(Self { elements, step })
    }

    /// Lends them to be looked at.
    pub fn as_view(&self) -> Strided<'_, T> {
        Strided { elements: self.elements, step: self.step }
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.as_view().len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Returns the one of this number, counted in steps.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.elements.get_mut(index.checked_mul(self.step)?)
    }

    /// Goes through them.
    pub fn iter_mut(&mut self) -> StepBy<slice::IterMut<'_, T>> {
        self.elements.iter_mut().step_by(self.step)
    }
}

impl<'a, T> IntoIterator for StridedMut<'a, T> {
    type Item = &'a mut T;
    type IntoIter = StepBy<slice::IterMut<'a, T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.elements.iter_mut().step_by(self.step)
    }
}

impl<T> Index<usize> for StridedMut<'_, T> {
    type Output = T;

    /// # Panics
    ///
    /// If there is none of this number.
    fn index(&self, index: usize) -> &T {
        self.as_view().get(index).unwrap_or_else(|| none_there(index, self.len()))
    }
}

impl<T> IndexMut<usize> for StridedMut<'_, T> {
    /// # Panics
    ///
    /// If there is none of this number.
    fn index_mut(&mut self, index: usize) -> &mut T {
        let len = self.len();
        self.get_mut(index).unwrap_or_else(|| none_there(index, len))
    }
}

#[cold]
fn none_there(index: usize, len: usize) -> ! {
    panic!("index {index} is out of range for a view of {len} elements")
}
