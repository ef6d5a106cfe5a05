//! The text in a region.

use core::fmt;
use std::time::Duration;

use shmkit_heap::Account;
use shmkit_layout::{Commit, Kind, Object, Region, Shape, ShapeError, TypeTag};
use shmkit_roster::{Judge, Seat};
use shmkit_sync::Patience;

use super::StringGuard;
use crate::SeqError;
use crate::seq::{Element, Store};

/// A text that processes read and change side by side: UTF-8, checked whenever it is looked at.
///
/// It lies and grows as a [`ShmVec`](crate::ShmVec) of its bytes does. Lengths and places are in bytes, as `std`'s are.
///
/// # If a peer dies
///
/// As with a [`ShmVec`](crate::ShmVec#if-a-peer-dies): what a killed process was about to do is done whole or not at all, so that
/// no text ends within what was appended.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use memmap2::MmapRaw;
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// use shmkit_collections::ShmString;
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(1 << 20)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let greeting = unsafe { ShmString::init(region, 1 << 20, participant) }?;
/// greeting.push_str("good morning")?;
/// greeting.replace_range(5.., "night")?;
/// assert_eq!(greeting.get()?, "good night");
/// greeting.update(|text| text.make_ascii_uppercase())?;
/// assert!(greeting.lock()?.as_str()?.ends_with("NIGHT"));
/// # Ok(())
/// # }
/// ```
pub struct ShmString<K: Judge = Seat> {
    store: Store<K>,
}

impl<K: Judge + Clone> Clone for ShmString<K> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone() }
    }
}

impl<K: Judge> ShmString<K> {
    /// The same text, of which no operation waits longer than this for the lock: then it fails, and
    /// [`is_timeout`](SeqError::is_timeout). Without it, a peer that is stopped in the middle of an operation is waited for.
    #[must_use]
    pub fn time_limit(self, limit: Duration) -> Self {
        Self { store: self.store.with_limit(limit) }
    }

    /// Takes the lock, and returns a guard, which looks at the text and changes it.
    ///
    /// # Errors
    ///
    /// [`SeqError::Lock`] if the lock cannot be taken; [`SeqError::Corrupt`].
    ///
    /// # If a peer dies
    ///
    /// See [the type](Self#if-a-peer-dies); so with all operations.
    pub fn lock(&self) -> Result<StringGuard<'_, K>, SeqError> {
        self.store.lock().map(StringGuard::new)
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](shmkit_sync::LockFailure::WouldBlock) if it is not.
    pub fn try_lock(&self) -> Result<StringGuard<'_, K>, SeqError> {
        self.store.lock_by(None).map(StringGuard::new)
    }

    /// Takes the lock, if it is free by the end of `limit`.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock); [`TimedOut`](shmkit_sync::LockFailure::TimedOut) after `limit`.
    pub fn lock_timeout(&self, limit: Duration) -> Result<StringGuard<'_, K>, SeqError> {
        self.store.lock_by(Some(limit.into())).map(StringGuard::new)
    }

    /// Takes the lock, if it is free by `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As [`lock_timeout`](Self::lock_timeout).
    pub fn lock_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<StringGuard<'_, K>, SeqError> {
        self.store.lock_by(Some(deadline.into())).map(StringGuard::new)
    }

    /// Returns a copy of the text.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `NotUtf8` if a peer has written something else over it.
    pub fn get(&self) -> Result<String, SeqError> {
        Ok(self.lock()?.as_str()?.to_owned())
    }

    /// Makes it another text.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room beside the one that there is.
    pub fn set(&self, text: &str) -> Result<(), SeqError> {
        self.lock()?.set(text)
    }

    /// Changes the text under the lock: `change` works on a copy, which takes its place when it returns.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set) and [`get`](Self::get).
    pub fn update<R>(&self, change: impl FnOnce(&mut String) -> R) -> Result<R, SeqError> {
        let mut guard = self.lock()?;
        let mut text = guard.as_str()?.to_owned();
        let result = change(&mut text);
        guard.set(&text)?;
        Ok(result)
    }

    /// Puts a text at the end.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room.
    pub fn push_str(&self, text: &str) -> Result<(), SeqError> {
        self.lock()?.push_str(text)
    }

    /// Puts a character at the end.
    ///
    /// # Errors
    ///
    /// As [`push_str`](Self::push_str).
    pub fn push(&self, c: char) -> Result<(), SeqError> {
        self.lock()?.push(c)
    }

    /// Takes the last character out.
    ///
    /// # Errors
    ///
    /// [`SeqError`].
    pub fn pop(&self) -> Result<Option<char>, SeqError> {
        self.lock()?.pop()
    }

    /// Puts a text before the character that begins there.
    ///
    /// # Errors
    ///
    /// As [`replace_range`](Self::replace_range).
    pub fn insert_str(&self, at: usize, text: &str) -> Result<(), SeqError> {
        self.lock()?.insert_str(at, text)
    }

    /// Puts a text in the place of another one.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `NoSuchRange`, `NotBoundary` if it begins or ends within a character, `Full` if there is no room for a
    /// copy of all.
    pub fn replace_range(
        &self,
        range: impl core::ops::RangeBounds<usize>,
        with: &str,
    ) -> Result<(), SeqError> {
        self.lock()?.replace_range(range, with)
    }

    /// Leaves the first `len` bytes.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `NotBoundary` if a character would be cut.
    pub fn truncate(&self, len: usize) -> Result<(), SeqError> {
        self.lock()?.truncate(len)
    }

    /// Leaves nothing, and keeps the memory for what comes.
    ///
    /// # Errors
    ///
    /// [`SeqError`].
    pub fn clear(&self) -> Result<(), SeqError> {
        self.lock()?.clear();
        Ok(())
    }

    /// Returns how many bytes there were a moment ago.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Returns whether there was nothing a moment ago.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Goes through the text's memory, and returns where every byte is.
    ///
    /// # Errors
    ///
    /// [`SeqError::Heap`].
    pub fn check(&self) -> Result<Account, SeqError> {
        self.store.check()
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([] ShmString, |it| it.store.heap.keeper());

// SAFETY: the kind is given to this layout alone, and it names participants in the lock, and in the heap where that says so.
unsafe impl<K: Judge + Commit> Object<K> for ShmString<K> {
    const KIND: Kind = Kind::new("string");
    const TAG: TypeTag = TypeTag::NONE;

    /// How many bytes it takes, all included.
    type Spec = u64;

    fn shape(bytes: &u64, places: u32) -> Result<Shape, ShapeError> {
        Store::<K>::shape(Self::KIND, Self::TAG, *bytes, places)
    }

    unsafe fn init(region: Region<'_>, bytes: u64, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let store = unsafe { Store::init(region, bytes, None, Element::of::<u8>(true), keeper) }?;
        Ok(Self { store })
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let store = unsafe { Store::attach(region, len, Element::of::<u8>(true), keeper) }?;
        Ok(Self { store })
    }
}

impl<K: Judge> fmt::Debug for ShmString<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShmString")
            .field("len", &self.len())
            .field("bytes", &self.store.bytes())
            .finish_non_exhaustive()
    }
}
