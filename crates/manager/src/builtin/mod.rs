//! The objects that every manager has: those of Python's `SyncManager` that are no locks.

#[expect(unreachable_pub, reason = "what a manager serves is public, and nobody sees it here")]
mod counter;
mod dict;
#[expect(unreachable_pub, reason = "what a manager serves is public, and nobody sees it here")]
mod entries;
#[expect(unreachable_pub, reason = "what a manager serves is public, and nobody sees it here")]
mod items;
mod list;
mod namespace;
#[expect(unreachable_pub, reason = "what a manager serves is public, and nobody sees it here")]
mod places;
#[expect(unreachable_pub, reason = "what a manager serves is public, and nobody sees it here")]
mod queue;

pub use self::counter::Counter;
pub use self::dict::{Dict, DictIter};
pub use self::list::{List, ListIter};
pub use self::namespace::Namespace;
pub use self::queue::Queue;

use serde::Serialize;

use crate::CallError;
use crate::manager::Manager;

/// # Objects that every manager has
impl Manager {
    /// Makes a dictionary.
    ///
    /// # Errors
    ///
    /// [`CallError`]; as all others here.
    pub fn dict<K, V>(&self) -> Result<Dict<K, V>, CallError> {
        Dict::new(self)
    }

    /// Makes a list of these items.
    ///
    /// # Errors
    ///
    /// As [`dict`](Self::dict).
    pub fn list<T: Serialize>(
        &self,
        items: impl IntoIterator<Item = T>,
    ) -> Result<List<T>, CallError> {
        List::new(self, items)
    }

    /// Makes a namespace.
    ///
    /// # Errors
    ///
    /// As [`dict`](Self::dict).
    pub fn namespace(&self) -> Result<Namespace, CallError> {
        Namespace::new(self)
    }

    /// Makes a counter that begins with `n`.
    ///
    /// # Errors
    ///
    /// As [`dict`](Self::dict).
    pub fn counter(&self, n: i64) -> Result<Counter, CallError> {
        Counter::new(self, n)
    }

    /// Makes a queue of at most so many items.
    ///
    /// # Errors
    ///
    /// As [`dict`](Self::dict).
    pub fn queue<T>(&self, capacity: usize) -> Result<Queue<T>, CallError> {
        Queue::new(self, capacity)
    }
}
