//! A queue with two ends.

mod guard;
mod handle;
mod spec;

pub use self::guard::DequeGuard;
pub use self::handle::ShmDeque;
pub use self::spec::DequeSpec;
