//! Why two ends did not come together.

use core::error::Error;
use core::fmt;
use std::io::{self, ErrorKind};

use crate::ConnectionError;

/// Why a client was not connected, or a listener refused one.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The other side has another key: its digest is wrong.
    WrongDigest,
    /// The other side says that our key is wrong.
    Rejected,
    /// What comes is no authentication: the other side asks for none, or speaks another protocol.
    NotSpoken,
    /// The other side wants a digest that is none of Python's.
    UnsupportedDigest,
    /// The other side speaks as Python up to 3.11 does, by MD5, and that is not allowed here.
    Legacy,
    /// The process at the other end is another user's.
    OtherUser {
        /// Whose it is.
        uid: u32,
    },
    /// More came than may be at their handshakes at once, and this one had been at it for longest.
    Crowded,
    /// It could not be spoken with; [`TimedOut`](ConnectionError::TimedOut) is who stays silent.
    Connection(ConnectionError),
}

impl HandshakeError {
    /// Returns whether the time was over before it was done.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Connection(error) if error.is_timeout())
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongDigest => f.write_str("the digest received was wrong: the other side has another key"),
            Self::Rejected => f.write_str("the digest sent was rejected: the other side has another key"),
            Self::NotSpoken => f.write_str(
                "the other side does not authenticate: it has no key, or speaks another protocol",
            ),
            Self::UnsupportedDigest => f.write_str("the other side wants a digest that is not known here"),
            Self::Legacy => f.write_str(
                "the other side authenticates by MD5, as Python up to 3.11, which is not allowed here; see `legacy`",
            ),
            Self::OtherUser { uid } => write!(
                f,
                "the process at the other end is of user {uid}, who is neither this one nor root; see `any_user`"
            ),
            Self::Crowded => f.write_str("too many came at once, and this one had not authenticated yet"),
            Self::Connection(_) => f.write_str("the other side could not be spoken with"),
        }
    }
}

impl Error for HandshakeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Connection(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ConnectionError> for HandshakeError {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

impl From<HandshakeError> for io::Error {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Connection(error) => error.into(),
            error @ (HandshakeError::NotSpoken | HandshakeError::UnsupportedDigest) => {
                Self::new(ErrorKind::InvalidData, error)
            }
            error => Self::new(ErrorKind::PermissionDenied, error),
        }
    }
}
