//! Values of any type as messages.

use core::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use shmkit_atomic::Deadline;
use shmkit_roster::Judge;
use shmkit_sync::Patience;
use shmkit_value::{decode, encode};

use super::{MessageLease, MessageQueue};
use crate::QueueError;

/// Why a value was not put or taken; [`Transport`](shmkit_value::ValueError::Transport) is the queue's reason.
pub type ValueError = shmkit_value::ValueError<QueueError>;

/// # Values
impl<K: Judge> MessageQueue<K> {
    /// Puts a value as one message, as postcard encodes it; waits for room.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/messages.rs"));
    /// # fn main() {
    /// # example(8, |queue| {
    /// queue.put_value(&("burger", vec![1.5, 2.5]))?; // in any process
    /// queue.put_value("cola")?;
    /// assert_eq!(queue.get_value::<(String, Vec<f64>)>()?.1, [1.5, 2.5]); // in any other
    ///
    /// let order = queue.take()?; // killed from here on: another process gets it
    /// assert_eq!(order.value::<String>()?, "cola");
    /// order.done()?;
    /// # Ok(())
    /// # });
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ValueError::Encode`] if the value cannot be encoded: then nothing was put. [`ValueError::Transport`], as
    /// [`put`](Self::put).
    ///
    /// # If a peer dies
    ///
    /// As with [`put`](Self::put).
    pub fn put_value<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), ValueError> {
        self.put_value_by(value, Deadline::NEVER)
    }

    /// Puts a value if there is room now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`put_value`](Self::put_value), and [`QueueError::Full`].
    pub fn try_put_value<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), ValueError> {
        let put = self.put_value_by(value, Deadline::PASSED);
        put.map_err(|error| error.map_transport(crate::put::now))
    }

    /// Puts a value; waits for room at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`put_value`](Self::put_value), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`put`](Self::put).
    pub fn put_value_timeout<T: Serialize + ?Sized>(
        &self,
        value: &T,
        wait: Duration,
    ) -> Result<(), ValueError> {
        self.put_value_by(value, Deadline::after(wait))
    }

    /// Puts a value; waits for room until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`put_value`](Self::put_value), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`put`](Self::put).
    pub fn put_value_deadline<'p, T: Serialize + ?Sized>(
        &self,
        value: &T,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), ValueError> {
        self.put_value_by(value, deadline)
    }

    /// Takes a value, and is done with it; waits for one.
    ///
    /// It is decoded from a private copy: what a peer writes meanwhile is not seen.
    ///
    /// # Errors
    ///
    /// [`ValueError::Decode`] if the message is no value of this type: it is taken, and the next one is not concerned.
    /// [`ValueError::Transport`], as [`get`](Self::get).
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn get_value<T: DeserializeOwned>(&self) -> Result<T, ValueError> {
        self.get_value_by(Deadline::NEVER)
    }

    /// Takes a value if there is one now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`get_value`](Self::get_value), and [`QueueError::Empty`].
    pub fn try_get_value<T: DeserializeOwned>(&self) -> Result<T, ValueError> {
        let got = self.get_value_by(Deadline::PASSED);
        got.map_err(|error| error.map_transport(crate::get::now))
    }

    /// Takes a value; waits for one at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`get_value`](Self::get_value), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn get_value_timeout<T: DeserializeOwned>(&self, wait: Duration) -> Result<T, ValueError> {
        self.get_value_by(Deadline::after(wait))
    }

    /// Takes a value; waits for one until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`get_value`](Self::get_value), and [`QueueError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`get`](Self::get).
    pub fn get_value_deadline<'p, T: DeserializeOwned>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<T, ValueError> {
        self.get_value_by(deadline)
    }

    fn put_value_by<'p, T: Serialize + ?Sized>(
        &self,
        value: &T,
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), ValueError> {
        Ok(self.put_by(&encode::<_, QueueError>(value)?, patience)?)
    }

    fn get_value_by<'p, T: DeserializeOwned>(
        &self,
        patience: impl Into<Patience<'p>>,
    ) -> Result<T, ValueError> {
        decode(&self.get_by(patience)?)
    }
}

impl<K: Judge> MessageLease<'_, K> {
    /// Returns the value that was [put](MessageQueue::put_value), decoded from a private copy. The message stays this process's.
    ///
    /// # Errors
    ///
    /// [`ValueError::Decode`] if it is no value of this type.
    pub fn value<T: DeserializeOwned>(&self) -> Result<T, ValueError> {
        let own = Vec::from(&**self);
        decode(&own)
    }
}
