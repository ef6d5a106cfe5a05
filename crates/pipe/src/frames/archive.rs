//! Archives of rkyv, read where they lie.

use core::any::type_name;
use core::error::Error;
use core::fmt;
use std::io::{self, ErrorKind};

use rkyv::api::high::HighValidator;
use rkyv::bytecheck::CheckBytes;
use rkyv::{Archive, rancor};
use shmkit_roster::Judge;

use super::Frame;

impl<K: Judge> Frame<'_, K> {
    /// Returns the value whose archive the message is, where it lies: nothing is copied. All of it is checked first, each time;
    /// who reads it twice keeps what this returns.
    ///
    /// It is sent as any message, of [`rkyv::to_bytes`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/frames.rs"));
    /// # fn main() {
    /// # example(4096, |frames| {
    /// # let (mut sender, mut receiver) = (frames.sender()?, frames.receiver()?);
    /// let order = ("burger".to_owned(), vec![1.5, 2.5]);
    /// sender.send(&rkyv::to_bytes::<rkyv::rancor::Error>(&order)?)?;
    ///
    /// let message = receiver.peek()?;
    /// // SAFETY: who sends is a process of ours, and does not write to what it has sent.
    /// let found = unsafe { message.archived::<(String, Vec<f64>)>() }?;
    /// assert_eq!((found.0.as_str(), found.1[1].to_native()), ("burger", 2.5));
    /// message.release()?;
    /// # Ok(())
    /// # });
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] if the message is no archive of this type: it is still to be received. So is one of a type that wants to be
    /// aligned to more than 8 bytes, as `u128` does.
    ///
    /// # Panics
    ///
    /// As [`bytes`](Self::bytes).
    ///
    /// # Safety
    ///
    /// Nobody writes to the message as long as it is borrowed: a sender of this crate does not. One that did could change what was
    /// checked, and not every bit pattern is such a value; where a peer may be hostile, receive a copy and check that.
    pub unsafe fn archived<T: Archive>(&self) -> Result<&T::Archived, ArchiveError>
    where
        T::Archived: for<'a> CheckBytes<HighValidator<'a, rancor::Error>>,
    {
        rkyv::access::<T::Archived, rancor::Error>(self.bytes())
            .map_err(|why| ArchiveError { type_name: type_name::<T>(), why })
    }
}

/// A message is no archive of the type that was asked for.
#[derive(Debug)]
pub struct ArchiveError {
    type_name: &'static str,
    why: rancor::Error,
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a message is no archive of type {}; both ends must name the same type",
            self.type_name
        )
    }
}

impl Error for ArchiveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.why)
    }
}

impl From<ArchiveError> for io::Error {
    fn from(error: ArchiveError) -> Self {
        Self::new(ErrorKind::InvalidData, error)
    }
}
