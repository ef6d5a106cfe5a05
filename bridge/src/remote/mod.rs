//! What another node serves, as it is used here, each in a file.

mod batch;
mod broadcast;
mod builder;
mod calls;
mod gather;
mod hosts;
mod imap;
mod job;
mod lease;
mod many;
mod map;
mod pending;
mod pool;
mod queue;
mod replica;
mod side;

pub use self::broadcast::RemoteSubscriber;
pub use self::builder::RemoteBuilder;
pub(crate) use self::hosts::Facts;
pub use self::imap::{RemoteImap, RemoteWithIndex};
pub use self::lease::RemoteLease;
pub use self::map::RemoteMap;
pub use self::pending::RemotePending;
pub use self::pool::RemotePool;
pub use self::queue::RemoteQueue;
pub use self::replica::MapReplica;
