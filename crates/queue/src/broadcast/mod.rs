//! One who publishes, and many who each receive everything.

mod error;
#[cfg(not(loom))]
mod loan;
#[cfg(not(loom))]
mod object;
#[cfg(not(loom))]
mod places;
#[cfg(not(loom))]
mod publisher;
mod raw;
mod spec;
#[cfg(not(loom))]
mod subscriber;

pub use self::error::BroadcastError;
#[cfg(not(loom))]
pub(crate) use self::places::CELLS;
pub use self::raw::{RawBroadcast, RawPublisher, RawSubscriber, SubscriberCell};
pub use self::spec::{BroadcastSpec, Overrun, Start};
#[cfg(not(loom))]
pub use self::{
    loan::{Peeked, Unpublished},
    object::Broadcast,
    publisher::Publisher,
    subscriber::Subscriber,
};
