//! What is done, or made, once for all processes.

#[cfg(not(loom))]
pub(crate) mod cell;
#[cfg(not(loom))]
pub(crate) mod handle;
pub(crate) mod raw;
