//! A snapshot as an object of a region.

use shmkit_layout::{InPlace, Kind, Object, Region, Schema, Shape, ShapeError, ShmSafe, TypeTag};
use shmkit_roster::Judge;

use super::Snapshot;
use crate::halves::{shape_of, slots_at};
use crate::raw::snapshot::RawSnapshot;

/// Where the halves begin, in bytes.
pub(super) const fn halves_at<T>() -> u64 {
    slots_at::<RawSnapshot, T>()
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([T: ShmSafe] Snapshot<T>, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<T: ShmSafe, K: Judge> Object<K> for Snapshot<T, K> {
    const KIND: Kind = Kind::new("snapshot");
    const TAG: TypeTag = TypeTag::checked::<T>();
    const SCHEMA: Option<&'static Schema> = Some(T::SCHEMA);

    /// The first value.
    type Spec = T;

    fn shape(_first: &T, places: u32) -> Result<Shape, ShapeError> {
        Self::room(&(), places)
    }

    unsafe fn init(region: Region<'_>, first: T, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let mut snapshot = unsafe { Self::place(region, keeper) }?;
        // SAFETY: mapped and aligned (`place`); nobody else uses the bytes (the caller's promise). Zero bytes are a role that
        // nobody has and the count of this slot.
        unsafe { snapshot.halves.first().write(first) };
        Ok(snapshot)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        ShapeError::unless_one(len)?;
        // SAFETY: the caller's promises.
        unsafe { Self::place(region, keeper) }
    }
}

// SAFETY: zero bytes are a role that nobody has and the count of the first slot, where `init` puts the value, too.
unsafe impl<T: ShmSafe, K: Judge> InPlace<K> for Snapshot<T, K> {
    type Size = ();
    type Values = T;

    fn room((): &(), _: u32) -> Result<Shape, ShapeError> {
        Ok(shape_of::<RawSnapshot, T>(Self::KIND, Self::TAG))
    }

    unsafe fn init_with(
        region: Region<'_>,
        (): (),
        fill: impl FnOnce(&mut T),
        keeper: K,
    ) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let mut snapshot = unsafe { Self::place(region, keeper) }?;
        // SAFETY: mapped and aligned (`place`), zero, which is a `T` (`Pod`), and nobody else uses it (caller).
        fill(unsafe { snapshot.halves.first().as_mut() });
        Ok(snapshot)
    }
}
