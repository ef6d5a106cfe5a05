//! Where a lock lies that has its value beside it.

use core::marker::PhantomData;
use core::ptr::NonNull;

use shmkit_layout::{
    CachePadded, Kind, Names, Offset, Region, Shape, ShapeError, Shared, ShmSafe, TypeTag, align_up,
};

/// The words `L` of a lock, and the value `T` that they guard.
///
/// ```text
/// 0 L | the next multiple of T's alignment: T | padding to 128, or to T's alignment if that is more
/// ```
pub(crate) struct Beside<L, T>(PhantomData<(L, T)>);

impl<L: Shared, T: ShmSafe> Beside<L, T> {
    /// Where the value begins, in bytes.
    const DATA: u64 = match align_up(size_of::<L>() as u64, align_of::<T>() as u64) {
        Some(bytes) => bytes,
        None => panic!("an alignment beyond every address"),
    };

    /// Alone in its cache lines: what a neighbour does must not slow down who is in.
    const ALIGN: u64 = if align_of::<T>() > align_of::<CachePadded<u8>>() {
        align_of::<T>() as u64
    } else {
        align_of::<CachePadded<u8>>() as u64
    };

    /// Size of lock, value and padding.
    pub(crate) const BYTES: u64 = match align_up(Self::DATA + size_of::<T>() as u64, Self::ALIGN) {
        Some(bytes) => bytes,
        None => panic!("a value beyond every address"),
    };

    /// Returns the shape of the two, if there is nothing else.
    pub(crate) fn shape(kind: Kind, names: Names) -> Shape {
        let tag = const { TypeTag::checked::<T>() };
        Shape { kind, tag, len: 1, bytes: Self::BYTES, align: Self::ALIGN, names }
    }

    /// Finds lock and value in `region`.
    pub(crate) fn find(region: Region<'_>) -> Result<(&L, NonNull<T>), ShapeError> {
        Ok((region.get(Offset::ZERO)?, region.place(Offset::new(Self::DATA)?, 1)?))
    }

    /// Copies the value in: before anybody can see it, or with the right to it.
    pub(crate) fn write(region: Region<'_>, value: T) -> Result<(), ShapeError> {
        Ok(region.write(Offset::new(Self::DATA)?, value)?)
    }

    /// Has `fill` write a value where it lies.
    ///
    /// # Safety
    ///
    /// `data` is what [`find`](Self::find) has found and is still mapped, and nobody else uses the value meanwhile.
    pub(crate) unsafe fn fill(mut data: NonNull<T>, fill: impl FnOnce(&mut T)) {
        // SAFETY: mapped and aligned (`find`), any bytes are a `T` (`Pod`), and nobody else uses it (caller).
        fill(unsafe { data.as_mut() });
    }
}
