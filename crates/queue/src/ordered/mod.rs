//! Queues that give what comes first in another order than that in which it was put.

#[cfg(not(loom))]
mod get;
#[cfg(not(loom))]
mod object;
#[cfg(not(loom))]
mod order;
#[cfg(not(loom))]
mod places;
#[cfg(not(loom))]
mod put;
mod raw;

pub use self::raw::{OrderedRing, OrderedSlot, RawOrdered};
#[cfg(not(loom))]
pub use self::{
    object::{LifoQueue, OrderedQueue, OrderedRoom, PriorityQueue},
    order::{ByPriority, NewestFirst, Order},
};
