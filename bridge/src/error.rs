//! Why something did not happen on another machine.

use std::error::Error;
use std::fmt;
use std::io;

use crate::frame::Decline;
use crate::talk::Why;

/// Why a node was not opened, or something was not served or reached.
#[derive(Debug)]
#[non_exhaustive]
pub enum BridgeError {
    /// zenoh says no: an address that is taken, a configuration that is none.
    Zenoh {
        /// What was tried.
        during: &'static str,
        /// What it says.
        why: String,
    },
    /// A name that cannot be one: it is a part of a key.
    Name {
        /// What it is the name of.
        of: &'static str,
        /// The name.
        found: String,
    },
    /// This node serves something of this kind under this name already.
    Taken {
        /// Which.
        what: String,
    },
    /// Nobody serves it, or nobody has come in time.
    Nobody {
        /// What was looked for.
        what: String,
    },
    /// Several hosts serve it, and it can be only one's: say which, as `name@host`.
    Several {
        /// What was looked for.
        what: String,
        /// Who serves it.
        hosts: Vec<String>,
    },
    /// The other side refuses, for this reason.
    Refused(String),
    /// The other side is gone, or the link to it was cut.
    Gone(String),
    /// The system says no.
    Os(io::Error),
}

impl BridgeError {
    pub(crate) fn zenoh(during: &'static str) -> impl FnOnce(zenoh::Error) -> Self {
        move |error| Self::Zenoh { during, why: error.to_string() }
    }
}

impl From<Decline> for BridgeError {
    fn from(why: Decline) -> Self {
        match why {
            Decline::Busy => Self::Refused("it has no room for one more now: try again".into()),
            Decline::Refused(why) => Self::Refused(why),
            Decline::Gone(why) => Self::Gone(why),
        }
    }
}

impl fmt::Display for BridgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zenoh { during, why } => write!(f, "zenoh did not {during}: {why}"),
            Self::Name { of, found } => write!(
                f,
                "{found:?} is no name of a {of}: it has 1 to 200 bytes, and none of / * $ # ? @ or white space"
            ),
            Self::Taken { what } => write!(f, "{what} is served by this node already"),
            Self::Nobody { what } => write!(
                f,
                "nobody serves {what} who can be reached: is its gateway running, and is its address among those to connect to?"
            ),
            Self::Several { what, hosts } => {
                write!(f, "{what} is served by {}: say which, as name@host", hosts.join(", "))
            }
            Self::Refused(why) => write!(f, "the other side refuses: {why}"),
            Self::Gone(why) => write!(f, "the other side is gone: {why}"),
            Self::Os(_) => f.write_str("the system has not got what it takes"),
        }
    }
}

impl Error for BridgeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Os(error) => Some(error),
            _ => None,
        }
    }
}

/// Why an operation on a queue, a broadcast or a map of another machine did not happen, or whether it has is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteError {
    /// The host is gone, or the link to it was cut: what was asked for may have been done. A handle that says so is of no more
    /// use; connect again.
    Gone(String),
    /// There is no room now. From operations that put and do not wait.
    Full,
    /// There is nothing to take now. From operations that take and do not wait.
    Empty,
    /// The time is over.
    TimedOut,
    /// It was closed; and, for who takes, nothing is left in it.
    Closed,
    /// So many items were overwritten before this host had them. It goes on with a later one.
    Lagged {
        /// How many were missed.
        missed: u64,
    },
    /// The publisher was killed, and all that it had published has come.
    PublisherDied,
    /// More bytes than go at a time.
    TooLong {
        /// How many there are.
        length: usize,
        /// How many there may be.
        most: usize,
    },
    /// What has come is no value of this type.
    Decode,
    /// The host has no room for the question now. Nothing was done.
    Busy,
    /// The other side says no, for this reason. Nothing was done.
    Refused(String),
    /// What the object itself says there.
    There(String),
}

impl From<Decline> for RemoteError {
    fn from(why: Decline) -> Self {
        match why {
            Decline::Busy => Self::Busy,
            Decline::Refused(why) => Self::Refused(why),
            Decline::Gone(why) => Self::Gone(why),
        }
    }
}

impl From<Why> for RemoteError {
    fn from(why: Why) -> Self {
        match why {
            Why::Full => Self::Full,
            Why::Empty => Self::Empty,
            Why::TimedOut => Self::TimedOut,
            Why::Closed => Self::Closed,
            Why::Lagged(missed) => Self::Lagged { missed },
            Why::PublisherDied => Self::PublisherDied,
            Why::TooLong { length, most } => {
                Self::TooLong { length: length as usize, most: most as usize }
            }
            Why::NoSuchValue => Self::Decode,
            Why::Other(why) => Self::There(why),
        }
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(why) => {
                write!(f, "the host is gone, and what was asked for may have been done: {why}")
            }
            Self::Full => f.write_str("there is no room now"),
            Self::Empty => f.write_str("there is nothing to take now"),
            Self::TimedOut => f.write_str("nothing moved within the time given"),
            Self::Closed => f.write_str("it was closed"),
            Self::Lagged { missed } => {
                write!(f, "{missed} items were overwritten before this host had them")
            }
            Self::PublisherDied => f.write_str("the publisher was killed"),
            Self::TooLong { length, most } => write!(
                f,
                "it has {length} bytes, and {most} are the most that go to another machine at a time"
            ),
            Self::Decode => {
                f.write_str("what has come is no value of this type; both sides must name the same")
            }
            Self::Busy => f.write_str("the host has no room for the question now"),
            Self::Refused(why) => write!(f, "the host refuses: {why}"),
            Self::There(why) => write!(f, "at the host: {why}"),
        }
    }
}

impl Error for RemoteError {}
