//! Many tasks on a few processes.
//!
//! * [`Pool`]: workers that run tasks, and are replaced when they die.
//!   * [`submit`](Pool::submit) gives it one, and returns a [`Pending`]: to be waited for, called back, or awaited;
//!   * [`map`](Pool::map), [`starmap`](Pool::starmap) call one task many times, and return all answers;
//!     [`map_each`](Pool::map_each), [`starmap_each`](Pool::starmap_each) what became of each call;
//!   * [`imap`](Pool::imap), [`imap_unordered`](Pool::imap_unordered) return the answers as they come, and call ahead of their
//!     use only a few;
//!   * [`par_map`](Pool::par_map), [`par_for_each`](Pool::par_for_each) run a task on each part of a shared array, which it
//!     changes where it lies;
//!   * [`close`](Pool::close), [`join`](Pool::join), [`terminate`](Pool::terminate).
//! * [`Builder`]: time limits, [`Retry`], recycling, scaling, an initializer.
//! * [`executor`]: the same by the words of Python's `concurrent.futures`.
//!
//! A task is a function with [`#[task]`](shmkit_process::task), as for a process of its own.
//!
//! # If a peer dies
//!
//! Any process may be killed at any instruction. A task is answered exactly once: with its result, or with who died and how.
//! Only the task that a dead worker ran is touched; of many calls that ran as one task, only the call that it was at.
//! When the process that has the pool is killed, the workers end.
//!
//! # What this does not do
//!
//! Descriptors and handles in an answer come as in arguments; but an object that a worker has made itself is there as long as
//! that worker has it: until it has answered so 64 times more, or ends. A pool is that of one process, and no task can make one: workers
//! are [daemons](shmkit_process::Builder::daemon).
//!
//! # Features
//!
//! * `tracing`: events, to whoever subscribes to them. At `WARN` a worker that died; at `DEBUG` workers that come and leave,
//!   processes, and tasks that failed; at `TRACE` each answer. In a worker, where a subscriber is set by an
//!   [initializer](Builder::initializer), each task is a span. Nothing is printed.
//!
//! # How it works
//!
//! A table in shared memory has a cell for each task that is under way, and a word in it says everything: which task, how far,
//! and who runs it. So each step is one compare-exchange that names its maker, and who settles a death reads from the table
//! what the dead one had. The lines in which numbers of cells stand are only hints. A worker is killed only after a word has
//! said for which task, so that the kill hits no other.

#[cfg(not(loom))]
mod answers;
#[cfg(not(loom))]
mod book;
#[cfg(not(loom))]
mod builder;
#[cfg(not(loom))]
mod course;
#[cfg(not(loom))]
mod dispatch;
#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
pub mod executor;
#[cfg(not(loom))]
mod forward;
#[cfg(not(loom))]
mod imap;
#[cfg(not(loom))]
mod inner;
#[cfg(not(loom))]
pub mod look;
#[cfg(not(loom))]
mod luggage;
#[cfg(not(loom))]
mod map;
#[cfg(not(loom))]
mod member;
#[cfg(not(loom))]
mod parts;
#[cfg(not(loom))]
mod pending;
#[cfg(not(loom))]
mod policy;
#[cfg(not(loom))]
mod pool;
pub mod raw;
#[cfg(not(loom))]
mod settle;
#[cfg(not(loom))]
mod store;
#[cfg(not(loom))]
mod supervisor;
#[cfg(not(loom))]
mod table;
#[cfg(not(loom))]
mod ticket;
#[cfg(not(loom))]
mod told;
#[cfg(not(loom))]
mod worker;

#[cfg(not(loom))]
pub use shmkit_process::{Death, TaskError};

#[cfg(not(loom))]
pub use crate::{
    builder::Builder,
    error::{PoolError, PoolErrorKind},
    imap::{Imap, WithIndex},
    parts::{PartFailure, PartsError},
    pending::Pending,
    policy::{AfterDeath, Retry},
    pool::Pool,
};

/// What bridges to other machines need.
#[cfg(not(loom))]
#[doc(hidden)]
pub mod __bridge {
    pub use crate::forward::{Forwarded, Outcome, Packed};
}
