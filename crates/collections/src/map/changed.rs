//! Following what others change.

use core::marker::PhantomData;

use shmkit_roster::Judge;

use super::ShmMap;
use crate::{Item, MapError};

/// What somebody has seen of a map, part by part: see [`ShmMap::changed`].
#[derive(Clone, Debug, Default)]
pub struct Seen(Vec<Option<u64>>);

/// A part of a map that has changed: its number, and what is in it now.
pub type Changed<Q, V> = (usize, Vec<(<Q as Item>::Owned, <V as Item>::Owned)>);

impl<Q: Item + ?Sized, V: Item + ?Sized, K: Judge> ShmMap<Q, V, K> {
    /// Returns of how many parts it consists, each with a lock and a count of changes of its own. A key is always in the same one.
    pub fn parts(&self) -> usize {
        self.shards.len()
    }

    /// Returns those parts, whole, that have changed since they were last returned for this `seen`; all, for a new one. What did not
    /// change costs a look at one number; so whoever wants to know of changes asks now and then. Of two changes between two looks, the
    /// last is seen.
    ///
    /// # Errors
    ///
    /// [`MapError`]; what was seen is as before.
    pub fn changed(&self, seen: &mut Seen) -> Result<Vec<Changed<Q, V>>, MapError> {
        let mut new = seen.clone();
        new.0.resize(self.shards.len(), None);
        let mut all = Vec::new();
        for (at, known) in new.0.iter_mut().enumerate() {
            let changes = &self.shards[at].changes;
            // While somebody changes it, there is no number that could be the known one.
            if known.is_some_and(|known| changes.seen() == Some(known)) {
                continue;
            }
            let part = self.part_at(at)?;
            // Under the lock nobody changes it.
            let number = changes.seen();
            let (mut entries, mut bad) = (Vec::new(), None);
            part.each(|bucket, entry| match (Q::copied(entry.key()), V::copied(entry.value())) {
                (Some(key), Some(value)) => entries.push((key, value)),
                _ => bad = Some(bucket),
            })?;
            if let Some(bucket) = bad {
                return Err(MapError::Corrupt { bucket });
            }
            *known = number;
            all.push((at, entries));
        }
        *seen = new;
        Ok(all)
    }
}

impl<Q: Item + ?Sized, V: Item + ?Sized, K: Judge + Clone> ShmMap<Q, V, K> {
    /// The same map, of keys and values as bytes. Whoever puts something in must see to it that they are keys and values.
    #[doc(hidden)]
    pub fn __bytes(&self) -> ShmMap<[u8], [u8], K> {
        ShmMap {
            region: self.region,
            frame: self.frame,
            shards: self.shards,
            buckets: self.buckets,
            limit: self.limit,
            items: PhantomData,
            heap: self.heap.clone(),
        }
    }
}
