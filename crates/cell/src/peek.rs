//! Cells that can be seen without being used.

use shmkit_layout::{Kind, Object, Offset, Peek, Region, Schema, ShapeError, ShmSafe, TypeTag};
use shmkit_roster::Seat;

use crate::halves::{Halves, slots_at};
use crate::raw::value::RawValue;
use crate::value::LOOKS;
use crate::{Atomic, AtomicArray, AtomicWord, Value};

// SAFETY: those of the object; a value is copied by loads of its words alone, all inside the region (`place`).
unsafe impl<T: ShmSafe> Peek for Value<T> {
    const KIND: Kind = <Self as Object<Seat>>::KIND;
    const TAG: TypeTag = <Self as Object<Seat>>::TAG;
    const SCHEMA: Option<&'static Schema> = <Self as Object<Seat>>::SCHEMA;

    type Seen = T;

    fn peek(region: Region<'_>, len: u64) -> Result<Option<T>, ShapeError> {
        ShapeError::unless_one(len)?;
        let raw = region.get(Offset::ZERO)?;
        let halves = Halves::new(region, raw, slots_at::<RawValue, T>())?;
        Ok((0..LOOKS).find_map(|_| halves.peek()).map(|(_, value)| value))
    }
}

// SAFETY: those of the object; a number is one load.
unsafe impl<T: AtomicWord> Peek for Atomic<T> {
    const KIND: Kind = <Self as Object<Seat>>::KIND;
    const TAG: TypeTag = <Self as Object<Seat>>::TAG;

    type Seen = T;

    fn peek(region: Region<'_>, len: u64) -> Result<Option<T>, ShapeError> {
        ShapeError::unless_one(len)?;
        Ok(Some(T::load(region.get(Offset::ZERO)?)))
    }
}

// SAFETY: those of the object; each number is one load.
unsafe impl<T: AtomicWord> Peek for AtomicArray<T> {
    const KIND: Kind = <Self as Object<Seat>>::KIND;
    const TAG: TypeTag = <Self as Object<Seat>>::TAG;

    /// Each of them was there at some moment of the call.
    type Seen = Vec<T>;

    fn peek(region: Region<'_>, len: u64) -> Result<Option<Vec<T>>, ShapeError> {
        let max = (region.len() / size_of::<T::Cell>()) as u64;
        if len > max {
            return Err(ShapeError::Length { found: len, min: 0, max });
        }
        // At most the length of the region.
        let cells = region.slice::<T::Cell>(Offset::ZERO, len as usize)?;
        Ok(Some(cells.iter().map(T::load).collect()))
    }
}
