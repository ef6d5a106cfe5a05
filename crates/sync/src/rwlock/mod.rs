//! The readers-writer lock: its machine, the value it guards, and the rights to that value.

#[cfg(not(loom))]
pub(crate) mod guard;
#[cfg(not(loom))]
pub(crate) mod handle;
#[cfg(not(loom))]
mod owned;
#[cfg(not(loom))]
mod place;
pub(crate) mod raw;
