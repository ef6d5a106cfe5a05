//! Why a call has no answer, and why a manager did not start.

use std::error::Error;
use std::fmt;
use std::io;

use shmkit_connection::{ConnectionError, HandshakeError};
use shmkit_process::{Panic, SpawnError, TaskError};

/// Whether a call that has no answer was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ran {
    /// It was not: the manager had not taken the whole of it.
    No,
    /// Nobody knows.
    Maybe,
    /// It was: a part of its answer has come.
    Yes,
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "was not run",
            Self::Maybe => "may have been run",
            Self::Yes => "was run",
        })
    }
}

/// Why a call has no answer. What the method says itself, an error among others, is in its answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError {
    /// The manager has ended, or the object is not there any more. The call was not run.
    Gone {
        /// Which of them, and where.
        what: String,
    },
    /// The object, or the manager, knows no method of this name and signature. Nothing else than what is exposed can be called.
    NoSuchMethod {
        /// The method that was called.
        method: String,
        /// What there is.
        found: String,
    },
    /// The method panicked. The object is as that left it, and the manager goes on.
    Panicked {
        /// The method.
        method: String,
        /// What the panic said, and where.
        panic: Panic,
    },
    /// The connection ended before the answer came. The call is not repeated: whether that does harm, the caller knows.
    Disconnected {
        /// Whether the call was run.
        ran: Ran,
    },
    /// The manager has as many connections as it may.
    Busy {
        /// How many.
        most: u32,
    },
    /// What was being iterated over has changed.
    Changed,
    /// The time was over before the answer came; the call may have been run. Of what waits for something: it did not come.
    TimedOut,
    /// The caller's patience was told to stop; as with a time-out.
    Interrupted,
    /// There is nothing to be had, or no room, now. From `try_` operations.
    WouldBlock,
    /// A lease had ended before it was to be extended.
    Expired,
    /// An argument was not packed. Nothing was sent.
    Encode {
        /// The method.
        method: String,
        /// What was in the way.
        why: String,
    },
    /// An argument was not unpacked by the manager, or an answer not packed by it or not unpacked here.
    Decode {
        /// The method.
        method: String,
        /// What was in the way.
        why: String,
    },
    /// The call is longer than the manager takes. Nothing was sent.
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The longest that it takes.
        most: usize,
    },
    /// A method calls, by way of others, the object whose method it is, which would wait for itself.
    Recursive {
        /// The method that was called.
        method: String,
    },
    /// The manager does not let this process in.
    Refused(HandshakeError),
    /// What listens there is no manager, or one of another version, and says so.
    NotAManager(String),
    /// The connection's or the system's reason.
    Connection(ConnectionError),
}

impl CallError {
    /// Returns whether the manager, or the object, is not there any more.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone { .. })
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone { what } => write!(f, "{what} is not there any more"),
            Self::NoSuchMethod { method, found } => {
                write!(f, "`{method}` cannot be called: there is {found}")
            }
            Self::Panicked { method, panic } => {
                write!(f, "`{method}` panicked at {}: {}", panic.at, panic.message)
            }
            Self::Disconnected { ran } => {
                write!(
                    f,
                    "the connection ended before the answer came: the call {ran}, and is not repeated"
                )
            }
            Self::Busy { most } => write!(
                f,
                "the manager has {most} connections, as many as it may: call from fewer threads or processes, or raise it \
                 (`connections`)"
            ),
            Self::Changed => f.write_str(
                "what was being iterated over has changed: begin again, or take all at once",
            ),
            Self::TimedOut => f.write_str("no answer has come in time"),
            Self::Interrupted => f.write_str("the wait for the answer was told to stop"),
            Self::WouldBlock => f.write_str("there is nothing to be had, or no room, now"),
            Self::Expired => f.write_str("the lease had ended: somebody else may have it"),
            Self::Encode { method, why } => {
                write!(f, "an argument of `{method}` was not packed: {why}")
            }
            Self::Decode { method, why } => write!(f, "`{method}`: {why}"),
            Self::TooLong { length, most } => write!(
                f,
                "a call of {length} bytes is longer than the manager takes, {most}: put the data into shared memory, or raise it \
                 (`max_len`)"
            ),
            Self::Recursive { method } => write!(
                f,
                "`{method}` would wait for the method that calls it, of the same object: give back what that needs instead"
            ),
            Self::Refused(_) => f.write_str("the manager does not let this process in"),
            Self::NotAManager(why) => {
                write!(f, "what listens there is no manager of this version: {why}")
            }
            Self::Connection(_) => f.write_str("the manager could not be spoken with"),
        }
    }
}

impl Error for CallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Connection(error) => Some(error),
            _ => None,
        }
    }
}

impl From<CallError> for io::Error {
    fn from(error: CallError) -> Self {
        let kind = match &error {
            CallError::Gone { .. } | CallError::Disconnected { .. } => io::ErrorKind::BrokenPipe,
            CallError::TimedOut | CallError::Expired => io::ErrorKind::TimedOut,
            // As with connections: the standard library would just go on.
            CallError::Interrupted => io::ErrorKind::ConnectionAborted,
            CallError::WouldBlock => io::ErrorKind::WouldBlock,
            CallError::Encode { .. } | CallError::TooLong { .. } => io::ErrorKind::InvalidInput,
            CallError::Decode { .. } | CallError::NotAManager(_) => io::ErrorKind::InvalidData,
            CallError::NoSuchMethod { .. } => io::ErrorKind::NotFound,
            CallError::Refused(_) => io::ErrorKind::PermissionDenied,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// Why a manager did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// Its process was not started.
    Spawn(SpawnError),
    /// Its process has ended before it listened.
    Ended(TaskError),
    /// It could not listen, or its initializer has failed, as it says.
    Failed(String),
    /// It listens and cannot be called.
    Unreachable(CallError),
    /// The system refused.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spawn(_) => f.write_str("the manager's process was not started"),
            Self::Ended(_) => f.write_str("the manager ended before it listened"),
            Self::Failed(why) => write!(f, "the manager did not start: {why}"),
            Self::Unreachable(_) => f.write_str("the manager listens and cannot be called"),
            Self::System(_) => f.write_str("the manager was not started"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Spawn(error) => Some(error),
            Self::Ended(error) => Some(error),
            Self::Failed(_) => None,
            Self::Unreachable(error) => Some(error),
            Self::System(error) => Some(error),
        }
    }
}

impl From<StartError> for io::Error {
    fn from(error: StartError) -> Self {
        Self::other(error)
    }
}
