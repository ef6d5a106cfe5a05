//! The place of a key in a map, whose part is locked.

use core::borrow::Borrow;
use core::fmt;

use shmkit_heap::{Block, HeapError};
use shmkit_roster::{Judge, Seat};

use super::ShmMap;
use super::entry::Entry;
use super::part::Part;
use crate::{Item, MapError};

/// The place of a key in a [`ShmMap`], whether it has a value or not, with the lock of its part held: what is done with it is
/// one operation to all others. Dropped, it releases the lock.
///
/// The map must not be used beside it by the same thread: another key may be in the same part.
///
/// Where a map evicts, room for a value is made in this part only.
#[must_use = "dropping it releases the lock"]
pub struct MapEntry<'m, Q: Item + ?Sized, V: Item + ?Sized, K: Judge = Seat> {
    map: &'m ShmMap<Q, V, K>,
    part: Part<'m, K>,
    key: &'m Q,
    key_bytes: Q::Bytes<'m>,
    hash: u64,
}

impl<'m, Q: Item + ?Sized, V: Item + ?Sized, K: Judge> MapEntry<'m, Q, V, K> {
    /// Of a key and its bytes.
    pub(super) fn new(
        map: &'m ShmMap<Q, V, K>,
        part: Part<'m, K>,
        (key, key_bytes): (&'m Q, Q::Bytes<'m>),
        hash: u64,
    ) -> Self {
        Self { map, part, key, key_bytes, hash }
    }

    /// Returns the key.
    pub fn key(&self) -> &'m Q {
        self.key
    }

    /// Returns a copy of the value, if there is one.
    ///
    /// # Errors
    ///
    /// [`MapError::Corrupt`].
    pub fn get(&self) -> Result<Option<V::Owned>, MapError> {
        let bucket = self.map.bucket(self.hash);
        match self.part.find(bucket, self.hash, self.key_bytes.as_ref())?.entry {
            Some(entry) => V::copied(entry.value()).map(Some).ok_or(MapError::Corrupt { bucket }),
            None => Ok(None),
        }
    }

    /// Puts a value in, and returns a copy of the one that the key had.
    ///
    /// # Errors
    ///
    /// [`MapError`]; `Full` if there is no room, and nothing makes some.
    pub fn insert(&mut self, value: &V) -> Result<Option<V::Owned>, MapError> {
        let before = self.get()?;
        self.put(value)?;
        Ok(before)
    }

    /// Takes the value out, and returns a copy of it.
    ///
    /// # Errors
    ///
    /// [`MapError::Corrupt`].
    pub fn remove(&mut self) -> Result<Option<V::Owned>, MapError> {
        let before = self.get()?;
        let bucket = self.map.bucket(self.hash);
        self.part.remove(&self.part.find(bucket, self.hash, self.key_bytes.as_ref())?)?;
        Ok(before)
    }

    /// Changes the value, if there is one: `change` works on a copy, which takes its place when it returns.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn and_modify(mut self, change: impl FnOnce(&mut V::Owned)) -> Result<Self, MapError>
    where
        V::Owned: Borrow<V>,
    {
        if let Some(mut value) = self.get()? {
            change(&mut value);
            self.put(value.borrow())?;
        }
        Ok(self)
    }

    /// Returns a copy of the value; if there is none, puts this one in.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn or_insert(self, value: V::Owned) -> Result<V::Owned, MapError>
    where
        V::Owned: Borrow<V>,
    {
        self.or_insert_with(|| value)
    }

    /// Returns a copy of the value; if there is none, puts in what `make` returns. It is called under the lock, at most once,
    /// whoever else comes, and must not use the map.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn or_insert_with(mut self, make: impl FnOnce() -> V::Owned) -> Result<V::Owned, MapError>
    where
        V::Owned: Borrow<V>,
    {
        if let Some(value) = self.get()? {
            return Ok(value);
        }
        let value = make();
        self.put(value.borrow())?;
        Ok(value)
    }

    fn put(&mut self, value: &V) -> Result<(), MapError> {
        let (key, value) = (self.key_bytes.as_ref(), value.bytes()?);
        let (value, bucket) = (value.as_ref(), self.map.bucket(self.hash));
        let mut block = self.reserve(key.len(), value.len())?;
        Entry::fill(block.region(), self.hash, key, value)?;
        // Looked for after room was made: the entry may have gone for that.
        self.part.put(&self.part.find(bucket, self.hash, key)?, block)
    }

    fn reserve(&self, key: usize, value: usize) -> Result<Block<'m, K>, MapError> {
        let (map, layout) = (self.map, Entry::layout(key, value)?);
        let full = MapError::Full { entry: layout.size() as u64, len: map.len() };
        loop {
            match map.heap.reserve(layout) {
                // It ends: there is one entry less each time, and nobody else puts any into this part.
                Err(HeapError::Full { .. }) => {
                    let len = map.heap.len_for(layout).filter(|_| map.frame.evicts());
                    if !self.part.evict(len.ok_or(full)?)? {
                        return Err(full);
                    }
                }
                block => return Ok(block?),
            }
        }
    }
}

impl<Q: Item + ?Sized, V: Item + ?Sized, K: Judge> fmt::Debug for MapEntry<'_, Q, V, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bucket = self.map.bucket(self.hash);
        f.debug_struct("MapEntry").field("bucket", &bucket).finish_non_exhaustive()
    }
}
