//! What two talk through.

use std::time::Duration;
use std::{fmt, io};

use shmkit_connection::{Connection, Credentials};
use shmkit_pipe::{FrameReceiver, FrameSender, PipeError};
use shmkit_sync::Patience;
use shmkit_wait::{Ready, Source};

/// An end of what two programs talk through: messages of any length, in both directions, through shared memory.
///
/// It comes from [`Listener::accept`](crate::Listener::accept) or [`Client::connect`](crate::Client::connect). Its parts are to be had, too: the
/// [sender](Self::sender) and the [receiver](Self::receiver) of the two rings, to write and read in place, to send values, to
/// choose how to wait; and the [socket](Self::socket) through which the two have met, for descriptors.
///
/// *In a forked child* it is the parent's, and refuses everything.
///
/// # If a peer dies
///
/// What it had sent is received first; then [`PipeError::PeerDied`], within some 30 ms of its death, where one that was dropped
/// is [`PipeError::Closed`]. A message whose sender was killed in the middle is not received. To who sends, it is told at
/// once if the end was closed, and when the ring is full if its process was killed.
pub struct Duplex {
    send: FrameSender,
    recv: FrameReceiver,
    socket: Connection,
}

/// Hands an operation on to one of the rings, in its four forms.
macro_rules! forms {
    ($($(#[$doc:meta])* $x:ident, $now:ident, $timeout:ident, $deadline:ident = $end:ident.$end_x:ident, $end_now:ident, $end_timeout:ident, $end_deadline:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {$(
        $(#[$doc])*
        pub fn $x(&mut self, $($arg: $type),*) -> $result {
            self.$end.$end_x($($arg),*)
        }

        #[doc = concat!("As [`", stringify!($x), "`](Self::", stringify!($x), "), without waiting.")]
        ///
        /// # Errors
        ///
        /// As there, and [`PipeError::Empty`] or [`PipeError::Full`].
        pub fn $now(&mut self, $($arg: $type),*) -> $result {
            self.$end.$end_now($($arg),*)
        }

        #[doc = concat!("As [`", stringify!($x), "`](Self::", stringify!($x), "), for at most `limit`.")]
        ///
        /// # Errors
        ///
        /// As there, and [`PipeError::TimedOut`] after `limit`.
        pub fn $timeout(&mut self, $($arg: $type,)* limit: Duration) -> $result {
            self.$end.$end_timeout($($arg,)* limit)
        }

        #[doc = concat!("As [`", stringify!($x), "`](Self::", stringify!($x), "), until `deadline`, an `Instant` or any [`Patience`].")]
        ///
        /// # Errors
        ///
        /// As there, and whatever ends the patience.
        pub fn $deadline<'p>(&mut self, $($arg: $type,)* deadline: impl Into<Patience<'p>>) -> $result {
            self.$end.$end_deadline($($arg,)* deadline)
        }
    )*};
}

impl Duplex {
    forms! {
        /// Sends a message; waits for room.
        ///
        /// # Errors
        ///
        /// Those of [`FrameSender::send`].
        send_bytes, try_send_bytes, send_bytes_timeout, send_bytes_deadline = send.send, try_send, send_timeout, send_deadline(message: &[u8]) -> Result<(), PipeError>;
        /// Receives a message; waits for one.
        ///
        /// # Errors
        ///
        /// Those of [`FrameReceiver::recv`].
        recv_bytes, try_recv_bytes, recv_bytes_timeout, recv_bytes_deadline = recv.recv, try_recv, recv_timeout, recv_deadline() -> Result<Vec<u8>, PipeError>;
        /// Receives a message into `to`, and returns its length; waits for one. What `to` is too short for is not lost.
        ///
        /// # Errors
        ///
        /// Those of [`FrameReceiver::recv_into`].
        recv_bytes_into, try_recv_bytes_into, recv_bytes_into_timeout, recv_bytes_into_deadline = recv.recv_into, try_recv_into, recv_into_timeout, recv_into_deadline(to: &mut [u8]) -> Result<usize, PipeError>;
    }

    pub(crate) fn new(send: FrameSender, recv: FrameReceiver, socket: Connection) -> Self {
        Self { send, recv, socket }
    }

    /// Returns the sending end of the ring to the other side.
    pub fn sender(&mut self) -> &mut FrameSender {
        &mut self.send
    }

    /// Returns the receiving end of the ring from the other side.
    pub fn receiver(&mut self) -> &mut FrameReceiver {
        &mut self.recv
    }

    /// Returns the socket through which the two have met. Nothing goes through it from now on but what they send there: descriptors
    /// ([`send_descriptor`](Connection::send_descriptor)), segments and objects of them. What comes through it and what comes
    /// through the ring come in no order with each other.
    pub fn socket(&mut self) -> &mut Connection {
        &mut self.socket
    }

    /// Takes it apart, for several threads.
    pub fn into_parts(self) -> (FrameSender, FrameReceiver, Connection) {
        (self.send, self.recv, self.socket)
    }

    /// Returns whose process is at the other end.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn credentials(&self) -> io::Result<Credentials> {
        self.socket.credentials()
    }
}

/// Ready when there is something to receive, or to be told instead: receive by *try*.
impl Ready for Duplex {
    fn source(&self) -> Source<'_> {
        self.recv.source()
    }

    fn is_ready(&self, asked: bool) -> bool {
        self.recv.is_ready(asked)
    }
}

impl fmt::Debug for Duplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Duplex")
            .field("send", &self.send)
            .field("recv", &self.recv)
            .finish_non_exhaustive()
    }
}
