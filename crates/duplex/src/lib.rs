//! Two programs that find each other by name and talk through shared memory.
//!
//! A [`Listener`] has a name; a [`Client`] of the same user connects to it, from any process of the machine. What each of them
//! gets is a [`Duplex`]: messages of any length in both directions, through two rings in memory that only these two have.
//! Either learns of the other's end, and of its death, at its next operation or within some 30 ms of waiting.
//!
//! ```
//! use shmkit_duplex::{Client, Listener};
//!
//! # let name = format!("doc-{}", std::process::id());
//! # let name = name.as_str();
//! let mut listener = Listener::bind(name)?; // in one program
//! # std::thread::scope(|scope| {
//! # scope.spawn(|| {
//! # let mut duplex = listener.accept().unwrap();
//! # let message = duplex.recv_bytes().unwrap();
//! # duplex.send_bytes(&message).unwrap();
//! # });
//! let mut duplex = Client::connect(name)?; // in another one
//! duplex.send_bytes(b"hello")?;
//! assert_eq!(duplex.recv_bytes()?, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How they meet
//!
//! Through a Unix socket in Linux's abstract namespace, which has the user's number in its name: nothing lies in any folder, and
//! nothing is left of a listener that was killed. Both sides ask the kernel whose process is at the other end, before they
//! say anything. (Who shares memory and not the network namespace, as some containers do, does not meet.) The listener makes a
//! segment without a name, with a ring for each direction, and passes it through the socket; when the client has joined it,
//! and claimed its ends, the two are connected. The socket stays, for [descriptors](Duplex::socket).
//!
//! To other machines, and to Python, a [`Connection`](shmkit_connection::Connection) leads.

#![cfg(not(loom))]
#![forbid(unsafe_code)]

mod client;
mod duplex;
mod error;
mod listener;
mod offer;
mod options;

pub use crate::client::Client;
pub use crate::duplex::Duplex;
pub use crate::error::MeetError;
pub use crate::listener::Listener;
pub use crate::options::Options;
