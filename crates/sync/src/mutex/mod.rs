//! The robust mutex: its machine, the value it guards, and the right to that value.

#[cfg(not(loom))]
pub(crate) mod guard;
#[cfg(not(loom))]
pub(crate) mod handle;
pub(crate) mod raw;
mod show;
