//! What comes first.

use shmkit_layout::Kind;

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::NewestFirst {}
    impl Sealed for super::ByPriority {}
}

/// What comes first in an [`OrderedQueue`](crate::OrderedQueue): [`NewestFirst`] or [`ByPriority`].
pub trait Order: sealed::Sealed + Send + Sync + 'static {
    /// What is put and taken: a value, maybe with its priority.
    type Item<T>;

    #[doc(hidden)]
    const KIND: Kind;
    #[doc(hidden)]
    const NEWEST_FIRST: bool;

    #[doc(hidden)]
    fn split<T>(item: &Self::Item<T>) -> (i64, &T);
    #[doc(hidden)]
    fn join<T>(priority: i64, value: T) -> Self::Item<T>;
}

/// What was put last.
///
/// Closed: it is a name, and has no values.
#[derive(Clone, Copy, Debug)]
pub enum NewestFirst {}

impl Order for NewestFirst {
    type Item<T> = T;

    const KIND: Kind = Kind::new("lifo");
    const NEWEST_FIRST: bool = true;

    fn split<T>(item: &T) -> (i64, &T) {
        (0, item)
    }

    fn join<T>(_: i64, value: T) -> T {
        value
    }
}

/// What has the least priority, and of those what was put first.
///
/// Closed: as [`NewestFirst`].
#[derive(Clone, Copy, Debug)]
pub enum ByPriority {}

impl Order for ByPriority {
    type Item<T> = (i64, T);

    const KIND: Kind = Kind::new("priority");
    const NEWEST_FIRST: bool = false;

    fn split<T>(item: &(i64, T)) -> (i64, &T) {
        (item.0, &item.1)
    }

    fn join<T>(priority: i64, value: T) -> (i64, T) {
        (priority, value)
    }
}
