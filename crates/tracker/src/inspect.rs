//! Looking into one segment, without taking part in it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use shmkit_layout::{Header, Region};
use shmkit_segment::{Entry, PREFIX};

use crate::copy::Copy;
use crate::examine::{Examined, Failure, Foreign, examine, examine_open};
use crate::holders::{self, Holder};
use crate::list::{Found, ListError, Summary, What, candidates};

/// A segment that is looked into. It is not joined, mapped, locked or written to: what is seen are copies of its file, so
/// that a damaged or hostile one can do no harm.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// Its file.
    pub path: PathBuf,
    /// What it is called, without the prefix; or, of one without a name, `PID:DESCRIPTOR`, of a process that has it open.
    pub name: String,
    /// What can be said of it.
    pub summary: Summary,
    identity: (u64, u64),
    header: Header,
    file: File,
}

/// Why a segment cannot be looked into.
#[derive(Debug)]
#[non_exhaustive]
pub enum InspectError {
    /// There is no file of this name.
    Missing,
    /// It is none that can be used.
    Foreign(Foreign),
    /// The system does not let us look, or what it says of roster and directory is nonsense.
    Unreadable(io::Error),
}

impl Inspection {
    /// Looks into the segment called `name` in a directory.
    ///
    /// # Errors
    ///
    /// [`InspectError`].
    pub fn new(directory: impl AsRef<Path>, name: impl AsRef<OsStr>) -> Result<Self, InspectError> {
        let mut file_name = OsStr::new(PREFIX).to_owned();
        file_name.push(name.as_ref());
        let path = directory.as_ref().join(file_name);
        let examined = examine(&path)?;
        Self::of(examined, path, name.as_ref().to_string_lossy().into_owned())
    }

    /// Looks into the segment that a process has open as a descriptor: for one without a name.
    ///
    /// # Errors
    ///
    /// [`InspectError`]: above all that this user may not look at that process, who is neither root nor would be allowed to trace
    /// it.
    pub fn open_in(pid: u32, descriptor: u32) -> Result<Self, InspectError> {
        let path = PathBuf::from(format!("/proc/{pid}/fd/{descriptor}"));
        let examined = examine_open(&path)?;
        Self::of(examined, path, format!("{pid}:{descriptor}"))
    }

    fn of(examined: Examined, path: PathBuf, name: String) -> Result<Self, InspectError> {
        let Examined { file, header, owner, .. } = examined;
        let header = header.map_err(|defect| InspectError::Foreign(Foreign::Header(defect)))?;
        let summary = Summary::of(&file, header, owner).map_err(InspectError::Unreadable)?;
        let metadata = file.metadata().map_err(InspectError::Unreadable)?;
        let identity = (metadata.dev(), metadata.ino());
        Ok(Self { path, name, summary, identity, header, file })
    }

    /// Returns whether it has no name: it is anonymous, or was unlinked, and is there for those who have it mapped.
    pub fn is_unnamed(&self) -> bool {
        self.path.starts_with("/proc")
    }

    /// Returns the segment's file's device and number: no other one has both as long as it is there.
    pub fn identity(&self) -> (u64, u64) {
        self.identity
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Returns the segment's header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the participants that the words of an object name, each once: who holds it, has an end of it, or has taken
    /// something from it.
    pub fn named(&self, entry: &Entry) -> Vec<Holder> {
        holders::named(&self.file, entry, &self.summary.participants)
    }

    /// Has `look` see a copy of an object's first bytes, `most` at most.
    ///
    /// # Errors
    ///
    /// The system's; and that the file was cut off.
    pub fn look<R>(
        &self,
        entry: &Entry,
        most: usize,
        look: impl FnOnce(Region<'_>) -> R,
    ) -> io::Result<R> {
        let len = usize::try_from(entry.shape.bytes).unwrap_or(most).min(most);
        let mut copy = Copy::take_at(&self.file, len, entry.offset)?;
        Ok(look(copy.region()))
    }

    /// Returns a copy of some bytes of an object, from its byte `from` on, `most` at most: fewer where it ends.
    ///
    /// # Errors
    ///
    /// As [`look`](Self::look).
    pub fn bytes(&self, entry: &Entry, from: u64, most: usize) -> io::Result<Vec<u8>> {
        let rest = entry.shape.bytes.saturating_sub(from);
        let len = usize::try_from(rest).unwrap_or(most).min(most);
        Ok(Copy::take_at(&self.file, len, entry.offset.saturating_add(from))?.bytes().to_vec())
    }
}

/// Looks into every segment of a directory, one after the other, in the order of names. Of what cannot be looked into it says why;
/// what has gone meanwhile is left out.
///
/// Each takes a descriptor as long as it is kept, and no longer.
///
/// # Errors
///
/// [`ListError`] if the directory cannot be read.
pub fn inspect_all(
    directory: impl AsRef<Path>,
) -> Result<impl Iterator<Item = Result<Inspection, InspectError>>, ListError> {
    let look = |(path, name): (PathBuf, String)| match examine(&path).map_err(InspectError::from) {
        Err(InspectError::Missing) => None,
        examined => Some(examined.and_then(|examined| Inspection::of(examined, path, name))),
    };
    Ok(candidates(directory.as_ref())?.into_iter().filter_map(look))
}

/// What was looked into is found.
impl From<Inspection> for Found {
    fn from(Inspection { path, name, summary, .. }: Inspection) -> Self {
        Self { path, name, what: What::Segment(Box::new(summary)) }
    }
}

impl From<Failure> for InspectError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Vanished => Self::Missing,
            Failure::Foreign(foreign) => Self::Foreign(foreign),
            Failure::Io(error) => Self::Unreadable(error),
        }
    }
}

/// With this error as the inner one.
impl From<InspectError> for io::Error {
    fn from(error: InspectError) -> Self {
        let kind = match &error {
            InspectError::Missing => io::ErrorKind::NotFound,
            InspectError::Foreign(Foreign::Owner(_)) => io::ErrorKind::PermissionDenied,
            InspectError::Foreign(_) => io::ErrorKind::InvalidData,
            InspectError::Unreadable(error) => error.kind(),
        };
        Self::new(kind, error)
    }
}

impl std::fmt::Display for InspectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => {
                f.write_str("there is no such segment: `shmkit ls` shows which there are")
            }
            Self::Foreign(foreign) => foreign.fmt(f),
            Self::Unreadable(_) => f.write_str("it cannot be read"),
        }
    }
}

impl std::error::Error for InspectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Missing => None,
            Self::Foreign(foreign) => foreign.source(),
            Self::Unreadable(error) => Some(error),
        }
    }
}
