//! How to meet.

use std::fmt;
use std::time::Duration;

use nix::unistd::geteuid;
use shmkit_connection::{Address, Key};

use crate::{Listener, MeetError};

/// How long the other side may take for its part, unless it is set.
const LIMIT: Duration = Duration::from_secs(5);

/// The capacity of each direction unless it is set, in bytes.
const CAPACITY: u64 = 256 << 10;

/// The most bytes of a name: what an abstract name has room for beside the prefix and a user's number.
const MOST: usize = 80;

/// How to listen under a name ([`bind`](Self::bind)), or to connect to one who does ([`connect`](Self::connect)).
#[derive(Clone)]
pub struct Options {
    pub(crate) key: Option<Key>,
    pub(crate) limit: Duration,
    pub(crate) capacity: u64,
}

impl Options {
    /// Without a key, at most 5 seconds, and 256 KiB for each direction.
    pub fn new() -> Self {
        Self { key: None, limit: LIMIT, capacity: CAPACITY }
    }

    /// Meets only who knows this key, too. (The same user it must be anyway.)
    #[must_use]
    pub fn key(self, key: impl Into<Option<Key>>) -> Self {
        Self { key: key.into(), ..self }
    }

    /// Sets how long the other side may take for its part: 5 seconds unless it is set.
    #[must_use]
    pub fn limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Sets how many bytes each direction holds, rounded up to a power of two: 256 KiB unless it is set. The listener's counts.
    /// Messages of up to half of it lie there in one piece; longer ones are streamed.
    #[must_use]
    pub fn capacity(self, bytes: u64) -> Self {
        Self { capacity: bytes, ..self }
    }

    /// Listens under a name.
    ///
    /// # Errors
    ///
    /// [`MeetError`]: the name is taken (`AddrInUse`), or too long.
    pub fn bind(&self, name: &str) -> Result<Listener, MeetError> {
        Listener::new(self, &address(name)?)
    }
}

/// Where the listener of this name is found by processes of this user.
pub(crate) fn address(name: &str) -> Result<Address, MeetError> {
    if name.is_empty() || name.len() > MOST {
        return Err(MeetError::Name { found: name.len(), most: MOST });
    }
    Ok(Address::abstract_name(format!("shmkit/{}/{name}", geteuid())))
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, limit, capacity } = self;
        f.debug_struct("Options")
            .field("key", key)
            .field("limit", limit)
            .field("capacity", capacity)
            .finish()
    }
}
