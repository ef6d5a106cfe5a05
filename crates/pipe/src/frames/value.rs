//! Values of any type as messages.

use core::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use shmkit_atomic::Deadline;
use shmkit_roster::Judge;
use shmkit_sync::Patience;
use shmkit_value::{decode, encode};

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
    /// [`ValueError::Encode`] if the value cannot be encoded: then nothing was sent. [`ValueError::Transport`], as
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
        Ok(self.send_by(&encode::<_, PipeError>(value)?, patience)?)
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
    /// [`ValueError::Transport`], as [`recv`](Self::recv).
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
        decode(&self.recv_by(patience)?)
    }
}

/// Why a value was not sent or received; [`Transport`](shmkit_value::ValueError::Transport) is the pipe's reason.
pub type ValueError = shmkit_value::ValueError<PipeError>;

/// What the end of the time means to who gave none.
fn now(error: ValueError, instead: PipeError) -> ValueError {
    error.map_transport(|error| if error.is_timeout() { instead } else { error })
}
