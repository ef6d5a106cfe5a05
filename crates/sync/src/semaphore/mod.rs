//! Permits that processes hold, and that come back when their holder dies.

pub(crate) mod frame;
#[cfg(not(loom))]
pub(crate) mod handle;
pub(crate) mod raw;
