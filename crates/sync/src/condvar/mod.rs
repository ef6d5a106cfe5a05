//! Waiting for a condition, with a lock that is given up meanwhile.

pub(crate) mod error;
#[cfg(not(loom))]
pub(crate) mod handle;
pub(crate) mod monitor;
pub(crate) mod raw;
pub(crate) mod sleepers;
#[cfg(not(loom))]
pub(crate) mod waitable;
