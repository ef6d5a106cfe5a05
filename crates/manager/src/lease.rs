//! A lease, from the outside.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shmkit_sync::Patience;

use crate::CallError;
use crate::link::Link;
use crate::manager::Manager;
use crate::protocol::{Answer, Ask, LONGEST_LEASE};

/// The longest wait of one question.
const STEP: Duration = Duration::from_secs(1);

/// A name that this process has for a while, by the manager's clock.
///
/// It is *not* a lock. It ends when its time is over, whether or not who has it knows: a process that was stopped, or a network
/// that is slow, makes it end in the middle of what it was taken for. So what it guards should look at its
/// [number](Self::number), and refuse one that is less than one it has seen. It ends as well when this is dropped, and when the
/// manager sees the connections of this process end.
///
/// Processes of one machine have [locks in shared memory](https://docs.rs/shmkit-sync) instead, which end when their owner does and
/// not before.
///
/// ```no_run
/// # use std::time::Duration;
/// # use shmkit_manager::Manager;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let manager = Manager::start()?;
/// let mut lease = manager.lease("printer", Duration::from_secs(30))?;
/// lease.extend(Duration::from_secs(30))?; // before it ends
/// # Ok(())
/// # }
/// ```
pub struct Lease {
    link: Arc<Link>,
    name: String,
    number: u64,
    until: Instant,
}

impl Manager {
    /// Waits until nobody has this name, and takes it for `ttl`.
    ///
    /// # Errors
    ///
    /// Those of any [call](CallError).
    ///
    /// # If a peer dies
    ///
    /// What a process of this machine had is free when it ends; of another machine, when that says so, or `ttl` is over.
    pub fn lease(&self, name: impl Into<String>, ttl: Duration) -> Result<Lease, CallError> {
        self.lease_by(name.into(), ttl, Some(Patience::ENDLESS))
    }

    /// As [`lease`](Self::lease), without waiting.
    ///
    /// # Errors
    ///
    /// As there, and [`WouldBlock`](CallError::WouldBlock) if somebody has it.
    pub fn try_lease(&self, name: impl Into<String>, ttl: Duration) -> Result<Lease, CallError> {
        self.lease_by(name.into(), ttl, None)
    }

    /// As [`lease`](Self::lease), for at most `limit`.
    ///
    /// # Errors
    ///
    /// As there, and [`TimedOut`](CallError::TimedOut) after `limit`.
    pub fn lease_timeout(
        &self,
        name: impl Into<String>,
        ttl: Duration,
        limit: Duration,
    ) -> Result<Lease, CallError> {
        self.lease_by(name.into(), ttl, Some(limit.into()))
    }

    /// As [`lease`](Self::lease), until `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As there, and whatever ends the patience.
    pub fn lease_deadline<'p>(
        &self,
        name: impl Into<String>,
        ttl: Duration,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Lease, CallError> {
        self.lease_by(name.into(), ttl, Some(deadline.into()))
    }

    fn lease_by(
        &self,
        name: String,
        ttl: Duration,
        patience: Option<Patience<'_>>,
    ) -> Result<Lease, CallError> {
        let link = Arc::clone(self.link());
        let (number, until) = waiting(patience, |wait| {
            // As if it had been taken at once: by our clock it does not end later than by the manager's.
            let until = Instant::now() + ttl.min(LONGEST_LEASE);
            match link.ask_for(&Ask::Lease { name: name.clone(), ttl, wait }, Patience::ENDLESS)? {
                Answer::Number(number) => Ok(Some((number, until))),
                _ => Ok(None),
            }
        })?;
        Ok(Lease { link, name, number, until })
    }
}

/// Asks again and again for what is waited for, each time for a step, as long as the patience says.
pub(crate) fn waiting<T>(
    patience: Option<Patience<'_>>,
    mut ask: impl FnMut(Duration) -> Result<Option<T>, CallError>,
) -> Result<T, CallError> {
    let Some(patience) = patience else {
        return ask(Duration::ZERO)?.ok_or(CallError::WouldBlock);
    };
    loop {
        let left = patience.deadline().remaining().unwrap_or(STEP);
        // A hook is asked as often as it would be in a sleep.
        let step = if patience.asks() { Duration::from_millis(32) } else { STEP };
        if let Some(found) = ask(left.min(step))? {
            return Ok(found);
        }
        if patience.deadline().has_passed() {
            return Err(CallError::TimedOut);
        }
        patience.ask_without_judge().map_err(|error| match error.into() {
            shmkit_connection::ConnectionError::Interrupted => CallError::Interrupted,
            error => CallError::Connection(error),
        })?;
    }
}

impl Lease {
    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its number: each lease of a manager has a larger one than all before it.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns whether its time is not over, by the clock of this process: it may have ended before by the manager's, in which case
    /// somebody else has a larger number.
    pub fn may_be_held(&self) -> bool {
        Instant::now() < self.until
    }

    /// Has it end `ttl` from now.
    ///
    /// # Errors
    ///
    /// [`Expired`](CallError::Expired): it has ended; and those of any [call](CallError).
    pub fn extend(&mut self, ttl: Duration) -> Result<(), CallError> {
        let now = Instant::now();
        let ask = Ask::Extend { name: self.name.clone(), token: self.number, ttl };
        match self.link.ask_for(&ask, Patience::ENDLESS)? {
            Answer::Done => {
                self.until = now + ttl.min(LONGEST_LEASE);
                Ok(())
            }
            _ => Err(CallError::Expired),
        }
    }

    /// Ends it; a drop does, too.
    pub fn end(self) {}
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.link.tell(&Ask::EndLease { name: self.name.clone(), token: self.number });
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, number, .. } = self;
        f.debug_struct("Lease").field("name", name).field("number", number).finish_non_exhaustive()
    }
}
