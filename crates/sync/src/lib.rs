//! Locks between processes that survive the death of their owner.

#[cfg(loom)]
pub mod crash;
mod doorbell;
mod error;
mod holder;
mod raw_mutex;
mod slices;
mod word;

pub use crate::doorbell::{Armed, Doorbell};
pub use crate::error::{LockError, LockFailure, NotOwner};
pub use crate::holder::{HolderCell, Holding};
pub use crate::raw_mutex::{Outcome, RawMutex};
pub use crate::slices::Slices;
