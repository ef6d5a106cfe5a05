//! A map in a set: places in a row, of which a key takes the first free one from its hash on.
//!
//! ```text
//! 0 head | for each place: 0, or its key's hash with the last bit set | keys | values
//! ```
//!
//! Each change of a word, a key or a value is one of its transaction. Whoever takes a key out moves those behind it that would not
//! be found any more, so that no place is marked as having been used.

use core::fmt;
use core::marker::PhantomData;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use bytemuck::{Pod, Zeroable, bytes_of};
use shmkit_layout::{ShmSafe, TypeTag, align_up};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::member::Member;
use super::table::{LINE_BYTES, padded};
use super::view::{SetTransaction, SetView, same_length};
use crate::TransactionError;

/// A map of a [`TransactionalSet`](crate::TransactionalSet), from keys to values of fixed size: where it lies there. A handle as
/// [`Member`] is.
pub struct MapMember<Q, V> {
    /// How many entries there are, and what hashes begin with.
    head: Member<[u64]>,
    hashes: Member<[u64]>,
    keys: Member<[Q]>,
    values: Member<[V]>,
    most: u64,
    items: PhantomData<fn(&Q, &V)>,
}

impl<Q, V> Clone for MapMember<Q, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q, V> Copy for MapMember<Q, V> {}

/// What a map begins with.
#[derive(Clone, Copy)]
#[repr(C)]
struct MapHead([u64; HEAD_WORDS as usize]);

// SAFETY: numbers.
unsafe impl Zeroable for MapHead {}
// SAFETY: `repr(C)`, numbers.
unsafe impl Pod for MapHead {}

const HEAD_WORDS: u64 = 8;

/// How many places there are for so many entries: an eighth of them stays free at least.
fn places(most: u64) -> Option<u64> {
    most.checked_mul(4)?.div_ceil(3).max(2).checked_next_power_of_two()
}

/// Where the parts lie, in bytes from the head on: hashes, keys, values, end.
fn parts<Q, V>(most: u64) -> Option<[u64; 4]> {
    let places = places(most)?;
    let hashes = 8 * HEAD_WORDS;
    let keys = align_up(places.checked_mul(8)?.checked_add(hashes)?, align_of::<Q>() as u64)?;
    let end = places.checked_mul(size_of::<Q>() as u64)?.checked_add(keys)?;
    let values = align_up(end, align_of::<V>() as u64)?;
    let end = places.checked_mul(size_of::<V>() as u64)?.checked_add(values)?;
    Some([hashes, keys, values, end])
}

impl<Q: ShmSafe, V: ShmSafe> MapMember<Q, V> {
    /// How many bytes it takes.
    fn bytes(most: u64) -> Option<u64> {
        parts::<Q, V>(most).map(|[.., end]| end)
    }

    /// What the head of a new one holds.
    fn first() -> MapHead {
        let mut head = MapHead::zeroed();
        head.0[SEED] = RandomState::new().hash_one(0_u8);
        head
    }

    fn at(view: &SetView<'_>, at: u64, most: u64) -> Result<Self, TransactionError> {
        let corrupt = TransactionError::Corrupt;
        let [hashes, keys, values, _] = parts::<Q, V>(most).ok_or(corrupt)?;
        let count = places(most).ok_or(corrupt)?;
        let at = |part: u64| at.checked_add(part).ok_or(corrupt);
        Ok(Self {
            head: view.member_at(at(0)?, HEAD_WORDS)?,
            hashes: view.member_at(at(hashes)?, count)?,
            keys: view.member_at(at(keys)?, count)?,
            values: view.member_at(at(values)?, count)?,
            most,
            items: PhantomData,
        })
    }

    /// Returns how many entries it may have.
    pub fn most(&self) -> u64 {
        self.most
    }
}

/// In the head, where the number of entries is.
const LEN: usize = 0;
/// And what hashes begin with, so that nobody outside knows which keys share a place.
const SEED: usize = 1;

impl<Q, V> fmt::Debug for MapMember<Q, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapMember").field("head", &self.head).field("most", &self.most).finish()
    }
}

/// The place of a key.
enum Place {
    Found(usize),
    /// It is not there; here it would be.
    Free(usize),
}

/// # Maps
impl SetView<'_> {
    /// Finds the map of a name, if there is one.
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find).
    pub fn find_map<Q: ShmSafe, V: ShmSafe>(
        &self,
        name: &str,
    ) -> Result<Option<MapMember<Q, V>>, TransactionError> {
        let Some(row) = self.row(&padded(name)?)? else { return Ok(None) };
        if row.tag != TypeTag::pair(Q::TAG, V::TAG) {
            return Err(TransactionError::OtherType);
        }
        MapMember::at(self, row.at, row.count).map(Some)
    }

    /// Returns the value of a key.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Elsewhere`] if it is a map of another set; [`Corrupt`](TransactionError::Corrupt).
    pub fn value<Q: ShmSafe, V: ShmSafe>(
        &self,
        map: &MapMember<Q, V>,
        key: &Q,
    ) -> Result<Option<&V>, TransactionError> {
        match self.place_of(map, key)? {
            (Place::Found(at), _) => Ok(Some(&self.get(&map.values)?[at])),
            (Place::Free(_), _) => Ok(None),
        }
    }

    /// Goes through keys and values, in no order.
    ///
    /// # Errors
    ///
    /// As [`value`](Self::value).
    pub fn entries<Q: ShmSafe, V: ShmSafe>(
        &self,
        map: &MapMember<Q, V>,
    ) -> Result<impl Iterator<Item = (&Q, &V)>, TransactionError> {
        let (hashes, keys) = (self.get(&map.hashes)?, self.get(&map.keys)?);
        let all = keys.iter().zip(self.get(&map.values)?).zip(hashes);
        Ok(all.filter_map(|(entry, hash)| (*hash != 0).then_some(entry)))
    }

    /// Returns how many entries a map has.
    ///
    /// # Errors
    ///
    /// As [`value`](Self::value).
    pub fn len_of<Q: ShmSafe, V: ShmSafe>(
        &self,
        map: &MapMember<Q, V>,
    ) -> Result<u64, TransactionError> {
        Ok(self.get(&map.head)?[LEN])
    }

    /// Looks for a key, and says what its hash is.
    fn place_of<Q: ShmSafe, V: ShmSafe>(
        &self,
        map: &MapMember<Q, V>,
        key: &Q,
    ) -> Result<(Place, u64), TransactionError> {
        let (hashes, keys) = (self.get(&map.hashes)?, self.get(&map.keys)?);
        let hash = xxh3_64_with_seed(bytes_of(key), self.get(&map.head)?[SEED]) | 1;
        let mut at = home(hash, hashes.len());
        for _ in 0..hashes.len() {
            if hashes[at] == 0 {
                return Ok((Place::Free(at), hash));
            }
            if hashes[at] == hash && bytes_of(&keys[at]) == bytes_of(key) {
                return Ok((Place::Found(at), hash));
            }
            at = (at + 1) % hashes.len();
        }
        // A place stays free (`places`).
        Err(TransactionError::Corrupt)
    }
}

/// Where a hash would have its key, of so many places: a power of two.
fn home(hash: u64, places: usize) -> usize {
    (hash >> 1) as usize % places
}

/// # Maps
impl SetTransaction<'_> {
    /// Finds the map of a name, or makes it, for so many entries at most.
    ///
    /// # Errors
    ///
    /// As [`member`](Self::member).
    pub fn map<Q: ShmSafe, V: ShmSafe>(
        &mut self,
        name: &str,
        most: u64,
    ) -> Result<MapMember<Q, V>, TransactionError> {
        if let Some(found) = self.find_map::<Q, V>(name)? {
            return same_length(found.most(), most).map(|()| found);
        }
        let bytes = MapMember::<Q, V>::bytes(most).unwrap_or(u64::MAX);
        let at = self.make(name, TypeTag::pair(Q::TAG, V::TAG), most, bytes, LINE_BYTES)?;
        let map = MapMember::at(self, at, most)?;
        self.fill(at, bytes_of(&MapMember::<Q, V>::first()))?;
        Ok(map)
    }

    /// Puts a value in, or in the place of the one that the key has.
    ///
    /// # Errors
    ///
    /// [`TransactionError::MapFull`]; otherwise as [`change`](Self::change).
    pub fn insert<Q: ShmSafe, V: ShmSafe>(
        &mut self,
        map: &MapMember<Q, V>,
        key: &Q,
        value: &V,
    ) -> Result<(), TransactionError> {
        let at = match self.place_of(map, key)? {
            (Place::Found(at), _) => at,
            (Place::Free(at), hash) => {
                if self.len_of(map)? >= map.most {
                    return Err(TransactionError::MapFull { most: map.most });
                }
                *self.change(&map.head, |head| &head[LEN])? += 1;
                *self.change(&map.keys, |keys| &keys[at])? = *key;
                *self.change(&map.hashes, |hashes| &hashes[at])? = hash;
                at
            }
        };
        *self.change(&map.values, |values| &values[at])? = *value;
        Ok(())
    }

    /// Borrows the value of a key, if it has one, to be changed.
    ///
    /// # Errors
    ///
    /// As [`change`](Self::change).
    pub fn value_mut<Q: ShmSafe, V: ShmSafe>(
        &mut self,
        map: &MapMember<Q, V>,
        key: &Q,
    ) -> Result<Option<&mut V>, TransactionError> {
        match self.place_of(map, key)? {
            (Place::Found(at), _) => self.change(&map.values, |values| &values[at]).map(Some),
            (Place::Free(_), _) => Ok(None),
        }
    }

    /// Takes an entry out, and returns its value.
    ///
    /// # Errors
    ///
    /// As [`change`](Self::change). It takes room in the log for each entry that has to move.
    pub fn remove<Q: ShmSafe, V: ShmSafe>(
        &mut self,
        map: &MapMember<Q, V>,
        key: &Q,
    ) -> Result<Option<V>, TransactionError> {
        let (Place::Found(mut hole), _) = self.place_of(map, key)? else { return Ok(None) };
        let value = self.get(&map.values)?[hole];
        let places = map.hashes.len();
        let mut at = hole;
        for _ in 0..places {
            at = (at + 1) % places;
            let hash = self.get(&map.hashes)?[at];
            if hash == 0 {
                break;
            }
            // As far from its home as from the hole, or farther: it would not be found beyond it.
            let from = |home: usize| (at + places - home) % places;
            if from(home(hash, places)) < from(hole) {
                continue;
            }
            let (key, value) = (self.get(&map.keys)?[at], self.get(&map.values)?[at]);
            *self.change(&map.keys, |keys| &keys[hole])? = key;
            *self.change(&map.values, |values| &values[hole])? = value;
            *self.change(&map.hashes, |hashes| &hashes[hole])? = hash;
            hole = at;
        }
        *self.change(&map.hashes, |hashes| &hashes[hole])? = 0;
        let len = self.change(&map.head, |head| &head[LEN])?;
        *len = len.saturating_sub(1);
        Ok(Some(value))
    }
}
