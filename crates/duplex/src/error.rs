//! Why two programs did not come together.

use core::error::Error;
use core::fmt;
use std::io::{self, ErrorKind};

use shmkit_connection::{ConnectionError, HandshakeError};
use shmkit_pipe::ClaimError;
use shmkit_segment::{ObjectError, SegmentError};

/// Why a client and a listener did not come together.
#[derive(Debug)]
#[non_exhaustive]
pub enum MeetError {
    /// The name has more bytes than there is room for, or none.
    Name {
        /// How many it has.
        found: usize,
        /// How many it may have.
        most: usize,
    },
    /// Nobody listens there; or they do not know each other, or did not do their part in time.
    Handshake(HandshakeError),
    /// The other side speaks another protocol, or another version of this one.
    NotSpoken,
    /// The listener had no memory for the two, or another trouble of its own; it says which.
    Refused(String),
    /// The memory could not be made, passed on or joined.
    Segment(SegmentError),
    /// The rings could not be made or found.
    Rings(ObjectError),
    /// The ends of the rings could not be claimed.
    Ends(ClaimError),
}

impl MeetError {
    /// Returns whether the time was over before they had come together.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Handshake(error) if error.is_timeout())
    }
}

impl fmt::Display for MeetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { found, most } => {
                write!(f, "a name has 1 to {most} bytes, and this one has {found}")
            }
            Self::Handshake(_) => f.write_str("there is no connection with the other side"),
            Self::NotSpoken => f.write_str(
                "the other side speaks another protocol, or another version of this one",
            ),
            Self::Refused(why) => write!(f, "the listener refuses: {why}"),
            Self::Segment(_) => f.write_str("the memory for the two could not be made or joined"),
            Self::Rings(_) => f.write_str("the rings for the two could not be made or found"),
            Self::Ends(_) => f.write_str("the ends of the rings could not be claimed"),
        }
    }
}

impl Error for MeetError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Name { .. } | Self::NotSpoken | Self::Refused(_) => None,
            Self::Handshake(error) => Some(error),
            Self::Segment(error) => Some(error),
            Self::Rings(error) => Some(error),
            Self::Ends(error) => Some(error),
        }
    }
}

impl From<HandshakeError> for MeetError {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}

impl From<ConnectionError> for MeetError {
    fn from(error: ConnectionError) -> Self {
        Self::Handshake(error.into())
    }
}

impl From<MeetError> for io::Error {
    fn from(error: MeetError) -> Self {
        match error {
            MeetError::Handshake(error) => error.into(),
            MeetError::Segment(error) => error.into(),
            error @ MeetError::Name { .. } => Self::new(ErrorKind::InvalidInput, error),
            error @ MeetError::NotSpoken => Self::new(ErrorKind::InvalidData, error),
            error => Self::other(error),
        }
    }
}
