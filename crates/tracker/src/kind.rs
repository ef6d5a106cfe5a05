//! What can be registered, and where it lies.

use std::borrow::Cow;
use std::ffi::{CStr, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use crate::error::{ErrorKind, Failure};

/// Most bytes of a name, with its kind's: a path's, at most.
pub(crate) const MAX_NAME: usize = 4096;

/// What kind of thing is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind<'k> {
    /// A POSIX semaphore, as `sem_open` calls it: with or without the slash. It is unlinked.
    Semaphore,
    /// Plain shared memory, as `shm_open` or Python's `SharedMemory` calls it: with or without the slash. It is unlinked.
    /// (A segment of ours needs no registration.)
    SharedMemory,
    /// A socket file, by its path. It is unlinked.
    Socket,
    /// A file of any type but a folder, by its path. It is unlinked.
    File,
    /// A folder, by its path. It is removed with all that is in it; symbolic links in it are not followed.
    Directory,
    /// A command that cleans up: its [words](command). It is run.
    Command,
    /// What the program knows by a name of its own, and a [`Cleaner`](crate::Cleaner) cleans up.
    Custom(&'k str),
}

impl<'k> Kind<'k> {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Semaphore => 1,
            Self::SharedMemory => 2,
            Self::Socket => 3,
            Self::File => 4,
            Self::Directory => 5,
            Self::Command => 6,
            Self::Custom(_) => 7,
        }
    }

    /// The kind of a code that was read; `None` if there is no such kind.
    pub(crate) fn of(code: u8, custom: &'k [u8]) -> Option<Self> {
        Some(match code {
            1 => Self::Semaphore,
            2 => Self::SharedMemory,
            3 => Self::Socket,
            4 => Self::File,
            5 => Self::Directory,
            6 => Self::Command,
            7 => Self::Custom(str::from_utf8(custom).ok()?),
            _ => return None,
        })
    }

    pub(crate) fn custom(self) -> &'k [u8] {
        match self {
            Self::Custom(name) => name.as_bytes(),
            _ => b"",
        }
    }

    /// Whether it is a file somewhere, which has an identity.
    pub(crate) fn is_file(self) -> bool {
        !matches!(self, Self::Command | Self::Custom(_))
    }

    /// Whether it lies in the folder of the segments, wherever that is mounted.
    pub(crate) fn is_shared(self) -> bool {
        matches!(self, Self::Semaphore | Self::SharedMemory)
    }

    /// Returns the name in the form in which it is kept.
    pub(crate) fn canonical(self, name: &[u8]) -> Result<Cow<'_, [u8]>, Failure> {
        let invalid = |detail: String| Err(Failure::new(ErrorKind::InvalidName, detail));
        let kept = match self {
            Self::Semaphore | Self::SharedMemory => {
                let bare = name.strip_prefix(b"/").unwrap_or(name);
                if bare.contains(&b'/') || matches!(bare, b"." | b"..") {
                    return invalid("it has a slash after the first byte: leave it out".into());
                }
                if bare.len() > 250 {
                    return invalid(format!(
                        "it has {} bytes, at most 250 are possible",
                        bare.len()
                    ));
                }
                Cow::Borrowed(bare)
            }
            Self::Socket | Self::File | Self::Directory => {
                let absolute = std::path::absolute(OsStr::from_bytes(name));
                let Ok(absolute) = absolute else {
                    return invalid("it is no path, or there is no working folder".into());
                };
                Cow::Owned(absolute.into_os_string().into_encoded_bytes())
            }
            Self::Command if !name.starts_with(b"/") => {
                return invalid("a command's program is an absolute path: write it out".into());
            }
            Self::Command | Self::Custom(_) => Cow::Borrowed(name),
        };
        if kept.is_empty() {
            return invalid("it is empty".into());
        }
        if kept.len() + self.custom().len() > MAX_NAME {
            let len = kept.len();
            return invalid(format!("it has {len} bytes, at most {MAX_NAME} are possible"));
        }
        if self.is_file() && kept.contains(&0) {
            return invalid("it has a NUL, which no file's name has: leave it out".into());
        }
        if matches!(self, Self::Custom("")) {
            return invalid("the kind has no name".into());
        }
        Ok(kept)
    }
}

/// Puts the words of a cleanup command together, as [`Kind::Command`] wants them: the program by its absolute path, then its
/// arguments, of which none may have a NUL.
///
/// ```
/// use shmkit_tracker::{Kind, command};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm")?;
/// # let tracker = shmkit_tracker::Tracker::in_directory(folder.path())?;
/// let clean_up = command([&b"/bin/rmdir"[..], b"/sys/fs/cgroup/mine"]);
/// tracker.register(Kind::Command, &clean_up)?;
/// # tracker.unregister(Kind::Command, &clean_up)?;
/// # Ok(())
/// # }
/// ```
pub fn command<W: AsRef<[u8]>>(words: impl IntoIterator<Item = W>) -> Vec<u8> {
    let mut all = Vec::new();
    for word in words {
        if !all.is_empty() {
            all.push(0);
        }
        all.extend_from_slice(word.as_ref());
    }
    all
}

/// One word, or a word and the program's name.
impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Semaphore => f.write_str("semaphore"),
            Self::SharedMemory => f.write_str("shared memory"),
            Self::Socket => f.write_str("socket"),
            Self::File => f.write_str("file"),
            Self::Directory => f.write_str("folder"),
            Self::Command => f.write_str("command"),
            Self::Custom(name) => write!(f, "{}", name.escape_debug()),
        }
    }
}

/// A path with its final NUL, without an allocation.
pub(crate) struct PathBuffer {
    bytes: [u8; Self::SIZE],
    len: usize,
}

impl PathBuffer {
    const SIZE: usize = MAX_NAME + 8;

    /// Where a thing lies, from the folder of the segments if it is not absolute; `None` if it is too long.
    pub(crate) fn of(kind: Kind<'_>, name: &[u8]) -> Option<Self> {
        let mut path = Self { bytes: [0; Self::SIZE], len: 0 };
        if kind == Kind::Semaphore {
            path.push(b"sem.")?;
        }
        path.push(name)?;
        Some(path)
    }

    fn push(&mut self, part: &[u8]) -> Option<()> {
        // One byte is left, for the NUL.
        let end = self.len.checked_add(part.len()).filter(|&end| end < Self::SIZE)?;
        self.bytes.get_mut(self.len..end)?.copy_from_slice(part);
        self.len = end;
        Some(())
    }

    pub(crate) fn c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_in_one_form() {
        let kept = |kind: Kind<'_>, name: &[u8]| kind.canonical(name).map(Cow::into_owned);
        for kind in [Kind::Semaphore, Kind::SharedMemory] {
            assert_eq!(kept(kind, b"/a\xff\n").unwrap(), b"a\xff\n");
            assert_eq!(kept(kind, b"a").unwrap(), b"a");
            for bad in [&b""[..], b"/", b"a/b", b"..", b"a\0", &[b'x'; 251]] {
                assert_eq!(kept(kind, bad).unwrap_err().kind, ErrorKind::InvalidName, "{bad:?}");
            }
        }
        assert_eq!(kept(Kind::File, b"/tmp/\xfe").unwrap(), b"/tmp/\xfe");
        let here = std::env::current_dir().unwrap().join("a");
        assert_eq!(kept(Kind::Socket, b"a").unwrap(), here.as_os_str().as_bytes());
        assert!(kept(Kind::File, &[b'x'; MAX_NAME]).is_err());
        assert!(kept(Kind::Command, b"rm\0x").is_err() && kept(Kind::Custom(""), b"x").is_err());
        assert_eq!(kept(Kind::Custom("gpu"), b"\0\n").unwrap(), b"\0\n");
    }

    #[test]
    fn a_kind_is_known_again_by_its_code() {
        let custom = Kind::Custom("gpu");
        let all = [Kind::Semaphore, Kind::SharedMemory, Kind::Socket, Kind::File, Kind::Directory];
        for kind in all.into_iter().chain([Kind::Command, custom]) {
            assert_eq!(Kind::of(kind.code(), kind.custom()), Some(kind));
        }
        assert_eq!(Kind::of(8, b""), None);
        assert_eq!(Kind::of(7, b"\xff"), None);
    }

    #[test]
    fn a_path_ends_with_a_nul() {
        let path = PathBuffer::of(Kind::Semaphore, b"a").unwrap();
        assert_eq!(path.c_str(), c"sem.a");
        assert!(PathBuffer::of(Kind::File, &[b'x'; PathBuffer::SIZE]).is_none());
        assert!(PathBuffer::of(Kind::File, &[b'x'; PathBuffer::SIZE - 1]).is_some());
    }
}
