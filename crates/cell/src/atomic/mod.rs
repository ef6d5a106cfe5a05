//! Numbers without a lock.

mod array;
mod word;

use core::fmt;

use shmkit_layout::{Kind, NameWords, Object, Offset, Region, Shape, ShapeError, TypeTag};
use shmkit_roster::Seat;

pub use self::array::AtomicArray;
pub use self::word::{AtomicInteger, AtomicNumber, AtomicWord};

use crate::LINE;
use crate::error::SetError;

/// A number in shared memory that every operation reads or changes in one step, without a lock.
///
/// It belongs to nobody and needs no participant. Who reads a number sees everything that its writer did before
/// storing it (Acquire and Release); [`cell`](Self::cell) is the machine's own atomic, for other orderings. Whole
/// numbers wrap around when they are added to, as the machine's do; [`fetch_update`](Self::fetch_update) with
/// `checked_add` does not. Handles are small and may be cloned.
///
/// # If a peer dies
///
/// Nothing: an operation has happened, or it has not.
///
/// # Examples
///
/// ```
/// # use shmkit_layout::{Object, Region};
/// # let mut memory = [0_u128; 4];
/// # let base = core::ptr::NonNull::from(&mut memory).cast();
/// # // SAFETY: the array outlives the region, and nobody else sees it.
/// # let region = unsafe { Region::from_raw_parts(base, 64) };
/// use shmkit_cell::Atomic;
///
/// // SAFETY: the bytes are zero, and nobody else uses them.
/// let hits = unsafe { Atomic::<i64, _>::init(region, 5, ())? };
/// assert_eq!(hits.fetch_add(1), 5);
/// assert_eq!(hits.compare_exchange(6, 7), Ok(6));
/// assert_eq!(hits.fetch_max(100), 7);
/// assert_eq!(hits.fetch_update(|n| n.checked_mul(i64::MAX)), Err(100));
/// assert_eq!(hits.load(), 100);
/// assert!(hits.store_from(u64::MAX).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Atomic<T: AtomicWord, K = Seat> {
    cell: &'static T::Cell,
    /// Keeps the cell mapped; so it is dropped last.
    keeper: K,
}

impl<T: AtomicWord, K: Clone> Clone for Atomic<T, K> {
    fn clone(&self) -> Self {
        Self { cell: self.cell, keeper: self.keeper.clone() }
    }
}

impl<T: AtomicWord, K: Copy> Copy for Atomic<T, K> {}

impl<T: AtomicWord, K> Atomic<T, K> {
    /// Returns the machine's atomic, for orderings that this type does not offer.
    pub fn cell(&self) -> &T::Cell {
        self.cell
    }

    /// Returns the number.
    #[inline]
    pub fn load(&self) -> T {
        T::load(self.cell)
    }

    /// Stores a number.
    #[inline]
    pub fn store(&self, value: T) {
        T::store(self.cell, value);
    }

    /// Stores a number of another type, if it fits. It is never wrapped.
    ///
    /// # Errors
    ///
    /// [`SetError::Conversion`] if it does not fit; then nothing was stored.
    pub fn store_from<X: TryInto<T>>(
        &self,
        value: X,
    ) -> Result<(), SetError<X::Error, core::convert::Infallible>> {
        self.store(value.try_into().map_err(SetError::Conversion)?);
        Ok(())
    }

    /// Stores a number, and returns what was there.
    #[inline]
    pub fn swap(&self, value: T) -> T {
        T::swap(self.cell, value)
    }

    /// Stores `new` if `current` is there, and returns what was there. Floating-point numbers are compared as bits.
    ///
    /// # Errors
    ///
    /// What is there, if it is not `current`.
    #[inline]
    pub fn compare_exchange(&self, current: T, new: T) -> Result<T, T> {
        T::compare_exchange(self.cell, current, new)
    }

    /// Stores what `new` makes of the number, and returns what was there. `new` is called again if somebody else was
    /// faster.
    ///
    /// # Errors
    ///
    /// What is there, if `new` returns `None`.
    pub fn fetch_update(&self, mut new: impl FnMut(T) -> Option<T>) -> Result<T, T> {
        let mut old = self.load();
        loop {
            match self.compare_exchange(old, new(old).ok_or(old)?) {
                Ok(old) => return Ok(old),
                Err(other) => old = other,
            }
        }
    }
}

impl<T: AtomicNumber, K> Atomic<T, K> {
    /// Adds, and returns what was there.
    #[inline]
    pub fn fetch_add(&self, n: T) -> T {
        T::fetch_add(self.cell, n)
    }

    /// Subtracts, and returns what was there.
    #[inline]
    pub fn fetch_sub(&self, n: T) -> T {
        T::fetch_sub(self.cell, n)
    }

    /// Stores the lesser of the number and `n`, and returns what was there.
    #[inline]
    pub fn fetch_min(&self, n: T) -> T {
        T::fetch_min(self.cell, n)
    }

    /// Stores the greater of the number and `n`, and returns what was there.
    #[inline]
    pub fn fetch_max(&self, n: T) -> T {
        T::fetch_max(self.cell, n)
    }
}

impl<T: AtomicInteger, K> Atomic<T, K> {
    /// Clears the bits that are not in `bits`, and returns what was there.
    #[inline]
    pub fn fetch_and(&self, bits: T) -> T {
        T::fetch_and(self.cell, bits)
    }

    /// Sets the bits of `bits`, and returns what was there.
    #[inline]
    pub fn fetch_or(&self, bits: T) -> T {
        T::fetch_or(self.cell, bits)
    }

    /// Inverts the bits of `bits`, and returns what was there.
    #[inline]
    pub fn fetch_xor(&self, bits: T) -> T {
        T::fetch_xor(self.cell, bits)
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([T: AtomicWord] Atomic<T>, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<T: AtomicWord, K> Object<K> for Atomic<T, K> {
    const KIND: Kind = Kind::new("atomic");
    const TAG: TypeTag = T::WORD;

    /// The first value.
    type Spec = T;

    fn shape(_first: &T, _: u32) -> Result<Shape, ShapeError> {
        let bytes = size_of::<T::Cell>() as u64;
        Ok(Shape {
            kind: Self::KIND,
            tag: T::WORD,
            len: 1,
            bytes,
            align: LINE,
            names: NameWords::NONE.alone(),
        })
    }

    unsafe fn init(region: Region<'_>, first: T, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let atomic = Self { cell: region.get(Offset::ZERO)?, keeper };
        atomic.store(first);
        Ok(atomic)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        ShapeError::unless_one(len)?;
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        Ok(Self { cell: region.get(Offset::ZERO)?, keeper })
    }
}

/// The number.
impl<T: AtomicWord + fmt::Display, K> fmt::Display for Atomic<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.load(), f)
    }
}

impl<T: AtomicWord + fmt::Debug, K> fmt::Debug for Atomic<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Atomic").field(&self.load()).finish()
    }
}
