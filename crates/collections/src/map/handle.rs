//! The map in a region.

use core::fmt;
use core::marker::PhantomData;
use std::time::Duration;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU64, prefetch, prefetch_to_write};
use shmkit_heap::{Account, Block, BlockId, Heap, HeapError};
use shmkit_layout::{Region, ShmSafe};
use shmkit_roster::{Judge, Seat};
use shmkit_sync::Patience;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::MapEntry;
use super::entry::Entry;
use super::frame::{MapFrame, Shard};
use super::iter::MapIter;
use super::part::{Part, Whole};
use crate::{Item, MapError};

/// A map from keys to values that processes read and change side by side.
///
/// It lies in a [`Region`]: make one with [`Object::init`](shmkit_layout::Object::init), use it in other processes with
/// [`Object::attach`](shmkit_layout::Object::attach). The handle is its place and a keeper `K`; clones share what they know
/// of its memory. Keys and values are [`Item`]s: numbers, arrays and structs that are `ShmSafe`, `str`, or `[u8]`;
/// with the feature `serde`, whatever can be serialised, too.
///
/// Up to 64 parts of it have a lock each, so that few operations meet. What is read is a copy, and whole: a new value is
/// written aside, and one store puts it in the old one's place. [`get`](Self::get) takes no lock, unless it meets a change of the
/// same part, or the map evicts. Several things with one key are one operation by [`entry`](Self::entry).
///
/// It has as many buckets from the beginning as it can ever have entries, an eighth of its bytes at most, so that no insert has
/// to move the others, and no kill comes in the middle of that. The memory of its entries need not be there from the
/// beginning: made as [`growing`](crate::MapSpec::growing), it has more when it would be full, up to its limit. Made as
/// [`evicting`](crate::MapSpec::evicting), it serves as a cache.
///
/// ```text
/// 0 head | 128 parts, of 128 bytes | buckets, of 8 | from a multiple of 4096 on: a Heap
/// ```
///
/// # If a peer dies
///
/// An entry that it was about to change is the old one or the new one, absent or there; whoever comes next to that part of
/// the map finishes or undoes the change, within about 40 ms of the death. Nothing of it is lost or has to be repaired.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use memmap2::MmapRaw;
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// use shmkit_collections::ShmMap;
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(1 << 20)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let stock = unsafe { ShmMap::<str, u32, _>::init(region, (1 << 20).into(), participant) }?;
/// stock.insert("apples", &3)?;
/// stock.update("apples", |n| *n += 1)?;
/// assert_eq!(stock.get("apples")?, Some(4));
/// assert_eq!(stock.remove("pears")?, None);
/// # Ok(())
/// # }
/// ```
pub struct ShmMap<Q: Item + ?Sized, V: Item + ?Sized, K: Judge = Seat> {
    /// The map's bytes.
    pub(super) region: Region<'static>,
    pub(super) frame: &'static MapFrame,
    pub(super) shards: &'static [Shard],
    pub(super) buckets: &'static [AtomicU64],
    pub(super) limit: Option<Duration>,
    pub(super) items: Items<Q, V>,
    /// Has the keeper; so it is dropped last.
    pub(crate) heap: Heap<K>,
}

/// A map holds copies of keys and values, and none in this process.
pub(super) type Items<Q, V> = PhantomData<(fn(&Q), fn(&V))>;

/// Copies of keys and of their values.
type Entries<Q, V> = Vec<(<Q as Item>::Owned, <V as Item>::Owned)>;

impl<Q: Item + ?Sized, V: Item + ?Sized, K: Judge + Clone> Clone for ShmMap<Q, V, K> {
    fn clone(&self) -> Self {
        Self { items: PhantomData, heap: self.heap.clone(), ..*self }
    }
}

impl<Q: Item + ?Sized, V: Item + ?Sized, K: Judge> ShmMap<Q, V, K> {
    /// The same map, of which no operation waits longer than this for the lock of a part: then it fails, and
    /// [`is_timeout`](MapError::is_timeout). Without it, a peer that is stopped in the middle of an operation is waited for.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Returns a copy of the value of a key.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    ///
    /// # If a peer dies
    ///
    /// See [the type](Self#if-a-peer-dies); so with all operations.
    pub fn get(&self, key: &Q) -> Result<Option<V::Owned>, MapError> {
        let key = key.bytes()?;
        let key = key.as_ref();
        let hash = self.hash(key);
        match self.glance(hash, key) {
            Some(None) => return Ok(None),
            Some(Some(found)) if found.fits() => {
                if let Some(value) = V::taken(found.len, |to| found.copy_to(to)) {
                    return Ok(Some(value));
                }
            }
            _ => {}
        }
        self.get_locked(hash, key)
    }

    #[cold]
    fn get_locked(&self, hash: u64, key: &[u8]) -> Result<Option<V::Owned>, MapError> {
        match self.read_bytes(hash, key, V::copied)? {
            Some(None) => Err(MapError::Corrupt { bucket: self.bucket(hash) }),
            value => Ok(value.flatten()),
        }
    }

    /// Calls `look` with the bytes of the value of a key, where they lie: one copy less than [`get`](Self::get), under the
    /// lock of its part of the map.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn read<R>(&self, key: &Q, look: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, MapError> {
        let key = key.bytes()?;
        self.read_bytes(self.hash(key.as_ref()), key.as_ref(), look)
    }

    fn read_bytes<R>(
        &self,
        hash: u64,
        key: &[u8],
        look: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, MapError> {
        let part = self.part(hash)?;
        let Some(entry) = part.find(self.bucket(hash), hash, key)?.entry else {
            return Ok(None);
        };
        if self.frame.evicts() {
            part.ask_for(&entry);
        }
        Ok(Some(look(entry.value())))
    }

    /// Returns whether there is an entry of this key.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn contains_key(&self, key: &Q) -> Result<bool, MapError> {
        let key = key.bytes()?;
        let key = key.as_ref();
        let hash = self.hash(key);
        match self.glance(hash, key) {
            Some(None) => Ok(false),
            Some(Some(found)) if found.is_now() => Ok(true),
            _ => Ok(self.read_bytes(hash, key, |_| ())?.is_some()),
        }
    }

    /// Puts a value in, and returns a copy of the one that the key had.
    ///
    /// # Errors
    ///
    /// [`MapError`]; `Full` if there is no room, and nothing makes some.
    pub fn insert(&self, key: &Q, value: &V) -> Result<Option<V::Owned>, MapError> {
        let (key, value) = (key.bytes()?, value.bytes()?);
        let key = key.as_ref();
        let hash = self.hash(key);
        let block = self.fill(hash, key, value.as_ref())?;
        let part = self.part(hash)?;
        let spot = part.find(self.bucket(hash), hash, key)?;
        let before = spot.entry.and_then(|entry| V::copied(entry.value()));
        part.put(&spot, block)?;
        Ok(before)
    }

    /// Returns a copy of the value of a key; if it has none, of what `make` returns, which is put in. `make` is called with
    /// no lock held: where two come at a time, both may call it, and one's value is taken by both.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn get_or_insert_with<B>(
        &self,
        key: &Q,
        make: impl FnOnce() -> B,
    ) -> Result<V::Owned, MapError>
    where
        B: std::borrow::Borrow<V>,
    {
        if let Some(value) = self.get(key)? {
            return Ok(value);
        }
        let key = key.bytes()?;
        let key = key.as_ref();
        let hash = self.hash(key);
        let bucket = self.bucket(hash);
        let made = make();
        let value = made.borrow().bytes()?;
        let block = self.fill(hash, key, value.as_ref())?;
        let part = self.part(hash)?;
        let spot = part.find(bucket, hash, key)?;
        let bytes = match spot.entry {
            Some(entry) => entry.value(),
            None => {
                part.put(&spot, block)?;
                value.as_ref()
            }
        };
        V::copied(bytes).ok_or(MapError::Corrupt { bucket })
    }

    /// Takes an entry out, and returns a copy of its value.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn remove(&self, key: &Q) -> Result<Option<V::Owned>, MapError> {
        let key = key.bytes()?;
        let hash = self.hash(key.as_ref());
        let part = self.part(hash)?;
        let spot = part.find(self.bucket(hash), hash, key.as_ref())?;
        let before = spot.entry.and_then(|entry| V::copied(entry.value()));
        part.remove(&spot)?;
        Ok(before)
    }

    /// Takes out the entries of which `keep` says no. It is called under the lock of a part, and must not use the map.
    ///
    /// # Errors
    ///
    /// [`MapError`]; the parts before are done.
    pub fn retain(&self, mut keep: impl FnMut(Q::Owned, V::Owned) -> bool) -> Result<(), MapError> {
        self.each_part(|part| {
            let mut bad = None;
            part.keep(|bucket, entry| match Self::copied(&entry) {
                Some((key, value)) => keep(key, value),
                None => {
                    bad = Some(bucket);
                    true
                }
            })?;
            bad.map_or(Ok(()), |bucket| Err(MapError::Corrupt { bucket }))
        })
    }

    /// Takes all entries out.
    ///
    /// # Errors
    ///
    /// [`MapError`]; the parts before are empty.
    pub fn clear(&self) -> Result<(), MapError> {
        self.each_part(|part| part.keep(|_, _| false))
    }

    /// Returns copies of all entries, part by part: one that is changed meanwhile is there as it was or as it is.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn entries(&self) -> Result<Entries<Q, V>, MapError> {
        self.iter().collect()
    }

    /// Goes through copies of all entries, while others change the map: each is whole, and what is there all the time comes
    /// once. A part is copied under its lock when it is come to; none is held between two items. A part that is not to be had,
    /// or is damaged, is an error in its place.
    pub fn iter(&self) -> impl Iterator<Item = Result<(Q::Owned, V::Owned), MapError>> {
        MapIter::new(self, Self::copied)
    }

    /// Goes through copies of all keys as [`iter`](Self::iter) does.
    pub fn keys(&self) -> impl Iterator<Item = Result<Q::Owned, MapError>> {
        MapIter::new(self, |entry| Q::copied(entry.key()))
    }

    /// Goes through copies of all values as [`iter`](Self::iter) does.
    pub fn values(&self) -> impl Iterator<Item = Result<V::Owned, MapError>> {
        MapIter::new(self, |entry| V::copied(entry.value()))
    }

    /// Takes the lock of a key's part of the map, and returns its place there, with a value or without: what is done with it
    /// is one operation to all others.
    ///
    /// ```
    /// # fn count(words: &shmkit_collections::ShmMap<str, u64>) -> Result<(), shmkit_collections::MapError> {
    /// words.entry("the")?.and_modify(|n| *n += 1)?.or_insert(1)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`MapError::Lock`]; [`MapError::Serialize`] of a key that cannot be.
    pub fn entry<'m>(&'m self, key: &'m Q) -> Result<MapEntry<'m, Q, V, K>, MapError> {
        let bytes = key.bytes()?;
        let hash = self.hash(bytes.as_ref());
        Ok(MapEntry::new(self, self.part(hash)?, (key, bytes), hash))
    }

    /// Returns how many entries there were a moment ago.
    pub fn len(&self) -> u64 {
        // Relaxed: a count that others change as it is read.
        self.shards.iter().map(|shard| shard.len.load(Relaxed)).sum()
    }

    /// Returns whether there was no entry a moment ago.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Goes through the map's memory, and returns where every byte is.
    ///
    /// # Errors
    ///
    /// [`MapError::Heap`].
    pub fn check(&self) -> Result<Account, MapError> {
        Ok(self.heap.check()?)
    }

    fn copied(entry: &Entry<'_>) -> Option<(Q::Owned, V::Owned)> {
        Some((Q::copied(entry.key())?, V::copied(entry.value())?))
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.frame.seed())
    }

    #[inline]
    pub(super) fn bucket(&self, hash: u64) -> u64 {
        // As many buckets as a power of two, at least two.
        hash >> (64 - self.buckets.len().trailing_zeros())
    }

    /// Takes the lock of the part that a hash belongs to.
    #[inline]
    fn part(&self, hash: u64) -> Result<Part<'_, K>, MapError> {
        self.part_at(self.shard(hash))
    }

    /// Returns which part a hash belongs to.
    #[inline]
    pub(super) fn shard(&self, hash: u64) -> usize {
        // As many parts as a power of two, and no more than buckets.
        (hash >> (64 - self.shards.len().trailing_zeros())) as usize
    }

    #[inline]
    pub(super) fn part_at(&self, at: usize) -> Result<Part<'_, K>, MapError> {
        // As many buckets, and as many parts, as a power of two.
        let each = self.buckets.len() >> self.shards.len().trailing_zeros();
        let whole = Whole {
            region: self.region,
            heap: &self.heap,
            buckets: &self.buckets[at * each..(at + 1) * each],
            first: (at * each) as u64,
        };
        let patience = self.limit.map_or(Patience::ENDLESS, Patience::from);
        Part::take(whole, &self.shards[at], patience)
    }

    fn each_part(
        &self,
        mut work: impl FnMut(Part<'_, K>) -> Result<(), MapError>,
    ) -> Result<(), MapError> {
        (0..self.shards.len()).try_for_each(|at| work(self.part_at(at)?))
    }

    /// Reserves a block, and fills it with an entry.
    #[inline]
    fn fill(&self, hash: u64, key: &[u8], value: &[u8]) -> Result<Block<'_, K>, MapError> {
        let layout = Entry::layout(key.len(), value.len())?;
        // What is looked at under the lock comes here meanwhile, one after the other: a hint is enough for that.
        let first = &self.buckets[self.bucket(hash) as usize];
        prefetch(first);
        prefetch_to_write(&raw const self.shards[self.shard(hash)]);
        let block = match self.heap.reserve(layout) {
            Err(HeapError::Full { .. }) => self.make_room(hash, layout)?,
            block => block?,
        };
        let mut block = block;
        self.heap.prefetch(BlockId::from_number(first.load(Relaxed)));
        Entry::fill(block.region(), hash, key, value)?;
        Ok(block)
    }

    /// Has some entries make room for another one, in the parts from the one of this hash on.
    #[cold]
    fn make_room(&self, hash: u64, layout: core::alloc::Layout) -> Result<Block<'_, K>, MapError> {
        let full = MapError::Full { entry: layout.size() as u64, len: self.len() };
        if !self.frame.evicts() {
            return Err(full);
        }
        let first = self.shard(hash);
        let len = self.heap.len_for(layout).ok_or(full)?;
        for at in (first..self.shards.len()).chain(0..first) {
            if !self.part_at(at)?.evict(len)? {
                continue;
            }
            match self.heap.reserve(layout) {
                Err(HeapError::Full { .. }) => {}
                block => return Ok(block?),
            }
        }
        Err(full)
    }
}

impl<Q: Item + ?Sized, V: ShmSafe, K: Judge> ShmMap<Q, V, K> {
    /// Changes the value of a key, under the lock of its part of the map, and returns it; `None` if there is no such entry.
    /// `change` gets a copy, which is put in the value's place when it returns, and must not use the map.
    ///
    /// # Errors
    ///
    /// [`MapError`]; nothing was changed.
    pub fn update(&self, key: &Q, change: impl FnOnce(&mut V)) -> Result<Option<V>, MapError> {
        let key = key.bytes()?;
        let key = key.as_ref();
        let hash = self.hash(key);
        let bucket = self.bucket(hash);
        // Before the lock: to make room takes locks.
        let block = self.fill(hash, key, bytemuck::bytes_of(&V::zeroed()))?;
        let part = self.part(hash)?;
        let spot = part.find(bucket, hash, key)?;
        let Some(entry) = spot.entry else { return Ok(None) };
        let mut value = <V as Item>::copied(entry.value()).ok_or(MapError::Corrupt { bucket })?;
        change(&mut value);
        let mut block = block;
        Entry::fill(block.region(), hash, key, bytemuck::bytes_of(&value))?;
        part.put(&spot, block)?;
        Ok(Some(value))
    }
}

impl<Q: Item + ?Sized, V: Item + ?Sized, K: Judge> fmt::Debug for ShmMap<Q, V, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShmMap")
            .field("len", &self.len())
            .field("bytes", &self.region.len())
            .finish_non_exhaustive()
    }
}
