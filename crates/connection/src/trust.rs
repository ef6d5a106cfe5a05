//! Whom an end takes for the right one: what who listens and who connects say alike.

use std::fmt;
use std::time::Duration;

use shmkit_atomic::Deadline;

use crate::handshake::Handshake;
use crate::{Address, Client, Connection, HandshakeError, Key, ListenOptions, credentials};

/// How long a handshake may take unless it is set.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Whom an end takes for the right one, and how long it waits until that is shown.
#[derive(Clone)]
pub(crate) struct Trust {
    pub(crate) key: Option<Key>,
    may_be_old: bool,
    any_user: bool,
    handshake: Duration,
}

impl Trust {
    /// No key, and the same user or root.
    pub(crate) const fn new() -> Self {
        Self { key: None, may_be_old: true, any_user: false, handshake: HANDSHAKE }
    }

    /// Checks whose the process at the other end is, where the kernel tells.
    ///
    /// # Errors
    ///
    /// [`HandshakeError`]: it is another user's.
    pub(crate) fn check(
        &self,
        address: &Address,
        connection: &Connection,
    ) -> Result<(), HandshakeError> {
        if address.is_unix() && !self.any_user { credentials::check(connection) } else { Ok(()) }
    }

    /// Begins the handshake by a key.
    pub(crate) fn begin(&self, key: &Key, connection: Connection, listens: bool) -> Handshake {
        let deadline = Deadline::after(self.handshake);
        Handshake::new(connection, key, self.may_be_old, listens, deadline)
    }
}

macro_rules! trusting {
    ($($Options:ident)*) => {$(
        /// # Whom to trust
        impl $Options {
            /// Takes for the right one only who knows this key, and shows that this side does.
            #[must_use]
            pub fn key(mut self, key: impl Into<Option<Key>>) -> Self {
                self.trust.key = key.into();
                self
            }

            /// Sets whether to speak with a Python up to 3.11, which authenticates by MD5. It may, unless this is set.
            #[must_use]
            pub fn legacy(mut self, may_be: bool) -> Self {
                self.trust.may_be_old = may_be;
                self
            }

            /// Sets whether the process at the other end of a Unix socket may be another user's than this one's, or root's. Not
            /// unless this is set: a name in the abstract namespace, or a folder that all may write to, is taken by whoever comes
            /// first.
            #[must_use]
            pub fn any_user(mut self, may_be: bool) -> Self {
                self.trust.any_user = may_be;
                self
            }

            /// Sets how long the authentication may take: 5 seconds unless it is set.
            #[must_use]
            pub fn handshake_limit(mut self, limit: Duration) -> Self {
                self.trust.handshake = limit;
                self
            }
        }

        impl fmt::Debug for $Options {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Options)).field("key", &self.trust.key).finish_non_exhaustive()
            }
        }
    )*};
}

trusting! { Client ListenOptions }
