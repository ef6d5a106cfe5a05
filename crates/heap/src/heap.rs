//! The heap in a region.

use core::alloc::Layout;
use core::fmt;
use std::sync::Arc;

use shmkit_layout::{
    Commit, CommitError, Kind, NameWords, Object, Offset, Region, Shape, ShapeError, TypeTag,
};
use shmkit_roster::{Judge, OwnerId, Seat};
use shmkit_sync::RawMutex;

use crate::plan::{ALIGN, HeapSpec, Plan, SEATS};
use crate::raw::frame::HeapFrame;
use crate::{Account, Area, Block, BlockId, HeapError, Local, Parts, RawHeap, Reserved, plan};

/// Memory of which processes and their threads take blocks side by side, of any size and as many as fit.
///
/// It lies in a [`Region`]: make one with [`Object::init`], use it in other processes with [`Object::attach`]. The handle is
/// its place and a keeper `K`; clones share what they remember of where free blocks are.
///
/// ```text
/// 0 HeapFrame | 128 seats, one for each place of the roster | hazards of their threads | hints | two words for each page | pages
/// ```
///
/// Small blocks, up to 4 KiB, come in 27 sizes, are a fifth too large at most, and are reserved and freed without a lock. Larger ones
/// are whole pages: of 4 KiB, in a heap of more than 8 GiB of more. Pages in which all blocks of one size were freed are given to
/// others when there are no more.
///
/// # If a peer dies
///
/// What it had reserved is free: for whoever finds no other block, and at each [`check`](Self::check). What it had kept is
/// the structure's.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use memmap2::MmapRaw;
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// use shmkit_heap::{Heap, HeapError};
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(1 << 20)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let heap = unsafe { Heap::init(region, (1 << 20).into(), participant) }?;
/// let mut block = heap.reserve_bytes(5)?;
/// block.as_mut_slice()[..5].copy_from_slice(b"hello");
/// let id = block.keep()?; // A structure holds it from now on.
/// assert_eq!(heap.check()?.kept_blocks, 1);
/// heap.free(id)?;
/// assert_eq!(heap.free(id), Err(HeapError::Stale { id }), "twice is refused");
/// # Ok(())
/// # }
/// ```
pub struct Heap<K: Judge = Seat> {
    raw: RawHeap<'static>,
    /// The bytes that it takes, tables included.
    bytes: u64,
    local: Arc<Local>,
    /// All its bytes, and how the memory behind those that are only reserved is had.
    region: Region<'static>,
    /// Where its pages begin, in bytes.
    area: u64,
    commit: fn(&K, Region<'_>, u64, u64) -> Result<(), CommitError>,
    /// Keeps mapped what the others lead to; so it is dropped last.
    keeper: K,
}

impl<K: Judge + Clone> Clone for Heap<K> {
    fn clone(&self) -> Self {
        let Self { raw, bytes, region, area, commit, ref local, ref keeper } = *self;
        Self { raw, bytes, region, area, commit, local: local.clone(), keeper: keeper.clone() }
    }
}

impl<K: Judge> Heap<K> {
    /// Fewest bytes of a heap, tables included.
    pub const MIN: u64 = plan::MIN;
    /// Most bytes of a heap.
    pub const MAX: u64 = plan::MAX;

    /// Reserves a block for this process: dropped, it goes back.
    ///
    /// Its bytes are what whoever had them before has left.
    ///
    /// # Errors
    ///
    /// [`HeapError`], but never `Stale` or `NotReserved`.
    ///
    /// # If a peer dies
    ///
    /// what it had reserved is free for this, if there is nothing else, and before the heap grows.
    #[inline]
    pub fn reserve(&self, layout: Layout) -> Result<Block<'_, K>, HeapError> {
        loop {
            match self.raw.reserve(layout, &self.keeper, &self.local) {
                Ok(block) => {
                    // There are as many as its class says, or its pages.
                    let bytes = self.raw.bytes(block.at, block.len);
                    let corrupt = HeapError::Corrupt { page: block.id().page(), found: block.at };
                    return bytes.map(|bytes| Block::new(self, block, bytes)).ok_or(corrupt);
                }
                // Each time it grows, or another one has had it grow: up to its limit.
                Err(full @ HeapError::Full { .. }) if !self.grow(layout)? => return Err(full),
                Err(HeapError::Full { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reserves a block of `len` bytes, aligned to 16.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve).
    ///
    /// # If a peer dies
    ///
    /// As with [`reserve`](Self::reserve).
    pub fn reserve_bytes(&self, len: usize) -> Result<Block<'_, K>, HeapError> {
        let too_large = HeapError::Layout { size: len as u64, align: 16, max_align: 4096 };
        self.reserve(Layout::from_size_align(len, 16).map_err(|_| too_large)?)
    }

    /// Frees a block that a structure has kept.
    ///
    /// # Errors
    ///
    /// [`HeapError::Stale`] if it was freed before, or is none of this heap; [`HeapError::NotReserved`] if somebody else
    /// has just reserved it; [`HeapError::NotJoined`].
    ///
    /// # If a peer dies
    ///
    /// That is nothing to this.
    #[inline]
    pub fn free(&self, id: BlockId) -> Result<(), HeapError> {
        self.raw.free(id, &self.keeper, &self.local)
    }

    /// Returns how many bytes a block has: as many as were asked for, or some more.
    ///
    /// # Errors
    ///
    /// [`HeapError::Stale`] if it was freed, or is none of this heap.
    pub fn len_of(&self, id: BlockId) -> Result<u64, HeapError> {
        self.raw.place(id, &self.local).map(|place| place.len)
    }

    /// Returns how many bytes a block has that is reserved for this; `None` if none can be.
    pub fn len_for(&self, layout: Layout) -> Option<u64> {
        self.raw.len_for(layout, &self.local)
    }

    /// Returns how many bytes the largest block has that an empty heap has room for, as large as it may become.
    pub fn largest(&self) -> u64 {
        self.raw.area_len()
    }

    /// Returns the bytes of a block.
    ///
    /// # Errors
    ///
    /// [`HeapError::Stale`] if it was freed, or is none of this heap.
    ///
    /// # Safety
    ///
    /// Nobody frees the block as long as the region is used: the lock of the structure that it belongs to sees to that. Nor
    /// does anybody whose [`Block`] it is use that.
    pub unsafe fn bytes(&self, id: BlockId) -> Result<Region<'_>, HeapError> {
        self.bytes_of(id)
    }

    /// Returns the bytes of a block that the caller knows to be there, since a word leads to it that belongs to the structure
    /// whose lock is held: [`bytes`](Self::bytes) without the look at the block's own word, which lies in another cache line.
    ///
    /// # Errors
    ///
    /// [`HeapError::Stale`] if nothing of such an id can lie in this heap.
    ///
    /// # Safety
    ///
    /// As for [`bytes`](Self::bytes).
    #[inline]
    pub unsafe fn linked_bytes(&self, id: BlockId) -> Result<Region<'_>, HeapError> {
        self.raw.linked(id, &self.local).ok_or(HeapError::Stale { id })
    }

    /// Returns the bytes of a block that may be freed at this moment, for who looks without the structure's lock and finds out
    /// afterwards, by its [`Changes`](crate::Changes), whether it was. `None` if no such block can be there now.
    ///
    /// # Safety
    ///
    /// They are only read, atomically, and what was read is thrown away unless the block was the structure's until then.
    #[inline]
    pub unsafe fn glance(&self, id: BlockId) -> Option<Region<'_>> {
        self.raw.linked(id, &self.local)
    }

    /// Starts to bring a block that is about to be read and freed into this processor's cache: its first bytes and its word. Of
    /// one that is not there it does nothing.
    #[inline]
    pub fn prefetch(&self, id: BlockId) {
        self.raw.prefetch(id, &self.local);
    }

    /// Goes through all blocks, frees what the dead had reserved, and returns where every byte is.
    ///
    /// # Errors
    ///
    /// [`HeapError::Corrupt`] if they do not lie one behind the other from the first to the last byte; [`HeapError::Lock`].
    ///
    /// # If a peer dies
    ///
    /// what it had reserved is free after this.
    pub fn check(&self) -> Result<Account, HeapError> {
        let area = self.raw.survey(&self.keeper)?;
        Ok(Account { bytes: self.bytes, tables: self.bytes - self.raw.area_len(), ..area })
    }

    /// Returns the bytes that the heap takes, its tables included.
    pub fn size(&self) -> u64 {
        self.bytes
    }

    /// Returns what keeps the memory mapped, and this process a participant.
    #[inline]
    pub fn keeper(&self) -> &K {
        &self.keeper
    }

    /// Returns the machine below.
    pub fn raw(&self) -> RawHeap<'_> {
        self.raw
    }

    pub(crate) fn reclaim(&self, id: BlockId) -> Result<(), HeapError> {
        self.raw.reclaim(id, &self.keeper, &self.local)
    }

    #[inline]
    pub(crate) fn keep(&self, block: &Reserved<'_>) -> Result<(), HeapError> {
        self.raw.keep(block, &self.keeper, &self.local)
    }

    /// Has the memory for such a block, if the heap may become larger.
    #[cold]
    fn grow(&self, layout: Layout) -> Result<bool, HeapError> {
        self.raw.grow(layout, &self.keeper, &self.local, |from, to| {
            let [from, to] = [from, to].map(|page| self.area + self.raw.byte(page));
            (self.commit)(&self.keeper, self.region, from, to)
        })
    }

    fn bytes_of(&self, id: BlockId) -> Result<Region<'_>, HeapError> {
        let place = self.raw.place(id, &self.local)?;
        self.raw.bytes(place.at, place.len).ok_or(HeapError::Stale { id })
    }

    /// Finds the heap's parts in `region`.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`].
    unsafe fn find(region: Region<'_>, plan: Plan, keeper: K) -> Result<Self, ShapeError>
    where
        K: Commit,
    {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let parts = Parts {
            frame: region.get::<HeapFrame>(Offset::ZERO)?,
            seats: region.slice(Offset::new(SEATS)?, plan.seats as usize)?,
            hazards: region.slice(Offset::new(plan.hazards)?, plan.lines())?,
            hints: region.slice(Offset::new(plan.hints)?, RawHeap::hints(plan.pages as usize))?,
            pages: region.slice(Offset::new(plan.words)?, plan.pages as usize)?,
            area: Area::new(region.sub(plan.area, plan.pages << plan.shift)?),
            shift: plan.shift,
        };
        let (raw, local) = (RawHeap::new(parts), Arc::new(Local::new(plan.shift)));
        let Plan { bytes, area, .. } = plan;
        Ok(Self { raw, bytes, region, area, commit: K::commit, local, keeper })
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([] Heap, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone, and it names participants in the mutex and the seats.
unsafe impl<K: Judge + Commit> Object<K> for Heap<K> {
    const KIND: Kind = Kind::new("heap");
    const TAG: TypeTag = TypeTag::NONE;

    /// How many bytes it may take, tables included: [`MIN`](Heap::MIN) to [`MAX`](Heap::MAX).
    type Spec = HeapSpec;

    fn shape(spec: &HeapSpec, places: u32) -> Result<Shape, ShapeError> {
        let bytes = spec.limit;
        let plan = Plan::new(bytes, places)?;
        let seats = NameWords::many(SEATS as u32, 16, plan.seats);
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len: bytes,
            bytes,
            align: ALIGN,
            names: [RawMutex::NAMES, seats, NameWords::NONE, NameWords::NONE],
        })
    }

    fn committed(spec: &HeapSpec, shape: &Shape) -> u64 {
        // As many seats as its names say.
        let seats = shape.names[1].offsets().count() as u32;
        match Plan::new(spec.limit, seats) {
            Ok(plan) if spec.initial < spec.limit => plan.end_of(plan.pages_in(spec.initial)),
            _ => shape.bytes,
        }
    }

    unsafe fn init(region: Region<'_>, spec: HeapSpec, keeper: K) -> Result<Self, ShapeError> {
        let plan = Plan::new(spec.limit, keeper.places())?;
        let there = plan.pages_in(spec.initial);
        // SAFETY: the caller's promises.
        let heap = unsafe { Self::find(region, plan, keeper) }?;
        region.get::<HeapFrame>(Offset::ZERO)?.set(plan.seats, plan.shift, plan.pages, there);
        Ok(heap)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        let frame = region.get::<HeapFrame>(Offset::ZERO)?;
        let (seats, shift, pages) = frame.numbers();
        let corrupt = |field, found| Err(ShapeError::Corrupt { field, found });
        if !(1..=OwnerId::MAX_SLOTS).contains(&seats) {
            return corrupt("number of seats", seats.into());
        }
        let plan = Plan::new(len, seats)?;
        if shift != plan.shift {
            return corrupt("size of a page", shift.into());
        }
        if pages != plan.pages {
            return corrupt("number of pages", pages);
        }
        if !(1..=pages).contains(&frame.committed()) {
            return corrupt("number of pages that are there", frame.committed());
        }
        // SAFETY: the caller's promises.
        unsafe { Self::find(region, plan, keeper) }
    }
}

impl<K: Judge> fmt::Debug for Heap<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap").field("bytes", &self.bytes).field("raw", &self.raw).finish()
    }
}
