//! The vector in a region.

use core::fmt;
use core::marker::PhantomData;
use std::time::Duration;

use shmkit_heap::Account;
use shmkit_layout::{Commit, Kind, Object, Region, Schema, Shape, ShapeError, ShmSafe, TypeTag};
use shmkit_roster::{Judge, Seat};
use shmkit_sync::Patience;

use super::VecGuard;
use crate::SeqError;
use crate::seq::{Element, Store};

/// A vector that processes read and change side by side.
///
/// It lies in a [`Region`] of so many bytes, with a [heap](shmkit_heap::Heap) of its own, in which its elements get a larger
/// block when they outgrow theirs: twice as large, so that a push copies about one element more. While they are copied
/// there must be room for both; the largest vector takes about half of the bytes.
///
/// The handle is its place and a keeper `K`. Each of its methods takes the lock, does one thing, and releases it; several
/// things in a row are done with a [guard](Self::lock), which is a slice, too. Elements are changed by
/// [`set`](Self::set) and [`update`](Self::update), never in place: that is why none is ever half written.
///
/// ```text
/// 0 lock, journal, which block | from 4096 on: a Heap
/// a block: which elements count, 8 bytes | journal, 16 | places, 8 | elements | a spare one
/// ```
///
/// # If a peer dies
///
/// Each operation happens at one store, an `extend` or a `retain` too: what a killed process was about to do is done whole or
/// not at all. Whoever comes next finishes or undoes it, within about 40 ms of the death; nobody is told, since there is
/// nothing to repair.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use memmap2::MmapRaw;
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// use shmkit_collections::ShmVec;
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(1 << 20)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let primes = unsafe { ShmVec::<u32, _>::init(region, 1 << 20, participant) }?;
/// primes.push(2)?;
/// primes.extend([3, 5, 8])?;
/// primes.update(3, |last| *last -= 1)?;
/// assert_eq!(primes.to_vec()?, [2, 3, 5, 7]);
///
/// let mut guard = primes.lock()?;
/// if guard.last() == Some(&7) {
///     guard.push(11)?;
/// }
/// assert_eq!(guard.iter().sum::<u32>(), 28);
/// # Ok(())
/// # }
/// ```
pub struct ShmVec<T: ShmSafe, K: Judge = Seat> {
    store: Store<K>,
    elements: PhantomData<fn(T) -> T>,
}

/// A vector of bytes: what Python calls `bytearray`.
pub type ShmBytes<K = Seat> = ShmVec<u8, K>;

impl<T: ShmSafe, K: Judge + Clone> Clone for ShmVec<T, K> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), elements: PhantomData }
    }
}

impl<T: ShmSafe, K: Judge> ShmVec<T, K> {
    /// The same vector, of which no operation waits longer than this for the lock: then it fails, and
    /// [`is_timeout`](SeqError::is_timeout). Without it, a peer that is stopped in the middle of an operation is waited for.
    #[must_use]
    pub fn time_limit(self, limit: Duration) -> Self {
        Self { store: self.store.with_limit(limit), ..self }
    }

    /// Takes the lock, and returns a guard that is a slice of the elements.
    ///
    /// # Errors
    ///
    /// [`SeqError::Lock`] if the lock cannot be taken; [`SeqError::Corrupt`].
    ///
    /// # If a peer dies
    ///
    /// See [the type](Self#if-a-peer-dies); so with all operations.
    pub fn lock(&self) -> Result<VecGuard<'_, T, K>, SeqError> {
        self.store.lock().map(VecGuard::new)
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](shmkit_sync::LockFailure::WouldBlock) if it is not.
    pub fn try_lock(&self) -> Result<VecGuard<'_, T, K>, SeqError> {
        self.store.lock_by(None).map(VecGuard::new)
    }

    /// Takes the lock, if it is free by the end of `limit`.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock); [`TimedOut`](shmkit_sync::LockFailure::TimedOut) after `limit`.
    pub fn lock_timeout(&self, limit: Duration) -> Result<VecGuard<'_, T, K>, SeqError> {
        self.store.lock_by(Some(limit.into())).map(VecGuard::new)
    }

    /// Takes the lock, if it is free by `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As [`lock_timeout`](Self::lock_timeout).
    pub fn lock_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<VecGuard<'_, T, K>, SeqError> {
        self.store.lock_by(Some(deadline.into())).map(VecGuard::new)
    }

    /// Puts an element at the end.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room.
    pub fn push(&self, value: T) -> Result<(), SeqError> {
        self.lock()?.push(value)
    }

    /// Takes the last element out.
    ///
    /// # Errors
    ///
    /// [`SeqError`].
    pub fn pop(&self) -> Result<Option<T>, SeqError> {
        Ok(self.lock()?.pop())
    }

    /// Returns a copy of an element, if there is such a one.
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
    /// [`SeqError`]; `NoSuchRange` if the index is above the length, `Full` if there is no room for a copy of all.
    pub fn insert(&self, index: usize, value: T) -> Result<(), SeqError> {
        self.lock()?.insert(index, value)
    }

    /// Takes an element out; those behind it move up.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `OutOfRange` if there is no such one, `Full` if there is no room for a copy of all.
    pub fn remove(&self, index: usize) -> Result<T, SeqError> {
        self.lock()?.remove(index)
    }

    /// Takes an element out, whose place the last one gets.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `OutOfRange` if there is no such one.
    pub fn swap_remove(&self, index: usize) -> Result<T, SeqError> {
        self.lock()?.swap_remove(index)
    }

    /// Puts elements at the end: all at once, or none.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room.
    pub fn extend(&self, values: impl IntoIterator<Item = T>) -> Result<(), SeqError> {
        let values: Vec<T> = values.into_iter().collect();
        self.extend_from_slice(&values)
    }

    /// Puts elements at the end: all at once, or none.
    ///
    /// # Errors
    ///
    /// As [`extend`](Self::extend).
    pub fn extend_from_slice(&self, values: &[T]) -> Result<(), SeqError> {
        self.lock()?.extend_from_slice(values)
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

    /// Takes out, all at once, the elements of which `keep` says no. It is called under the lock, and must not use the vector.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room for a copy of all.
    pub fn retain(&self, keep: impl FnMut(&T) -> bool) -> Result<(), SeqError> {
        self.lock()?.retain(keep)
    }

    /// Changes all elements at once, under the lock: `change` works on a copy, which takes their place when it returns.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room for a copy of all.
    pub fn update_all<R>(&self, change: impl FnOnce(&mut [T]) -> R) -> Result<R, SeqError> {
        self.lock()?.update_all(change)
    }

    /// Returns a copy of all elements.
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

    /// Goes through the vector's memory, and returns where every byte is.
    ///
    /// # Errors
    ///
    /// [`SeqError::Heap`].
    pub fn check(&self) -> Result<Account, SeqError> {
        self.store.check()
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([T: ShmSafe] ShmVec<T>, |it| it.store.heap.keeper());

// SAFETY: kind and tag are given to this layout alone, and it names participants in the lock, and in the heap where that says
// so.
unsafe impl<T: ShmSafe, K: Judge + Commit> Object<K> for ShmVec<T, K> {
    const KIND: Kind = Kind::new("vec");
    const TAG: TypeTag = TypeTag::checked::<T>();
    const SCHEMA: Option<&'static Schema> = Some(T::SCHEMA);

    /// How many bytes it takes, all included.
    type Spec = u64;

    fn shape(bytes: &u64, places: u32) -> Result<Shape, ShapeError> {
        Store::<K>::shape(Self::KIND, Self::TAG, *bytes, places)
    }

    unsafe fn init(region: Region<'_>, bytes: u64, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let store = unsafe { Store::init(region, bytes, None, Element::of::<T>(true), keeper) }?;
        Ok(Self { store, elements: PhantomData })
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let store = unsafe { Store::attach(region, len, Element::of::<T>(true), keeper) }?;
        Ok(Self { store, elements: PhantomData })
    }
}

impl<T: ShmSafe, K: Judge> fmt::Debug for ShmVec<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShmVec")
            .field("len", &self.len())
            .field("bytes", &self.store.bytes())
            .finish_non_exhaustive()
    }
}
