//! Who listens.

use std::collections::VecDeque;
use std::fmt;
use std::process;
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_connection::{Address, ConnectionError};
use shmkit_sync::{Patience, Slices};
use shmkit_wait::{Ready, wait};

use crate::offer::Guest;
use crate::{Duplex, MeetError, Options};

/// How many may be at it at once.
const CROWD: usize = 64;

/// How many refusals are kept.
const KEPT: usize = 64;

/// A name under which others of this user find this process.
///
/// Nothing goes on but in calls of [`accept`](Self::accept) and of its other forms. Clients that do not do their part are
/// let go after a while and hold up nobody; [`refusals`](Self::refusals) tells of them.
pub struct Listener {
    listener: shmkit_connection::Listener,
    options: Options,
    /// From the one that came first, each with the end of its time.
    guests: VecDeque<(Guest, Deadline)>,
    refused: VecDeque<MeetError>,
    /// Whose the guests are.
    pid: u32,
}

impl Listener {
    /// Listens under a name.
    ///
    /// # Errors
    ///
    /// Those of [`Options::bind`].
    pub fn bind(name: &str) -> Result<Self, MeetError> {
        Options::new().bind(name)
    }

    pub(crate) fn new(options: &Options, address: &Address) -> Result<Self, MeetError> {
        let listen = shmkit_connection::Listener::options().key(options.key.clone());
        let listener = listen.handshake_limit(options.limit).bind(address);
        let listener = listener.map_err(ConnectionError::System)?;
        let (guests, refused, pid) = (VecDeque::new(), VecDeque::new(), process::id());
        Ok(Self { listener, options: options.clone(), guests, refused, pid })
    }

    /// Waits for a client, and returns what leads to it.
    ///
    /// # Errors
    ///
    /// What the system says (no descriptor is free); it may be called again.
    ///
    /// # If a peer dies
    ///
    /// before it has joined, it is a [refusal](Self::refusals); later, the [`Duplex`] tells.
    pub fn accept(&mut self) -> Result<Duplex, ConnectionError> {
        self.accept_by(Some(Patience::ENDLESS))
    }

    /// As [`accept`](Self::accept), without waiting.
    ///
    /// # Errors
    ///
    /// As there, and [`WouldBlock`](ConnectionError::WouldBlock).
    pub fn try_accept(&mut self) -> Result<Duplex, ConnectionError> {
        self.accept_by(None)
    }

    /// As [`accept`](Self::accept), for at most `limit`.
    ///
    /// # Errors
    ///
    /// As there, and [`TimedOut`](ConnectionError::TimedOut) after `limit`.
    pub fn accept_timeout(&mut self, limit: Duration) -> Result<Duplex, ConnectionError> {
        self.accept_by(Some(limit.into()))
    }

    /// As [`accept`](Self::accept), until `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As there, and whatever ends the patience.
    pub fn accept_deadline<'p>(
        &mut self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Duplex, ConnectionError> {
        self.accept_by(Some(deadline.into()))
    }

    /// Returns why those who came since this was called last were not connected, the last 64 of them.
    pub fn refusals(&mut self) -> Vec<MeetError> {
        let before = self.listener.refusals().into_iter().map(MeetError::from);
        before.chain(self.refused.drain(..)).collect()
    }

    fn accept_by(&mut self, patience: Option<Patience<'_>>) -> Result<Duplex, ConnectionError> {
        if self.pid != process::id() {
            // What a forked child has inherited, its parent goes on with.
            self.guests.clear();
            self.pid = process::id();
        }
        let mut slices = Slices::new();
        loop {
            if let Some(duplex) = self.look()? {
                return Ok(duplex);
            }
            let Some(patience) = patience else { return Err(ConnectionError::WouldBlock) };
            if patience.deadline().has_passed() {
                return Err(ConnectionError::TimedOut);
            }
            let late = self.guests.iter().map(|(_, late)| *late).min();
            let end = late.unwrap_or(Deadline::NEVER).min(patience.deadline());
            let end = if patience.asks() { slices.next(end) } else { end };
            self.sleep(end)?;
            patience.ask_without_judge()?;
        }
    }

    /// Takes who has come, and goes on with all; returns one that has joined.
    fn look(&mut self) -> Result<Option<Duplex>, ConnectionError> {
        for _ in 0..CROWD {
            let socket = match self.listener.try_accept() {
                Err(ConnectionError::WouldBlock) => break,
                socket => socket?,
            };
            self.guests.push_back((Guest::new(socket), Deadline::after(self.options.limit)));
            if self.guests.len() > CROWD {
                self.guests.pop_front();
                self.refuse(MeetError::Handshake(shmkit_connection::HandshakeError::Crowded));
            }
        }
        for _ in 0..self.guests.len() {
            let Some((mut guest, late)) = self.guests.pop_front() else { break };
            match guest.go(self.options.capacity) {
                Ok(true) => {
                    if let Some(duplex) = guest.into_duplex() {
                        return Ok(Some(duplex));
                    }
                }
                Ok(false) if late.has_passed() => self.refuse(ConnectionError::TimedOut.into()),
                Ok(false) => self.guests.push_back((guest, late)),
                Err(error) => self.refuse(error),
            }
        }
        Ok(None)
    }

    /// Until one of them has something to say.
    fn sleep(&self, end: Deadline) -> Result<(), ConnectionError> {
        let mut things: Vec<&dyn Ready> = vec![&self.listener];
        things.extend(self.guests.iter().map(|(guest, _)| guest.socket() as &dyn Ready));
        match wait(&things, end.remaining()) {
            Ok(_) => Ok(()),
            Err(error) => Err(ConnectionError::System(error.into())),
        }
    }

    fn refuse(&mut self, error: MeetError) {
        if self.refused.len() == KEPT {
            self.refused.pop_front();
        }
        self.refused.push_back(error);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("address", self.listener.address()).finish_non_exhaustive()
    }
}
