//! Who listens.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use std::{fmt, io};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{SockFlag, accept4};
use shmkit_atomic::Deadline;
use shmkit_sync::Patience;
use shmkit_wait::{Ready, Source};

use crate::handshake::FAILURE;
use crate::listen::Made;
use crate::pending::Pending;
use crate::socket::Wait;
use crate::{Address, Connection, ConnectionError, HandshakeError, ListenOptions};

/// How many are accepted before those who are at their handshakes are looked at again.
const AT_ONCE: usize = 64;

/// How many refusals are kept.
const KEPT: usize = 64;

/// Where others connect to: Python's `multiprocessing.connection.Listener`. See [`Client`](crate::Client) for an example.
///
/// Who connects and does not authenticate is no more than one of those who are at it: they are accepted first, and have a
/// few seconds each, while whoever comes after them is served. [`accept`](Self::accept) returns who is through, and never
/// fails for one who is not: [`refusals`](Self::refusals) tells of those.
///
/// Nothing goes on but in calls of `accept` and of its other forms; there is no thread.
///
/// *In a forked child* it listens as well, as one of several who share the work; what was at its handshake is the parent's.
pub struct Listener {
    pub(crate) fd: OwnedFd,
    pub(crate) address: Address,
    pub(crate) made: Option<Made>,
    pub(crate) options: ListenOptions,
    /// Of one that has a key.
    pub(crate) pending: Option<Pending>,
    pub(crate) refused: VecDeque<HandshakeError>,
}

impl Listener {
    /// Listens there, without a key: whoever may connect is let in, at a Unix socket who is of this user, or root.
    ///
    /// # Errors
    ///
    /// Those of [`ListenOptions::bind`].
    pub fn bind(address: impl Into<Address>) -> io::Result<Self> {
        Self::options().bind(address)
    }

    /// Other ways to listen.
    pub fn options() -> ListenOptions {
        ListenOptions::new()
    }

    /// Returns where it listens, with the port that it was given.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Waits for who connects, and returns the connection.
    ///
    /// # Errors
    ///
    /// What the system says (no descriptor is free); it may be called again.
    ///
    /// # If a peer dies
    ///
    /// while it authenticates, it is a [refusal](Self::refusals); later, the connection tells.
    pub fn accept(&mut self) -> Result<Connection, ConnectionError> {
        self.accept_by(Some(Patience::ENDLESS))
    }

    /// As [`accept`](Self::accept), without waiting.
    ///
    /// # Errors
    ///
    /// As there, and [`WouldBlock`](ConnectionError::WouldBlock) if nobody is through.
    pub fn try_accept(&mut self) -> Result<Connection, ConnectionError> {
        self.accept_by(None)
    }

    /// As [`accept`](Self::accept), for at most `limit`.
    ///
    /// # Errors
    ///
    /// As there, and [`TimedOut`](ConnectionError::TimedOut) after `limit`.
    pub fn accept_timeout(&mut self, limit: Duration) -> Result<Connection, ConnectionError> {
        self.accept_by(Some(limit.into()))
    }

    /// As [`accept`](Self::accept), until `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As there, and whatever ends the patience.
    pub fn accept_deadline<'p>(
        &mut self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Connection, ConnectionError> {
        self.accept_by(Some(deadline.into()))
    }

    /// Returns why those who came since this was called last were not let in, the last 64 of them.
    pub fn refusals(&mut self) -> Vec<HandshakeError> {
        self.refused.drain(..).collect()
    }

    fn accept_by(&mut self, patience: Option<Patience<'_>>) -> Result<Connection, ConnectionError> {
        let mut wait = Wait::new(patience);
        if let Some(pending) = &mut self.pending {
            pending.be_ours(&self.fd).map_err(ConnectionError::of)?;
        }
        loop {
            if let Some(connection) = self.look()? {
                return Ok(connection);
            }
            let late = self.pending.as_ref().map_or(Deadline::NEVER, Pending::deadline);
            wait.sleep_until(self.as_fd(), PollFlags::POLLIN, late)?;
        }
    }

    /// Takes who has come, and goes on with who is at it; returns one that is through.
    fn look(&mut self) -> Result<Option<Connection>, ConnectionError> {
        for _ in 0..AT_ONCE {
            // Who is through goes first, before others are let in.
            if let Some(connection) = self.pending.as_mut().and_then(Pending::done) {
                return Ok(Some(connection));
            }
            let Some(connection) = self.take()? else { break };
            if let Some(connection) = self.meet(connection)? {
                return Ok(Some(connection));
            }
        }
        let Some(pending) = &mut self.pending else { return Ok(None) };
        let refused = &mut self.refused;
        pending.go(|error| refuse(refused, error));
        Ok(pending.done())
    }

    /// Takes one that has come.
    fn take(&mut self) -> Result<Option<Connection>, ConnectionError> {
        loop {
            match accept4(self.fd.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
                Ok(fd) => {
                    // SAFETY: the kernel has just made it for us.
                    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
                    return Ok(Some(match self.address.is_unix() {
                        true => UnixStream::from(fd).into(),
                        false => TcpStream::from(fd).into(),
                    }));
                }
                // Somebody who has gone again.
                Err(Errno::EINTR | Errno::ECONNABORTED) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(errno) => return Err(ConnectionError::of(errno)),
            }
        }
    }

    /// Returns it if nothing more is asked of it.
    fn meet(&mut self, mut connection: Connection) -> Result<Option<Connection>, ConnectionError> {
        if let Err(error) = self.options.trust.check(&self.address, &connection) {
            let _ = connection.try_send_bytes(FAILURE);
            refuse(&mut self.refused, error);
            return Ok(None);
        }
        let (Some(key), Some(pending)) = (&self.options.trust.key, &mut self.pending) else {
            return Ok(Some(connection));
        };
        let handshake = self.options.trust.begin(key, connection, true);
        if let Some(error) = pending.begin(handshake, self.options.crowd)? {
            refuse(&mut self.refused, error);
        }
        Ok(None)
    }
}

fn refuse(refused: &mut VecDeque<HandshakeError>, error: HandshakeError) {
    if refused.len() == KEPT {
        refused.pop_front();
    }
    refused.push_back(error);
}

/// Readable when somebody connects, or goes on with its authentication.
impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pending.as_ref().map_or(self.fd.as_fd(), Pending::descriptor)
    }
}

/// Ready when somebody connects, or goes on with its authentication: accept by *try*.
impl Ready for Listener {
    fn source(&self) -> Source<'_> {
        Source::Descriptor(self.as_fd())
    }

    fn is_ready(&self, _asked: bool) -> bool {
        self.pending.as_ref().is_some_and(Pending::is_ready)
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("address", &self.address).finish_non_exhaustive()
    }
}
