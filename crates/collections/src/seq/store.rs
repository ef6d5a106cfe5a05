//! Where a sequence lies, and its lock.

use core::alloc::Layout;
use std::time::Duration;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_heap::{Account, Heap};
use shmkit_layout::{
    Commit, Kind, NameWords, Object, Offset, Region, Shape, ShapeError, ShmSafe, TypeTag,
};
use shmkit_roster::{Judge, Seat};
use shmkit_sync::{Patience, RawMutex};

use super::frame::{BlockHead, SeqFrame};
use super::held::Held;
use crate::SeqError;

/// Where the heap begins, in bytes.
const HEAP: u64 = 4096;
/// Fewest bytes of a sequence.
const MIN: u64 = HEAP + Heap::<Seat>::MIN;
/// Most bytes of a sequence.
const MAX: u64 = 1 << 40;

/// What the elements of a sequence are like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element {
    /// In bytes, as the next.
    pub(super) size: usize,
    pub(super) align: usize,
    /// The first one is always in the first place, so that all lie in a row from there.
    pub(super) straight: bool,
}

impl Element {
    pub(crate) const fn of<T: ShmSafe>(straight: bool) -> Self {
        const {
            assert!(size_of::<T>() > 0, "elements of no bytes: count them in an `Atomic`");
            assert!(align_of::<T>() <= 4096, "nothing in a heap is aligned to more");
        }
        Self { size: size_of::<T>(), align: align_of::<T>(), straight }
    }

    /// Where the first one lies in its block.
    pub(super) fn first(&self) -> usize {
        size_of::<BlockHead>().next_multiple_of(self.align)
    }

    /// How many places there are in a block of so many bytes, without the spare one.
    pub(super) fn places(&self, block: usize) -> usize {
        (block.saturating_sub(self.first()) / self.size).saturating_sub(1)
    }

    /// The block for so many places and the spare one.
    pub(super) fn layout(&self, places: usize) -> Option<Layout> {
        let bytes = places.checked_add(1)?.checked_mul(self.size)?.checked_add(self.first())?;
        Layout::from_size_align(bytes, self.align.max(align_of::<BlockHead>())).ok()
    }
}

/// The place of a sequence, and its heap.
///
/// ```text
/// 0 SeqFrame | from 4096 on: a Heap
/// ```
pub(crate) struct Store<K: Judge> {
    pub(super) frame: &'static SeqFrame,
    pub(super) element: Element,
    limit: Option<Duration>,
    /// Has the keeper; so it is dropped last.
    pub(super) heap: Heap<K>,
}

impl<K: Judge + Clone> Clone for Store<K> {
    fn clone(&self) -> Self {
        Self { heap: self.heap.clone(), ..*self }
    }
}

impl<K: Judge> Store<K> {
    pub(crate) fn with_limit(self, limit: Duration) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Takes the lock, within the limit of this handle.
    pub(crate) fn lock(&self) -> Result<Held<'_, K>, SeqError> {
        Held::take(self, Some(self.limit.map_or(Patience::ENDLESS, Patience::from)))
    }

    /// Takes the lock within a limit; without one if it is free.
    pub(crate) fn lock_by(&self, patience: Option<Patience<'_>>) -> Result<Held<'_, K>, SeqError> {
        Held::take(self, patience)
    }

    /// How many elements there were a moment ago.
    pub(crate) fn len(&self) -> usize {
        // Relaxed: a count that others change as it is read.
        self.frame.len.load(Relaxed) as usize
    }

    /// Most elements that there may be, if that was said.
    pub(crate) fn bound(&self) -> Option<usize> {
        self.frame.bound().map(|most| most as usize)
    }

    pub(crate) fn check(&self) -> Result<Account, SeqError> {
        Ok(self.heap.check()?)
    }

    /// The bytes that it takes, all included.
    pub(crate) fn bytes(&self) -> u64 {
        HEAP + self.heap.size()
    }
}

impl<K: Judge + Commit> Store<K> {
    pub(crate) fn shape(
        kind: Kind,
        tag: TypeTag,
        bytes: u64,
        places: u32,
    ) -> Result<Shape, ShapeError> {
        let heap = <Heap<K> as Object<K>>::shape(&Self::heap_bytes(bytes)?.into(), places)?;
        let [lock, seats, ..] = heap.names;
        let by = HEAP as u32;
        let names = [RawMutex::NAMES, lock.moved(by), seats.moved(by), NameWords::NONE];
        Ok(Shape { kind, tag, len: bytes, bytes, align: HEAP, names })
    }

    /// Makes one of so many bytes, and of so many elements at most.
    ///
    /// # Safety
    ///
    /// As for [`Object::init`].
    pub(crate) unsafe fn init(
        region: Region<'_>,
        bytes: u64,
        bound: Option<u32>,
        element: Element,
        keeper: K,
    ) -> Result<Self, ShapeError> {
        let heap = Self::heap_bytes(bytes)?;
        // SAFETY: the caller's promises, for a part of the region.
        let heap = unsafe { Heap::init(region.sub(HEAP, heap)?, heap.into(), keeper) }?;
        // SAFETY: the caller's promises.
        let store = unsafe { Self::place(region, element, heap) }?;
        store.frame.set_bound(bound);
        Ok(store)
    }

    /// Finds one of so many bytes.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`].
    pub(crate) unsafe fn attach(
        region: Region<'_>,
        bytes: u64,
        element: Element,
        keeper: K,
    ) -> Result<Self, ShapeError> {
        let heap = Self::heap_bytes(bytes)?;
        // SAFETY: the caller's promises, for a part of the region.
        let heap = unsafe { Heap::attach(region.sub(HEAP, heap)?, heap, keeper) }?;
        // SAFETY: the caller's promises.
        unsafe { Self::place(region, element, heap) }
    }

    /// Finds the frame in `region`, beside its heap.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`]; the heap's keeper keeps the region mapped.
    unsafe fn place(
        region: Region<'_>,
        element: Element,
        heap: Heap<K>,
    ) -> Result<Self, ShapeError> {
        // SAFETY: the heap has a keeper of these bytes (caller), and lies beside what leads to them.
        let frame = unsafe { region.kept() }.get(Offset::ZERO)?;
        Ok(Self { frame, element, limit: None, heap })
    }

    fn heap_bytes(bytes: u64) -> Result<u64, ShapeError> {
        if (MIN..=MAX).contains(&bytes) {
            return Ok(bytes - HEAP);
        }
        Err(ShapeError::Length { found: bytes, min: MIN, max: MAX })
    }
}
