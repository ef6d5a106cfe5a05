//! What an array is made of: its spec, its bytes, its place in a region.

use core::ptr::NonNull;

use shmkit_layout::{
    InPlace, Kind, Object, Offset, Region, Schema, Shape, ShapeError, ShmSafe, TypeTag, align_up,
};
use shmkit_roster::{Judge, Seat};
use shmkit_sync::RawMutex;

use super::Array;
use super::place::Place;
use crate::raw::array::RawArray;
use crate::{AtomicArray, LINE};

/// What a new [`Array`] or [`AtomicArray`](crate::AtomicArray) holds. A length of 0 is possible.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArraySpec<T> {
    /// So many zeros.
    Zeroed(usize),
    /// These values.
    Copy(Vec<T>),
}

impl<T> ArraySpec<T> {
    /// Returns the length of the array.
    pub fn len(&self) -> usize {
        match self {
            Self::Zeroed(len) => *len,
            Self::Copy(values) => values.len(),
        }
    }

    /// Returns whether the array has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> From<usize> for ArraySpec<T> {
    fn from(len: usize) -> Self {
        Self::Zeroed(len)
    }
}

impl<T> From<Vec<T>> for ArraySpec<T> {
    fn from(values: Vec<T>) -> Self {
        Self::Copy(values)
    }
}

impl<T: Copy> From<&[T]> for ArraySpec<T> {
    fn from(values: &[T]) -> Self {
        Self::Copy(values.to_vec())
    }
}

impl<T, const N: usize> From<[T; N]> for ArraySpec<T> {
    fn from(values: [T; N]) -> Self {
        Self::Copy(values.into())
    }
}

impl<T> FromIterator<T> for ArraySpec<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::Copy(values.into_iter().collect())
    }
}

/// Where the journal's slot begins, in bytes from the first byte of the array.
const fn slots_at<T>() -> u64 {
    match align_up(size_of::<RawArray>() as u64, align_of::<T>() as u64) {
        Some(at) => at,
        None => panic!("an alignment near 2^64"),
    }
}

/// The most elements that an array can have: with them it still fits in an address space.
const fn most<T>() -> u64 {
    let room = isize::MAX as u64 - slots_at::<T>() - size_of::<T>() as u64;
    match room.checked_div(size_of::<T>() as u64) {
        Some(most) => most,
        None => room,
    }
}

const fn too_long<T>(len: u64) -> ShapeError {
    ShapeError::Length { found: len, min: 0, max: most::<T>() }
}

/// Returns where the elements of an array or an atomic array of this shape begin, in bytes from the object's first one: for
/// programs in other languages, which find them in the file. `None` if the shape is another object's, or none.
pub fn elements_at(shape: &Shape) -> Option<u64> {
    let arrays =
        [<Array<u8, Seat> as Object<Seat>>::KIND, <AtomicArray<u8, Seat> as Object<Seat>>::KIND];
    if !arrays.contains(&shape.kind) {
        return None;
    }
    // They are the last of its bytes.
    shape.bytes.checked_sub(shape.len.checked_mul(shape.tag.size().into())?)
}

/// Returns the bytes that an array of `len` takes.
fn bytes<T>(len: u64) -> Result<u64, ShapeError> {
    if len > most::<T>() {
        return Err(too_long::<T>(len));
    }
    // No more than isize::MAX, by `most`.
    Ok(slots_at::<T>() + (1 + len) * size_of::<T>() as u64)
}

impl<T: ShmSafe, K: Judge> Array<T, K> {
    /// # Safety
    ///
    /// As for [`Object::attach`].
    unsafe fn place(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        bytes::<T>(len)?;
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let raw = region.get(Offset::ZERO)?;
        // `1 + len` fits: it is at most isize::MAX, since that many bytes do (or `T` has none).
        let count = usize::try_from(len).ok().and_then(|len| len.checked_add(1));
        let count = count.ok_or(too_long::<T>(len))?;
        let journal = region.place(Offset::new(slots_at::<T>())?, count)?;
        Ok(Self { place: Place { raw, journal, len: count - 1 }, keeper })
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([T: ShmSafe] Array<T>, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<T: ShmSafe, K: Judge> Object<K> for Array<T, K> {
    const KIND: Kind = Kind::new("array");
    const TAG: TypeTag = TypeTag::checked::<T>();
    const SCHEMA: Option<&'static Schema> = Some(T::SCHEMA);

    /// A length, or the first values.
    type Spec = ArraySpec<T>;

    fn shape(spec: &ArraySpec<T>, places: u32) -> Result<Shape, ShapeError> {
        Self::room(&spec.len(), places)
    }

    unsafe fn init(region: Region<'_>, spec: ArraySpec<T>, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let array = unsafe { Self::place(region, spec.len() as u64, keeper) }?;
        if let ArraySpec::Copy(values) = spec {
            let from = NonNull::from(values.as_slice()).cast::<T>();
            // SAFETY: as many elements lie in the region (`place`) as in the vector, which is no part of it; nobody
            // else uses the bytes (the caller's promise).
            unsafe { array.place.first().copy_from_nonoverlapping(from, values.len()) };
        }
        Ok(array)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        unsafe { Self::place(region, len, keeper) }
    }
}

// SAFETY: zero bytes are a free lock, an empty journal and no mark; the elements lie where `init` puts them.
unsafe impl<T: ShmSafe, K: Judge> InPlace<K> for Array<T, K> {
    /// How many elements.
    type Size = usize;
    type Values = [T];

    fn room(&len: &usize, _: u32) -> Result<Shape, ShapeError> {
        let len = len as u64;
        let align = LINE.max(align_of::<T>() as u64);
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len,
            bytes: bytes::<T>(len)?,
            align,
            names: RawMutex::NAMES.alone(),
        })
    }

    unsafe fn init_with(
        region: Region<'_>,
        len: usize,
        fill: impl FnOnce(&mut [T]),
        keeper: K,
    ) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let array = unsafe { Self::place(region, len as u64, keeper) }?;
        let mut elements = NonNull::slice_from_raw_parts(array.place.first(), len);
        // SAFETY: mapped and aligned (`place`), zero, which is a `T` (`Pod`), and nobody else uses them (caller).
        fill(unsafe { elements.as_mut() });
        Ok(array)
    }
}
