//! Python's locks, which guard nothing: one that anybody may release, and one that its thread may take again.

#[cfg(not(loom))]
pub(crate) mod handle;
pub(crate) mod raw;
#[cfg(not(loom))]
pub(crate) mod rlock;
