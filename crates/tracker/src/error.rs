//! What can go wrong with the tracker.

use std::error::Error;
use std::fmt;
use std::io;

use nix::errno::Errno;
use shmkit_segment::SegmentError;

/// What went wrong, for programs. [`TrackerError`]'s `Display` says it to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The name cannot be one of this kind.
    InvalidName,
    /// There is nothing of this name, so that nothing can be registered.
    NotFound,
    /// There is something of this name already, so that it cannot be announced.
    AlreadyExists,
    /// What bears the name is of another kind, or another user's.
    WrongKind,
    /// What bears the name was left by the dead, and is being removed at this moment.
    Doomed,
    /// The register has no room for one more.
    Full,
    /// The register cannot be made, joined or read.
    Register,
    /// Others have had the register for longer than any of them needs it: one of them is stopped.
    Busy,
    /// The kernel or the C library refuses, with the error that is the source.
    System,
}

/// Why the tracker could not do something: what was attempted, what was found, and what to do about it.
#[derive(Debug)]
pub struct TrackerError {
    failure: Failure,
    attempt: String,
}

/// What was found, before it is said what was attempted.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    detail: String,
    source: Option<Source>,
}

#[derive(Debug)]
enum Source {
    System(io::Error),
    Segment(Box<SegmentError>),
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), source: None }
    }

    pub(crate) fn os(error: impl Into<io::Error>, doing: &str) -> Self {
        Self {
            kind: ErrorKind::System,
            detail: format!("{doing} failed"),
            source: Some(Source::System(error.into())),
        }
    }

    pub(crate) fn caused_by(self, errno: Errno) -> Self {
        Self { source: Some(Source::System(errno.into())), ..self }
    }

    pub(crate) fn segment(error: SegmentError) -> Self {
        Self {
            kind: ErrorKind::Register,
            detail: "the register cannot be used".into(),
            source: Some(Source::Segment(Box::new(error))),
        }
    }

    pub(crate) fn during(self, attempt: impl Into<String>) -> TrackerError {
        TrackerError { failure: self, attempt: attempt.into() }
    }
}

impl TrackerError {
    /// Returns what went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.failure.kind
    }

    /// Returns the number of the system's error, if the system gave one.
    pub fn errno(&self) -> Option<i32> {
        match self.failure.source.as_ref()? {
            Source::System(error) => error.raw_os_error(),
            Source::Segment(_) => None,
        }
    }
}

impl fmt::Display for TrackerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.attempt, self.failure.detail)
    }
}

impl Error for TrackerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self.failure.source.as_ref()? {
            Source::System(error) => Some(error),
            Source::Segment(error) => Some(&**error),
        }
    }
}

/// With this error as the inner one.
impl From<TrackerError> for io::Error {
    fn from(error: TrackerError) -> Self {
        let kind = match error.kind() {
            ErrorKind::InvalidName | ErrorKind::WrongKind => io::ErrorKind::InvalidInput,
            ErrorKind::NotFound => io::ErrorKind::NotFound,
            ErrorKind::AlreadyExists => io::ErrorKind::AlreadyExists,
            ErrorKind::Busy => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
