//! Why a process did not start, and why a task has no result.

use std::error::Error;
use std::fmt;
use std::io;

use crate::Status;
use crate::message::Panic;
use crate::status::Death;

/// Why a process was not started, or has not begun to run its task.
#[derive(Debug)]
pub struct SpawnError {
    kind: SpawnErrorKind,
    /// The task's name.
    task: String,
    detail: String,
    source: Option<io::Error>,
}

/// What kept a process from running a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnErrorKind {
    /// This process was itself started to run a task, and does not know: its `main` lacks its first line.
    NotInitialised,
    /// Too many processes stand above this one, each started by the one before.
    TooDeep,
    /// This process is a [daemon](crate::Builder::daemon), which may start none.
    Daemon,
    /// An argument cannot leave this process.
    CannotTravel,
    /// An argument's `Serialize` has failed.
    Encode,
    /// There is no program to be started.
    Program,
    /// The system has no room for another process.
    TooManyProcesses,
    /// This process has no descriptor free.
    TooManyFiles,
    /// The process was there for ten seconds and did not say that it runs tasks; it was killed.
    NeverSaidHello,
    /// The process ended before it said that it runs tasks, in this way, which is not a signal.
    ExitedBeforeHello(Status),
    /// The program that was started speaks another version of the protocol, or has another width.
    OtherProtocol,
    /// The program that was started has no task of this name.
    UnknownTask,
    /// The program that was started has a task of this name, and another signature or version.
    SignatureDiffers,
    /// Two functions of the program that was started have one name and signature.
    Ambiguous,
    /// The [nursery](crate::Nursery) has more than one thread.
    TooManyThreads,
    /// The task that a [nursery](crate::Nursery) was to run first has failed.
    Preload,
    /// The [nursery](crate::Nursery) has died, or hangs.
    Nursery,
    /// Something else that the system says.
    Os,
}

impl SpawnError {
    pub(crate) fn new(kind: SpawnErrorKind, task: &str, detail: impl Into<String>) -> Self {
        Self { kind, task: task.to_owned(), detail: detail.into(), source: None }
    }

    pub(crate) fn os(task: &str, during: &str, error: io::Error) -> Self {
        let kind = match error.raw_os_error() {
            Some(libc::EAGAIN) if during == "start the program" => SpawnErrorKind::TooManyProcesses,
            Some(libc::EMFILE | libc::ENFILE) => SpawnErrorKind::TooManyFiles,
            Some(libc::ENOENT | libc::EACCES | libc::ENOEXEC | libc::ENOTDIR) => {
                SpawnErrorKind::Program
            }
            _ => SpawnErrorKind::Os,
        };
        let hint = match kind {
            SpawnErrorKind::TooManyProcesses => ": end some, or raise the limit (`ulimit -u`)",
            SpawnErrorKind::TooManyFiles => ": close some, or raise the limit (`ulimit -n`)",
            _ => "",
        };
        Self { source: Some(error), ..Self::new(kind, task, format!("could not {during}{hint}")) }
    }

    /// Returns what it was.
    pub fn kind(&self) -> SpawnErrorKind {
        self.kind
    }

    /// Returns the name of the task.
    pub fn task(&self) -> &str {
        &self.task
    }
}

/// With this error as the inner one, whose sources say everything.
impl From<SpawnError> for io::Error {
    fn from(error: SpawnError) -> Self {
        let kind = error.source.as_ref().map_or(io::ErrorKind::Other, io::Error::kind);
        Self::new(kind, error)
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task `{}` was not started: {}", self.task, self.detail)
    }
}

impl Error for SpawnError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|error| error as _)
    }
}

/// Why there is no result of a task: whether it could say anything. What it said is another thing.
#[derive(Debug)]
#[non_exhaustive]
pub enum TaskError {
    /// The process was started, and never began to run it.
    NotStarted(SpawnError),
    /// It panicked.
    Panicked {
        /// The task's name.
        task: &'static str,
        /// The process's name.
        name: String,
        /// The panic.
        panic: Panic,
    },
    /// A signal has ended the process before it answered, or nobody knows what has.
    WorkerDied(Box<Death>),
    /// The process called `exit` before it answered.
    Exited(Box<Death>),
    /// An argument was not unpacked, or the answer not packed, in the process: as it says.
    Travel {
        /// The task's name.
        task: &'static str,
        /// The process's name.
        name: String,
        /// Which of them, and why.
        why: String,
    },
    /// What came is no answer of this task.
    Decode {
        /// The task's name.
        task: &'static str,
        /// The process's name.
        name: String,
        /// Why not.
        why: String,
    },
    /// It has run for longer than it may, and its process was killed for it.
    Overran(Box<Death>),
    /// The other machine that had it has died, or the link to it was cut: nobody here knows whether it has run.
    HostDied {
        /// The machine, and what has told.
        host: String,
    },
    /// It was called off before it began, or killed.
    Cancelled,
    /// The pool has told everybody that it works no more, for this reason.
    Broken(String),
    /// The pool takes no tasks any more: it was closed, or ended.
    Closed,
    /// An argument did not leave this process, for this reason.
    Encode {
        /// The task's name.
        task: &'static str,
        /// Which of them, and why.
        why: String,
    },
    /// There is none yet, and the time has passed. The process goes on.
    TimedOut,
    /// The patience's hook said stop. The process goes on.
    Interrupted,
    /// It was taken before.
    Taken,
    /// This process was forked from the one that started the task: only that one hears of it.
    NotOurs,
}

impl TaskError {
    /// Returns how the process ended, if it did without an answer.
    pub fn death(&self) -> Option<&Death> {
        match self {
            Self::WorkerDied(death) | Self::Exited(death) | Self::Overran(death) => Some(death),
            _ => None,
        }
    }
}

/// With this error as the inner one, whose sources say everything.
impl From<TaskError> for io::Error {
    fn from(error: TaskError) -> Self {
        let kind = match &error {
            TaskError::TimedOut | TaskError::Overran(_) => io::ErrorKind::TimedOut,
            TaskError::Interrupted => io::ErrorKind::Interrupted,
            TaskError::Travel { .. } | TaskError::Decode { .. } => io::ErrorKind::InvalidData,
            TaskError::WorkerDied(_) | TaskError::Exited(_) | TaskError::HostDied { .. } => {
                io::ErrorKind::BrokenPipe
            }
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(error) => error.fmt(f),
            Self::Panicked { task, name, panic } => {
                write!(f, "task `{task}` in process {name:?} panicked at {}: {}", panic.at, panic.message)
            }
            Self::WorkerDied(death) | Self::Exited(death) => death.fmt(f),
            Self::Travel { task, name, why } | Self::Decode { task, name, why } => {
                write!(f, "task `{task}` in process {name:?}: {why}")
            }
            Self::Overran(death) => write!(f, "the task was killed after the time that it may take: {death}"),
            Self::HostDied { host } => write!(
                f,
                "the host that had the task is gone, and nobody here knows whether it has run: {host}"
            ),
            Self::Cancelled => f.write_str("the task was called off"),
            Self::Broken(why) => write!(f, "the pool works no more: {why}"),
            Self::Closed => f.write_str("the pool was closed, and takes no tasks any more"),
            Self::Encode { task, why } => write!(f, "task `{task}` was not sent to a worker: {why}"),
            Self::TimedOut => f.write_str("the task has not answered in time"),
            Self::Interrupted => f.write_str("the wait for the task's answer was interrupted"),
            Self::Taken => f.write_str("the task's answer was taken before"),
            Self::NotOurs => f.write_str(
                "this process was forked from the one that started the task, and does not hear of it",
            ),
        }
    }
}

impl Error for TaskError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotStarted(error) => error.source(),
            _ => None,
        }
    }
}
