//! A place at which a number of threads meet.

pub(crate) mod arrival;
pub(crate) mod cell;
pub(crate) mod error;
#[cfg(not(loom))]
pub(crate) mod handle;
pub(crate) mod look;
#[cfg(not(loom))]
pub(crate) mod party;
pub(crate) mod pass;
pub(crate) mod raw;
