//! Something that happens, and that all wait for.

#[cfg(not(loom))]
pub(crate) mod handle;
pub(crate) mod raw;
