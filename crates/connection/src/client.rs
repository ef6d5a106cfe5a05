//! Who connects.

use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::sockopt::{SendTimeout, SocketError};
use nix::sys::socket::{SockFlag, SockType, connect, getsockopt, setsockopt, socket};
use nix::sys::time::{TimeVal, TimeValLike};
use shmkit_sync::Patience;

use crate::socket::Wait;
use crate::trust::Trust;
use crate::{Address, Connection, ConnectionError, HandshakeError};

/// How to connect to a [`Listener`](crate::Listener), or to Python's.
///
/// ```
/// use shmkit_connection::{Client, Key, Listener};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.sock");
/// let key = Key::random()?;
/// let mut listener = Listener::options().key(key.clone()).bind(&*path)?;
/// # std::thread::scope(|scope| {
/// # scope.spawn(|| {
/// # let mut connection = listener.accept().unwrap();
/// # let message = connection.recv_bytes().unwrap();
/// # connection.send_bytes(&message).unwrap();
/// # });
/// let mut connection = Client::new().key(key).connect(&*path)?; // in another process
/// connection.send_bytes(b"hello")?;
/// assert_eq!(connection.recv_bytes()?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) trust: Trust,
}

impl Client {
    /// The options: no key, and a Unix listener of the same user or root.
    pub fn new() -> Self {
        Self { trust: Trust::new() }
    }

    /// Connects, waiting for a place in the listener's line as long as it takes, and authenticates.
    ///
    /// # Errors
    ///
    /// [`HandshakeError`]; as its [`Connection`](HandshakeError::Connection), what the system says: nobody listens there.
    /// [`TimedOut`](ConnectionError::TimedOut) if the listener does not authenticate in time; one that nobody lets
    /// [accept](crate::Listener::accept) does not.
    ///
    /// # If a peer dies
    ///
    /// the same as if it had refused: `Closed`, or nobody listens.
    pub fn connect(&self, address: impl Into<Address>) -> Result<Connection, HandshakeError> {
        self.connect_by(&address.into(), Patience::ENDLESS)
    }

    /// As [`connect`](Self::connect), for at most `limit` in all.
    ///
    /// # Errors
    ///
    /// As there, and [`TimedOut`](ConnectionError::TimedOut) after `limit`.
    pub fn connect_timeout(
        &self,
        address: impl Into<Address>,
        limit: Duration,
    ) -> Result<Connection, HandshakeError> {
        self.connect_by(&address.into(), limit.into())
    }

    /// As [`connect`](Self::connect), until `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As there, and whatever ends the patience.
    pub fn connect_deadline<'p>(
        &self,
        address: impl Into<Address>,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Connection, HandshakeError> {
        self.connect_by(&address.into(), deadline.into())
    }

    fn connect_by(
        &self,
        address: &Address,
        patience: Patience<'_>,
    ) -> Result<Connection, HandshakeError> {
        let connection = reach(address, patience)?;
        self.trust.check(address, &connection)?;
        match &self.trust.key {
            None => Ok(connection),
            Some(key) => {
                let mut handshake = self.trust.begin(key, connection, false);
                let deadline = handshake.deadline;
                while !handshake.go()? {
                    // What of it had come before a part was missing is there again when more comes.
                    if !handshake.connection().poll_deadline(patience.until(deadline))? {
                        return Err(ConnectionError::TimedOut.into());
                    }
                }
                Ok(handshake.into_connection())
            }
        }
    }
}

/// Connects a socket.
fn reach(address: &Address, patience: Patience<'_>) -> Result<Connection, ConnectionError> {
    let to = address.sockaddr().map_err(ConnectionError::of_connect)?;
    let mut wait = Wait::new(Some(patience));
    if address.is_unix() {
        let fd = open(address, SockFlag::empty())?;
        // A listener whose line is full is waited for in the kernel: a non-blocking socket is not told when there is room.
        loop {
            let left = wait.slice()?.remaining().map_or(0, |left| left.as_micros().max(1) as i64);
            let limit = TimeVal::microseconds(left);
            setsockopt(&fd, SendTimeout, &limit).map_err(ConnectionError::of)?;
            match connect(fd.as_raw_fd(), &*to) {
                Ok(()) => break,
                Err(Errno::EAGAIN | Errno::EINTR) => wait.ask()?,
                Err(errno) => return Err(ConnectionError::of_connect(errno)),
            }
        }
        setsockopt(&fd, SendTimeout, &TimeVal::microseconds(0)).map_err(ConnectionError::of)?;
        return Ok(UnixStream::from(fd).into());
    }
    let fd = open(address, SockFlag::SOCK_NONBLOCK)?;
    match connect(fd.as_raw_fd(), &*to) {
        Ok(()) => {}
        Err(Errno::EINPROGRESS | Errno::EINTR) => {
            while !wait.sleep(fd.as_fd(), PollFlags::POLLOUT)? {}
            match getsockopt(&fd, SocketError).map_err(ConnectionError::of)? {
                0 => {}
                errno => return Err(ConnectionError::of_connect(Errno::from_raw(errno))),
            }
        }
        Err(errno) => return Err(ConnectionError::of_connect(errno)),
    }
    let stream = TcpStream::from(fd);
    stream.set_nonblocking(false).map_err(ConnectionError::System)?;
    Ok(stream.into())
}

fn open(address: &Address, flags: SockFlag) -> Result<OwnedFd, ConnectionError> {
    let flags = flags | SockFlag::SOCK_CLOEXEC;
    socket(address.family(), SockType::Stream, flags, None).map_err(ConnectionError::of)
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}
