//! What the length of a message does to a call, in pipes and queues alike.

use std::fmt::Display;
use std::io;

use shmkit::{PipeError, QueueError};

use crate::pointers::tell;
use crate::status::{Failure, shmkit_status};

/// An error of who sends or receives messages.
pub(crate) trait MessageError: Into<io::Error> + Display {
    /// The length of the message that there was too little place for; it is still there.
    fn too_short(&self) -> Option<u64>;

    /// The message is longer than there can ever be room for.
    fn is_too_long(&self) -> bool;
}

impl MessageError for PipeError {
    fn too_short(&self) -> Option<u64> {
        if let Self::TooShort { length } = self { Some(*length) } else { None }
    }

    fn is_too_long(&self) -> bool {
        matches!(self, Self::TooMany { .. } | Self::TooLong { .. })
    }
}

impl MessageError for QueueError {
    fn too_short(&self) -> Option<u64> {
        if let Self::TooShort { length } = self { Some(*length) } else { None }
    }

    fn is_too_long(&self) -> bool {
        matches!(self, Self::TooLong { .. })
    }
}

pub(crate) fn failure(error: impl MessageError) -> Failure {
    let status = match error.too_short() {
        Some(_) => shmkit_status::TooShort,
        None if error.is_too_long() => shmkit_status::TooLong,
        None => return Failure::from(error),
    };
    Failure::new(status, error.to_string())
}

/// Tells the length of a message that was received, or that there was too little place for.
///
/// # Safety
///
/// `len` is null or can be written to.
pub(crate) unsafe fn received(
    done: Result<usize, impl MessageError>,
    len: *mut usize,
) -> Result<shmkit_status, Failure> {
    let length = match &done {
        Ok(count) => Some(*count),
        Err(error) => error.too_short().map(|length| length.try_into().unwrap_or(usize::MAX)),
    };
    if let Some(length) = length {
        // SAFETY: the caller's promise.
        unsafe { tell(len, length) };
    }
    done.map(|_| shmkit_status::Ok).map_err(failure)
}
