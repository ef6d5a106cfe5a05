//! A set.

use core::fmt;
use std::time::Duration;

use shmkit_heap::Account;
use shmkit_layout::{Commit, Kind, Object, Region, Shape, ShapeError, TypeTag};
use shmkit_roster::{Judge, Seat};

use crate::{Item, MapError, MapSpec, ShmMap};

/// What each key of a set leads to: no byte.
type Nothing = [u8; 0];

/// A set of keys that processes read and change side by side: a [`ShmMap`] from them to nothing.
///
/// Keys are [`Item`]s: numbers, arrays and structs that are `ShmSafe`, `str`, or `[u8]`. Made as
/// [`evicting`](MapSpec::evicting), it remembers what was seen lately, and forgets the rest.
///
/// # If a peer dies
///
/// As with a [`ShmMap`](ShmMap#if-a-peer-dies): a key that it was about to put in or take out is there or not.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use memmap2::MmapRaw;
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// use shmkit_collections::ShmSet;
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(1 << 20)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let seen = unsafe { ShmSet::<str, _>::init(region, (1 << 20).into(), participant) }?;
/// assert!(seen.insert("/index.html")?);
/// assert!(!seen.insert("/index.html")?, "it was there");
/// assert!(seen.contains("/index.html")?);
/// # Ok(())
/// # }
/// ```
pub struct ShmSet<Q: Item + ?Sized, K: Judge = Seat> {
    map: ShmMap<Q, Nothing, K>,
}

impl<Q: Item + ?Sized, K: Judge + Clone> Clone for ShmSet<Q, K> {
    fn clone(&self) -> Self {
        Self { map: self.map.clone() }
    }
}

impl<Q: Item + ?Sized, K: Judge> ShmSet<Q, K> {
    /// The same set, of which no operation waits longer than this for the lock of a part: then it fails, and
    /// [`is_timeout`](MapError::is_timeout). Without it, a peer that is stopped in the middle of an operation is waited for.
    #[must_use]
    pub fn time_limit(self, limit: Duration) -> Self {
        Self { map: self.map.time_limit(limit) }
    }

    /// Puts a key in, and returns whether it is new.
    ///
    /// # Errors
    ///
    /// [`MapError`]; `Full` if there is no room, and nothing makes some.
    ///
    /// # If a peer dies
    ///
    /// See [the type](Self#if-a-peer-dies); so with all operations.
    pub fn insert(&self, key: &Q) -> Result<bool, MapError> {
        Ok(self.map.insert(key, &[])?.is_none())
    }

    /// Takes a key out, and returns whether it was there.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn remove(&self, key: &Q) -> Result<bool, MapError> {
        Ok(self.map.remove(key)?.is_some())
    }

    /// Returns whether a key is there.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn contains(&self, key: &Q) -> Result<bool, MapError> {
        self.map.contains_key(key)
    }

    /// Puts keys in, one after the other.
    ///
    /// # Errors
    ///
    /// [`MapError`]; those before are in.
    pub fn extend<B>(&self, keys: impl IntoIterator<Item = B>) -> Result<(), MapError>
    where
        B: core::borrow::Borrow<Q>,
    {
        keys.into_iter().try_for_each(|key| self.insert(key.borrow()).map(drop))
    }

    /// Takes out the keys of which `keep` says no. It is called under the lock of a part, and must not use the set.
    ///
    /// # Errors
    ///
    /// [`MapError`]; the parts before are done.
    pub fn retain(&self, mut keep: impl FnMut(Q::Owned) -> bool) -> Result<(), MapError> {
        self.map.retain(|key, _| keep(key))
    }

    /// Takes all keys out.
    ///
    /// # Errors
    ///
    /// [`MapError`]; the parts before are empty.
    pub fn clear(&self) -> Result<(), MapError> {
        self.map.clear()
    }

    /// Goes through copies of the keys, while others change the set: see [`ShmMap::iter`].
    pub fn iter(&self) -> impl Iterator<Item = Result<Q::Owned, MapError>> {
        self.map.keys()
    }

    /// Returns how many keys there were a moment ago.
    pub fn len(&self) -> u64 {
        self.map.len()
    }

    /// Returns whether there was no key a moment ago.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Goes through the set's memory, and returns where every byte is.
    ///
    /// # Errors
    ///
    /// [`MapError::Heap`].
    pub fn check(&self) -> Result<Account, MapError> {
        self.map.check()
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([Q: Item + ?Sized] ShmSet<Q>, |it| it.map.heap.keeper());

// SAFETY: kind and tag are given to this layout alone, which is that of a map, and it names participants where that does.
unsafe impl<Q: Item + ?Sized, K: Judge + Commit> Object<K> for ShmSet<Q, K> {
    const KIND: Kind = Kind::new("set");
    const TAG: TypeTag = Q::TAG;

    /// How many bytes it takes, and whether it evicts.
    type Spec = MapSpec;

    fn shape(spec: &MapSpec, places: u32) -> Result<Shape, ShapeError> {
        let shape = <ShmMap<Q, Nothing, K> as Object<K>>::shape(spec, places)?;
        Ok(Shape { kind: Self::KIND, tag: Self::TAG, ..shape })
    }

    fn committed(spec: &MapSpec, shape: &Shape) -> u64 {
        <ShmMap<Q, Nothing, K> as Object<K>>::committed(spec, shape)
    }

    unsafe fn init(region: Region<'_>, spec: MapSpec, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        Ok(Self { map: unsafe { ShmMap::init(region, spec, keeper) }? })
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        Ok(Self { map: unsafe { ShmMap::attach(region, len, keeper) }? })
    }
}

impl<Q: Item + ?Sized, K: Judge> fmt::Debug for ShmSet<Q, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ShmSet").field(&self.map).finish()
    }
}
