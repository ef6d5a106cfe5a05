//! Places of a pipe that are written or read where they are.

use core::fmt;
use core::iter::FusedIterator;

use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, Seat};

use crate::places::Places;
use crate::{PipeError, RawEnd};

/// What a forked child is told that uses a loan of its parent.
pub(crate) const NOT_OURS: &str =
    "a loan was used by a process that does not have the pipe's end: claim it after the fork";

/// Free places of a pipe, lent to its sender by [`Sender::reserve`](crate::Sender::reserve).
///
/// Dropped without [`commit`](Self::commit), nothing was sent. The places are this process's alone; a child that is forked
/// meanwhile must not write to its copy of the loan, and cannot commit it.
#[must_use = "nothing is sent without `commit`"]
pub struct Slots<'s, T, K = Seat> {
    end: &'s mut RawEnd<'static, true>,
    places: Places<'s, T>,
    keeper: &'s K,
    /// At most what is ready.
    len: usize,
}

impl<'s, T: ShmSafe, K: Judge> Slots<'s, T, K> {
    pub(crate) fn new(
        end: &'s mut RawEnd<'static, true>,
        places: Places<'s, T>,
        keeper: &'s K,
        len: usize,
    ) -> Self {
        assert!(len as u64 <= end.ready(), "lent more places than are free");
        Self { end, places, keeper, len }
    }

    /// Returns how many places there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes the value of the place `at`.
    ///
    /// # Panics
    ///
    /// If `at` is not less than the length; and in a forked child, which inherited the loan but not the end.
    #[inline]
    pub fn write(&mut self, at: usize, value: T) {
        assert!(self.end.check(self.keeper).is_ok(), "{NOT_OURS}");
        assert!(at < self.len, "place {at} of {} was written", self.len);
        // SAFETY: `at < len <= ready` (above and `new`): the place is free, and free places are the sender's alone.
        unsafe { self.places.write(self.end.index() + at as u64, value) };
    }

    /// Borrows the places, to the end of the ring and from its beginning. They hold old values.
    ///
    /// # Panics
    ///
    /// In a forked child, which inherited the loan but not the end.
    pub fn as_mut_slices(&mut self) -> (&mut [T], &mut [T]) {
        assert!(self.end.check(self.keeper).is_ok(), "{NOT_OURS}");
        // SAFETY: `len <= ready <= count` places from our index on are free (`new`) and the sender's alone, of which
        // this is the only loan (`&mut`).
        unsafe { self.places.borrow_mut(self.end.index(), self.len) }
    }

    /// Writes the values of `values` to the places, as many as there are of both, and sends them all at once; returns how
    /// many.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    ///
    /// # Panics
    ///
    /// In a forked child, which inherited the loan but not the end.
    pub fn fill(mut self, values: impl IntoIterator<Item = T>) -> Result<usize, PipeError> {
        let (near, far) = self.as_mut_slices();
        let places = near.iter_mut().chain(far);
        let filled = places.zip(values).map(|(place, value)| *place = value).count();
        self.commit(filled)?;
        Ok(filled)
    }

    /// Sends the first `count` of the places, all at once, and gives the others back.
    ///
    /// # Errors
    ///
    /// [`PipeError::NotJoined`] or [`PipeError::NotMine`] in a forked child, and if the end was taken over.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub fn commit(self, count: usize) -> Result<(), PipeError> {
        assert!(count <= self.len, "{count} of {} places were sent", self.len);
        self.end.check(self.keeper)?;
        if count != 0 {
            self.end.publish(count as u64);
        }
        Ok(())
    }
}

impl<T, K> fmt::Debug for Slots<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Items of a pipe, lent to its receiver by [`Receiver::peek`](crate::Receiver::peek).
///
/// Dropped without [`release`](Self::release), they are still to be received.
#[must_use = "nothing is received without `release`"]
pub struct Items<'s, T, K = Seat> {
    end: &'s mut RawEnd<'static, false>,
    places: Places<'s, T>,
    keeper: &'s K,
    /// At most what is ready.
    len: usize,
}

impl<'s, T: ShmSafe, K: Judge> Items<'s, T, K> {
    pub(crate) fn new(
        end: &'s mut RawEnd<'static, false>,
        places: Places<'s, T>,
        keeper: &'s K,
        len: usize,
    ) -> Self {
        assert!(len as u64 <= end.ready(), "lent more items than there are");
        Self { end, places, keeper, len }
    }

    /// Returns how many items there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Borrows the items, to the end of the ring and from its beginning.
    ///
    /// # Panics
    ///
    /// In a forked child, which inherited the loan but not the end.
    pub fn as_slices(&self) -> (&[T], &[T]) {
        assert!(self.end.check(self.keeper).is_ok(), "{NOT_OURS}");
        // SAFETY: `len <= ready <= count` items lie from our index on (`new`), and the sender does not write to them
        // before we release them, which ends this borrow.
        unsafe { self.places.borrow(self.end.index(), self.len) }
    }

    /// Returns copies of the items, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        let (near, far) = self.as_slices();
        near.iter().chain(far).copied()
    }

    /// Releases the first `count` of the items: they are received.
    ///
    /// # Errors
    ///
    /// [`PipeError::NotJoined`] or [`PipeError::NotMine`] in a forked child, and if the end was taken over.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub fn release(self, count: usize) -> Result<(), PipeError> {
        assert!(count <= self.len, "{count} of {} items were released", self.len);
        self.end.check(self.keeper)?;
        if count != 0 {
            self.end.publish(count as u64);
        }
        Ok(())
    }
}

impl<'s, T: ShmSafe, K: Judge> IntoIterator for Items<'s, T, K> {
    type Item = T;
    type IntoIter = IntoItems<'s, T, K>;

    /// Receives the items one after the other. Those that were taken are released when the iterator is dropped.
    fn into_iter(self) -> IntoItems<'s, T, K> {
        IntoItems { items: self, taken: 0 }
    }
}

impl<T, K> fmt::Debug for Items<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("len", &self.len).finish_non_exhaustive()
    }
}

/// The items of a loan, received as they are taken: made by [`Items::into_iter`].
///
/// Dropped, it releases those that were taken; killed before, a successor gets them again.
pub struct IntoItems<'s, T: ShmSafe, K: Judge = Seat> {
    items: Items<'s, T, K>,
    /// At most the length of the loan.
    taken: usize,
}

impl<T: ShmSafe, K: Judge> Iterator for IntoItems<'_, T, K> {
    type Item = T;

    /// # Panics
    ///
    /// In a forked child, which inherited the loan but not the end.
    fn next(&mut self) -> Option<T> {
        let (near, far) = self.items.as_slices();
        let value = near.get(self.taken).or_else(|| far.get(self.taken - near.len())).copied()?;
        self.taken += 1;
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.items.len() - self.taken;
        (left, Some(left))
    }
}

impl<T: ShmSafe, K: Judge> ExactSizeIterator for IntoItems<'_, T, K> {}
impl<T: ShmSafe, K: Judge> FusedIterator for IntoItems<'_, T, K> {}

impl<T: ShmSafe, K: Judge> Drop for IntoItems<'_, T, K> {
    fn drop(&mut self) {
        if self.taken > 0 && self.items.end.check(self.items.keeper).is_ok() {
            self.items.end.publish(self.taken as u64);
        }
    }
}

impl<T: ShmSafe, K: Judge> fmt::Debug for IntoItems<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoItems").field("left", &self.len()).finish_non_exhaustive()
    }
}
