//! Pools, queues, broadcasts and maps of one machine, used from others.
//!
//! The primitives of [`shmkit`] end with their machine: they are words in memory. This goes on from there, by messages, over
//! [zenoh](https://zenoh.io).
//!
//! * [`Node`]: this process, as others reach it, and as it reaches others; a [`Config`] says where.
//! * [`Node::serve_pool`], [`serve_queue`](Node::serve_queue), [`serve_messages`](Node::serve_messages),
//!   [`serve_broadcast`](Node::serve_broadcast), [`serve_map`](Node::serve_map): what others may use, under a name.
//! * [`RemotePool`], [`RemoteQueue`], [`RemoteSubscriber`], [`RemoteMap`] and its [`MapReplica`]: what others serve, with the methods of what is
//!   served.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use shmkit::{Pool, task};
//! use shmkit_bridge::{Config, Node, RemotePool};
//!
//! #[task(idempotent)]
//! fn square(x: u64) -> u64 {
//!     x * x
//! }
//!
//! #[shmkit::main]
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     if std::env::args().nth(1).as_deref() == Some("serve") {
//!         let node = Node::open(&Config::new().listen("tcp/0.0.0.0:7447"))?; // on each host that works
//!         let _served = node.serve_pool("squares", &Arc::new(Pool::new(4)?))?;
//!         loop {
//!             std::thread::park();
//!         }
//!     }
//!     let node = Node::open(&Config::new().connect("tcp/10.0.0.7:7447").connect("tcp/10.0.0.8:7447"))?;
//!     let pool = RemotePool::connect(&node, "squares")?;
//!     assert_eq!(pool.map(square, 1..=4)?, [1, 4, 9, 16]); // a host dies: its tasks run on the other, for they say that they may
//!     Ok(())
//! }
//! ```
//!
//! A queue, a broadcast or a map that lies in a named segment needs no program of its own: `shmkit-bridge serve` finds it there.
//!
//! # What is promised
//!
//! > **Each task is answered once. None runs twice, unless it says that it may. Nothing that was sent is lost in silence. No call waits for the
//! > dead.**
//!
//! A host's death is told by its connection, which ends, and never by a clock of this crate; a message that is missing is noticed by its
//! number, and ends the link, of which everybody who waits is told. What is not known is said: a task whose host is gone *may have run*.
//!
//! # What is not
//!
//! * **Locks, barriers, conditions, semaphores and events do not leave their machine**, nor does what they promise: that a killed owner's
//!   lock goes to the next one rests on the kernel, which knows who is dead. Between machines nobody does.
//! * No agreement: a map is one machine's, and copies of it follow. Nothing changes in two places together.
//! * Handles and descriptors mean nothing elsewhere: an argument that has one in it is refused when it is encoded, and it is said why.
//! * A host that vanishes without closing its connections is gone when zenoh says so, by its lease (10 s as usual): its clock, not ours. A
//!   process that is *stopped* for so long is taken for gone, too; it may finish what it had.
//! * Order between hosts, or between two things that one host serves.
//!
//! Whoever may connect may use what is served: who that is, and whether others can listen, is up to zenoh's configuration (TLS, passwords,
//! access control), which [`Config::file`] takes. Hostile messages are refused, and take no more memory than what has come; the arguments
//! of a task are decoded in a worker.
//!
//! # Features
//!
//! * `tls`: `tls/…` endpoints.

#![forbid(unsafe_code)]

mod config;
mod error;
mod frame;
mod link;
mod node;
mod remote;
mod serve;
mod talk;

pub use crate::config::Config;
pub use crate::error::{BridgeError, RemoteError};
pub use crate::node::{Node, Served};
pub use crate::remote::{
    MapReplica, RemoteBuilder, RemoteImap, RemoteLease, RemoteMap, RemotePending, RemotePool,
    RemoteQueue, RemoteSubscriber, RemoteWithIndex,
};
