//! Looking at one file without touching it.

use std::error::Error;
use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd::geteuid;
use shmkit_layout::{Header, HeaderError};

/// A segment's file, open for reading.
#[derive(Debug)]
pub(crate) struct Examined {
    pub(crate) file: File,
    /// Or why it is a segment that this version cannot use.
    pub(crate) header: Result<Header, HeaderError>,
    /// Size of the file, in bytes.
    pub(crate) size: u64,
    /// Number of the user it belongs to.
    pub(crate) owner: u32,
    /// How many names it has.
    pub(crate) links: u64,
}

/// Why a file could not be examined, or need not be.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing bears the name any more.
    Vanished,
    /// It is not a segment that this program may touch.
    Foreign(Foreign),
    /// The system does not let us look.
    Io(io::Error),
}

/// What makes a file that bears the prefix none of ours to touch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Foreign {
    /// It is a directory, a link, a pipe or a device.
    NotRegular,
    /// It belongs to another user, with this number.
    Owner(u32),
    /// It has so many names: to remove one would free nothing.
    Links(u64),
    /// It does not begin like a segment that this program can use.
    Header(HeaderError),
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRegular => f.write_str("it is no regular file"),
            Self::Owner(uid) => {
                write!(
                    f,
                    "it belongs to user {uid}, and this is user {}: run as that user",
                    geteuid()
                )
            }
            Self::Links(n) => {
                write!(f, "it has {n} names (hard links), and a segment has one: remove the others")
            }
            Self::Header(HeaderError::Magic { .. }) => {
                f.write_str("it does not begin like a segment: it belongs to another program")
            }
            Self::Header(HeaderError::Truncated { .. } | HeaderError::Corrupt { .. }) => {
                f.write_str("it is damaged (`--damaged` removes it if nobody lives there)")
            }
            Self::Header(_) => f.write_str("it is no segment of this version"),
        }
    }
}

impl Error for Foreign {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Header(HeaderError::Magic { .. }) => None,
            Self::Header(error) => Some(error),
            _ => None,
        }
    }
}

/// Opens and examines the file at `path`. Only a regular file is opened: to open a pipe would wake its writer.
pub(crate) fn examine(path: &Path) -> Result<Examined, Failure> {
    open(path, path.symlink_metadata()?, OFlag::O_NOFOLLOW)
}

/// The same of the file that a process has open, by a link of `/proc/PID/fd`.
pub(crate) fn examine_open(link: &Path) -> Result<Examined, Failure> {
    open(link, link.metadata()?, OFlag::empty())
}

fn open(path: &Path, seen: Metadata, flags: OFlag) -> Result<Examined, Failure> {
    regular(&seen)?;
    let flags = flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path);
    let file = match opened {
        // A link took the file's place since.
        Err(error) if error.raw_os_error() == Some(nix::libc::ELOOP) => {
            return Err(Failure::Foreign(Foreign::NotRegular));
        }
        // Nothing that this user need know of.
        Err(error)
            if error.kind() == io::ErrorKind::PermissionDenied
                && seen.uid() != geteuid().as_raw() =>
        {
            return Err(Failure::Foreign(Foreign::Owner(seen.uid())));
        }
        other => other?,
    };
    let metadata = file.metadata()?;
    regular(&metadata)?;
    let mut size = metadata.len();
    let mut header = read_header(&file, size)?;
    if let Err(HeaderError::Truncated { .. }) = header {
        // It may have grown since.
        size = file.metadata()?.len();
        header = read_header(&file, size)?;
    }
    Ok(Examined { file, header, size, owner: metadata.uid(), links: metadata.nlink() })
}

/// Refuses what is no regular file.
fn regular(metadata: &Metadata) -> Result<(), Failure> {
    if !metadata.is_file() {
        return Err(Failure::Foreign(Foreign::NotRegular));
    }
    Ok(())
}

fn read_header(file: &File, size: u64) -> Result<Result<Header, HeaderError>, Failure> {
    let mut bytes = [0; size_of::<Header>()];
    let read = read_to(file, &mut bytes, 0)?;
    match Header::parse(&bytes[..read], size) {
        Err(error @ HeaderError::Magic { .. }) => Err(Failure::Foreign(Foreign::Header(error))),
        header => Ok(header),
    }
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn read_to(file: &File, buffer: &mut [u8], start: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], start + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound { Self::Vanished } else { Self::Io(error) }
    }
}
