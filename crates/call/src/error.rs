//! Why a call has no answer.

use std::error::Error;
use std::fmt;
use std::io;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use shmkit_connection::ConnectionError;

/// Why a call has no answer, or a server was not started.
#[derive(Debug)]
pub struct CallError {
    kind: CallErrorKind,
    message: String,
    source: Option<io::Error>,
}

/// What kept a call from being answered, or a server from being started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CallErrorKind {
    /// It is no name that a server can have.
    Name,
    /// Another program, or this one, serves this name already.
    Taken,
    /// No program of this user serves this name.
    NotServed,
    /// Another user's program has taken the name.
    OtherUser,
    /// The server has as many clients as it serves at a time.
    Busy,
    /// The server has no such task, or several.
    UnknownTask,
    /// The arguments are none of this task's. It was not run.
    Arguments,
    /// The request, or the answer, is longer than the server takes.
    TooLong,
    /// The task has returned an error.
    Failed,
    /// The task has returned nothing: its worker has died or exited, or it panicked; or what it returned cannot be said in JSON, or is not
    /// what was asked for.
    NotAnswered,
    /// It was not answered in time.
    TimedOut,
    /// The pool takes no tasks any more, or the server was dropped before the answer was there.
    Closed,
    /// The program that serves has ended, or was killed, before it answered. Whether the task has run is not known.
    Gone,
    /// What came is no request, or no answer, or one of another version.
    NotSpoken,
    /// What the system says.
    System,
    /// What the other side knows, and this one does not.
    #[serde(other)]
    Other,
}

impl CallError {
    pub(crate) fn new(kind: CallErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn system(message: impl Into<String>, error: impl Into<io::Error>) -> Self {
        let source = Some(error.into());
        Self { source, ..Self::new(CallErrorKind::System, message) }
    }

    /// Of a connection that is no use any more, to the server whose `who` it is.
    pub(crate) fn of_connection(who: &str, error: ConnectionError) -> Self {
        use ConnectionError as E;
        let (kind, message) = match error {
            E::Closed | E::Reset | E::CutShort { .. } | E::PeerDied { .. } => {
                return Self::gone(who);
            }
            E::TimedOut | E::Unfinished { .. } => (
                CallErrorKind::TimedOut,
                format!("{who} does not answer in time: it is stopped, or has too much to do"),
            ),
            E::Malformed { .. } | E::TooLong { .. } => (
                CallErrorKind::NotSpoken,
                format!("{who} does not answer as a server does: {error}"),
            ),
            error => return Self::system(format!("{who} cannot be spoken with"), error),
        };
        Self::new(kind, message)
    }

    /// Of a process that cannot be watched, of the server whose `who` it is.
    pub(crate) fn of_process(who: &str, error: io::Error) -> Self {
        match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
            Errno::ESRCH => Self::gone(who),
            _ => Self::system(format!("{who} cannot be watched"), error),
        }
    }

    fn gone(who: &str) -> Self {
        let message = format!(
            "{who} has ended, or was killed, before it answered: whether the task has run is not known"
        );
        Self::new(CallErrorKind::Gone, message)
    }

    /// Returns what it was.
    pub fn kind(&self) -> CallErrorKind {
        self.kind
    }
}

/// With this error as the inner one, whose sources say everything.
impl From<CallError> for io::Error {
    fn from(error: CallError) -> Self {
        let kind = match error.kind {
            CallErrorKind::Name | CallErrorKind::Arguments => io::ErrorKind::InvalidInput,
            CallErrorKind::Taken => io::ErrorKind::AddrInUse,
            CallErrorKind::NotServed | CallErrorKind::UnknownTask => io::ErrorKind::NotFound,
            CallErrorKind::OtherUser => io::ErrorKind::PermissionDenied,
            CallErrorKind::NotSpoken => io::ErrorKind::InvalidData,
            CallErrorKind::TimedOut => io::ErrorKind::TimedOut,
            CallErrorKind::Gone => io::ErrorKind::BrokenPipe,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for CallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|error| error as _)
    }
}
