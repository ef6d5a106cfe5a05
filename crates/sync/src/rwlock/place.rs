//! Where a readers-writer lock lies: its words, the value, and its readers' cells.

use shmkit_layout::{
    InPlace, Kind, NameWords, Object, Offset, Region, Schema, Shape, ShapeError, ShmSafe, TypeTag,
};
use shmkit_roster::Judge;

use crate::beside::Beside;
use crate::seats::Seats;
use crate::{HolderCell, RawRwLock, RwLock, RwLockFrame, Seated, Seating};

impl<T: ShmSafe, K: Judge> RwLock<T, K> {
    /// Where the readers' cells begin, in bytes: in lines of their own.
    const CELLS: u64 = {
        let bytes = Beside::<RwLockFrame, T>::BYTES;
        assert!(bytes < u32::MAX as u64, "a value of 4 GiB: put it into an array");
        bytes
    };

    /// Finds lock, value and cells in `region`.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`].
    unsafe fn place(region: Region<'_>, seating: Seating, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let (frame, data) = Beside::<RwLockFrame, T>::find(region)?;
        let seats: Seats<'static, HolderCell> = Seats::place(region, Self::CELLS, seating)?;
        Ok(Self { raw: RawRwLock::seated(frame, seats), data, keeper })
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([T: ShmSafe] RwLock<T>, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone, and it names participants in two words of the frame and the cells.
unsafe impl<T: ShmSafe, K: Judge> Object<K> for RwLock<T, K> {
    const KIND: Kind = Kind::new("rwlock");
    const TAG: TypeTag = TypeTag::checked::<T>();
    const SCHEMA: Option<&'static Schema> = Some(T::SCHEMA);

    /// The first value, and how many can read at a time.
    type Spec = Seated<T>;

    fn shape(spec: &Seated<T>, places: u32) -> Result<Shape, ShapeError> {
        Self::room(&Seated { what: (), seats: spec.seats }, places)
    }

    unsafe fn init(region: Region<'_>, spec: Seated<T>, keeper: K) -> Result<Self, ShapeError> {
        let seating = Seating::spread(spec.or(keeper.places())?);
        // SAFETY: the caller's promises.
        let lock = unsafe { Self::place(region, seating, keeper) }?;
        // The other bytes are zero (caller): a free lock.
        region.get::<RwLockFrame>(Offset::ZERO)?.set_seats(seating.seats());
        Beside::<RwLockFrame, T>::write(region, spec.what)?;
        Ok(lock)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        ShapeError::unless_one(len)?;
        let seating =
            Seating::spread(Seating::check(region.get::<RwLockFrame>(Offset::ZERO)?.seats())?);
        // SAFETY: the caller's promises.
        unsafe { Self::place(region, seating, keeper) }
    }
}

// SAFETY: zero bytes are a free lock, as in `init`, and the value lies where it puts it.
unsafe impl<T: ShmSafe, K: Judge> InPlace<K> for RwLock<T, K> {
    /// How many can read at a time.
    type Size = Seated<()>;
    type Values = T;

    fn room(size: &Seated<()>, places: u32) -> Result<Shape, ShapeError> {
        let seating = Seating::spread(size.or(places)?);
        let cells = NameWords::upper(Self::CELLS as u32, 8, seating.cells() as u32);
        let [word, writing, entered] = RawRwLock::NAMES;
        let names = [word, writing, entered, cells];
        let alone = Beside::<RwLockFrame, T>::shape(Self::KIND, names);
        let seats = seating.bytes().next_multiple_of(alone.align);
        Ok(Shape { bytes: Self::CELLS + seats, ..alone })
    }

    unsafe fn init_with(
        region: Region<'_>,
        size: Seated<()>,
        fill: impl FnOnce(&mut T),
        keeper: K,
    ) -> Result<Self, ShapeError> {
        let seating = Seating::spread(size.or(keeper.places())?);
        // SAFETY: the caller's promises.
        let lock = unsafe { Self::place(region, seating, keeper) }?;
        // The other bytes are zero (caller): a free lock.
        region.get::<RwLockFrame>(Offset::ZERO)?.set_seats(seating.seats());
        // SAFETY: found and kept (`place`), and nobody else uses it (caller).
        unsafe { Beside::<RwLockFrame, T>::fill(lock.data, fill) };
        Ok(lock)
    }
}
