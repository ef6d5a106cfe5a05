//! A connection, and its halves.

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::{fmt, io};

use nix::sys::socket::{Shutdown, shutdown};
use shmkit_wait::{Ready, Source};
use std::os::fd::{AsFd, AsRawFd};

use crate::incoming::Incoming;
use crate::outgoing::Outgoing;
use crate::socket::Socket;

/// Two ends that send messages to each other, over a stream socket: Python's `multiprocessing.connection.Connection`.
///
/// ```
/// use shmkit_connection::{Connection, ConnectionError};
///
/// let (mut here, mut there) = Connection::pair()?; // one of them in another process
/// here.send_bytes(b"hello")?;
/// here.send_bytes(b"")?; // an empty message is one, too
/// assert_eq!(there.recv_bytes()?, b"hello");
///
/// let mut buffer = [0; 8];
/// assert_eq!(there.recv_bytes_into(&mut buffer)?, 0);
/// drop(here);
/// assert!(matches!(there.recv_bytes(), Err(ConnectionError::Closed)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Nothing is read ahead of the message that is received. So the descriptor can be [taken back](Self::into_fd) or inherited
/// between two messages, and processes that have the same end may take turns.
pub struct Connection {
    pub(crate) socket: Arc<Socket>,
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Outgoing,
}

/// The half of a connection that receives.
pub struct RecvHalf {
    pub(crate) socket: Arc<Socket>,
    pub(crate) incoming: Incoming,
}

/// The half of a connection that sends.
pub struct SendHalf {
    pub(crate) socket: Arc<Socket>,
    pub(crate) outgoing: Outgoing,
}

impl Connection {
    /// Makes two ends that are connected with each other: Python's `Pipe()`.
    ///
    /// # Errors
    ///
    /// That of the system: no descriptor is free.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = UnixStream::pair()?;
        Ok((one.into(), other.into()))
    }

    /// Makes two ends of which one only receives and the other only sends: Python's `Pipe(duplex=False)`.
    ///
    /// # Errors
    ///
    /// Those of [`pair`](Self::pair).
    pub fn simplex() -> io::Result<(RecvHalf, SendHalf)> {
        let (one, other) = Self::pair()?;
        shutdown(one.socket.as_fd().as_raw_fd(), Shutdown::Write)?;
        Ok((one.split().0, other.split().1))
    }

    fn new(socket: Socket) -> Self {
        let (socket, incoming, outgoing) = (Arc::new(socket), Incoming::new(), Outgoing::default());
        Self { socket, incoming, outgoing }
    }

    /// Takes the connection apart, so that one thread may receive while another one sends. The socket is closed when both
    /// halves are dropped.
    pub fn split(self) -> (RecvHalf, SendHalf) {
        let Self { socket, incoming, outgoing } = self;
        let other = Arc::clone(&socket);
        (RecvHalf { socket, incoming }, SendHalf { socket: other, outgoing })
    }

    /// Puts two halves together again.
    ///
    /// # Errors
    ///
    /// The halves, given back: they are not of one connection.
    #[expect(clippy::result_large_err, reason = "what was given is given back")]
    pub fn join(recv: RecvHalf, send: SendHalf) -> Result<Self, (RecvHalf, SendHalf)> {
        if !Arc::ptr_eq(&recv.socket, &send.socket) {
            return Err((recv, send));
        }
        Ok(Self { socket: recv.socket, incoming: recv.incoming, outgoing: send.outgoing })
    }

    /// Returns the descriptor.
    ///
    /// # Errors
    ///
    /// The connection, given back, if a message was received or sent in part: the rest would not be understood.
    #[expect(clippy::result_large_err, reason = "what was given comes back as it was")]
    pub fn into_fd(self) -> Result<OwnedFd, Self> {
        if !self.incoming.is_between() || !self.outgoing.is_between() {
            return Err(self);
        }
        let Self { socket, incoming, outgoing } = self;
        match Arc::try_unwrap(socket) {
            Ok(socket) => Ok(socket.into_fd()),
            Err(socket) => Err(Self { socket, incoming, outgoing }),
        }
    }
}

impl SendHalf {
    /// Tells the other end that nothing more comes: it receives *closed*, and may still send. (A half that is dropped tells this
    /// when the other half is dropped as well.)
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn finish(self) -> io::Result<()> {
        Ok(shutdown(self.socket.as_fd().as_raw_fd(), Shutdown::Write)?)
    }
}

impl From<UnixStream> for Connection {
    fn from(stream: UnixStream) -> Self {
        Self::new(Socket::known(stream.into(), true))
    }
}

/// Small messages are sent at once (`TCP_NODELAY`).
impl From<TcpStream> for Connection {
    fn from(stream: TcpStream) -> Self {
        // It is faster with it; without it, it works.
        let _ = stream.set_nodelay(true);
        Self::new(Socket::known(stream.into(), false))
    }
}

/// Fails if it is no stream socket.
impl TryFrom<OwnedFd> for Connection {
    type Error = io::Error;

    fn try_from(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self::new(Socket::new(fd)?))
    }
}

macro_rules! ready {
    ($($End:ident)*) => {$(
        /// Ready when there is something to receive, or the end. A message may have come in a part only: receive by *try*.
        impl Ready for $End {
            fn source(&self) -> Source<'_> {
                Source::Descriptor(self.as_fd())
            }

            fn is_ready(&self, _asked: bool) -> bool {
                self.incoming.is_ready()
            }
        }
    )*};
}

ready!(Connection RecvHalf);

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("socket", &self.as_fd()).finish_non_exhaustive()
    }
}

impl fmt::Debug for RecvHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvHalf").field("socket", &self.as_fd()).finish_non_exhaustive()
    }
}

impl fmt::Debug for SendHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendHalf").field("socket", &self.as_fd()).finish_non_exhaustive()
    }
}
