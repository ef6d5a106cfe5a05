//! The mutex that its thread may take again.

#[cfg(not(loom))]
pub(crate) mod guard;
#[cfg(not(loom))]
pub(crate) mod handle;
pub(crate) mod raw;
