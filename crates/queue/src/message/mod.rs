//! Queues of messages: bytes of any length, values of any type.

#[cfg(not(loom))]
mod get;
#[cfg(not(loom))]
mod lease;
#[cfg(not(loom))]
mod note;
#[cfg(not(loom))]
mod object;
#[cfg(not(loom))]
mod put;
#[cfg(not(loom))]
mod queue;
#[cfg(not(loom))]
mod ready;
mod spec;
#[cfg(all(feature = "serde", not(loom)))]
mod value;

#[cfg(not(loom))]
pub(crate) use self::object::RING;
pub use self::spec::MessageSpec;
#[cfg(all(feature = "serde", not(loom)))]
pub use self::value::ValueError;
#[cfg(not(loom))]
pub use self::{lease::MessageLease, queue::MessageQueue, ready::MessageRoom};
