//! Values of any type as messages.

use core::any::type_name;
use core::error::Error;
use core::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use shmkit_sync::Patience;

use crate::{Connection, ConnectionError, RecvHalf, SendHalf};

macro_rules! sending {
    ($($Sending:ident)*) => {$(
        /// # Sending values
        impl $Sending {
            /// Sends a value as one message, as postcard encodes it: to another program of Rust's, for Python pickles.
            ///
            /// ```
            /// use shmkit_connection::Connection;
            ///
            /// let (mut here, mut there) = Connection::pair()?;
            /// here.send_value(&("burger", vec![1.5, 2.5]))?;
            /// assert_eq!(there.recv_value::<(String, Vec<f64>)>()?.1, [1.5, 2.5]);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            ///
            /// # Errors
            ///
            /// [`ValueError::Encode`] if the value cannot be encoded: then nothing was sent. [`ValueError::Connection`], as
            /// [`send_bytes`](Self::send_bytes).
            pub fn send_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
                self.send_value_by(value, |end, bytes| end.send_bytes(bytes))
            }

            /// As [`send_value`](Self::send_value), without waiting.
            ///
            /// # Errors
            ///
            /// As there, and [`ConnectionError::WouldBlock`].
            pub fn try_send_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
                self.send_value_by(value, |end, bytes| end.try_send_bytes(bytes))
            }

            /// As [`send_value`](Self::send_value), for at most `limit`.
            ///
            /// # Errors
            ///
            /// As there, and [`ConnectionError::TimedOut`] after `limit`.
            pub fn send_value_timeout<T: Serialize + ?Sized>(&mut self, value: &T, limit: Duration) -> Result<(), ValueError> {
                self.send_value_by(value, |end, bytes| end.send_bytes_timeout(bytes, limit))
            }

            /// As [`send_value`](Self::send_value), until `deadline`, an `Instant` or any [`Patience`].
            ///
            /// # Errors
            ///
            /// As there, and whatever ends the patience.
            pub fn send_value_deadline<'p, T: Serialize + ?Sized>(&mut self, value: &T, deadline: impl Into<Patience<'p>>) -> Result<(), ValueError> {
                self.send_value_by(value, |end, bytes| end.send_bytes_deadline(bytes, deadline))
            }

            fn send_value_by<T: Serialize + ?Sized>(
                &mut self,
                value: &T,
                send: impl FnOnce(&mut Self, &[u8]) -> Result<(), ConnectionError>,
            ) -> Result<(), ValueError> {
                let bytes = postcard::to_allocvec(value)
                    .map_err(|why| ValueError::Encode { type_name: type_name::<T>(), why })?;
                Ok(send(self, &bytes)?)
            }
        }
    )*};
}

macro_rules! receiving {
    ($($Receiving:ident)*) => {$(
        /// # Receiving values
        impl $Receiving {
            /// Waits for a message, and returns the value that was [sent](Connection::send_value).
            ///
            /// # Errors
            ///
            /// [`ValueError::Decode`] if the message is no value of this type: it is received. [`ValueError::Connection`], as
            /// [`recv_bytes`](Self::recv_bytes).
            pub fn recv_value<T: DeserializeOwned>(&mut self) -> Result<T, ValueError> {
                decode(self.recv_bytes())
            }

            /// As [`recv_value`](Self::recv_value), without waiting.
            ///
            /// # Errors
            ///
            /// As there, and [`ConnectionError::WouldBlock`].
            pub fn try_recv_value<T: DeserializeOwned>(&mut self) -> Result<T, ValueError> {
                decode(self.try_recv_bytes())
            }

            /// As [`recv_value`](Self::recv_value), for at most `limit`.
            ///
            /// # Errors
            ///
            /// As there, and [`ConnectionError::TimedOut`] after `limit`.
            pub fn recv_value_timeout<T: DeserializeOwned>(&mut self, limit: Duration) -> Result<T, ValueError> {
                decode(self.recv_bytes_timeout(limit))
            }

            /// As [`recv_value`](Self::recv_value), until `deadline`, an `Instant` or any [`Patience`].
            ///
            /// # Errors
            ///
            /// As there, and whatever ends the patience.
            pub fn recv_value_deadline<'p, T: DeserializeOwned>(&mut self, deadline: impl Into<Patience<'p>>) -> Result<T, ValueError> {
                decode(self.recv_bytes_deadline(deadline))
            }
        }
    )*};
}

sending!(Connection SendHalf);
receiving!(Connection RecvHalf);

fn decode<T: DeserializeOwned>(came: Result<Vec<u8>, ConnectionError>) -> Result<T, ValueError> {
    let type_name = type_name::<T>();
    // What is behind the value is another type's.
    match postcard::take_from_bytes(&came?) {
        Ok((value, [])) => Ok(value),
        Ok(_) => {
            Err(ValueError::Decode { type_name, why: postcard::Error::DeserializeBadEncoding })
        }
        Err(why) => Err(ValueError::Decode { type_name, why }),
    }
}

/// Why a value was not sent or received.
#[derive(Debug)]
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
    /// The connection's reason.
    Connection(ConnectionError),
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
            Self::Connection(_) => f.write_str("the value was not sent or received"),
        }
    }
}

impl Error for ValueError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Encode { why, .. } | Self::Decode { why, .. } => Some(why),
            Self::Connection(error) => Some(error),
        }
    }
}

impl From<ConnectionError> for ValueError {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

impl From<ValueError> for io::Error {
    fn from(error: ValueError) -> Self {
        match error {
            ValueError::Encode { .. } => Self::new(ErrorKind::InvalidInput, error),
            ValueError::Decode { .. } => Self::new(ErrorKind::InvalidData, error),
            ValueError::Connection(error) => error.into(),
        }
    }
}
