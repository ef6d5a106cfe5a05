//! Locks between processes that survive the death of their owner.

#[cfg(loom)]
pub mod crash;
mod doorbell;
mod error;
#[cfg(not(loom))]
mod guard;
mod holder;
#[cfg(not(loom))]
mod mutex;
mod raw_mutex;
mod raw_semaphore;
#[cfg(not(loom))]
mod semaphore;
mod slices;
mod word;

pub use crate::doorbell::{Armed, Doorbell};
pub use crate::error::{LockError, LockFailure, NotOwner, ReleaseError, SemaphoreError};
pub use crate::holder::{HolderCell, Holding};
pub use crate::raw_mutex::{Outcome, RawMutex};
pub use crate::raw_semaphore::RawSemaphore;
pub use crate::slices::Slices;
#[cfg(not(loom))]
pub use crate::{
    guard::MutexGuard,
    mutex::{LockResult, Mutex},
    semaphore::{Permit, Semaphore},
};
