//! What can go wrong with a segment.

use std::error::Error;
use std::fmt;
use std::io;

use nix::errno::Errno;
use shmkit_layout::HeaderError;

/// What went wrong, for programs. [`SegmentError`]'s `Display` says it to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The name is empty, too long, or has a `/` or a NUL in it.
    InvalidName,
    /// The size is 0, or more than an address space holds.
    InvalidSize,
    /// Another option is out of range: participants, objects, mode, content.
    InvalidOption,
    /// There is no segment of this name.
    NotFound,
    /// There is a segment of this name, and somebody lives in it or it is persistent.
    AlreadyExists,
    /// The directory of the segments is missing, or is no directory.
    NoDirectory,
    /// The kernel refuses, by the permissions of the file or the directory.
    PermissionDenied,
    /// The file system or the kernel lacks something that segments need.
    Unsupported,
    /// There is not enough memory or space on the file system of the segments.
    NoSpace,
    /// The process or the system has no file descriptor left.
    TooManyFiles,
    /// The address space or the memory has no room for the mapping.
    NoMemory,
    /// What bears the name is no regular file.
    NotRegular,
    /// The file belongs to another user than expected.
    ForeignOwner,
    /// The file is open to more users than expected.
    UnsafeMode,
    /// The file is not a segment: it begins with other bytes.
    ForeignMagic,
    /// The segment was made by another layout version.
    Version,
    /// The segment was made on a machine of the other byte order.
    ByteOrder,
    /// The segment was made by a process of another word width.
    WordWidth,
    /// The file is shorter than its header says.
    Truncated,
    /// The header says what no program of this version writes.
    Corrupt,
    /// The segment holds another application's contents.
    WrongContent,
    /// The segment has room for less than was asked for.
    TooSmall,
    /// The segment has no name any more, and never will: nobody can join it.
    Unlinked,
    /// A forked child has handles to an object that was removed before it joined.
    ObjectRemoved,
    /// The roster has no place left.
    Full,
    /// The free places of the roster have given out all their names, and cannot begin anew: the segment has no directory
    /// that says which words name participants, or a damaged one.
    Exhausted,
    /// The environment, or a descriptor handed over, does not show the segment that was shared.
    NotInherited,
    /// The segment has no object of this name.
    NoObject,
    /// The bytes do not all lie in the memory.
    OutOfBounds,
    /// What was handed over as sealed memory can be written to, or cut off.
    NotSealed,
    /// This process has closed the segment's descriptor, and there is no name by which to open it again.
    NoDescriptor,
    /// The segment is being removed or made by somebody all the time.
    TimedOut,
    /// Joining the roster failed for another reason, which is the source.
    Join,
    /// The system failed in a way that has no kind of its own; the source says how.
    Os,
}

/// Why a segment could not be made, opened, joined or removed.
///
/// `Display` says what was attempted, what was found, what was expected and what to do; [`kind`](Self::kind) says it
/// to programs; [`source`](Error::source) is what the system said, if it was asked.
pub struct SegmentError(Box<Parts>);

struct Parts {
    attempt: String,
    failure: Failure,
}

impl SegmentError {
    /// Returns what went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.failure.kind
    }
}

impl SegmentError {
    /// Returns whether it failed because others were at it all the time that this was to wait.
    pub fn is_timeout(&self) -> bool {
        self.kind() == ErrorKind::TimedOut
    }

    /// Returns the kind of the standard library that comes nearest.
    pub fn io_kind(&self) -> io::ErrorKind {
        use ErrorKind as Kind;
        match self.kind() {
            Kind::InvalidName | Kind::InvalidSize | Kind::InvalidOption | Kind::OutOfBounds => {
                io::ErrorKind::InvalidInput
            }
            Kind::NotFound
            | Kind::NoObject
            | Kind::NoDirectory
            | Kind::Unlinked
            | Kind::ObjectRemoved => io::ErrorKind::NotFound,
            Kind::AlreadyExists => io::ErrorKind::AlreadyExists,
            Kind::PermissionDenied | Kind::ForeignOwner | Kind::UnsafeMode => {
                io::ErrorKind::PermissionDenied
            }
            Kind::Unsupported => io::ErrorKind::Unsupported,
            Kind::NoSpace => io::ErrorKind::StorageFull,
            Kind::NoMemory => io::ErrorKind::OutOfMemory,
            Kind::TimedOut => io::ErrorKind::TimedOut,
            Kind::Full => io::ErrorKind::ResourceBusy,
            Kind::NotRegular
            | Kind::ForeignMagic
            | Kind::Version
            | Kind::ByteOrder
            | Kind::WordWidth
            | Kind::Truncated
            | Kind::Corrupt
            | Kind::WrongContent
            | Kind::NotSealed
            | Kind::TooSmall => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        }
    }

    /// Returns the number of the system's error, if the system gave one.
    pub fn errno(&self) -> Option<i32> {
        let mut source = self.source();
        while let Some(error) = source {
            if let Some(errno) = error.downcast_ref::<Errno>() {
                return Some(*errno as i32);
            }
            if let Some(errno) = error.downcast_ref().and_then(io::Error::raw_os_error) {
                return Some(errno);
            }
            source = error.source();
        }
        None
    }
}

/// With this error as the inner one, whose text says everything.
impl From<SegmentError> for io::Error {
    fn from(error: SegmentError) -> Self {
        Self::new(error.io_kind(), error)
    }
}

impl fmt::Display for SegmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.0.attempt, self.0.failure.detail)
    }
}

impl fmt::Debug for SegmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("SegmentError");
        debug.field("kind", &self.kind()).field("message", &format_args!("{self}"));
        debug.field("source", &self.0.failure.source).finish()
    }
}

impl Error for SegmentError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.failure.source.as_deref().map(|source| source as _)
    }
}

/// An error before anybody said what was attempted.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    /// What was found, what was expected, what to do.
    detail: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), source: None }
    }

    /// Names the error underneath.
    pub(crate) fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The error of a system call that has no meaning of its own at this place. `call` is what was called, on what.
    pub(crate) fn os(errno: Errno, call: impl fmt::Display) -> Self {
        let (kind, detail) = match errno {
            Errno::EACCES | Errno::EPERM => (
                ErrorKind::PermissionDenied,
                format!(
                    "{call} is not permitted to user {}: run as the owner, or make it with a \
                     wider `mode`",
                    nix::unistd::geteuid()
                ),
            ),
            Errno::EROFS => (
                ErrorKind::PermissionDenied,
                format!("{call} is on a file system mounted read-only: choose another directory"),
            ),
            Errno::EMFILE => (
                ErrorKind::TooManyFiles,
                format!(
                    "{call} needs a file descriptor, and this process has all that RLIMIT_NOFILE \
                     grants it{} open: close some, or raise the limit (`ulimit -n`)",
                    descriptor_limit()
                ),
            ),
            Errno::ENFILE => (
                ErrorKind::TooManyFiles,
                format!(
                    "{call} needs a file descriptor, and the system has none left: close some, or \
                     raise fs.file-max"
                ),
            ),
            Errno::ENOSPC | Errno::EDQUOT => (
                ErrorKind::NoSpace,
                format!(
                    "{call} found the file system full: remove what is unused (`shmkit gc`), or \
                     enlarge it"
                ),
            ),
            Errno::ENOMEM => (
                ErrorKind::NoMemory,
                format!(
                    "{call} found no memory or address space left: free some, or raise RLIMIT_AS \
                     (`ulimit -v`)"
                ),
            ),
            Errno::ENOLCK => (
                ErrorKind::NoMemory,
                format!(
                    "{call} found no memory for a record lock: raise the limit of the control \
                     group, or try again"
                ),
            ),
            Errno::ENOSYS | Errno::EOPNOTSUPP => (
                ErrorKind::Unsupported,
                format!(
                    "{call} is not supported by this kernel or file system: use a tmpfs such as \
                     /dev/shm"
                ),
            ),
            _ => (ErrorKind::Os, format!("{call} failed")),
        };
        Self::new(kind, detail).caused_by(errno)
    }

    /// Says it in other words.
    pub(crate) fn instead(mut self, detail: String) -> Self {
        self.detail = detail;
        self
    }

    /// Says what was attempted.
    pub(crate) fn during(self, attempt: impl Into<String>) -> SegmentError {
        SegmentError(Box::new(Parts { attempt: attempt.into(), failure: self }))
    }
}

impl From<HeaderError> for Failure {
    fn from(error: HeaderError) -> Self {
        let kind = match error {
            HeaderError::Magic { .. } => ErrorKind::ForeignMagic,
            HeaderError::ByteOrder => ErrorKind::ByteOrder,
            HeaderError::Version { .. } => ErrorKind::Version,
            HeaderError::Width { .. } => ErrorKind::WordWidth,
            HeaderError::Truncated { .. } => ErrorKind::Truncated,
            _ => ErrorKind::Corrupt,
        };
        // The whole of it, so that nothing is left for a source to repeat.
        Self::new(kind, error.to_string())
    }
}

/// ` (1024)`, or nothing if the limit cannot be read.
fn descriptor_limit() -> String {
    match nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE) {
        Ok((soft, _)) => format!(" ({soft})"),
        Err(_) => String::new(),
    }
}
