//! The numbers that a machine can change in one step.

use core::fmt::Debug;

use shmkit_atomic::Ordering::{AcqRel, Acquire, Release};
use shmkit_atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16, AtomicU32,
    AtomicU64, AtomicUsize,
};
use shmkit_layout::{Shared, ShmChecked, ShmSafe, TypeTag};

/// What lives in a word of the machine: `u8` to `u64`, `i8` to `i64`, `usize` and `isize`, `f32` and `f64`, and `bool`.
///
/// Only these types have it. Each is as wide as Rust's own. `usize` is as wide as the machine's addresses, and another type
/// than the number of that width: processes of two widths do not find each other's. A `bool` takes a byte, in which 0 is
/// false and whatever else a wrong peer may have put there is true.
///
/// The methods are those of [`Atomic`](super::Atomic), on the word itself.
pub trait AtomicWord: Copy + Send + Sync + 'static + Debug + PartialOrd + sealed::Sealed {
    /// The machine's atomic of this width.
    type Cell: Shared;

    /// Names the type to other processes; the same as [`ShmSafe::TAG`] of who has that.
    const WORD: TypeTag;

    /// Reads.
    fn load(cell: &Self::Cell) -> Self;
    /// Writes.
    fn store(cell: &Self::Cell, value: Self);
    /// Writes, and returns what was there.
    fn swap(cell: &Self::Cell, value: Self) -> Self;
    /// Writes if what is there has the bits of `current`, and returns what was there.
    ///
    /// # Errors
    ///
    /// What is there, if it differs.
    fn compare_exchange(cell: &Self::Cell, current: Self, new: Self) -> Result<Self, Self>;
}

/// A number that can be added to in one step. The methods return what was there before.
pub trait AtomicNumber: AtomicWord {
    /// Adds.
    fn fetch_add(cell: &Self::Cell, n: Self) -> Self;
    /// Subtracts.
    fn fetch_sub(cell: &Self::Cell, n: Self) -> Self;
    /// Leaves the lesser of two numbers.
    fn fetch_min(cell: &Self::Cell, n: Self) -> Self;
    /// Leaves the greater of two numbers.
    fn fetch_max(cell: &Self::Cell, n: Self) -> Self;
}

/// A whole number, whose bits can be changed in one step. The methods return what was there before.
pub trait AtomicInteger: AtomicNumber {
    /// Bitwise and.
    fn fetch_and(cell: &Self::Cell, bits: Self) -> Self;
    /// Bitwise or.
    fn fetch_or(cell: &Self::Cell, bits: Self) -> Self;
    /// Bitwise exclusive or.
    fn fetch_xor(cell: &Self::Cell, bits: Self) -> Self;
}

mod sealed {
    /// Keeps the set of types closed.
    pub trait Sealed {}
}

macro_rules! integers {
    ($($integer:ident $atomic:ident)*) => {$(
        impl sealed::Sealed for $integer {}

        impl AtomicWord for $integer {
            type Cell = $atomic;
            const WORD: TypeTag = <$integer as ShmSafe>::TAG;

            #[inline]
            fn load(cell: &$atomic) -> Self {
                // Acquire: pairs with the Release of every write, so that who sees a number sees what was done before it.
                cell.load(Acquire)
            }

            #[inline]
            fn store(cell: &$atomic, value: Self) {
                // Release: pairs with the Acquire of every read, as in `load`.
                cell.store(value, Release);
            }

            #[inline]
            fn swap(cell: &$atomic, value: Self) -> Self {
                // AcqRel: reads as `load` and writes as `store` of the others do, and pairs with them.
                cell.swap(value, AcqRel)
            }

            #[inline]
            fn compare_exchange(cell: &$atomic, current: Self, new: Self) -> Result<Self, Self> {
                // AcqRel: as in `swap`; Acquire: a failed exchange has read, as `load` does.
                cell.compare_exchange(current, new, AcqRel, Acquire)
            }
        }

        impl AtomicNumber for $integer {
            integers!(method $atomic: fetch_add fetch_sub fetch_min fetch_max);
        }

        impl AtomicInteger for $integer {
            integers!(method $atomic: fetch_and fetch_or fetch_xor);
        }
    )*};
    (method $atomic:ident: $($method:ident)*) => {$(
        #[inline]
        fn $method(cell: &$atomic, n: Self) -> Self {
            // AcqRel: reads as `load` and writes as `store` of the others do, and pairs with them.
            cell.$method(n, AcqRel)
        }
    )*};
}

integers!(u8 AtomicU8 u16 AtomicU16 u32 AtomicU32 u64 AtomicU64);
integers!(i8 AtomicI8 i16 AtomicI16 i32 AtomicI32 i64 AtomicI64);
integers!(usize AtomicUsize isize AtomicIsize);

macro_rules! floats {
    ($($float:ident $atomic:ident)*) => {$(
        impl sealed::Sealed for $float {}

        impl AtomicWord for $float {
            type Cell = $atomic;
            const WORD: TypeTag = <$float as ShmSafe>::TAG;

            #[inline]
            fn load(cell: &$atomic) -> Self {
                // Acquire: pairs with the Release of every write, so that who sees a number sees what was done before it.
                Self::from_bits(cell.load(Acquire))
            }

            #[inline]
            fn store(cell: &$atomic, value: Self) {
                // Release: pairs with the Acquire of every read, as in `load`.
                cell.store(value.to_bits(), Release);
            }

            #[inline]
            fn swap(cell: &$atomic, value: Self) -> Self {
                // AcqRel: reads as `load` and writes as `store` of the others do, and pairs with them.
                Self::from_bits(cell.swap(value.to_bits(), AcqRel))
            }

            #[inline]
            fn compare_exchange(cell: &$atomic, current: Self, new: Self) -> Result<Self, Self> {
                // AcqRel: as in `swap`; Acquire: a failed exchange has read, as `load` does.
                cell.compare_exchange(current.to_bits(), new.to_bits(), AcqRel, Acquire)
                    .map(Self::from_bits)
                    .map_err(Self::from_bits)
            }
        }

        impl AtomicNumber for $float {
            fn fetch_add(cell: &$atomic, n: Self) -> Self {
                change::<Self>(cell, |old| old + n)
            }

            fn fetch_sub(cell: &$atomic, n: Self) -> Self {
                change::<Self>(cell, |old| old - n)
            }

            fn fetch_min(cell: &$atomic, n: Self) -> Self {
                change::<Self>(cell, |old| old.min(n))
            }

            fn fetch_max(cell: &$atomic, n: Self) -> Self {
                change::<Self>(cell, |old| old.max(n))
            }
        }
    )*};
}

floats!(f32 AtomicU32 f64 AtomicU64);

/// Changes a number for which the machine has no instruction.
fn change<T: AtomicWord>(cell: &T::Cell, new: impl Fn(T) -> T) -> T {
    let mut old = T::load(cell);
    loop {
        match T::compare_exchange(cell, old, new(old)) {
            Ok(old) => return old,
            Err(other) => old = other,
        }
    }
}

impl sealed::Sealed for bool {}

impl AtomicWord for bool {
    type Cell = AtomicU8;
    const WORD: TypeTag = TypeTag::of(bool::SCHEMA);

    #[inline]
    fn load(cell: &AtomicU8) -> Self {
        <u8 as AtomicWord>::load(cell) != 0
    }

    #[inline]
    fn store(cell: &AtomicU8, value: Self) {
        <u8 as AtomicWord>::store(cell, value.into());
    }

    #[inline]
    fn swap(cell: &AtomicU8, value: Self) -> Self {
        <u8 as AtomicWord>::swap(cell, value.into()) != 0
    }

    fn compare_exchange(cell: &AtomicU8, current: Self, new: Self) -> Result<Self, Self> {
        let mut found = u8::from(current);
        // Again only if the byte is another one that means the same: no peer of this version writes one.
        loop {
            match <u8 as AtomicWord>::compare_exchange(cell, found, new.into()) {
                Ok(_) => return Ok(current),
                Err(other) if (other != 0) != current => return Err(other != 0),
                Err(other) => found = other,
            }
        }
    }
}
