//! Tasks of a running program's pool, called from scripts.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use shmkit_call::Server;
//! use shmkit_pool::Pool;
//! use shmkit_process::task;
//!
//! #[task(crate = shmkit_process)]
//! fn cook(dish: String, plates: u32) -> String {
//!     format!("{plates} plates of {dish}")
//! }
//!
//! #[shmkit_process::main(crate = shmkit_process)]
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let pool = Arc::new(Pool::new(4)?);
//!     let _server = Server::builder("kitchen").task(cook).start(&pool)?;
//!     // As long as the server is there: `shmkit call kitchen cook soup 3` in any terminal prints "3 plates of soup".
//!     std::thread::park();
//!     Ok(())
//! }
//! ```
//!
//! * [`Server`], in the program that has the pool: which tasks may be called, and how much of whom is put up with;
//! * [`Client`], in any other: calls them, and lists them. The command is one.
//!
//! Only the tasks that the server is given can be called. Arguments come as a JSON array and are decoded to what the task takes, before
//! the pool hears of them; what it returns goes back as JSON. Of a task that returns a `Result`, `Err` is the call's failure.
//! Handles and descriptors are nothing that JSON can say: a task that takes one can be given to a server, and every call is refused.
//!
//! # What may go wrong
//!
//! | | who has called gets |
//! | --- | --- |
//! | nobody serves this name, or another user's program does | [`NotServed`](CallErrorKind::NotServed), [`OtherUser`](CallErrorKind::OtherUser) |
//! | no such task; arguments that are none of this task's | [`UnknownTask`](CallErrorKind::UnknownTask), [`Arguments`](CallErrorKind::Arguments), with what there is |
//! | the task returns `Err` | [`Failed`](CallErrorKind::Failed), with the error |
//! | its worker is killed, exits or panics | [`NotAnswered`](CallErrorKind::NotAnswered), with the signal, the status or what the panic said |
//! | it takes too long | [`TimedOut`](CallErrorKind::TimedOut): called off if it had not begun, else its worker was killed, which hits no other task |
//! | the pool is closed, or the server dropped | [`Closed`](CallErrorKind::Closed) |
//! | the program is killed | [`Gone`](CallErrorKind::Gone), at once: the kernel closes its sockets. The workers end with it |
//!
//! A child that the program has forked may have its sockets still: then whoever has called is told within about 40 ms, as the program's
//! number says. A call that finds no place in the queue of such a child, without a time-out, gets [`TimedOut`](CallErrorKind::TimedOut)
//! after half a minute. A server that is dropped takes nobody, whoever has its socket. The number says nothing across PID namespaces, or once another process has it: there a time-out is needed.
//!
//! A client that goes away is noticed within a fifth of a second: its call is called off if no worker has begun with it, and runs to its
//! end otherwise, its answer going nowhere. Who is slow, or silent, has a thread of the server to itself for five seconds, and holds up
//! nobody.
//!
//! # Who may call
//!
//! Processes of the same user, and root, as the kernel says of the socket's other end. It has a name in the abstract namespace, made of the
//! user's number and the server's name: no file is left, whoever is killed. Such names belong to a network namespace: a container
//! with a network of its own neither sees the host's servers nor is seen; containers that share one share the names. A forked child that
//! does not execute another program keeps the name for as long as it lives. Another user may take the name first; client and server
//! notice, and refuse.
//!
//! # What is spoken
//!
//! One call a connection: a message, which is a JSON document in the frames of Python's `multiprocessing.connection`, and one back.
//!
//! ```python
//! from multiprocessing.connection import Client
//! with Client("\0shmkit-call-1000-kitchen") as server:  # 1000: the user
//!     server.send_bytes(b'{"call": 1, "task": "cook", "args": ["soup", 3], "timeout": 2.5}')
//!     server.recv_bytes()  # b'{"returned":"3 plates of soup"}', or {"failed":{"kind":…,"message":…}}
//! ```
//!
//! Without a task the answer is the list of them, `{"tasks":[{"name":…,"signature":…},…]}`. The client's side stays open until the
//! answer is there.

#![cfg(not(loom))]

mod arguments;
mod builder;
mod callable;
mod client;
mod error;
mod protocol;
mod server;
mod shared;
mod taken;

pub use crate::builder::Builder;
pub use crate::client::Client;
pub use crate::error::{CallError, CallErrorKind};
pub use crate::protocol::Callable;
pub use crate::server::Server;
