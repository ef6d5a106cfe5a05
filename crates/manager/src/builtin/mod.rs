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
