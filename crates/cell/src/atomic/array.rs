//! Many numbers without a lock.

use core::fmt;

use shmkit_layout::{Kind, Object, Offset, Region, Shape, ShapeError, TypeTag};

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
/// let bins = unsafe { <AtomicArray<u32> as Object<()>>::init(region, 10.into(), &())? };
/// bins.at(3)?.fetch_add(2);
/// assert_eq!(bins.at(3)?.load(), 2);
/// assert_eq!(bins.at(10).unwrap_err(), OutOfRange { index: 10, len: 10 });
/// assert_eq!(bins.iter().map(|bin| bin.load()).sum::<u32>(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AtomicArray<'a, T: AtomicWord> {
    cells: &'a [T::Cell],
}

impl<T: AtomicWord> Clone for AtomicArray<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: AtomicWord> Copy for AtomicArray<'_, T> {}

impl<'a, T: AtomicWord> AtomicArray<'a, T> {
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
    pub fn at(&self, index: usize) -> Result<Atomic<'a, T>, OutOfRange> {
        match self.cells.get(index) {
            Some(cell) => Ok(Atomic { cell }),
            None => Err(OutOfRange { index, len: self.cells.len() }),
        }
    }

    /// Returns an iterator over the elements.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Atomic<'a, T>> + use<'a, T> {
        self.cells.iter().map(|cell| Atomic { cell })
    }

    /// Returns copies of all elements, each as it was at a moment of its own.
    pub fn to_vec(&self) -> Vec<T> {
        self.cells.iter().map(T::load).collect()
    }

    /// Returns the machine's atomics, for slices of them and for orderings that [`Atomic`] does not offer.
    pub fn cells(&self) -> &'a [T::Cell] {
        self.cells
    }

    fn place(region: Region<'a>, len: u64) -> Result<Self, ShapeError> {
        let count = usize::try_from(len).map_err(|_| too_long::<T>(len))?;
        Ok(Self { cells: region.slice(Offset::ZERO, count)? })
    }
}

fn too_long<T: AtomicWord>(len: u64) -> ShapeError {
    ShapeError::Length { found: len, min: 0, max: most::<T>() }
}

/// The most elements that an array can have: with them it still fits in an address space.
const fn most<T: AtomicWord>() -> u64 {
    isize::MAX as u64 / size_of::<T::Cell>() as u64
}

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<'a, T: AtomicWord, J: ?Sized> Object<'a, J> for AtomicArray<'a, T> {
    const KIND: Kind = Kind::new("atomics");
    const TAG: TypeTag = T::TAG;

    /// A length, or the first values.
    type Spec = ArraySpec<T>;

    fn shape(spec: &ArraySpec<T>) -> Result<Shape, ShapeError> {
        let len = spec.len() as u64;
        if len > most::<T>() {
            return Err(too_long::<T>(len));
        }
        let bytes = len * size_of::<T::Cell>() as u64;
        Ok(Shape { kind: <Self as Object<'a, J>>::KIND, tag: T::TAG, len, bytes, align: LINE })
    }

    unsafe fn init(
        region: Region<'a>,
        spec: ArraySpec<T>,
        _judge: &'a J,
    ) -> Result<Self, ShapeError> {
        let array = Self::place(region, spec.len() as u64)?;
        if let ArraySpec::Copy(values) = spec {
            for (cell, value) in array.cells.iter().zip(values) {
                T::store(cell, value);
            }
        }
        Ok(array)
    }

    unsafe fn attach(region: Region<'a>, len: u64, _judge: &'a J) -> Result<Self, ShapeError> {
        Self::place(region, len)
    }
}

impl<T: AtomicWord + fmt::Debug> fmt::Debug for AtomicArray<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.cells.iter().map(T::load)).finish()
    }
}
