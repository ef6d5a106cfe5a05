//! Who connects.

use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_connection::ConnectionError;
use shmkit_sync::Patience;

use crate::options::address;
use crate::{Duplex, MeetError, Options, offer};

/// Who connects to a [`Listener`](crate::Listener), without any options: the other ones are [`Options`]'.
#[derive(Debug)]
#[non_exhaustive]
pub struct Client;

impl Client {
    /// Connects to the listener of this name.
    ///
    /// # Errors
    ///
    /// Those of [`Options::connect`].
    pub fn connect(name: &str) -> Result<Duplex, MeetError> {
        Options::new().connect(name)
    }
}

impl Options {
    /// Connects to the listener of this name, of the same user: waits for it to accept, for as long as [`limit`](Self::limit) says.
    ///
    /// # Errors
    ///
    /// [`MeetError`]: nobody listens under the name (`ConnectionRefused`), or does its part in time, or has the key.
    ///
    /// # If a peer dies
    ///
    /// before it has accepted: [`Handshake`](MeetError::Handshake), or [`Segment`](MeetError::Segment).
    pub fn connect(&self, name: &str) -> Result<Duplex, MeetError> {
        self.connect_deadline(name, Patience::ENDLESS)
    }

    /// As [`connect`](Self::connect), for at most `limit` in all.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn connect_timeout(&self, name: &str, limit: Duration) -> Result<Duplex, MeetError> {
        self.connect_deadline(name, limit)
    }

    /// As [`connect`](Self::connect), until `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As there, and whatever ends the patience.
    pub fn connect_deadline<'p>(
        &self,
        name: &str,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Duplex, MeetError> {
        let patience = deadline.into().until(Deadline::after(self.limit));
        let client = shmkit_connection::Client::new().key(self.key.clone());
        let client = client.handshake_limit(self.limit);
        let socket = client.connect_deadline(address(name)?, patience)?;
        let left = patience.deadline().remaining().unwrap_or(self.limit).min(self.limit);
        if left.is_zero() {
            return Err(ConnectionError::TimedOut.into());
        }
        offer::join(socket, patience, left)
    }
}
