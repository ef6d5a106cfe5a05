//! A list in a manager.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::items::ItemsProxy;
use crate::blob::Blob;
use crate::manager::Manager;
use crate::proxy::{Proxy, Remote};
use crate::{Any, CallError};

/// How often a list that others change meanwhile is sorted anew.
const TRIES: u32 = 16;

/// A list in a manager: Python's `Manager().list()`.
///
/// The manager keeps items as they were packed: it need not know their type, and both sides must name the same. References among
/// them keep what they lead to, be it this list.
///
/// Plain data that many processes of one machine use belong into a [`ShmVec`]: no process stands between.
///
/// [`ShmVec`]: https://docs.rs/shmkit-collections/latest/shmkit_collections/struct.ShmVec.html
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct List<T> {
    items: ItemsProxy,
    #[serde(skip)]
    of: PhantomData<fn() -> T>,
}

impl<T> List<T> {
    fn of(items: ItemsProxy) -> Self {
        Self { items, of: PhantomData }
    }

    /// Returns how many items there are.
    ///
    /// # Errors
    ///
    /// [`CallError`]; as all others here.
    pub fn len(&self) -> Result<usize, CallError> {
        Ok(self.items.len()? as usize)
    }

    /// Returns whether there is none.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn is_empty(&self) -> Result<bool, CallError> {
        Ok(self.len()? == 0)
    }

    /// Turns it round.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn reverse(&self) -> Result<(), CallError> {
        self.items.reverse()
    }

    /// Has it be so many times itself, one after the other: Python's `*=`. Returns whether that is not too long: 2^20 items.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn repeat(&self, times: usize) -> Result<bool, CallError> {
        self.items.repeat(times as u64)
    }

    /// Removes all.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn clear(&self) -> Result<(), CallError> {
        self.items.clear()
    }
}

impl<T: Serialize> List<T> {
    /// Makes one of these items.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn new(manager: &Manager, items: impl IntoIterator<Item = T>) -> Result<Self, CallError> {
        let this = Self::of(ItemsProxy::new(manager, Vec::new())?);
        let items = this.blobs(items)?;
        if !items.is_empty() {
            this.items.extend(items)?;
        }
        Ok(this)
    }

    fn blob(&self, item: impl Into<T>) -> Result<Blob, CallError> {
        Blob::of(self.proxy(), &item.into())
    }

    fn blobs<I: Into<T>>(
        &self,
        items: impl IntoIterator<Item = I>,
    ) -> Result<Vec<Blob>, CallError> {
        items.into_iter().map(|item| self.blob(item)).collect()
    }

    /// Puts an item behind the last one: Python's `append`.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn push(&self, item: impl Into<T>) -> Result<(), CallError> {
        self.items.extend(vec![self.blob(item)?])
    }

    /// Puts items behind the last one, all in one call.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn extend<I: Into<T>>(&self, items: impl IntoIterator<Item = I>) -> Result<(), CallError> {
        self.items.extend(self.blobs(items)?)
    }

    /// Puts an item before that of a place; behind the last one, if there is no such place.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn insert(&self, at: usize, item: impl Into<T>) -> Result<(), CallError> {
        self.items.insert(at as u64, self.blob(item)?)
    }

    /// Returns the first place that has such an item: one that is packed into the same bytes.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn position(&self, item: impl Into<T>) -> Result<Option<usize>, CallError> {
        Ok(self.items.position(self.blob(item)?)?.map(|at| at as usize))
    }

    /// Returns how many such items there are.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn count(&self, item: impl Into<T>) -> Result<usize, CallError> {
        Ok(self.items.count(self.blob(item)?)? as usize)
    }
}

impl<T: DeserializeOwned> List<T> {
    fn value(&self, blob: Option<Blob>) -> Result<Option<T>, CallError> {
        blob.map(|blob| blob.value(self.proxy())).transpose()
    }

    fn values(&self, blobs: &[Blob]) -> Result<Vec<T>, CallError> {
        blobs.iter().map(|blob| blob.value(self.proxy())).collect()
    }

    /// Returns the item of a place; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn get(&self, at: usize) -> Result<Option<T>, CallError> {
        self.value(self.items.get(at as u64)?)
    }

    /// Removes the item of a place, and returns it.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn remove(&self, at: usize) -> Result<Option<T>, CallError> {
        self.value(self.items.remove(at as u64)?)
    }

    /// Removes the last item, and returns it.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn pop(&self) -> Result<Option<T>, CallError> {
        self.value(self.items.pop()?)
    }

    /// Returns the items of a range, as much of it as there is.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Result<Vec<T>, CallError> {
        let (from, to) = bounds(&range);
        self.values(&self.items.slice(from, to)?)
    }

    /// Returns all, as it is at one moment.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn to_vec(&self) -> Result<Vec<T>, CallError> {
        self.values(&self.items.all()?.1)
    }

    /// Goes through the items as they are by then, with a call for each: what others push meanwhile comes, too. At its end it stays
    /// there.
    pub fn iter(&self) -> ListIter<'_, T> {
        ListIter { list: self, at: Some(0) }
    }
}

impl<T: Serialize + DeserializeOwned> List<T> {
    /// Puts an item in the place of another one, and returns that; `None`, and nothing is done, if there is none.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn set(&self, at: usize, item: impl Into<T>) -> Result<Option<T>, CallError> {
        self.value(self.items.set(at as u64, self.blob(item)?)?)
    }

    /// Puts items in the place of a range, as much of it as there is, and returns what was there.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn splice<I: Into<T>>(
        &self,
        range: impl RangeBounds<usize>,
        items: impl IntoIterator<Item = I>,
    ) -> Result<Vec<T>, CallError> {
        let (from, to) = bounds(&range);
        self.values(&self.items.splice(from, to, self.blobs(items)?)?)
    }

    /// Sorts it, here: the manager does not know what the items are. It is done anew if it was changed meanwhile.
    ///
    /// # Errors
    ///
    /// [`Changed`](CallError::Changed) if it is every time; and as [`len`](Self::len).
    pub fn sort(&self) -> Result<(), CallError>
    where
        T: Ord,
    {
        for _ in 0..TRIES {
            let (version, blobs) = self.items.all()?;
            let mut all = self.values(&blobs)?;
            all.sort();
            if self.items.replace(version, self.blobs(all)?)? {
                return Ok(());
            }
        }
        Err(CallError::Changed)
    }
}

fn bounds(range: &impl RangeBounds<usize>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(&at) => at,
        Bound::Excluded(&at) => at.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(&at) => at.saturating_add(1),
        Bound::Excluded(&at) => at,
        Bound::Unbounded => usize::MAX,
    };
    (from as u64, to as u64)
}

/// Goes through a list; see [`List::iter`].
#[derive(Debug)]
pub struct ListIter<'l, T> {
    list: &'l List<T>,
    /// The next place; `None` at the end.
    at: Option<usize>,
}

impl<T: DeserializeOwned> Iterator for ListIter<'_, T> {
    type Item = Result<T, CallError>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at.take()?;
        let item = self.list.get(at).transpose()?;
        self.at = item.is_ok().then_some(at + 1);
        Some(item)
    }
}

impl<T: DeserializeOwned> std::iter::FusedIterator for ListIter<'_, T> {}

impl<T> Remote for List<T> {
    fn from_proxy(proxy: Proxy) -> Self {
        Self::of(ItemsProxy::from_proxy(proxy))
    }

    fn proxy(&self) -> &Proxy {
        self.items.proxy()
    }
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        Self::of(self.items.clone())
    }
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("List").field(self.proxy()).finish()
    }
}

/// What is in it, in one call, as Python shows it; or why that cannot be told.
impl<T: DeserializeOwned + Into<Any>> fmt::Display for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_vec() {
            Ok(all) => Any::from(all).fmt(f),
            Err(error) => write!(f, "<{error}>"),
        }
    }
}
