//! Why an operation on a connection did not happen.

use core::error::Error;
use core::fmt;
use std::io::{self, ErrorKind};

use nix::errno::Errno;
use shmkit_roster::PeerId;
use shmkit_sync::GivenUp;

/// Why a message was not sent or received.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectionError {
    /// There is nothing to receive now, or no room to send. From `try_` operations.
    WouldBlock,
    /// The time is over.
    TimedOut,
    /// The caller's [`Patience`](shmkit_sync::Patience) was told to stop.
    Interrupted,
    /// Somebody died as long as whose life the caller's [`Patience`](shmkit_sync::Patience) was to last.
    PeerDied {
        /// Who died.
        peer: PeerId,
    },
    /// The caller's [`Patience`](shmkit_sync::Patience) depends on a participant, whose life a connection cannot ask about,
    /// or on a process of which nothing is known.
    CannotJudge,
    /// The patience of a send ended in the middle of the message. The rest is kept, and goes ahead of the next message or
    /// by `flush`: do not send it again.
    Unfinished {
        /// How many bytes of it are to go.
        left: usize,
    },
    /// The other end was closed, or its process died, between two messages: end of file.
    Closed,
    /// The other end has gone without having read all that was sent to it; over TCP, what it sent last may be lost.
    Reset,
    /// The other end was closed, or its process died, in the middle of a message.
    CutShort {
        /// How many bytes of the message have come.
        got: usize,
        /// Its length, or `None` if not even that has come.
        length: Option<usize>,
    },
    /// The message is longer than this connection takes. Nothing of it was read but the length: raise the cap and receive
    /// again, or close the connection.
    TooLong {
        /// Its length in bytes, as the other side says.
        length: u64,
        /// The cap, in bytes.
        most: usize,
    },
    /// The message is longer than the buffer. It is not lost: receive again, with a longer one.
    BufferTooShort {
        /// Its length in bytes.
        length: u64,
    },
    /// The length of a message is negative: what comes is not of this protocol, and nothing more will be received.
    Malformed {
        /// The length found.
        length: i32,
    },
    /// Where a descriptor was to come, none did.
    NoDescriptor,
    /// Where a descriptor was to come, there is a message, of which a part was received: receive that first.
    MidMessage,
    /// More descriptors than go with one message.
    TooManyDescriptors {
        /// How many there were.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// Descriptors travel through Unix sockets only, and this is another one.
    CannotTravel,
    /// The system refused.
    System(io::Error),
}

impl ConnectionError {
    /// Returns whether the time was over before it came.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut)
    }

    /// What the kernel says of a socket that is to be connected, where a reset is a refusal.
    pub(crate) fn of_connect(errno: Errno) -> Self {
        Self::System(errno.into())
    }

    /// What the kernel says of a socket.
    pub(crate) fn of(errno: Errno) -> Self {
        match errno {
            Errno::EPIPE => Self::Closed,
            Errno::ECONNRESET => Self::Reset,
            errno => Self::System(errno.into()),
        }
    }
}

impl From<GivenUp> for ConnectionError {
    fn from(why: GivenUp) -> Self {
        match why {
            GivenUp::TimedOut => Self::TimedOut,
            GivenUp::CannotJudge => Self::CannotJudge,
            GivenUp::Interrupted => Self::Interrupted,
            GivenUp::PeerDied(peer) => Self::PeerDied { peer },
        }
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock => f.write_str("the connection has nothing to receive now, or no room to send"),
            Self::TimedOut => f.write_str("nothing moved in the connection within the time given"),
            Self::Interrupted => f.write_str("the wait was told to stop"),
            Self::PeerDied { peer } => write!(f, "{peer} died, as long as whose life the wait was to last"),
            Self::CannotJudge => f.write_str(
                "the wait depends on somebody whose life a connection cannot ask about; name the process, by `Process`",
            ),
            Self::Unfinished { left } => {
                write!(f, "the message is under way, and {left} bytes of it are left; flush, and do not send it again")
            }
            Self::Closed => f.write_str("the other end of the connection is closed"),
            Self::Reset => f.write_str("the other end of the connection has gone without reading all that was sent"),
            Self::CutShort { got, length: Some(length) } => {
                write!(f, "the other end has gone in the middle of a message: {got} of {length} bytes came")
            }
            Self::CutShort { got, length: None } => {
                write!(f, "the other end has gone in the middle of a message: {got} bytes of its length came")
            }
            Self::TooLong { length, most } => write!(
                f,
                "a message of {length} bytes is to come, and the connection takes {most}; raise the cap or close it"
            ),
            Self::BufferTooShort { length } => {
                write!(f, "the message has {length} bytes and the buffer is shorter; receive it again with a longer one")
            }
            Self::Malformed { length } => {
                write!(f, "the length of a message is {length}: the other side does not speak this protocol")
            }
            Self::NoDescriptor => f.write_str("a descriptor was to come with the byte, and none did"),
            Self::MidMessage => f.write_str("a part of a message was received where a descriptor was to come; receive the message first"),
            Self::TooManyDescriptors { found, most } => {
                write!(f, "{found} descriptors are more than go with one message, {most}; send several messages")
            }
            Self::CannotTravel => f.write_str("descriptors travel through Unix sockets only"),
            Self::System(error) => write!(f, "the connection fails: {error}"),
        }
    }
}

impl Error for ConnectionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::System(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ConnectionError> for io::Error {
    fn from(error: ConnectionError) -> Self {
        let kind = match &error {
            ConnectionError::System(_) => {
                let ConnectionError::System(error) = error else { unreachable!() };
                return error;
            }
            ConnectionError::WouldBlock => ErrorKind::WouldBlock,
            ConnectionError::TimedOut => ErrorKind::TimedOut,
            // Not *interrupted*, at which the standard library's readers and writers just go on.
            ConnectionError::Interrupted => ErrorKind::ConnectionAborted,
            ConnectionError::PeerDied { .. } | ConnectionError::Reset => ErrorKind::ConnectionReset,
            ConnectionError::Closed | ConnectionError::CutShort { .. } => ErrorKind::UnexpectedEof,
            ConnectionError::TooLong { .. } | ConnectionError::Malformed { .. } => {
                ErrorKind::InvalidData
            }
            ConnectionError::BufferTooShort { .. }
            | ConnectionError::TooManyDescriptors { .. }
            | ConnectionError::CannotTravel
            | ConnectionError::MidMessage => ErrorKind::InvalidInput,
            ConnectionError::NoDescriptor => ErrorKind::InvalidData,
            ConnectionError::Unfinished { .. } | ConnectionError::CannotJudge => ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
