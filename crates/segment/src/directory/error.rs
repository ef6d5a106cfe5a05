//! Why an object cannot be used or made.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use shmkit_layout::{CommitError, OffsetError, Shape, ShapeError};
use shmkit_roster::{Judge, OwnerId};
use shmkit_sync::LockFailure;

use super::Entry;
use crate::usage::User;

/// Why an object of a segment cannot be found or made.
///
/// It says which object, what was found, what was expected, and what to do.
#[derive(Debug)]
pub struct ObjectError {
    /// What was asked for; `None` if it was the whole directory.
    name: Option<Box<str>>,
    reason: Box<Reason>,
}

/// What sort of error an [`ObjectError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ObjectErrorKind {
    /// The name is empty, too long or has control characters.
    InvalidName,
    /// There is no object of this name.
    NotFound,
    /// There is one already.
    Exists,
    /// Somebody alive uses the object.
    InUse,
    /// The object of this name is of another kind, type or length.
    WrongShape,
    /// No object can have the length or size that was asked for.
    InvalidSpec,
    /// The segment was made without a directory.
    NoDirectory,
    /// Every entry of the directory is taken, and there is no room for more of them.
    Full,
    /// The segment has not enough free bytes, or grows and there is no memory for more.
    NoRoom,
    /// Somebody has cut the segment's file off: who touches its objects may die of that.
    Truncated,
    /// The segment could not grow, as the system failed or the file's descriptor was closed.
    CannotGrow,
    /// A peer held the directory for too long: it is stopped, or wrong.
    Busy,
    /// This process has not joined the segment: it was forked.
    NotJoined,
    /// Nobody can tell whether the peer that holds the directory is alive.
    CannotJudge,
    /// The segment holds what no peer of this version writes.
    Corrupt,
}

impl ObjectError {
    /// Returns what sort of error it is.
    pub fn kind(&self) -> ObjectErrorKind {
        use ObjectErrorKind as Is;
        match &*self.reason {
            Reason::Name { .. } => Is::InvalidName,
            Reason::NotFound { .. } => Is::NotFound,
            Reason::Exists { .. } => Is::Exists,
            Reason::InUse { .. } => Is::InUse,
            Reason::WrongType { .. } | Reason::WrongLength { .. } => Is::WrongShape,
            Reason::Spec(_) | Reason::Alignment { .. } => Is::InvalidSpec,
            Reason::NoDirectory => Is::NoDirectory,
            Reason::Full { .. } => Is::Full,
            Reason::NoRoom { .. } => Is::NoRoom,
            Reason::Commit(error) => match error {
                CommitError::NoRoom { .. } | CommitError::TooLong { .. } => Is::NoRoom,
                CommitError::Truncated { .. } => Is::Truncated,
                _ => Is::CannotGrow,
            },
            Reason::Lock { failure, .. } => match failure {
                LockFailure::NotJoined => Is::NotJoined,
                LockFailure::CannotJudge => Is::CannotJudge,
                LockFailure::Corrupt { .. } => Is::Corrupt,
                _ => Is::Busy,
            },
            Reason::Corrupt { .. } | Reason::Place(_) | Reason::Attach(_) => Is::Corrupt,
        }
    }

    /// Returns whether it failed because a peer held the directory all the time that this was to wait.
    pub fn is_timeout(&self) -> bool {
        matches!(&*self.reason, Reason::Lock { failure, .. } if failure.is_timeout())
    }

    /// Returns the kind of the standard library that comes nearest.
    pub fn io_kind(&self) -> io::ErrorKind {
        use ObjectErrorKind as Is;
        match self.kind() {
            Is::InvalidName | Is::InvalidSpec => io::ErrorKind::InvalidInput,
            Is::NotFound | Is::NoDirectory => io::ErrorKind::NotFound,
            Is::Exists => io::ErrorKind::AlreadyExists,
            Is::WrongShape | Is::Corrupt | Is::Truncated => io::ErrorKind::InvalidData,
            Is::Full | Is::NoRoom => io::ErrorKind::StorageFull,
            Is::Busy if self.is_timeout() => io::ErrorKind::TimedOut,
            Is::InUse | Is::Busy => io::ErrorKind::ResourceBusy,
            Is::NotJoined | Is::CannotJudge | Is::CannotGrow => io::ErrorKind::Other,
        }
    }

    #[cfg(test)]
    pub(super) fn reason(&self) -> &Reason {
        &self.reason
    }

    /// Returns the name of the object that was asked for, or `None` if it was the whole directory.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// What [`ObjectError`] has to say.
#[derive(Debug)]
pub(crate) enum Reason {
    Name {
        why: &'static str,
        len: usize,
    },
    /// The first of so many that are there.
    NotFound {
        there: Vec<Entry>,
        count: u32,
    },
    Exists {
        found: Shape,
    },
    InUse {
        found: Box<Shape>,
        /// For people; none if it is not known any more.
        user: Option<String>,
    },
    WrongType {
        found: Box<Shape>,
        asked: String,
        /// Between two types of one name.
        difference: Option<String>,
    },
    WrongLength {
        found: Shape,
        asked: Box<Shape>,
    },
    Spec(ShapeError),
    Alignment {
        found: u64,
    },
    NoDirectory,
    Full {
        entries: u32,
    },
    NoRoom {
        needed: u64,
        align: u64,
        free: u64,
        len: u64,
    },
    /// The memory for it is not to be had.
    Commit(CommitError),
    Lock {
        failure: LockFailure,
        owner: Option<OwnerId>,
        waited: Duration,
    },
    Corrupt {
        field: &'static str,
        index: u32,
        found: u64,
    },
    Place(OffsetError),
    Attach(ShapeError),
}

impl Reason {
    /// Somebody uses the object.
    pub(super) fn in_use<J: Judge>(found: Shape, user: Option<User>, judge: &J) -> Self {
        let user = user.map(|user| match user {
            User::Named(owner) if judge.me() == Some(owner) => "this process".to_owned(),
            User::Named(owner) => match judge.person(owner) {
                Some(person) => format!("participant {owner} (process {})", person.pid),
                None => format!("participant {owner}"),
            },
            User::Sweeper => "somebody who is about to join".to_owned(),
        });
        Self::InUse { found: found.into(), user }
    }

    pub(crate) fn of(self, name: &str) -> ObjectError {
        ObjectError { name: Some(name.into()), reason: Box::new(self) }
    }

    pub(super) fn of_directory(self) -> ObjectError {
        ObjectError { name: None, reason: Box::new(self) }
    }
}

/// With this error as the inner one, whose text says everything.
impl From<ObjectError> for io::Error {
    fn from(error: ObjectError) -> Self {
        Self::new(error.io_kind(), error)
    }
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "object {name:?}: {}", self.reason),
            None => write!(f, "directory of objects: {}", self.reason),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { why, len } => {
                write!(f, "a name has 1 to 255 bytes and no control characters, this one has {len} bytes: {why}")
            }
            Self::NotFound { there, count } => not_found(f, there, *count),
            Self::Exists { found } => {
                write!(f, "there is one already, {found}: find it, or use another name")
            }
            Self::InUse { found, user } => {
                let user = user.as_deref().unwrap_or("a participant");
                write!(f, "it is {found}, and {user} uses it: drop all handles to it first, or unlink it, which frees it with its last user")
            }
            Self::WrongType { found, difference: Some(difference), .. } => write!(
                f,
                "it is {found}, of another definition: {difference}; build both sides from the same one, or use another name"
            ),
            Self::WrongType { found, asked, difference: None } => write!(
                f,
                "it is {found}, asked for was {asked}: use the same type on both sides, or another name"
            ),
            Self::WrongLength { found, asked } if found.len == asked.len => write!(
                f,
                "it is {found} in {} bytes, asked for was {asked} in {} bytes: build both sides with the same version of shmkit",
                found.bytes, asked.bytes
            ),
            Self::WrongLength { found, asked } => write!(
                f,
                "it is {found}, asked for was {} of length {}: ask for {}, find it instead, or use another name",
                asked.kind, asked.len, found.len
            ),
            Self::Spec(_) => f.write_str("it cannot be made as asked"),
            Self::Alignment { found } => {
                write!(f, "an alignment of {found} was asked for, where a power of two up to 4096 is possible")
            }
            Self::NoDirectory => f.write_str(
                "the segment was made without a directory: make it with Options::objects(n), n at least 1",
            ),
            Self::Full { entries } => write!(
                f,
                "all {entries} entries of the directory are taken, and the segment has no room for as many more: make it larger, with Options::new(size), or with more Options::objects"
            ),
            Self::NoRoom { needed, align, free, len } => write!(
                f,
                "it needs {needed} bytes at a multiple of {align}, and of the segment's {len} bytes {free} are free in one piece: make the segment larger, with Options::new(size), or let it grow, with Options::max(limit)"
            ),
            Self::Commit(error) => write!(f, "the segment could not grow for it: {error}"),
            Self::Lock { failure: LockFailure::NotJoined, .. } => {
                f.write_str("this process has not joined the segment: a forked child calls join_after_fork first")
            }
            Self::Lock { failure: LockFailure::TimedOut | LockFailure::WouldBlock, owner: Some(owner), waited } => write!(
                f,
                "participant {owner} has held the directory for {waited:?}: it is alive, so it is stopped, wrong, or makes what is larger than the limit allows (`object_time_limit`)"
            ),
            Self::Lock { .. } => f.write_str("the directory could not be locked"),
            Self::Corrupt { field, index, found } => write!(
                f,
                "the segment is corrupt: the {field} of entry {index} is {found:#x}, which no peer of this version writes; make the segment anew"
            ),
            Self::Place(_) => f.write_str("the segment is corrupt: make it anew"),
            Self::Attach(_) => f.write_str("what the directory leads to is no such object"),
        }
    }
}

/// Lists what there is, `count` in all.
fn not_found(f: &mut fmt::Formatter<'_>, there: &[Entry], count: u32) -> fmt::Result {
    f.write_str("there is none of this name")?;
    for (i, entry) in there.iter().enumerate() {
        f.write_str(if i == 0 { "; there is " } else { ", " })?;
        write!(f, "{:?} ({})", entry.name, entry.shape)?;
    }
    match (count as usize).saturating_sub(there.len()) {
        _ if count == 0 => f.write_str(": the segment has no objects yet"),
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

impl Error for ObjectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &*self.reason {
            Reason::Spec(error) | Reason::Attach(error) => Some(error),
            Reason::Place(error) => Some(error),
            Reason::Lock { failure, .. } => Some(failure),
            _ => None,
        }
    }
}
