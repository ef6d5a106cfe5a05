//! Queues between processes: many put, many take, and any of them may be killed.
//!
//! * [`Queue`]: bounded, of values of one type, in shared memory.
//!   * [`put`](Queue::put), [`put_all`](Queue::put_all);
//!   * [`get`](Queue::get), [`get_batch`](Queue::get_batch);
//!   * [`take`](Queue::take): with a receipt, the [`Lease`]. Who is killed with one in its hands leaves the item to another;
//!   * [`dead_letters`](Queue::dead_letters): what so many have died with that it is not handed out again;
//!   * [`join`](Queue::join) waits until all is done, [`close`](Queue::close) lets nothing in any more;
//!   * it is [`Ready`](shmkit_wait::Ready) when something can be taken, its [`room`](Queue::room) when something can be put;
//!   * [`len`](Queue::len), [`capacity`](Queue::capacity), [`stats`](Queue::stats).
//! * [`QueueSpec`]: how it is made; [`Delivery`]: what becomes of what the dead had taken.
//! * [`MessageQueue`]: the same of messages of any length, in a heap of its own.
//!   * [`put`](MessageQueue::put), [`get`](MessageQueue::get), [`get_into`](MessageQueue::get_into), and in place:
//!     [`take`](MessageQueue::take).
//! * [`Broadcast`]: one [`Publisher`], any number of [`Subscriber`]s, each of which receives everything at its own pace.
//!   * [`send`](Publisher::send), [`send_all`](Publisher::send_all), and in place: [`reserve`](Publisher::reserve);
//!   * [`recv`](Subscriber::recv), [`recv_batch`](Subscriber::recv_batch), and in place: [`peek`](Subscriber::peek).
//! * [`LifoQueue`] and [`PriorityQueue`]: what was put last comes first, or what has the least priority. They put and get as a queue
//!   does, without leases.
//! * [`BroadcastSpec`]: how it is made; [`Overrun`]: what becomes of what the slow have not received.
//!
//! An operation that waits exists in four forms: `x` waits, `try_x` does not sleep, `x_timeout` and `x_deadline` give up.
//!
//! # If a peer dies
//!
//! Any process may be killed at any instruction. What `put` has accepted is taken, whole; what was about to be put is
//! discarded, and counted. An item that was taken goes to another process unless its taker was done with it; who would rather
//! lose it than work on it twice makes the queue deliver [at most once](Delivery::AtMostOnce). An item that kills whoever works on
//! it goes from hand to hand, unless the queue [gives it up](QueueSpec::give_up_after): then it lies among the
//! [dead letters](Queue::dead_letters), to be looked at. Nobody waits for the dead:
//! whoever waits looks through the slots now and then, one for all who wait, and takes out of the hands of the dead what
//! they had, within about 40 ms of the death.
//!
//! Between the end of [`get`](Queue::get) and the caller's first use of the value, a kill loses it: `get` is done with it when
//! it returns. With [`take`](Queue::take) it comes again.
//!
//! # What this does not do
//!
//! A queue has no more slots than it was made with. Items come in the order in which they were put, so that a process
//! which is *stopped* in the middle of a put (a few instructions) holds up all who take; and an item that is taken and not
//! done keeps its place in the ring, so that a queue which is as small as the number of its takers can be full with nothing to
//! take. Nobody is told that all who put are gone: a [`Patience`](shmkit_sync::Patience) may last as long as one of them
//! lives.
//!
//! # Features
//!
//! * `serde`: values of any type as messages, encoded by `postcard`: `put_value` and `get_value` of a [`MessageQueue`]; handles whose objects lie in a segment are values that travel to other processes, in parcels.
//!
//! # In a mapping of your own
//!
#![doc = include_str!("embed.md")]
//!
//! # How it works
//!
//! A ring of slots. Each has a word that says everything in one: in which pass through the ring, what is done, and who does
//! it; so each step is one compare-exchange that names its maker, and what a killed process leaves behind is a word with the
//! name of a dead one, at whatever instruction it dies. The two positions, where to put and where to take, are hints that
//! everybody moves on who finds them behind. It is [Vyukov's queue] with owners in its sequence numbers; the helping is that
//! of [LCRQ]'s relatives.
//!
//! [Vyukov's queue]: https://www.1024cores.net/home/lock-free-algorithms/queues/bounded-mpmc-queue
//! [LCRQ]: https://doi.org/10.1145/2442516.2442527

mod broadcast;
mod error;
#[cfg(not(loom))]
mod facts;
#[cfg(not(loom))]
mod get;
#[cfg(not(loom))]
mod lease;
#[cfg(not(loom))]
mod letters;
mod message;
mod ordered;
#[cfg(not(loom))]
mod places;
#[cfg(not(loom))]
mod put;
#[cfg(not(loom))]
mod queue;
mod raw;
#[cfg(not(loom))]
mod ready;
mod spec;

#[cfg(not(loom))]
pub use crate::broadcast::{Broadcast, Peeked, Publisher, Subscriber, Unpublished};
pub use crate::broadcast::{
    BroadcastError, BroadcastSpec, Overrun, RawBroadcast, RawPublisher, RawSubscriber, Start,
    SubscriberCell,
};
pub use crate::error::{BatchError, PutError, QueueError};
pub use crate::message::MessageSpec;
#[cfg(all(feature = "serde", not(loom)))]
pub use crate::message::ValueError;
#[cfg(not(loom))]
pub use crate::message::{MessageLease, MessageQueue, MessageRoom};
#[cfg(not(loom))]
pub use crate::ordered::{
    ByPriority, LifoQueue, NewestFirst, Order, OrderedQueue, OrderedRoom, PriorityQueue,
};
pub use crate::ordered::{OrderedRing, OrderedSlot, RawOrdered};
pub use crate::raw::{Claim, Held, RawQueue, Ring, Words};
pub use crate::spec::{Delivery, QueueSpec, Stats};
#[cfg(not(loom))]
pub use crate::{facts::facts, lease::Lease, queue::Queue, ready::Room};
/// What may lie in shared memory, and where: regions, offsets, types.
#[doc(no_inline)]
pub use shmkit_layout as layout;
/// Who takes part, and who of them is alive.
#[doc(no_inline)]
pub use shmkit_roster as roster;
