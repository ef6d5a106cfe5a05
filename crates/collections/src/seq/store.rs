//! Where a sequence lies, and its lock.

use std::time::Duration;

use shmkit_heap::{Account, Heap};
use shmkit_layout::{Commit, Kind, NameWords, Object, Offset, Region, Shape, ShapeError, TypeTag};
use shmkit_roster::{Judge, Seat};
use shmkit_sync::RawMutex;

use super::element::Element;
use super::frame::SeqFrame;
use crate::SeqError;

/// Where the heap begins, in bytes.
const HEAP: u64 = 4096;
/// Fewest bytes of a sequence.
const MIN: u64 = HEAP + Heap::<Seat>::MIN;
/// Most bytes of a sequence.
const MAX: u64 = 1 << 40;

/// The place of a sequence, and its heap.
///
/// ```text
/// 0 SeqFrame | from 4096 on: a Heap
/// ```
pub(crate) struct Store<K: Judge> {
    pub(super) frame: &'static SeqFrame,
    pub(super) element: Element,
    pub(super) limit: Option<Duration>,
    /// Has the keeper; so it is dropped last.
    pub(crate) heap: Heap<K>,
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

    /// How many elements there were a moment ago.
    pub(crate) fn len(&self) -> usize {
        self.frame.len() as usize
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
