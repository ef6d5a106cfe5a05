//! Who takes part in a shared region, and who of them is still alive.
//!
//! A *participant* is an address space that joined a region's roster. It gets an [`OwnerId`] that is never issued
//! twice, and holds a record lock that the kernel releases at the moment its address space is gone: killed, exited or
//! replaced by `exec`. Primitives put the id into their words, and ask a [`Judge`] two questions: *who am I*, and *is
//! this owner alive*.

mod judge;
#[cfg(any(loom, feature = "model"))]
pub mod model;
mod owner;

pub use crate::judge::{Judge, Verdict, ask};
pub use crate::owner::OwnerId;
