//! Values of any type as messages.

use core::any::type_name;
use core::error::Error;
use core::fmt;
use core::time::Duration;
use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use shmkit_atomic::Deadline;
use shmkit_roster::Judge;
use shmkit_sync::Patience;

use super::{FrameReceiver, FrameSender};
use crate::PipeError;

impl<K: Judge> FrameSender<K> {
    /// Sends a value as one message, as postcard encodes it; waits for room.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/frames.rs"));
    /// # fn main() {
    /// # example(4096, |frames| {
    /// let (mut sender, mut receiver) = (frames.sender()?, frames.receiver()?);
    /// sender.send_value(&("burger", vec![1.5, 2.5]))?;
    /// sender.send_value("cola")?;
    /// assert_eq!(receiver.recv_value::<(String, Vec<f64>)>()?.1, [1.5, 2.5]);
    /// assert_eq!(receiver.recv_value::<String>()?, "cola");
    /// # Ok(())
    /// # });
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ValueError::Encode`] if the value cannot be encoded: then nothing was sent. [`ValueError::Pipe`], as
    /// [`send`](Self::send).
    ///
    /// # If a peer dies
    ///
    /// See [`FrameSender`].
    pub fn send_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        self.send_value_by(value, Deadline::NEVER)
    }

    /// Sends a value if there is room now; never sleeps. It must fit [in one piece](Self::most_in_place).
    ///
    /// # Errors
    ///
    /// As [`send_value`](Self::send_value), and [`PipeError::Full`].
    pub fn try_send_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        self.send_value_by(value, Deadline::PASSED).map_err(|error| now(error, PipeError::Full))
    }

    /// Sends a value; waits for room at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`send_value`](Self::send_value), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameSender`].
    pub fn send_value_timeout<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
        wait: Duration,
    ) -> Result<(), ValueError> {
        self.send_value_by(value, Deadline::after(wait))
    }

    /// Sends a value; waits for room until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`send_value`](Self::send_value), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameSender`].
    pub fn send_value_deadline<'p, T: Serialize + ?Sized>(
        &mut self,
        value: &T,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), ValueError> {
        self.send_value_by(value, deadline)
    }

    fn send_value_by<'p, T: Serialize + ?Sized>(
        &mut self,
        value: &T,
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), ValueError> {
        let encoded = postcard::to_stdvec(value)
            .map_err(|why| ValueError::Encode { type_name: type_name::<T>(), why })?;
        Ok(self.send_by(&encoded, patience)?)
    }
}

impl<K: Judge> FrameReceiver<K> {
    /// Receives a value; waits for one.
    ///
    /// It is decoded from a private copy: what a peer writes meanwhile is not seen.
    ///
    /// # Errors
    ///
    /// [`ValueError::Decode`] if the message is no value of this type; it is received, and the next one is not concerned.
    /// [`ValueError::Pipe`], as [`recv`](Self::recv).
    ///
    /// # If a peer dies
    ///
    /// See [`FrameReceiver`].
    pub fn recv_value<T: DeserializeOwned>(&mut self) -> Result<T, ValueError> {
        self.recv_value_by(Deadline::NEVER)
    }

    /// Receives a value if there is a whole one now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`recv_value`](Self::recv_value), and [`PipeError::Empty`].
    pub fn try_recv_value<T: DeserializeOwned>(&mut self) -> Result<T, ValueError> {
        self.recv_value_by(Deadline::PASSED).map_err(|error| now(error, PipeError::Empty))
    }

    /// Receives a value, waiting for it at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`recv_value`](Self::recv_value), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameReceiver`].
    pub fn recv_value_timeout<T: DeserializeOwned>(
        &mut self,
        wait: Duration,
    ) -> Result<T, ValueError> {
        self.recv_value_by(Deadline::after(wait))
    }

    /// Receives a value, waiting for it until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`recv_value`](Self::recv_value), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameReceiver`].
    pub fn recv_value_deadline<'p, T: DeserializeOwned>(
        &mut self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<T, ValueError> {
        self.recv_value_by(deadline)
    }

    fn recv_value_by<'p, T: DeserializeOwned>(
        &mut self,
        patience: impl Into<Patience<'p>>,
    ) -> Result<T, ValueError> {
        let message = self.recv_by(patience)?;
        let no_value = |why| ValueError::Decode { type_name: type_name::<T>(), why };
        match postcard::take_from_bytes(&message).map_err(no_value)? {
            (value, []) => Ok(value),
            _ => Err(no_value(postcard::Error::DeserializeBadEncoding)),
        }
    }
}

/// Why a value was not sent or received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueError {
    /// The value cannot be encoded. Nothing was sent.
    Encode {
        /// Its type.
        type_name: &'static str,
        /// What was in the way.
        why: postcard::Error,
    },
    /// The message is no value of this type. It is received.
    Decode {
        /// The type that was wanted.
        type_name: &'static str,
        /// What was in the way.
        why: postcard::Error,
    },
    /// The pipe's reason.
    Pipe(PipeError),
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode { type_name, .. } => {
                write!(f, "a value of type {type_name} cannot be encoded")
            }
            Self::Decode { type_name, .. } => write!(
                f,
                "a message is no value of type {type_name}; both ends must name the same type"
            ),
            Self::Pipe(_) => f.write_str("the value was not sent or received"),
        }
    }
}

impl Error for ValueError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Encode { why, .. } | Self::Decode { why, .. } => Some(why),
            Self::Pipe(error) => Some(error),
        }
    }
}

impl From<PipeError> for ValueError {
    fn from(error: PipeError) -> Self {
        Self::Pipe(error)
    }
}

impl From<ValueError> for io::Error {
    fn from(error: ValueError) -> Self {
        match error {
            ValueError::Encode { .. } => Self::new(io::ErrorKind::InvalidInput, error),
            ValueError::Decode { .. } => Self::new(io::ErrorKind::InvalidData, error),
            ValueError::Pipe(error) => error.into(),
        }
    }
}

/// What the end of the time means to who gave none.
fn now(error: ValueError, instead: PipeError) -> ValueError {
    match error {
        ValueError::Pipe(PipeError::TimedOut) => ValueError::Pipe(instead),
        other => other,
    }
}
