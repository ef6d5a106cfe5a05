//! The words of the cells that have a lock, and the order in which they change: what loom checks.

pub(crate) mod array;
pub(crate) mod snapshot;
#[cfg(not(loom))]
pub(crate) mod undo;
pub(crate) mod value;
