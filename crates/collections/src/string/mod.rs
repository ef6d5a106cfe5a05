//! A text.

mod guard;
mod handle;

pub use self::guard::StringGuard;
pub use self::handle::ShmString;
