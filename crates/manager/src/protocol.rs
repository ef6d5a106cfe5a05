//! What clients and managers say to each other: each a frame of a connection, a value as postcard encodes it, and behind it
//! what that says.
//!
//! A client begins with [`Hello`], and is answered by [`Welcome`]. Then it asks, one at a time, and waits for each answer
//! but of [`Ask::Drop`] and [`Ask::EndLease`].

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shmkit_process::Panic;

/// What a hello begins with.
pub(crate) const MAGIC: [u8; 4] = *b"shmm";
/// The version of these messages.
pub(crate) const VERSION: u32 = 1;
/// How long a hello may be, in bytes.
pub(crate) const MOST_HELLO: usize = 256;
/// The longest lease that is understood: a hundred years.
pub(crate) const LONGEST_LEASE: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Which process a connection belongs to, of those that a manager serves: drawn by that process.
pub(crate) type Token = [u8; 16];

#[derive(Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) magic: [u8; 4],
    pub(crate) version: u32,
    pub(crate) session: Token,
    /// The random number of the manager that is sought, if it is a certain one.
    pub(crate) manager: Option<u64>,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Welcome {
    In {
        manager: u64,
        /// The longest frame that it takes, in bytes.
        most: u64,
    },
    Busy {
        most: u32,
    },
    OtherVersion(u32),
    /// It is another manager than the one that is sought.
    Another,
    /// What came is no hello.
    NotSpoken,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Ask {
    /// The arguments are behind it.
    Call {
        object: u64,
        method: u64,
    },
    /// The arguments are behind it.
    Make {
        kind: u64,
        method: u64,
    },
    /// Counts a reference of this process.
    Hold(u64),
    /// References of this process that are gone. Not answered.
    Drop(Vec<u64>),
    /// Keeps an object for whoever the reference is sent to.
    Pass(u64),
    Publish {
        name: String,
        object: u64,
    },
    Find(String),
    Withdraw(String),
    Names,
    /// How many objects there are.
    Count,
    Lease {
        name: String,
        ttl: Duration,
        wait: Duration,
    },
    Extend {
        name: String,
        token: u64,
        ttl: Duration,
    },
    /// Not answered.
    EndLease {
        name: String,
        token: u64,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// What the method returned is behind it.
    Returned,
    /// An object, which this process has a reference to now.
    Object(u64),
    /// The error of what was to make the object is behind it.
    NotMade,
    Done,
    /// There is none, or it is not so.
    Not,
    /// What there is instead.
    NoSuchMethod(String),
    Gone(u64),
    Panicked(Panic),
    Undecodable(String),
    Unencodable(String),
    Recursive,
    Names(Vec<String>),
    Number(u64),
}
