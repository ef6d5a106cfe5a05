//! How a map lies in its region.

use core::marker::PhantomData;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use shmkit_heap::{Heap, HeapSpec, Swap};
use shmkit_layout::{
    Commit, Kind, NameWords, Object, Offset, Region, Shape, ShapeError, TypeTag, align_up,
};
use shmkit_roster::{Judge, Seat};

use super::frame::{MapFrame, Shard};
use super::{MapSpec, ShmMap};
use crate::Item;

/// Where the parts begin, in bytes.
pub(crate) const SHARDS: u64 = 128;
/// Most parts.
const PARTS: u64 = 64;
/// What a heap is aligned to, in bytes.
const ALIGN: u64 = 4096;
/// Most bytes of a map: 32 GiB, so that 32 bits tell where its heap begins.
const MAX: u64 = 1 << 35;
/// Bytes for each bucket: about what an entry takes that is not large.
const ENTRY: u64 = 128;

const _: () = assert!(size_of::<Swap>() == 24 && size_of::<MapFrame>() <= SHARDS as usize);

/// How many parts a map of `1 << bits` buckets has.
pub(crate) fn shards(bits: u32) -> u64 {
    1_u64.checked_shl(bits).map_or(PARTS, |buckets| PARTS.min(buckets))
}

/// Where the parts of a map lie, in bytes.
#[derive(Clone, Copy, Debug)]
struct Plan {
    bits: u32,
    shards: u64,
    buckets: u64,
    heap: u64,
    bytes: u64,
}

impl Plan {
    fn new(bytes: u64) -> Result<Self, ShapeError> {
        let (min, max) = (2 * Heap::<Seat>::MIN, MAX);
        if !(min..=max).contains(&bytes) {
            return Err(ShapeError::Length { found: bytes, min, max });
        }
        let bits = (bytes / ENTRY).ilog2();
        let shards = shards(bits);
        let buckets = SHARDS + shards * size_of::<Shard>() as u64;
        let heap = align_up(buckets + (8 << bits), ALIGN).unwrap_or(u64::MAX);
        Ok(Self { bits, shards, buckets, heap, bytes })
    }

    fn heap_bytes(&self) -> u64 {
        self.bytes - self.heap
    }

    /// The heap of a map of which so many bytes are there from the beginning.
    fn heap_spec(&self, initial: u64) -> HeapSpec {
        HeapSpec::growing(initial.saturating_sub(self.heap), self.heap_bytes())
    }
}

impl<Q: Item + ?Sized, V: Item + ?Sized, K: Judge> ShmMap<Q, V, K> {
    /// Finds the map's parts in `region`, beside its heap.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`]; the heap's keeper keeps the region mapped.
    unsafe fn place(region: Region<'_>, plan: Plan, heap: Heap<K>) -> Result<Self, ShapeError> {
        // SAFETY: the heap has a keeper of these bytes (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() }.sub(0, plan.bytes)?;
        Ok(Self {
            region,
            frame: region.get(Offset::ZERO)?,
            shards: region.slice(Offset::new(SHARDS)?, plan.shards as usize)?,
            buckets: region.slice(Offset::new(plan.buckets)?, 1 << plan.bits)?,
            limit: None,
            items: PhantomData,
            heap,
        })
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([Q: Item + ?Sized, V: Item + ?Sized] ShmMap<Q, V>, |it| it.heap.keeper());

// SAFETY: kind and tag are given to this layout alone, and it names participants in the parts' locks, and in the heap where
// that says so.
unsafe impl<Q: Item + ?Sized, V: Item + ?Sized, K: Judge + Commit> Object<K> for ShmMap<Q, V, K> {
    const KIND: Kind = Kind::new("map");
    const TAG: TypeTag = TypeTag::pair(Q::TAG, V::TAG);

    /// How many bytes it takes, and whether it evicts.
    type Spec = MapSpec;

    fn shape(spec: &MapSpec, places: u32) -> Result<Shape, ShapeError> {
        let plan = Plan::new(spec.bytes)?;
        let heap = <Heap<K> as Object<K>>::shape(&plan.heap_spec(spec.initial), places)?;
        let [lock, seats, ..] = heap.names;
        let by = plan.heap as u32;
        let locks = NameWords::many(SHARDS as u32, size_of::<Shard>() as u32, plan.shards as u32);
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len: spec.bytes,
            bytes: spec.bytes,
            align: ALIGN,
            names: [locks, lock.moved(by), seats.moved(by), NameWords::NONE],
        })
    }

    fn committed(spec: &MapSpec, shape: &Shape) -> u64 {
        let Ok(plan) = Plan::new(spec.bytes) else { return shape.bytes };
        let [_, lock, seats, _] = shape.names;
        let names = [lock, seats, NameWords::NONE, NameWords::NONE];
        let heap = Shape { bytes: plan.heap_bytes(), names, ..*shape };
        plan.heap + <Heap<K> as Object<K>>::committed(&plan.heap_spec(spec.initial), &heap)
    }

    unsafe fn init(region: Region<'_>, spec: MapSpec, keeper: K) -> Result<Self, ShapeError> {
        let plan = Plan::new(spec.bytes)?;
        let (at, heap) = (region.sub(plan.heap, plan.heap_bytes())?, plan.heap_spec(spec.initial));
        // SAFETY: the caller's promises, for a part of the region.
        let heap = unsafe { Heap::init(at, heap, keeper) }?;
        // SAFETY: the caller's promises.
        let map = unsafe { Self::place(region, plan, heap) }?;
        map.frame.set(plan.bits, spec.evicting, RandomState::new().hash_one(spec.bytes));
        Ok(map)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        let plan = Plan::new(len)?;
        let found = region.get::<MapFrame>(Offset::ZERO)?.bits();
        if found != plan.bits {
            return Err(ShapeError::Corrupt { field: "number of buckets", found: found.into() });
        }
        let bytes = plan.heap_bytes();
        // SAFETY: the caller's promises, for a part of the region.
        let heap = unsafe { Heap::attach(region.sub(plan.heap, bytes)?, bytes, keeper) }?;
        // SAFETY: the caller's promises.
        unsafe { Self::place(region, plan, heap) }
    }
}
