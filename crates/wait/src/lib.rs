//! Waiting for many things at once.
//!
//! [`wait`] sleeps until one of several things is ready, and names all that are: `multiprocessing.connection.wait`. What can be
//! waited for is [`Ready`]: events, the ends of pipes and queues, which are words in shared memory; sockets and pipes, which
//! are descriptors; a [`Process`](shmkit_roster::Process), which is ready when it has ended. [`Pollable`] gives a descriptor
//! to what has none, for `epoll`, `mio` or `tokio`.
//!
//! Several words are slept on in one system call ([`futex_waitv`], Linux 5.16). Words beside descriptors, or more words than
//! one call takes, are slept on by a *bridge*: a thread of this process that tells an eventfd. It sleeps on a word as anybody
//! does, so that whoever rings does not know it, and pays nothing for it.
//!
//! [`futex_waitv`]: https://docs.kernel.org/userspace-api/futex2.html

#![cfg(not(loom))]

mod bridge;
mod coarse;
mod error;
mod pollable;
mod ready;
mod several;

pub use crate::error::WaitError;
pub use crate::pollable::Pollable;
pub use crate::ready::{Ready, Source};
pub use crate::several::wait;
