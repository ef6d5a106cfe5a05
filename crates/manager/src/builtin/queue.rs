//! A queue in a manager.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shmkit_derive::manager;
use shmkit_sync::Patience;

use crate::blob::Blob;
use crate::lease::waiting;
use crate::manager::Manager;
use crate::proxy::{Proxy, Remote};
use crate::{CallError, caller};

/// What is behind a queue.
pub struct Line {
    capacity: u64,
    items: Mutex<VecDeque<Blob>>,
    changed: Condvar,
}

#[manager(crate = crate, proxy = LineProxy)]
impl Line {
    pub fn new(capacity: u64) -> Self {
        Self { capacity: capacity.max(1), items: Mutex::default(), changed: Condvar::new() }
    }

    pub fn put(&self, item: Blob, wait: Duration) -> bool {
        let is_free = |items: &VecDeque<Blob>| (items.len() as u64) < self.capacity;
        let Some(mut items) = self.wait(wait, is_free) else { return false };
        items.push_back(item);
        self.changed.notify_all();
        true
    }

    pub fn take(&self, wait: Duration) -> Option<Blob> {
        let mut items = self.wait(wait, |items| !items.is_empty())?;
        // Nobody would have what is given to one who has gone.
        if caller::is_gone() {
            return None;
        }
        self.changed.notify_all();
        items.pop_front()
    }

    pub fn len(&self) -> u64 {
        self.items().len() as u64
    }

    fn items(&self) -> MutexGuard<'_, VecDeque<Blob>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(
        &self,
        wait: Duration,
        is_so: impl Fn(&VecDeque<Blob>) -> bool,
    ) -> Option<MutexGuard<'_, VecDeque<Blob>>> {
        let end = Instant::now() + caller::wait_of(wait);
        let mut items = self.items();
        while !is_so(&items) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || caller::is_gone() {
                return None;
            }
            let woken = self.changed.wait_timeout(items, left.min(caller::SLICE));
            items = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(items)
    }
}

/// A queue in a manager, from any of its clients to any: Python's `Manager().Queue()`.
///
/// An item that a client has got is gone with it when it is killed. Between processes of one machine a
/// [`Queue`](https://docs.rs/shmkit-queue/latest/shmkit_queue/struct.Queue.html) in shared memory gives such an item to another,
/// and has no process in between.
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Queue<T> {
    line: LineProxy,
    #[serde(skip)]
    of: PhantomData<fn() -> T>,
}

impl<T> Queue<T> {
    /// Makes one of at most so many items, at least one.
    ///
    /// # Errors
    ///
    /// [`CallError`]; as all others here.
    pub fn new(manager: &Manager, capacity: usize) -> Result<Self, CallError> {
        Ok(Self::of(LineProxy::new(manager, capacity as u64)?))
    }

    fn of(line: LineProxy) -> Self {
        Self { line, of: PhantomData }
    }

    /// Returns how many items are in it.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn len(&self) -> Result<usize, CallError> {
        Ok(self.line.len()? as usize)
    }

    /// Returns whether there is none.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn is_empty(&self) -> Result<bool, CallError> {
        Ok(self.len()? == 0)
    }
}

impl<T: Serialize> Queue<T> {
    /// Puts an item in, and waits until there is room.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # If a peer dies
    ///
    /// who was to make room, others may. The manager: an error.
    pub fn put(&self, item: impl Into<T>) -> Result<(), CallError> {
        self.put_by(&item.into(), Some(Patience::ENDLESS))
    }

    /// As [`put`](Self::put), without waiting.
    ///
    /// # Errors
    ///
    /// As there, and [`WouldBlock`](CallError::WouldBlock).
    pub fn try_put(&self, item: impl Into<T>) -> Result<(), CallError> {
        self.put_by(&item.into(), None)
    }

    /// As [`put`](Self::put), for at most `limit`.
    ///
    /// # Errors
    ///
    /// As there, and [`TimedOut`](CallError::TimedOut) after `limit`.
    pub fn put_timeout(&self, item: impl Into<T>, limit: Duration) -> Result<(), CallError> {
        self.put_by(&item.into(), Some(limit.into()))
    }

    /// As [`put`](Self::put), until `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As there, and whatever ends the patience.
    pub fn put_deadline<'p>(
        &self,
        item: impl Into<T>,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), CallError> {
        self.put_by(&item.into(), Some(deadline.into()))
    }

    fn put_by(&self, item: &T, patience: Option<Patience<'_>>) -> Result<(), CallError> {
        let item = Blob::of(self.proxy(), item)?;
        waiting(patience, |wait| Ok(self.line.put(item.clone(), wait)?.then_some(())))
    }
}

impl<T: DeserializeOwned> Queue<T> {
    /// Waits for an item, and takes it out.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # If a peer dies
    ///
    /// what it had put in is there. The manager: an error.
    pub fn get(&self) -> Result<T, CallError> {
        self.get_by(Some(Patience::ENDLESS))
    }

    /// As [`get`](Self::get), without waiting.
    ///
    /// # Errors
    ///
    /// As there, and [`WouldBlock`](CallError::WouldBlock).
    pub fn try_get(&self) -> Result<T, CallError> {
        self.get_by(None)
    }

    /// As [`get`](Self::get), for at most `limit`.
    ///
    /// # Errors
    ///
    /// As there, and [`TimedOut`](CallError::TimedOut) after `limit`.
    pub fn get_timeout(&self, limit: Duration) -> Result<T, CallError> {
        self.get_by(Some(limit.into()))
    }

    /// As [`get`](Self::get), until `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As there, and whatever ends the patience.
    pub fn get_deadline<'p>(&self, deadline: impl Into<Patience<'p>>) -> Result<T, CallError> {
        self.get_by(Some(deadline.into()))
    }

    fn get_by(&self, patience: Option<Patience<'_>>) -> Result<T, CallError> {
        waiting(patience, |wait| self.line.take(wait))?.value(self.proxy())
    }
}

impl<T> Remote for Queue<T> {
    fn from_proxy(proxy: Proxy) -> Self {
        Self::of(LineProxy::from_proxy(proxy))
    }

    fn proxy(&self) -> &Proxy {
        self.line.proxy()
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self::of(self.line.clone())
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(self.proxy()).finish()
    }
}
