//! The deque in a region.

use core::fmt;
use core::marker::PhantomData;
use std::time::Duration;

use shmkit_heap::Account;
use shmkit_layout::{Commit, Kind, Object, Region, Schema, Shape, ShapeError, ShmSafe, TypeTag};
use shmkit_roster::{Judge, Seat};
use shmkit_sync::Patience;

use super::{DequeGuard, DequeSpec};
use crate::SeqError;
use crate::seq::{Element, Store};

/// A queue with two ends that processes read and change side by side.
///
/// It lies and grows as a [`ShmVec`](crate::ShmVec) does, but as a ring, so that a push or a pop at either end moves nothing. Made
/// with a [`max_len`](DequeSpec::max_len), it keeps the newest: what is pushed at one end pushes another one out at the other.
///
/// To wait for an element is what a [pipe](https://docs.rs/shmkit-pipe) is for; this is a collection.
///
/// # If a peer dies
///
/// As with a [`ShmVec`](crate::ShmVec#if-a-peer-dies): what a killed process was about to do is done whole or not at all. What a
/// push pushes out goes in the same step.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use memmap2::MmapRaw;
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// use shmkit_collections::{DequeSpec, ShmDeque};
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(1 << 20)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// let spec = DequeSpec::bytes(1 << 20).max_len(3);
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let latest = unsafe { ShmDeque::<u32, _>::init(region, spec, participant) }?;
/// latest.extend([1, 2, 3])?;
/// latest.push_back(4)?;
/// assert_eq!(latest.to_vec()?, [2, 3, 4]);
/// latest.push_front(1)?;
/// assert_eq!((latest.pop_front()?, latest.pop_back()?), (Some(1), Some(3)));
/// # Ok(())
/// # }
/// ```
pub struct ShmDeque<T: ShmSafe, K: Judge = Seat> {
    store: Store<K>,
    elements: PhantomData<fn(T) -> T>,
}

impl<T: ShmSafe, K: Judge + Clone> Clone for ShmDeque<T, K> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), elements: PhantomData }
    }
}

impl<T: ShmSafe, K: Judge> ShmDeque<T, K> {
    /// The same deque, of which no operation waits longer than this for the lock: then it fails, and
    /// [`is_timeout`](SeqError::is_timeout). Without it, a peer that is stopped in the middle of an operation is waited for.
    #[must_use]
    pub fn time_limit(self, limit: Duration) -> Self {
        Self { store: self.store.with_limit(limit), ..self }
    }

    /// Takes the lock, and returns a guard, which looks at the elements and changes them.
    ///
    /// # Errors
    ///
    /// [`SeqError::Lock`] if the lock cannot be taken; [`SeqError::Corrupt`].
    ///
    /// # If a peer dies
    ///
    /// See [the type](Self#if-a-peer-dies); so with all operations.
    pub fn lock(&self) -> Result<DequeGuard<'_, T, K>, SeqError> {
        self.store.lock().map(DequeGuard::new)
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](shmkit_sync::LockFailure::WouldBlock) if it is not.
    pub fn try_lock(&self) -> Result<DequeGuard<'_, T, K>, SeqError> {
        self.store.lock_by(None).map(DequeGuard::new)
    }

    /// Takes the lock, if it is free by the end of `limit`.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock); [`TimedOut`](shmkit_sync::LockFailure::TimedOut) after `limit`.
    pub fn lock_timeout(&self, limit: Duration) -> Result<DequeGuard<'_, T, K>, SeqError> {
        self.store.lock_by(Some(limit.into())).map(DequeGuard::new)
    }

    /// Takes the lock, if it is free by `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As [`lock_timeout`](Self::lock_timeout).
    pub fn lock_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<DequeGuard<'_, T, K>, SeqError> {
        self.store.lock_by(Some(deadline.into())).map(DequeGuard::new)
    }

    /// Puts an element at the back; where there may be no more, the one at the front goes.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room.
    pub fn push_back(&self, value: T) -> Result<(), SeqError> {
        self.lock()?.push_back(value)
    }

    /// Puts an element at the front; where there may be no more, the one at the back goes.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room.
    pub fn push_front(&self, value: T) -> Result<(), SeqError> {
        self.lock()?.push_front(value)
    }

    /// Takes the element at the back out.
    ///
    /// # Errors
    ///
    /// [`SeqError`].
    pub fn pop_back(&self) -> Result<Option<T>, SeqError> {
        Ok(self.lock()?.pop_back())
    }

    /// Takes the element at the front out.
    ///
    /// # Errors
    ///
    /// [`SeqError`].
    pub fn pop_front(&self) -> Result<Option<T>, SeqError> {
        Ok(self.lock()?.pop_front())
    }

    /// Returns a copy of an element, counted from the front, if there is such a one.
    ///
    /// # Errors
    ///
    /// [`SeqError`].
    pub fn get(&self, index: usize) -> Result<Option<T>, SeqError> {
        Ok(self.lock()?.get(index).copied())
    }

    /// Stores an element, and returns the one before.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `OutOfRange` if there is no such one.
    pub fn set(&self, index: usize, value: T) -> Result<T, SeqError> {
        self.lock()?.set(index, value)
    }

    /// Changes an element under the lock: `change` works on a copy, which takes its place when it returns.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub fn update<R>(&self, index: usize, change: impl FnOnce(&mut T) -> R) -> Result<R, SeqError> {
        self.lock()?.update(index, change)
    }

    /// Puts an element before the one of this index.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `NoSuchRange` if the index is above the length, `Bounded` if there may be no more, `Full` if there is no
    /// room for a copy of all.
    pub fn insert(&self, index: usize, value: T) -> Result<(), SeqError> {
        self.lock()?.insert(index, value)
    }

    /// Takes an element out.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `OutOfRange` if there is no such one, `Full` if there is no room for a copy of all.
    pub fn remove(&self, index: usize) -> Result<T, SeqError> {
        self.lock()?.remove(index)
    }

    /// Puts elements at the back: all at once, or none. Where there may be no more, as many go from the front.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room.
    pub fn extend(&self, values: impl IntoIterator<Item = T>) -> Result<(), SeqError> {
        let values: Vec<T> = values.into_iter().collect();
        self.lock()?.extend_from_slice(&values)
    }

    /// Leaves the first `len` elements.
    ///
    /// # Errors
    ///
    /// [`SeqError`].
    pub fn truncate(&self, len: usize) -> Result<(), SeqError> {
        self.lock()?.truncate(len);
        Ok(())
    }

    /// Takes all elements out, and keeps their block for those to come.
    ///
    /// # Errors
    ///
    /// [`SeqError`].
    pub fn clear(&self) -> Result<(), SeqError> {
        self.truncate(0)
    }

    /// Takes out, all at once, the elements of which `keep` says no. It is called under the lock, and must not use the deque.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room for a copy of all.
    pub fn retain(&self, keep: impl FnMut(&T) -> bool) -> Result<(), SeqError> {
        self.lock()?.retain(keep)
    }

    /// Returns a copy of all elements, from the front to the back.
    ///
    /// # Errors
    ///
    /// [`SeqError`].
    pub fn to_vec(&self) -> Result<Vec<T>, SeqError> {
        Ok(self.lock()?.to_vec())
    }

    /// Returns how many elements there were a moment ago.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Returns whether there was no element a moment ago.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many elements there may be, if whoever made the deque has said so.
    pub fn max_len(&self) -> Option<usize> {
        self.store.bound()
    }

    /// Goes through the deque's memory, and returns where every byte is.
    ///
    /// # Errors
    ///
    /// [`SeqError::Heap`].
    pub fn check(&self) -> Result<Account, SeqError> {
        self.store.check()
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([T: ShmSafe] ShmDeque<T>, |it| it.store.heap.keeper());

// SAFETY: kind and tag are given to this layout alone, and it names participants in the lock, and in the heap where that says
// so.
unsafe impl<T: ShmSafe, K: Judge + Commit> Object<K> for ShmDeque<T, K> {
    const KIND: Kind = Kind::new("deque");
    const TAG: TypeTag = TypeTag::checked::<T>();
    const SCHEMA: Option<&'static Schema> = Some(T::SCHEMA);

    /// How many bytes it takes, and how many elements it may have.
    type Spec = DequeSpec;

    fn shape(spec: &DequeSpec, places: u32) -> Result<Shape, ShapeError> {
        Store::<K>::shape(Self::KIND, Self::TAG, spec.bytes, places)
    }

    unsafe fn init(region: Region<'_>, spec: DequeSpec, keeper: K) -> Result<Self, ShapeError> {
        let DequeSpec { bytes, most } = spec;
        // SAFETY: the caller's promises.
        let store = unsafe { Store::init(region, bytes, most, Element::of::<T>(false), keeper) }?;
        Ok(Self { store, elements: PhantomData })
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let store = unsafe { Store::attach(region, len, Element::of::<T>(false), keeper) }?;
        Ok(Self { store, elements: PhantomData })
    }
}

impl<T: ShmSafe, K: Judge> fmt::Debug for ShmDeque<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShmDeque")
            .field("len", &self.len())
            .field("bytes", &self.store.bytes())
            .finish_non_exhaustive()
    }
}
