//! Why nothing was sent or received.

use nix::errno::Errno;
use nix::libc::EPIPE;
use pyo3::PyErr;
use pyo3::exceptions::{PyBrokenPipeError, PyEOFError, PyMemoryError, PyOSError, PyRuntimeError};
use shmkit::LockFailure;
use shmkit::layout::{CommitError, OffsetError};

use crate::errors::{failed, texts};

/// Why nothing was sent or received.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody has the other end any more, to receive.
    Gone,
    /// Nobody has the other end any more, and nothing is left of what they have sent.
    End,
    /// Whoever sent the message was killed before its end.
    CutShort,
    /// A signal handler has raised something.
    Interrupted,
    /// There is no memory for a message of so many bytes.
    NoMemory(u64),
    /// The socket does not do what sockets do.
    Socket(Errno),
    /// There is no more memory for what is on its way.
    NoRoom(CommitError),
    /// A peer has written a number there that no peer writes.
    Corrupt(u64),
    /// The lock does not do what locks do.
    Lock(LockFailure),
}

impl From<LockFailure> for Failure {
    fn from(failure: LockFailure) -> Self {
        Self::Lock(failure)
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::EPIPE | Errno::ECONNRESET => Self::Gone,
            errno => Self::Socket(errno),
        }
    }
}

impl From<OffsetError> for Failure {
    fn from(_: OffsetError) -> Self {
        Self::Corrupt(0)
    }
}

/// Those of the standard library's connections.
impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Gone => PyBrokenPipeError::new_err((EPIPE, "Broken pipe")),
            Failure::End => PyEOFError::new_err(()),
            Failure::CutShort => PyOSError::new_err("got end of file during message"),
            Failure::NoMemory(len) => {
                PyMemoryError::new_err(format!("a message of {len} bytes has come"))
            }
            Failure::Socket(errno) => PyOSError::new_err((errno as i32, errno.desc())),
            Failure::NoRoom(error) => PyOSError::new_err(texts(&error)),
            Failure::Corrupt(found) => PyRuntimeError::new_err(format!(
                "{found:#x} lies where a message should begin: another program has written to this pipe's memory"
            )),
            Failure::Lock(failure) => failed(failure),
            Failure::Interrupted => {
                PyRuntimeError::new_err("the wait was told to stop, and nobody has said why")
            }
        }
    }
}
