//! Values of any type as messages.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use shmkit_sync::Patience;
use shmkit_value::{decode, encode};

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
            /// [`ValueError::Encode`] if the value cannot be encoded: then nothing was sent. [`ValueError::Transport`], as
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
                Ok(send(self, &encode::<_, ConnectionError>(value)?)?)
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
            /// [`ValueError::Decode`] if the message is no value of this type: it is received. [`ValueError::Transport`], as
            /// [`recv_bytes`](Self::recv_bytes).
            pub fn recv_value<T: DeserializeOwned>(&mut self) -> Result<T, ValueError> {
                receive(self.recv_bytes())
            }

            /// As [`recv_value`](Self::recv_value), without waiting.
            ///
            /// # Errors
            ///
            /// As there, and [`ConnectionError::WouldBlock`].
            pub fn try_recv_value<T: DeserializeOwned>(&mut self) -> Result<T, ValueError> {
                receive(self.try_recv_bytes())
            }

            /// As [`recv_value`](Self::recv_value), for at most `limit`.
            ///
            /// # Errors
            ///
            /// As there, and [`ConnectionError::TimedOut`] after `limit`.
            pub fn recv_value_timeout<T: DeserializeOwned>(&mut self, limit: Duration) -> Result<T, ValueError> {
                receive(self.recv_bytes_timeout(limit))
            }

            /// As [`recv_value`](Self::recv_value), until `deadline`, an `Instant` or any [`Patience`].
            ///
            /// # Errors
            ///
            /// As there, and whatever ends the patience.
            pub fn recv_value_deadline<'p, T: DeserializeOwned>(&mut self, deadline: impl Into<Patience<'p>>) -> Result<T, ValueError> {
                receive(self.recv_bytes_deadline(deadline))
            }
        }
    )*};
}

sending!(Connection SendHalf);
receiving!(Connection RecvHalf);

fn receive<T: DeserializeOwned>(came: Result<Vec<u8>, ConnectionError>) -> Result<T, ValueError> {
    decode(&came?)
}

/// Why a value was not sent or received; [`Transport`](shmkit_value::ValueError::Transport) is the connection's reason.
pub type ValueError = shmkit_value::ValueError<ConnectionError>;
