//! Many numbers without a lock.

use core::fmt;

use shmkit_layout::{Kind, NameWords, Object, Offset, Region, Shape, ShapeError, TypeTag};
use shmkit_roster::Seat;

use super::{Atomic, AtomicWord};
use crate::LINE;
use crate::array::ArraySpec;
use crate::error::OutOfRange;

/// Numbers in shared memory, each of which is an [`Atomic`]; there is no lock, and no operation on all of them at one
/// moment.
///
/// # If a peer dies
///
/// Nothing: an operation on an element has happened, or it has not.
///
/// # Examples
///
/// ```
/// # use shmkit_layout::{Object, Region};
/// # let mut memory = [0_u128; 8];
/// # let base = core::ptr::NonNull::from(&mut memory).cast();
/// # // SAFETY: the array outlives the region, and nobody else sees it.
/// # let region = unsafe { Region::from_raw_parts(base, 128) };
/// use shmkit_cell::{AtomicArray, OutOfRange};
///
/// // SAFETY: the bytes are zero, and nobody else uses them.
/// let bins = unsafe { AtomicArray::<u32, _>::init(region, 10.into(), ())? };
/// bins.at(3)?.fetch_add(2);
/// assert_eq!(bins.at(3)?.load(), 2);
/// assert_eq!(bins.at(10).unwrap_err(), OutOfRange { index: 10, len: 10 });
/// assert_eq!(bins.iter().map(|bin| bin.load()).sum::<u32>(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AtomicArray<T: AtomicWord, K = Seat> {
    cells: &'static [T::Cell],
    /// Keeps the cells mapped; so it is dropped last.
    keeper: K,
}

impl<T: AtomicWord, K: Clone> Clone for AtomicArray<T, K> {
    fn clone(&self) -> Self {
        Self { cells: self.cells, keeper: self.keeper.clone() }
    }
}

impl<T: AtomicWord, K: Copy> Copy for AtomicArray<T, K> {}

impl<T: AtomicWord, K> AtomicArray<T, K> {
    /// Returns how many elements there are. It never changes.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Returns whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Returns an element.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] if there is no such element.
    #[inline]
    pub fn at(&self, index: usize) -> Result<Atomic<T, &K>, OutOfRange> {
        match self.cells.get(index) {
            Some(cell) => Ok(Atomic { cell, keeper: &self.keeper }),
            None => Err(OutOfRange { index, len: self.cells.len() }),
        }
    }

    /// Returns an iterator over the elements.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Atomic<T, &K>> {
        self.cells.iter().map(|cell| Atomic { cell, keeper: &self.keeper })
    }

    /// Returns copies of all elements, each as it was at a moment of its own.
    pub fn to_vec(&self) -> Vec<T> {
        self.cells.iter().map(T::load).collect()
    }

    /// Returns the machine's atomics, for slices of them and for orderings that [`Atomic`] does not offer.
    pub fn cells(&self) -> &[T::Cell] {
        self.cells
    }

    /// # Safety
    ///
    /// As for [`Object::attach`].
    unsafe fn place(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let count = usize::try_from(len).map_err(|_| too_long::<T>(len))?;
        Ok(Self { cells: region.slice(Offset::ZERO, count)?, keeper })
    }
}

fn too_long<T: AtomicWord>(len: u64) -> ShapeError {
    ShapeError::Length { found: len, min: 0, max: most::<T>() }
}

/// The most elements that an array can have: with them it still fits in an address space.
const fn most<T: AtomicWord>() -> u64 {
    isize::MAX as u64 / size_of::<T::Cell>() as u64
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([T: AtomicWord] AtomicArray<T>, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<T: AtomicWord, K> Object<K> for AtomicArray<T, K> {
    const KIND: Kind = Kind::new("atomics");
    const TAG: TypeTag = T::WORD;

    /// A length, or the first values.
    type Spec = ArraySpec<T>;

    fn shape(spec: &ArraySpec<T>, _: u32) -> Result<Shape, ShapeError> {
        let len = spec.len() as u64;
        if len > most::<T>() {
            return Err(too_long::<T>(len));
        }
        let bytes = len * size_of::<T::Cell>() as u64;
        Ok(Shape {
            kind: Self::KIND,
            tag: T::WORD,
            len,
            bytes,
            align: LINE,
            names: NameWords::NONE.alone(),
        })
    }

    unsafe fn init(region: Region<'_>, spec: ArraySpec<T>, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let array = unsafe { Self::place(region, spec.len() as u64, keeper) }?;
        if let ArraySpec::Copy(values) = spec {
            for (cell, value) in array.cells.iter().zip(values) {
                T::store(cell, value);
            }
        }
        Ok(array)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        unsafe { Self::place(region, len, keeper) }
    }
}

impl<T: AtomicWord + fmt::Debug, K> fmt::Debug for AtomicArray<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.cells.iter().map(T::load)).finish()
    }
}
