//! A number that goes up and down, and that nobody owns.

#[cfg(not(loom))]
pub(crate) mod handle;
pub(crate) mod raw;
