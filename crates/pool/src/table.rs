//! The table of a pool's cells and workers, as an object of a segment.

use core::fmt;
use core::mem::offset_of;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU64, prefetch, prefetch_to_write};
use shmkit_layout::{
    Kind, NameWords, Object, Offset, OffsetError, Region, Schema, Shape, ShapeError, Shared,
    TypeTag,
};
use shmkit_roster::{Judge, Seat};

use crate::raw::{MAX_CELLS, RawCell, RawFront, RawWorker};

/// Where the words are that say who waits at the line.
const FRONT: u32 = 64;
/// Bytes of a worker's place.
const PLACE: u64 = 64;
/// Bytes of a cell, words included.
const CELL: u64 = 256;
/// Bytes of a cell that arguments and answers can have.
pub(crate) const ROOM: u64 = CELL - size_of::<RawCell>() as u64;
/// The most workers of a table: more than a roster has places.
pub(crate) const MAX_WORKERS: u32 = 1 << 14;

/// How a table is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableSpec {
    pub(crate) cells: u32,
    /// Places of workers.
    pub(crate) workers: u32,
}

/// What a table begins with.
///
/// ```text
/// byte  0  cells    u64    1 to 2^24 - 1
///       8  workers  u64    1 to 2^14
///      64  front           who waits at the line: see `RawFront`
///     128  places of workers, 64 bytes each: see `RawWorker`
///          cells, 256 bytes each: see `RawCell`
/// ```
#[repr(C, align(128))]
pub(crate) struct Head {
    cells: AtomicU64,
    workers: AtomicU64,
    reserved: [AtomicU64; 6],
    /// In a line of its own: it changes with every wait.
    front: RawFront,
}

impl Head {
    /// Returns how many cells and places of workers there are; nothing if they are too many or none.
    pub(crate) fn counts(&self) -> Option<(u32, u32)> {
        let cells = checked(self.cells.load(Relaxed), MAX_CELLS).ok()?;
        Some((cells, checked(self.workers.load(Relaxed), MAX_WORKERS).ok()?))
    }
}

// SAFETY: repr(C) of atomics; what lies between them and 128 is padding.
unsafe impl Shared for Head {}

const _: () = assert!(size_of::<Head>() == 128, "part of the segment format");
const _: () = assert!(offset_of!(Head, front) == FRONT as usize, "part of the segment format");

/// A pool's cells and workers.
pub(crate) struct Table<K = Seat> {
    cells: Region<'static>,
    pub(crate) count: u32,
    workers: &'static [RawWorker],
    front: &'static RawFront,
    /// Keeps mapped what the others lead to; so it is dropped last.
    keeper: K,
}

fn cells_at(workers: u32) -> u64 {
    (size_of::<Head>() as u64 + u64::from(workers) * PLACE).next_multiple_of(CELL)
}

/// Where a cell lies.
pub(crate) fn cell_at(workers: u32, number: u32) -> u64 {
    cells_at(workers) + u64::from(number) * CELL
}

fn checked(found: u64, max: u32) -> Result<u32, ShapeError> {
    match found {
        // Not more than `max`.
        1.. if found <= max.into() => Ok(found as u32),
        _ => Err(ShapeError::Length { found, min: 1, max: max.into() }),
    }
}

impl<K: Judge> Table<K> {
    /// Finds one in `region`.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`].
    unsafe fn place(
        region: Region<'_>,
        TableSpec { cells, workers }: TableSpec,
        keeper: K,
    ) -> Result<Self, OffsetError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let front = &region.get::<Head>(Offset::ZERO)?.front;
        let places = region.slice(Offset::new(size_of::<Head>() as u64)?, workers as usize)?;
        let bytes = region.sub(cells_at(workers), u64::from(cells) * CELL)?;
        Ok(Self { cells: bytes, count: cells, workers: places, front, keeper })
    }

    pub(crate) fn keeper(&self) -> &K {
        &self.keeper
    }

    /// Who waits at the line.
    pub(crate) fn front(&self) -> &RawFront {
        self.front
    }

    /// All places of workers.
    pub(crate) fn workers(&self) -> &[RawWorker] {
        self.workers
    }

    /// A cell's words; `None` if there is no such cell.
    #[inline]
    pub(crate) fn cell(&self, number: u32) -> Option<&RawCell> {
        if number >= self.count {
            return None;
        }
        self.cells.get(Offset::new(u64::from(number) * CELL).ok()?).ok()
    }

    /// Starts to bring a cell's words here, to be written, and the first of its bytes.
    #[inline]
    pub(crate) fn prefetch(&self, number: u32) {
        if let Some(cell) = self.cell(number) {
            let cell: *const u8 = (&raw const *cell).cast();
            prefetch_to_write(cell);
            // The words end in this line.
            prefetch(cell.wrapping_add(64));
        }
    }

    /// The bytes of a cell that arguments and answers can have.
    #[inline]
    pub(crate) fn bytes(&self, number: u32) -> Result<Region<'_>, OffsetError> {
        self.cells.sub(u64::from(number) * CELL + size_of::<RawCell>() as u64, ROOM)
    }
}

impl<K> fmt::Debug for Table<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("cells", &self.count)
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

// SAFETY: the kind is given to this layout alone; the words of cells and places that name somebody are in its names.
unsafe impl<K: Judge> Object<K> for Table<K> {
    const KIND: Kind = Kind::new("pool");
    const TAG: TypeTag = TypeTag::NONE;
    const SCHEMA: Option<&'static Schema> = None;

    type Spec = TableSpec;

    fn shape(spec: &TableSpec, _: u32) -> Result<Shape, ShapeError> {
        let cells = checked(spec.cells.into(), MAX_CELLS)?;
        let workers = checked(spec.workers.into(), MAX_WORKERS)?;
        let at = cells_at(workers);
        let who = size_of::<Head>() as u32 + 8;
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len: cells.into(),
            bytes: at + u64::from(cells) * CELL,
            align: CELL,
            names: [
                // A cell's word, a worker's `who`, and who is first at the line.
                NameWords::lowers(at as u32, CELL as u32, cells),
                NameWords::many(who, PLACE as u32, workers),
                NameWords::many(FRONT, 4, 1),
                NameWords::NONE,
            ],
        })
    }

    unsafe fn init(region: Region<'_>, spec: TableSpec, keeper: K) -> Result<Self, ShapeError> {
        let head = region.get::<Head>(Offset::ZERO)?;
        // Relaxed, both: whoever publishes the table orders this before. Zeros are free cells and vacant places.
        head.cells.store(spec.cells.into(), Relaxed);
        head.workers.store(spec.workers.into(), Relaxed);
        // SAFETY: the caller's promises.
        Ok(unsafe { Self::place(region, spec, keeper) }?)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        let head = region.get::<Head>(Offset::ZERO)?;
        let cells = checked(len, MAX_CELLS)?;
        let found = head.cells.load(Relaxed);
        if found != len {
            return Err(ShapeError::Corrupt { field: "number of cells", found });
        }
        let workers = checked(head.workers.load(Relaxed), MAX_WORKERS)?;
        // SAFETY: the caller's promises.
        Ok(unsafe { Self::place(region, TableSpec { cells, workers }, keeper) }?)
    }
}
