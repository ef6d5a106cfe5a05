//! How a queue of messages lies in its region.

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_heap::{Heap, HeapSpec};
use shmkit_layout::{
    Commit, Kind, NameWords, Object, Offset, Region, Shape, ShapeError, TypeTag, align_up,
};
use shmkit_roster::{Judge, Seat};

use super::note::Item;
use super::queue::MessageFrame;
use super::{MessageQueue, MessageSpec};
use crate::letters::{self, Letters};
use crate::places::{self, Places, words_at};
use crate::raw::{RawQueue, Ring};

/// Where the ring begins, in bytes.
pub(crate) const RING: u64 = 128;
/// What a heap is aligned to, in bytes.
const ALIGN: u64 = 4096;

const _: () = assert!(size_of::<MessageFrame>() <= RING as usize);

/// Where the parts lie, in bytes.
///
/// ```text
/// 0 MessageFrame | 128 RawQueue | slots, 128 bytes each | dead letters, if there are to be some | heap, aligned to a page
/// ```
#[derive(Clone, Copy, Debug)]
struct Plan {
    count: u32,
    slots: places::Plan,
    /// After how many a message is given up; 0: never, and there are no dead letters.
    deaths: u32,
    letters: Option<letters::Plan>,
    heap: u64,
    heap_bytes: u64,
}

impl Plan {
    fn new(capacity: u64, deaths: u32, heap_bytes: u64) -> Result<Self, ShapeError> {
        let count = places::checked::<Item>(capacity)?;
        let slots = places::Plan::of::<Item>(capacity);
        let letters = if deaths > 0 { Some(letters::Plan::of::<Item>(count)?) } else { None };
        let rings = letters.map_or(slots.bytes, |letters| letters.bytes);
        let heap = align_up(RING + rings, ALIGN).unwrap_or(u64::MAX);
        if heap > letters::FAR {
            let max = letters::FAR / (heap / u64::from(count) + 1);
            return Err(ShapeError::Length { found: capacity, min: 1, max });
        }
        let (min, max) = (Heap::<Seat>::MIN, Heap::<Seat>::MAX);
        if !(min..=max).contains(&heap_bytes) {
            return Err(ShapeError::Length { found: heap_bytes, min, max });
        }
        Ok(Self { count, slots, deaths, letters, heap, heap_bytes })
    }

    fn of(spec: &MessageSpec) -> Result<Self, ShapeError> {
        Self::new(spec.slots.capacity, spec.slots.deaths, spec.bytes)
    }
}

fn heap_spec(spec: &MessageSpec) -> HeapSpec {
    HeapSpec::growing(spec.initial, spec.bytes)
}

impl<K: Judge> MessageQueue<K> {
    /// Finds the parts in `region`, beside the heap.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`]; the heap's keeper keeps the region mapped.
    unsafe fn place(region: Region<'_>, plan: Plan, heap: Heap<K>) -> Result<Self, ShapeError> {
        // SAFETY: the heap has a keeper of these bytes (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let rings = region.sub(RING, plan.heap - RING)?;
        let (words, places) = Places::find(rings, plan.count)?;
        let raw = rings.get::<RawQueue>(Offset::ZERO)?;
        let (mut ring, mut letters) = (Ring::new(raw, words), None);
        if let Some(at) = plan.letters {
            let (tied, found) = at.find(rings, ring, plan.deaths)?;
            (ring, letters) = (tied, Some(found));
        }
        Ok(Self { ring, places, letters, frame: region.get(Offset::ZERO)?, heap })
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([] MessageQueue, |it| it.heap.keeper());

// SAFETY: kind and tag are given to this layout alone; the slots' words are in its names, and the heap's.
unsafe impl<K: Judge + Commit> Object<K> for MessageQueue<K> {
    const KIND: Kind = Kind::new("messages");
    const TAG: TypeTag = TypeTag::NONE;

    type Spec = MessageSpec;

    fn shape(spec: &MessageSpec, places: u32) -> Result<Shape, ShapeError> {
        let plan = Plan::of(spec)?;
        let heap = <Heap<K> as Object<K>>::shape(&heap_spec(spec), places)?;
        let [lock, seats, ..] = heap.names;
        // Below 2^32: `Plan::new`.
        let by = plan.heap as u32;
        let words = (RING + words_at::<Item>()) as u32;
        let slots = RawQueue::names(words, plan.slots.stride as u32, plan.count);
        let letters =
            plan.letters.map_or(NameWords::NONE, |at| at.names::<Item>().moved(RING as u32));
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len: plan.count.into(),
            bytes: plan.heap + plan.heap_bytes,
            align: ALIGN,
            names: [slots, lock.moved(by), seats.moved(by), letters],
        })
    }

    fn committed(spec: &MessageSpec, shape: &Shape) -> u64 {
        let Ok(plan) = Plan::of(spec) else { return shape.bytes };
        let [_, lock, seats, _] = shape.names;
        let names = [lock, seats, NameWords::NONE, NameWords::NONE];
        let heap = Shape { bytes: plan.heap_bytes, names, ..*shape };
        plan.heap + <Heap<K> as Object<K>>::committed(&heap_spec(spec), &heap)
    }

    unsafe fn init(region: Region<'_>, spec: MessageSpec, keeper: K) -> Result<Self, ShapeError> {
        let plan = Plan::of(&spec)?;
        let at = region.sub(plan.heap, plan.heap_bytes)?;
        // SAFETY: the caller's promises, for a part of the region.
        let heap = unsafe { Heap::init(at, heap_spec(&spec), keeper) }?;
        // SAFETY: the caller's promises.
        let queue = unsafe { Self::place(region, plan, heap) }?;
        // Zeros are empty slots of the first lap, without a block (caller).
        queue.ring.queue().make(plan.count, spec.slots.delivery, spec.slots.deaths);
        queue.letters.iter().for_each(Letters::make);
        // Relaxed: whoever publishes the queue to others orders this before.
        queue.frame.bytes.store(plan.heap_bytes, Relaxed);
        Ok(queue)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        let bytes = region.get::<AtomicU64>(Offset::ZERO)?.load(Relaxed);
        let corrupt = |field, found| ShapeError::Corrupt { field, found };
        let deaths = region.get::<RawQueue>(Offset::new(RING)?)?.deaths();
        let plan = Plan::new(len, deaths, bytes).map_err(|error| match error {
            ShapeError::Length { found, .. } if found == bytes && found != len => {
                corrupt("bytes of its heap", bytes)
            }
            error => error,
        })?;
        let at = region.sub(plan.heap, plan.heap_bytes)?;
        // SAFETY: the caller's promises, for a part of the region.
        let heap = unsafe { Heap::attach(at, bytes, keeper) }?;
        // SAFETY: the caller's promises.
        let queue = unsafe { Self::place(region, plan, heap) }?;
        queue.letters.as_ref().map_or(Ok(()), Letters::check)?;
        match queue.ring.queue().capacity() {
            capacity if capacity == len => Ok(queue),
            found => Err(corrupt("capacity", found)),
        }
    }
}
