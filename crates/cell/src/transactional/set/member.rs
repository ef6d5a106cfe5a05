//! A handle to a member of a set.

use core::fmt;
use core::marker::PhantomData;

use crate::Data;

/// A value or an array of a [`TransactionalSet`](crate::TransactionalSet): where it lies there.
///
/// It is a number and borrows nothing; what it leads to is used in that set's transactions and reads only, of this process.
pub struct Member<D: ?Sized> {
    /// Of which set, by its address in this process.
    pub(super) set: usize,
    /// Where it lies, in bytes of the set's data: inside of them, and aligned for the items.
    pub(super) at: u64,
    /// How many items it has; they lie there.
    pub(super) count: usize,
    pub(super) data: PhantomData<fn(&D)>,
}

impl<D: ?Sized> Clone for Member<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D: ?Sized> Copy for Member<D> {}

impl<D: Data + ?Sized> Member<D> {
    /// Returns how many items it has: 1, unless it is a `[T]`.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns whether it has none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<D: ?Sized> fmt::Debug for Member<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("at", &self.at).field("count", &self.count).finish()
    }
}
