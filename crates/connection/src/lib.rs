//! Connections that carry messages between processes: Python's `multiprocessing.connection`.
//!
//! A [`Connection`] is an end of a stream socket, Unix or TCP. Messages keep their boundaries, in Python's frames, so that the
//! other end may be a Python program. Descriptors go along with messages through Unix sockets. A connection is
//! [`Ready`](shmkit_wait::Ready) for [`wait`](shmkit_wait::wait), has a descriptor for `epoll`, and comes apart into halves
//! for two threads.
//!
//! What comes from the other side is checked before it is believed: a length takes no memory before the bytes come, and none
//! beyond the [cap](Connection::set_max_len). Operations that wait stand in four forms (`x`, `try_x`, `x_timeout`,
//! `x_deadline`); a message that was received or sent in part when its time was over is gone on with, and the connection never
//! out of step.
//!
//! *Not here*: encryption. Over TCP anybody on the way can read, and change what follows an authentication.

#![cfg(not(loom))]

mod connection;
mod error;
mod forms;
mod frame;
mod incoming;
mod outgoing;
mod socket;

pub use crate::connection::{Connection, RecvHalf, SendHalf};
pub use crate::error::ConnectionError;
pub use crate::incoming::Message;
