//! A dictionary in a manager.

use std::fmt;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::entries::{EntriesProxy, Step};
use crate::blob::Blob;
use crate::manager::Manager;
use crate::proxy::{Proxy, Remote};
use crate::{Any, CallError};

/// A dictionary in a manager: Python's `Manager().dict()`. Its order is that in which its keys came.
///
/// The manager keeps keys and values as they were packed, and finds a key by its bytes: it need not know their types, and both
/// sides must name the same. References among the values keep what they lead to, be it this dictionary.
///
/// Plain data that many processes of one machine use belong into a [`ShmMap`], which is some hundred times as fast: no process
/// stands between.
///
/// [`ShmMap`]: https://docs.rs/shmkit-collections/latest/shmkit_collections/struct.ShmMap.html
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Dict<K, V> {
    entries: EntriesProxy,
    #[serde(skip)]
    of: PhantomData<fn(K) -> V>,
}

impl<K, V> Dict<K, V> {
    /// Makes one with nothing in it.
    ///
    /// # Errors
    ///
    /// [`CallError`]; as all others here.
    pub fn new(manager: &Manager) -> Result<Self, CallError> {
        Ok(Self::of(EntriesProxy::new(manager, Vec::new())?))
    }

    fn of(entries: EntriesProxy) -> Self {
        Self { entries, of: PhantomData }
    }

    /// Returns how many entries there are.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn len(&self) -> Result<usize, CallError> {
        Ok(self.entries.len()? as usize)
    }

    /// Returns whether there is none.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn is_empty(&self) -> Result<bool, CallError> {
        Ok(self.len()? == 0)
    }

    /// Removes all.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn clear(&self) -> Result<(), CallError> {
        self.entries.clear()
    }
}

impl<K: Serialize, V: Serialize> Dict<K, V> {
    fn blob<T: Serialize>(&self, value: &T) -> Result<Blob, CallError> {
        Blob::of(self.proxy(), value)
    }

    fn blobs<Q: Into<K>, W: Into<V>>(
        &self,
        all: impl IntoIterator<Item = (Q, W)>,
    ) -> Result<Vec<(Blob, Blob)>, CallError> {
        let pack = |(key, value): (Q, W)| {
            Ok((self.blob::<K>(&key.into())?, self.blob::<V>(&value.into())?))
        };
        all.into_iter().map(pack).collect()
    }

    /// Puts in all of these, or none, in one call: Python's `update`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn extend<Q: Into<K>, W: Into<V>>(
        &self,
        all: impl IntoIterator<Item = (Q, W)>,
    ) -> Result<(), CallError> {
        self.entries.extend(self.blobs(all)?)
    }

    /// Returns whether there is an entry of this key.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn contains_key(&self, key: impl Into<K>) -> Result<bool, CallError> {
        self.entries.contains(self.blob::<K>(&key.into())?)
    }
}

impl<K: Serialize, V: Serialize + DeserializeOwned> Dict<K, V> {
    /// Puts an entry in, and returns the value that the key had.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn insert(&self, key: impl Into<K>, value: impl Into<V>) -> Result<Option<V>, CallError> {
        let (key, value) = (self.blob::<K>(&key.into())?, self.blob::<V>(&value.into())?);
        self.value(self.entries.insert(key, value)?)
    }

    /// Returns the value that the key has, or gives it this one: Python's `setdefault`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn get_or_insert(&self, key: impl Into<K>, value: impl Into<V>) -> Result<V, CallError> {
        let (key, value) = (self.blob::<K>(&key.into())?, self.blob::<V>(&value.into())?);
        self.entries.get_or_insert(key, value)?.value(self.proxy())
    }

    /// Returns the value that the key has.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn get(&self, key: impl Into<K>) -> Result<Option<V>, CallError> {
        self.value(self.entries.get(self.blob::<K>(&key.into())?)?)
    }

    /// Removes an entry, and returns its value.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn remove(&self, key: impl Into<K>) -> Result<Option<V>, CallError> {
        self.value(self.entries.remove(self.blob::<K>(&key.into())?)?)
    }

    fn value(&self, blob: Option<Blob>) -> Result<Option<V>, CallError> {
        blob.map(|blob| blob.value(self.proxy())).transpose()
    }
}

impl<K: DeserializeOwned, V: DeserializeOwned> Dict<K, V> {
    /// Removes the entry whose key came last, and returns it: Python's `popitem`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn pop_last(&self) -> Result<Option<(K, V)>, CallError> {
        self.entries.pop_last()?.map(|entry| self.entry(&entry)).transpose()
    }

    /// Returns the keys, as they are at one moment.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn keys(&self) -> Result<Vec<K>, CallError> {
        self.entries.keys()?.iter().map(|key| key.value(self.proxy())).collect()
    }

    /// Returns the values, as they are at one moment.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn values(&self) -> Result<Vec<V>, CallError> {
        self.entries.values()?.iter().map(|value| value.value(self.proxy())).collect()
    }

    /// Returns all, as it is at one moment: Python's `copy`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn to_vec(&self) -> Result<Vec<(K, V)>, CallError> {
        self.entries.all()?.iter().map(|entry| self.entry(entry)).collect()
    }

    /// Goes through the entries, with a call for each. When a key comes or goes meanwhile, the next step is
    /// [`Changed`](CallError::Changed), and the last one.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn iter(&self) -> Result<DictIter<'_, K, V>, CallError> {
        Ok(DictIter { dict: self, version: self.entries.version()?, at: Some(0) })
    }

    fn entry(&self, (key, value): &(Blob, Blob)) -> Result<(K, V), CallError> {
        Ok((key.value(self.proxy())?, value.value(self.proxy())?))
    }
}

/// Goes through a dictionary; see [`Dict::iter`].
#[derive(Debug)]
pub struct DictIter<'d, K, V> {
    dict: &'d Dict<K, V>,
    version: u64,
    /// The number of the entry before; `None` at the end.
    at: Option<u64>,
}

impl<K: DeserializeOwned, V: DeserializeOwned> Iterator for DictIter<'_, K, V> {
    type Item = Result<(K, V), CallError>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at.take()?;
        Some(match self.dict.entries.after(at, self.version) {
            Ok(Step::Entry(number, key, value)) => {
                self.at = Some(number);
                self.dict.entry(&(key, value))
            }
            Ok(Step::End) => return None,
            Ok(Step::Changed) => Err(CallError::Changed),
            Err(error) => Err(error),
        })
    }
}

impl<K, V> Remote for Dict<K, V> {
    fn from_proxy(proxy: Proxy) -> Self {
        Self::of(EntriesProxy::from_proxy(proxy))
    }

    fn proxy(&self) -> &Proxy {
        self.entries.proxy()
    }
}

impl<K, V> Clone for Dict<K, V> {
    fn clone(&self) -> Self {
        Self::of(self.entries.clone())
    }
}

impl<K, V> fmt::Debug for Dict<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dict").field(self.proxy()).finish()
    }
}

/// What is in it, in one call, as Python shows it; or why that cannot be told.
impl<K: DeserializeOwned + Into<Any>, V: DeserializeOwned + Into<Any>> fmt::Display for Dict<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_vec() {
            Ok(all) => {
                let all = all.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
                Any::Map(all).fmt(f)
            }
            Err(error) => write!(f, "<{error}>"),
        }
    }
}
