//! A part of an array, which one process changes while others change other parts.

use core::fmt;
use core::ops::{Range, RangeBounds};

use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, Seat};

use super::Array;
use crate::error::ArrayError;

/// A part of an [`Array`], to be changed beside other parts: what many processes that share the work are given, each its own.
///
/// A slice in place would take the array's lock for as long as its holder works. A part is changed in a
/// [copy](Self::update), and written back: the lock is held for the two copies alone, and who is killed while it works has
/// changed nothing.
#[derive(Clone)]
pub struct ArrayPart<T, K = Seat> {
    array: Array<T, K>,
    start: usize,
    count: usize,
}

impl<T: ShmSafe, K: Judge + Clone> Array<T, K> {
    /// Returns a part of it, by its elements' numbers.
    ///
    /// # Errors
    ///
    /// [`ArrayError::NoSuchRange`] if the array does not have them all.
    pub fn part(&self, range: impl RangeBounds<usize>) -> Result<ArrayPart<T, K>, ArrayError> {
        let (start, count) = self.place.resolve(range)?;
        Ok(ArrayPart { array: self.clone(), start, count })
    }

    /// Cuts it into so many parts, or as many as there are elements: of the same length, but for one element.
    pub fn parts(&self, most: usize) -> impl ExactSizeIterator<Item = ArrayPart<T, K>> {
        let (len, parts) = (self.len(), most.min(self.len()));
        // The same as `n * len / parts`, which may not fit.
        let (each, longer) =
            (len.checked_div(parts).unwrap_or(0), len.checked_rem(parts).unwrap_or(0));
        let start = move |n: usize| n * each + n.min(longer);
        (0..parts).map(move |n| {
            let (start, end) = (start(n), start(n + 1));
            ArrayPart { array: self.clone(), start, count: end - start }
        })
    }
}

impl<T: ShmSafe, K: Judge> ArrayPart<T, K> {
    /// Returns which elements of the array they are.
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.count
    }

    /// Returns how many elements there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the array.
    pub fn array(&self) -> &Array<T, K> {
        &self.array
    }

    /// Returns a copy of the elements.
    ///
    /// # Errors
    ///
    /// See [`ArrayError`].
    pub fn to_vec(&self) -> Result<Vec<T>, ArrayError> {
        self.array.read_range(self.range())
    }

    /// Copies the elements, has the copy be changed, and writes that back, as one bulk write. The lock is not held meanwhile:
    /// others change other parts, and whoever changes this one beside is overwritten.
    ///
    /// # Errors
    ///
    /// See [`ArrayError`]. Then nothing was written.
    ///
    /// # If a peer dies
    ///
    /// This process, while it changes the copy: the elements are as before. While it writes back:
    /// [`OwnerDied`](ArrayError::OwnerDied) to everybody, until somebody has repaired the array.
    pub fn update<R>(&self, change: impl FnOnce(&mut [T]) -> R) -> Result<R, ArrayError> {
        let mut elements = self.to_vec()?;
        let result = change(&mut elements);
        self.array.write_range(self.range(), &elements)?;
        Ok(result)
    }
}

impl<T, K> fmt::Debug for ArrayPart<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrayPart")
            .field("range", &(self.start..self.start + self.count))
            .field("of", &self.array.len())
            .finish()
    }
}

#[cfg(feature = "serde")]
mod travel {
    use shmkit_roster::travel::serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use super::*;

    /// As its array, which comes with it.
    impl<T: ShmSafe> Serialize for ArrayPart<T> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            (&self.array, self.start, self.count).serialize(to)
        }
    }

    impl<'de, T: ShmSafe> Deserialize<'de> for ArrayPart<T> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            let (array, start, count) = <(Array<T>, usize, usize)>::deserialize(from)?;
            // What has come is an input.
            array.part(start..start.saturating_add(count)).map_err(de::Error::custom)
        }
    }
}
