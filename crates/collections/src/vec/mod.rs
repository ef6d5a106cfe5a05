//! A vector.

mod guard;
mod handle;

pub use self::guard::VecGuard;
pub use self::handle::{ShmBytes, ShmVec};
