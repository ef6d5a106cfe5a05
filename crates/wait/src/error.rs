//! Why nothing could be waited for.

use core::fmt;
use std::io;

/// Why a wait for several things could not be.
#[derive(Debug)]
#[non_exhaustive]
pub enum WaitError {
    /// There was nothing to wait for: nobody would have ended it.
    Nothing,
    /// The system refused: no descriptor is free, or no thread can be started.
    System(io::Error),
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("there is nothing to wait for: give at least one thing"),
            Self::System(error) => write!(f, "cannot wait for several things: {error}"),
        }
    }
}

impl core::error::Error for WaitError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Nothing => None,
            Self::System(error) => Some(error),
        }
    }
}

impl From<WaitError> for io::Error {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Nothing => Self::new(io::ErrorKind::InvalidInput, error),
            WaitError::System(error) => error,
        }
    }
}
