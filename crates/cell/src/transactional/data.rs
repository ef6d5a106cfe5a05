//! What a transaction can be about: one value, or many of a type.

use core::ptr::NonNull;

use shmkit_layout::ShmSafe;

use crate::ArraySpec;

mod sealed {
    pub trait Sealed {}
    impl<T: shmkit_layout::ShmSafe> Sealed for T {}
    impl<T: shmkit_layout::ShmSafe> Sealed for [T] {}
}

/// The data of a [`Transactional`](crate::Transactional), and any part of them: a `T` or a `[T]` of plain values.
pub trait Data: sealed::Sealed + 'static {
    /// What they consist of.
    type Item: ShmSafe;
    /// What they are made from: a `T`, or an [`ArraySpec<T>`] for a `[T]`.
    type First;

    /// Whether there is exactly one item.
    #[doc(hidden)]
    const ONE: bool;

    /// How many items there are.
    #[doc(hidden)]
    fn count(&self) -> usize;

    /// How many items will be made.
    #[doc(hidden)]
    fn count_first(first: &Self::First) -> usize;

    /// What is to be copied to the place of the items, unless it is all zeros.
    #[doc(hidden)]
    fn items(first: &Self::First) -> Option<&[Self::Item]>;

    /// The address of the data from that of their first item and their number, which is 1 for a `T`.
    #[doc(hidden)]
    fn at(first: NonNull<Self::Item>, count: usize) -> NonNull<Self>;
}

impl<T: ShmSafe> Data for T {
    type Item = T;
    type First = T;
    const ONE: bool = true;

    fn count(&self) -> usize {
        1
    }

    fn count_first(_first: &T) -> usize {
        1
    }

    fn items(first: &T) -> Option<&[T]> {
        Some(core::slice::from_ref(first))
    }

    fn at(first: NonNull<T>, _count: usize) -> NonNull<T> {
        first
    }
}

impl<T: ShmSafe> Data for [T] {
    type Item = T;
    type First = ArraySpec<T>;
    const ONE: bool = false;

    fn count(&self) -> usize {
        self.len()
    }

    fn count_first(first: &ArraySpec<T>) -> usize {
        first.len()
    }

    fn items(first: &ArraySpec<T>) -> Option<&[T]> {
        match first {
            ArraySpec::Zeroed(_) => None,
            ArraySpec::Copy(values) => Some(values),
        }
    }

    fn at(first: NonNull<T>, count: usize) -> NonNull<[T]> {
        NonNull::slice_from_raw_parts(first, count)
    }
}
