//! Where a readers-writer lock lies: its words, the value, and its readers' cells.

use shmkit_layout::{
    CachePadded, InPlace, Kind, NameWords, Object, Offset, Region, Schema, Shape, ShapeError,
    ShmSafe, TypeTag, align_up,
};
use shmkit_roster::Judge;

use crate::seats::Seats;
use crate::{HolderCell, RawRwLock, RwLock, RwLockFrame, Seated, Seating};

impl<T: ShmSafe, K: Judge> RwLock<T, K> {
    /// Where the value begins, in bytes.
    const DATA: u64 = match align_up(size_of::<RwLockFrame>() as u64, align_of::<T>() as u64) {
        Some(bytes) => bytes,
        None => panic!("an alignment beyond every address"),
    };
    /// Alone in its cache lines: what a neighbour does must not slow down who is in.
    const ALIGN: u64 = if align_of::<T>() > align_of::<CachePadded<u8>>() {
        align_of::<T>() as u64
    } else {
        align_of::<CachePadded<u8>>() as u64
    };
    /// Where the readers' cells begin, in bytes: in lines of their own.
    const CELLS: u64 = match align_up(Self::DATA + size_of::<T>() as u64, Self::ALIGN) {
        Some(bytes) => {
            assert!(bytes < u32::MAX as u64, "a value of 4 GiB: put it into an array");
            bytes
        }
        None => panic!("a value beyond every address"),
    };

    /// Finds lock, value and cells in `region`.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`].
    unsafe fn place(region: Region<'_>, seating: Seating, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let frame = region.get::<RwLockFrame>(Offset::ZERO)?;
        let data = region.place::<T>(Offset::new(Self::DATA)?, 1)?;
        let seats: Seats<'static, HolderCell> = Seats::place(region, Self::CELLS, seating)?;
        Ok(Self { raw: RawRwLock::seated(frame, seats), data, keeper })
    }
}

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
        region.write(Offset::new(Self::DATA)?, spec.what)?;
        Ok(lock)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        if len != 1 {
            return Err(ShapeError::Length { found: len, min: 1, max: 1 });
        }
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
        let [word, writing] = RawRwLock::NAMES;
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len: 1,
            bytes: Self::CELLS + seating.bytes().next_multiple_of(Self::ALIGN),
            align: Self::ALIGN,
            names: [word, writing, cells, NameWords::NONE],
        })
    }

    unsafe fn init_with(
        region: Region<'_>,
        size: Seated<()>,
        fill: impl FnOnce(&mut T),
        keeper: K,
    ) -> Result<Self, ShapeError> {
        let seating = Seating::spread(size.or(keeper.places())?);
        // SAFETY: the caller's promises.
        let mut lock = unsafe { Self::place(region, seating, keeper) }?;
        // The other bytes are zero (caller): a free lock.
        region.get::<RwLockFrame>(Offset::ZERO)?.set_seats(seating.seats());
        // SAFETY: mapped and aligned (`place`), zero, which is a `T` (`Pod`), and nobody else uses it (caller).
        fill(unsafe { lock.data.as_mut() });
        Ok(lock)
    }
}
