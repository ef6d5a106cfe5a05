//! How a process has ended.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;

/// How a process has ended.
///
/// Closed: a process ends in one of two ways, or nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It has called `exit`, or returned, with this number.
    Exited(i32),
    /// This signal has ended it.
    Signalled(i32),
    /// Somebody else in this process has waited for it, and knows; or nobody does.
    Unknown,
}

impl Status {
    /// Returns the exit code as Python has it: the negative number of the signal, if one has ended the process.
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Exited(code) => Some(code),
            Self::Signalled(signal) => Some(-signal),
            Self::Unknown => None,
        }
    }

    /// Returns whether it has exited with 0.
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }
}

impl From<ExitStatus> for Status {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(code),
            (_, Some(signal)) => Self::Signalled(signal),
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with {code}"),
            Self::Signalled(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "was ended by {signal}"),
                Err(_) => write!(f, "was ended by signal {number}"),
            },
            Self::Unknown => f.write_str("ended, and somebody else has waited for it"),
        }
    }
}

/// How a process ended that did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Death {
    /// The task's name.
    pub task: &'static str,
    /// The process's name.
    pub name: String,
    /// The process's number.
    pub pid: u32,
    /// How it ended.
    pub status: Status,
    /// For how long the task had been running; `None` if it had not begun, or before its arguments were there.
    pub ran_for: Option<Duration>,
    /// Which attempt at the task it was, from 1: a [`Process`](crate::Process) makes one.
    pub attempt: u32,
    /// The end of what it has written to its standard output and error, if that was [captured](crate::Builder::captured): at
    /// most 64 KiB.
    pub output: String,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, name, pid, status, ran_for, attempt, output } = self;
        write!(f, "process {name:?} ({pid}), which ran task `{task}`, {status}")?;
        match ran_for {
            Some(time) => write!(f, " after {time:.1?}, without an answer")?,
            None => f.write_str(" before the task began")?,
        }
        if *attempt > 1 {
            write!(f, ", at attempt {attempt}")?;
        }
        if !output.is_empty() {
            write!(f, "; the last of what it wrote: {}", output.trim_end())?;
        }
        Ok(())
    }
}
