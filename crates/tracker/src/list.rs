//! Looking at segments without taking part in them.

use std::error::Error;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use shmkit_layout::Header;
use shmkit_roster::{Member, Verdict, removal};
use shmkit_segment::PREFIX;
use shmkit_segment::{Entry, ObjectError};

use crate::copy;
use crate::examine::{Examined, Failure, Foreign, examine};

/// A file whose name begins as a segment's does.
#[derive(Debug)]
#[non_exhaustive]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// What the segment is called: the file's name without the prefix. Bytes that are not UTF-8 show as `\u{fffd}`;
    /// [`name_of`] has them.
    pub name: String,
    /// What it is.
    pub what: What,
}

/// What a file is.
#[derive(Debug)]
#[non_exhaustive]
pub enum What {
    /// A segment.
    Segment(Box<Summary>),
    /// Something else, or a segment that this version cannot use.
    Foreign(Foreign),
    /// The system does not let us look.
    Unreadable(io::Error),
}

/// What can be said of a segment from outside. All of it was true at some moment, which has passed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Summary {
    /// Size of the segment, in bytes.
    pub size: u64,
    /// How large it may become, in bytes: as large as it is, if it does not grow.
    pub limit: u64,
    /// The memory that it takes, in bytes.
    pub resident: u64,
    /// When it was made, where the file system says so.
    pub made: Option<SystemTime>,
    /// Whether it outlives its participants.
    pub persistent: bool,
    /// What the application calls the contents; empty if it does not.
    pub content: String,
    /// The user it belongs to.
    pub owner: u32,
    /// Whether somebody lives in it, is joining it, or is removing it.
    pub in_use: bool,
    /// How many participants it has room for at a time.
    pub capacity: u32,
    /// The last participant of every place that was ever taken.
    pub participants: Vec<Member>,
    /// How many objects it has room for.
    pub entries: u32,
    /// Its objects, in the order in which they were made.
    pub objects: Result<Vec<Entry>, ObjectError>,
}

impl Summary {
    /// Returns how many participants live.
    pub fn living(&self) -> usize {
        self.participants.iter().filter(|who| who.verdict == Verdict::Alive).count()
    }

    /// Returns how many participants are dead that did not leave: they were killed, crashed, or ended without a word
    /// (`_exit`). Who has left in good order is not counted, nor who was replaced in its place.
    pub fn dead(&self) -> usize {
        self.participants.iter().filter(|who| who.verdict == Verdict::Dead && !who.left).count()
    }

    pub(crate) fn of(file: &File, header: Header, owner: u32) -> io::Result<Self> {
        let members = |roster: shmkit_roster::Roster<'_>| roster.participants(file.as_fd());
        let (participants, objects) = copy::read(file, &header, members)?;
        let metadata = file.metadata()?;
        let Header { size, roster_slots: capacity, directory_entries: entries, content, .. } =
            header;
        Ok(Self {
            size,
            limit: header.limit(),
            // Blocks of 512 bytes, whatever the file system has.
            resident: metadata.blocks().saturating_mul(512),
            made: metadata.created().ok(),
            persistent: header.is_persistent(now()),
            content: content.name().to_owned(),
            owner,
            in_use: removal::in_use(file.as_fd())?,
            capacity,
            participants,
            entries,
            objects,
        })
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// Looks at every file in `directory` that is called like a segment, in the order of names. Nothing is joined, mapped,
/// locked or written.
///
/// # Errors
///
/// [`ListError`] if the directory cannot be read. What cannot be read in it is a [`Found`] that says so.
pub fn list(directory: impl AsRef<Path>) -> Result<Vec<Found>, ListError> {
    let look = |(path, name): (PathBuf, String)| {
        let what = match examine(&path) {
            Ok(Examined { header: Err(defect), .. }) => What::Foreign(Foreign::Header(defect)),
            Ok(Examined { file, header: Ok(header), owner, .. }) => {
                match Summary::of(&file, header, owner) {
                    Ok(summary) => What::Segment(Box::new(summary)),
                    Err(error) => What::Unreadable(error),
                }
            }
            Err(Failure::Vanished) => return None,
            Err(Failure::Foreign(foreign)) => What::Foreign(foreign),
            Err(Failure::Io(error)) => What::Unreadable(error),
        };
        Some(Found { path, name, what })
    };
    Ok(candidates(directory.as_ref())?.into_iter().filter_map(look).collect())
}

/// Returns what the segment of a file is called, byte for byte; `None` if the file is not called like one.
pub fn name_of(file: &Path) -> Option<&OsStr> {
    let name = file.file_name()?.as_bytes().strip_prefix(PREFIX.as_bytes())?;
    (!name.is_empty()).then(|| OsStr::from_bytes(name))
}

/// Returns the files of a directory that are called like segments, and the names without the prefix, in order.
pub(crate) fn candidates(directory: &Path) -> Result<Vec<(PathBuf, String)>, ListError> {
    let fails = |source| ListError { directory: directory.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(fails)? {
        let path = directory.join(entry.map_err(fails)?.file_name());
        if let Some(name) = name_of(&path) {
            let name = name.to_string_lossy().into_owned();
            found.push((path, name));
        }
    }
    found.sort();
    Ok(found)
}

/// Why the segments of a directory could not be looked for.
#[derive(Debug)]
pub struct ListError {
    directory: PathBuf,
    source: io::Error,
}

impl ListError {
    /// Returns the number of the system's error, if the system gave one.
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }
}

/// With this error as the inner one, whose source is what the system said.
impl From<ListError> for io::Error {
    fn from(error: ListError) -> Self {
        Self::new(error.source.kind(), error)
    }
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = match self.source.kind() {
            io::ErrorKind::NotFound => "mount a tmpfs there, or choose another directory",
            io::ErrorKind::NotADirectory => "it is no directory, choose another",
            io::ErrorKind::PermissionDenied => "run as a user who may read it",
            _ => "choose another directory",
        };
        write!(f, "cannot look for segments in {}: {advice}", self.directory.display())
    }
}

impl Error for ListError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}
