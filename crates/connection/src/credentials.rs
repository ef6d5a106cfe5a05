//! Who is at the other end of a Unix socket.

use std::io;
use std::os::fd::AsFd;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::unistd::geteuid;

use crate::{Connection, ConnectionError, HandshakeError};

/// The process at the other end when the two were connected, as the kernel says: for who accepted, the one that connected;
/// for who connected, the one that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// The number of the process; 0 if it is not of this PID namespace, or below.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

impl Connection {
    /// Returns who is at the other end of a Unix socket.
    ///
    /// # Errors
    ///
    /// What the system says: it is another kind of socket.
    pub fn credentials(&self) -> io::Result<Credentials> {
        let found = getsockopt(&self.as_fd(), PeerCredentials)?;
        let (pid, uid, gid) = (found.pid().cast_unsigned(), found.uid(), found.gid());
        Ok(Credentials { pid, uid, gid })
    }
}

/// Refuses another user's process; root's is nobody's enemy.
pub(crate) fn check(connection: &Connection) -> Result<(), HandshakeError> {
    let found = connection.credentials().map_err(ConnectionError::System)?;
    match found.uid == 0 || found.uid == geteuid().as_raw() {
        true => Ok(()),
        false => Err(HandshakeError::OtherUser { uid: found.uid }),
    }
}
