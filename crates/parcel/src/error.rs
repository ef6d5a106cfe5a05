//! Why a value does not travel, or does not arrive.

use std::error::Error;
use std::fmt;
use std::io;

/// What cannot travel, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CannotTravel {
    what: String,
    why: String,
}

impl CannotTravel {
    /// Says what it is that cannot, and why.
    pub fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into() }
    }

    /// Returns what it is.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Returns why it cannot.
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl fmt::Display for CannotTravel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot travel: {}", self.what, self.why)
    }
}

impl Error for CannotTravel {}

/// Why a value was not packed or unpacked, or a parcel not sent or received.
#[derive(Debug)]
#[non_exhaustive]
pub enum ParcelError {
    /// Something in the value cannot leave this process, or cannot be used in this one.
    CannotTravel(CannotTravel),
    /// The value's own `Serialize` has failed.
    Encode {
        /// The name of its type.
        of: &'static str,
        /// What went wrong.
        why: String,
    },
    /// The bytes are no such value.
    Decode {
        /// The name of the type that was asked for.
        of: &'static str,
        /// What went wrong.
        why: String,
    },
    /// What came is no parcel, or one of another version.
    NoParcel {
        /// The first bytes that came.
        found: [u8; 4],
    },
    /// More bytes, or descriptors, than may come.
    TooLong {
        /// How many there are, as is said.
        found: u64,
        /// How many there may be.
        most: u64,
        /// Of what.
        what: &'static str,
    },
    /// The other side has closed the socket where a parcel would begin.
    Closed,
    /// The other side has closed the socket in the middle of a parcel.
    CutShort {
        /// How many bytes had come.
        came: u64,
    },
    /// This process has no number free for a descriptor that came.
    TooManyFiles,
    /// The socket failed.
    Os(io::Error),
}

impl From<CannotTravel> for ParcelError {
    fn from(error: CannotTravel) -> Self {
        Self::CannotTravel(error)
    }
}

/// With this error as the inner one, whose sources say everything.
impl From<ParcelError> for io::Error {
    fn from(error: ParcelError) -> Self {
        let kind = match &error {
            ParcelError::CannotTravel(_) | ParcelError::Encode { .. } => {
                io::ErrorKind::InvalidInput
            }
            ParcelError::Closed | ParcelError::CutShort { .. } => io::ErrorKind::UnexpectedEof,
            ParcelError::TooManyFiles => io::ErrorKind::Other,
            ParcelError::Os(error) => error.kind(),
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

impl fmt::Display for ParcelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It says all that there is.
            Self::CannotTravel(error) => error.fmt(f),
            Self::Encode { of, why } => write!(f, "a {of} was not packed: {why}"),
            Self::Decode { of, why } => write!(f, "the bytes that came are no {of}: {why}"),
            Self::NoParcel { found } => write!(
                f,
                "what came begins with {found:?}, and is no parcel, or of another version of this crate"
            ),
            Self::TooLong { found, most, what } => {
                write!(f, "a parcel says that it has {found} {what}, where {most} are the most")
            }
            Self::Closed => f.write_str("the other side has closed the socket"),
            Self::CutShort { came } => write!(
                f,
                "the other side has closed the socket, or has died, in the middle of a parcel, of which {came} bytes have come"
            ),
            Self::TooManyFiles => f.write_str(
                "this process has no descriptor free for what came: close some, or raise the limit (`ulimit -n`)",
            ),
            Self::Os(_) => f.write_str("the socket failed"),
        }
    }
}

impl Error for ParcelError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Os(error) => Some(error),
            _ => None,
        }
    }
}
