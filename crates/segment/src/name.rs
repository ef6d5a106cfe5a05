//! Names of segments, and where their files lie.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;

use crate::error::{ErrorKind, Failure};
use crate::folder::Folder;
use crate::status::{At, Identity, Status};

/// Where segments lie unless somebody chooses another directory.
pub const DIRECTORY: &str = "/dev/shm";

/// What the name of every segment file begins with. A sweep looks at no other file.
pub const PREFIX: &str = "shmkit.";

/// Longest name of a segment, in bytes: what the file system leaves (NAME_MAX, 255) after the prefix.
pub const MAX_NAME: usize = MAX_FILE_NAME - PREFIX.len();

/// Longest name of a file, in bytes (NAME_MAX).
const MAX_FILE_NAME: usize = 255;

/// A name that was checked, in a directory.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Any bytes: a file that was renamed is still a segment.
    name: OsString,
    /// Absolute, so that the process may change its working directory.
    path: PathBuf,
    /// The directory, if it is held.
    folder: Option<Arc<Folder>>,
}

impl Place {
    /// Checks a name, before any system call sees it.
    pub(crate) fn new(directory: &Path, name: impl AsRef<OsStr>) -> Result<Self, Failure> {
        let name = name.as_ref();
        check(name, MAX_NAME)?;
        let mut file = OsString::from(PREFIX);
        file.push(name);
        let path = directory.join(file);
        Ok(Self { name: name.to_owned(), path: absolute(path), folder: None })
    }

    /// As [`new`](Self::new), for a file that is called exactly so, and is no segment's.
    pub(crate) fn raw(directory: &Path, name: &str) -> Result<Self, Failure> {
        check(name.as_ref(), MAX_FILE_NAME)?;
        if matches!(name, "." | "..") || name.starts_with(PREFIX) {
            return Err(Failure::new(
                ErrorKind::InvalidName,
                format!(
                    "the name is {name:?}, which is a directory's or, as it begins with {PREFIX:?}, \
                     a segment's: use another, or open it as a segment"
                ),
            ));
        }
        Ok(Self { name: name.into(), path: absolute(directory.join(name)), folder: None })
    }

    /// The place of a file that was found, by a sweep or through a descriptor; `None` if its name is not ours.
    pub(crate) fn of_path(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.as_bytes().strip_prefix(PREFIX.as_bytes())?;
        (!name.is_empty()).then(|| Self {
            name: OsStr::from_bytes(name).to_owned(),
            path: absolute(path.clone()),
            folder: None,
        })
    }

    /// Holds the directory, in which the name leads to this segment.
    pub(crate) fn held(mut self, identity: Identity) -> Self {
        self.folder = Folder::of(self.directory(), self.file_name(), identity);
        self
    }

    /// As [`held`](Self::held), for a name that was given to it a moment ago: nothing is asked about the segment.
    pub(crate) fn held_as_named(mut self) -> Self {
        self.folder = Folder::now(self.directory());
        self
    }

    /// Whether the directory is held.
    pub(crate) fn is_held(&self) -> bool {
        self.folder.is_some()
    }

    /// The place with nothing but its path.
    pub(crate) fn by_path(&self) -> Self {
        Self { folder: None, ..self.clone() }
    }

    /// Returns where it is. The descriptor of the directory was asked whether it is that still: it is for use at once.
    pub(crate) fn at(&self) -> At<'_> {
        match self.folder.as_ref().and_then(|folder| folder.file()) {
            Some(folder) => (folder, self.file_name()),
            None => (AT_FDCWD, &self.path),
        }
    }

    /// What bears the name now; a symbolic link is not followed.
    pub(crate) fn status(&self) -> Result<Status, Errno> {
        Status::at(self.at())
    }

    fn file_name(&self) -> &Path {
        self.path.file_name().map_or(&self.path, Path::new)
    }

    /// The name as the user says it.
    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of the file.
    pub(crate) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

/// Checks what every name must be.
fn check(name: &OsStr, most: usize) -> Result<(), Failure> {
    let invalid = |detail: String| Err(Failure::new(ErrorKind::InvalidName, detail));
    if name.is_empty() {
        return invalid(format!("the name is empty: give it 1 to {most} bytes"));
    }
    if name.len() > most {
        return invalid(format!(
            "the name has {} bytes, at most {most} are possible: shorten it",
            name.len()
        ));
    }
    for (byte, called) in [(b'/', "a slash"), (0, "a NUL")] {
        if let Some(at) = name.as_bytes().iter().position(|&b| b == byte) {
            return invalid(format!(
                "the name has {called} at byte {at}, every other character is possible: leave it \
                 out"
            ));
        }
    }
    Ok(())
}

/// As it is, if there is no working directory.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str) -> String {
        let failure = Place::new(Path::new("/dev/shm"), name).unwrap_err();
        assert_eq!(failure.kind, ErrorKind::InvalidName);
        failure.during(format!("open segment {name:?}")).to_string()
    }

    #[test]
    fn a_file_is_called_after_its_segment() {
        let place = Place::new(Path::new("/dev/shm"), "tour").unwrap();
        assert_eq!(place.path(), Path::new("/dev/shm/shmkit.tour"));
        assert_eq!(place.directory(), Path::new("/dev/shm"));
        assert_eq!(Place::of_path(place.path().into()).unwrap().name(), "tour");
        assert!(Place::of_path("/dev/shm/other".into()).is_none());
        assert!(Place::of_path("/dev/shm/shmkit.".into()).is_none());
    }

    #[test]
    fn a_raw_name_is_the_files_own() {
        let raw = |name: &str| Place::raw(Path::new("/dev/shm"), name);
        assert_eq!(raw("psm_1a2b3c4d").unwrap().path(), Path::new("/dev/shm/psm_1a2b3c4d"));
        assert!(raw(&"x".repeat(255)).is_ok() && raw("a:b\n").is_ok() && raw("shmkit").is_ok());
        let (long, segment) = ("x".repeat(256), "shmkit.tour");
        for name in ["", "/psm", "a\0", ".", "..", segment, long.as_str()] {
            assert_eq!(raw(name).unwrap_err().kind, ErrorKind::InvalidName, "{name:?}");
        }
    }

    /// SHM-20, SHM-19.
    #[test]
    fn bad_names_are_refused_and_odd_ones_are_not() {
        assert!(refused("").contains("empty"));
        assert!(refused("a/b").contains("a slash at byte 1"));
        assert!(refused("ab\0").contains("a NUL at byte 2"));
        assert!(refused(&"x".repeat(300)).contains("300 bytes, at most 248"));
        assert!(refused(&"x".repeat(249)).contains("249 bytes"));
        let longest = "x".repeat(248);
        for odd in [".", "..", ":", "a:b:", "a\nb", "ü", " ", longest.as_str()] {
            assert!(Place::new(Path::new("/dev/shm"), odd).is_ok(), "{odd:?}");
        }
    }
}
