//! Connections that carry messages between processes: Python's `multiprocessing.connection`.
//!
//! A [`Connection`] is an end of a stream socket, Unix or TCP. Messages keep their boundaries, in Python's frames, so that the
//! other end may be a Python program. Descriptors go along with messages through Unix sockets. A connection is
//! [`Ready`](shmkit_wait::Ready) for [`wait`](shmkit_wait::wait), has a descriptor for `epoll`, and comes apart into halves
//! for two threads.
//!
//! A [`Listener`] is found at a path, by a name or at an IP address and port; a [`Client`] connects to it. If they have a
//! [`Key`], each shows the other one that it knows it, as in Python: by SHA-256 as since 3.12, or MD5 as up to 3.11.
//!
//! What comes from the other side is checked before it is believed: a length takes no memory before the bytes come, and none
//! beyond the [cap](Connection::set_max_len). Operations that wait stand in four forms (`x`, `try_x`, `x_timeout`,
//! `x_deadline`); a message that was received or sent in part when its time was over is gone on with, and the connection never
//! out of step.
//!
//! *Not here*: encryption. Over TCP anybody on the way can read, and change what follows an authentication.
//!
//! # Features
//!
//! * `serde`: values of any type as messages, encoded by `postcard`: `send_value` and `recv_value`.

#![cfg(not(loom))]

mod address;
mod client;
mod connection;
mod credentials;
mod digest;
mod error;
mod forms;
mod frame;
mod handshake;
mod handshake_error;
mod incoming;
mod key;
mod listen;
mod listener;
mod outgoing;
mod pending;
mod socket;
mod trust;
#[cfg(feature = "serde")]
mod value;

pub use crate::address::Address;
pub use crate::client::Client;
pub use crate::connection::{Connection, RecvHalf, SendHalf};
pub use crate::credentials::Credentials;
pub use crate::error::ConnectionError;
pub use crate::handshake_error::HandshakeError;
pub use crate::incoming::Message;
pub use crate::key::Key;
pub use crate::listen::ListenOptions;
pub use crate::listener::Listener;
#[cfg(feature = "serde")]
pub use crate::value::ValueError;
