//! The machine under shmkit: atomics, cells, a clock and futexes.
//!
//! A normal build takes them from `core` and the Linux kernel; with `--cfg loom` they are [loom]'s, and a model of
//! the kernel's futex queue. No other crate of the workspace names `core::sync::atomic` (a tidy test checks), so that
//! every interleaving of every primitive can be tried.
//!
//! What this crate does *not* do: it knows no files, no mappings and no processes. A word in shared memory is to it
//! an [`AtomicU32`] that somebody else keeps mapped.
//!
//! [loom]: https://docs.rs/loom

pub mod barrier;
pub mod cell;
mod clock;
pub mod copy;
pub mod crash;
pub mod futex;
mod prefetch;
#[cfg(not(loom))]
mod processors;

#[cfg(not(loom))]
pub use core::{hint, sync::atomic::*};
#[cfg(loom)]
pub use loom::{hint, sync::atomic::*};

pub use crate::clock::Deadline;
pub use crate::prefetch::{prefetch, prefetch_to_write};
#[cfg(not(loom))]
pub use crate::processors::processors;

/// Declares a function `const` in a normal build; loom's atomics can only be made at run time.
#[macro_export]
macro_rules! const_unless_loom {
    ($(#[$meta:meta])* $vis:vis fn $name:ident() -> $ret:ty $body:block) => {
        $(#[$meta])*
        #[cfg(not(loom))]
        $vis const fn $name() -> $ret $body
        $(#[$meta])*
        #[cfg(loom)]
        $vis fn $name() -> $ret $body
    };
}
