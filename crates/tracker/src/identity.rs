//! What tells a thing from one that has taken its name since.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// What tells one file from every other, by whatever name: a number may be used again, but not with the same birth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// Nanoseconds since 1970; 0 if the file system does not know (the tmpfs of an old kernel).
    pub(crate) born: u64,
}

/// A file, as `statx` sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thing {
    pub(crate) identity: Identity,
    pub(crate) owner: u32,
    /// `S_IFMT` of its mode.
    file_type: u32,
}

impl Thing {
    /// Looks at what bears a name; a symbolic link is not followed.
    pub(crate) fn at(folder: BorrowedFd<'_>, path: &CStr) -> Result<Self, Errno> {
        Self::stat(folder, path, libc::AT_SYMLINK_NOFOLLOW)
    }

    /// Looks at what is open.
    pub(crate) fn of(file: BorrowedFd<'_>) -> Result<Self, Errno> {
        Self::stat(file, c"", libc::AT_EMPTY_PATH)
    }

    fn stat(folder: BorrowedFd<'_>, path: &CStr, flags: libc::c_int) -> Result<Self, Errno> {
        let mut found = MaybeUninit::<libc::statx>::zeroed();
        let wanted = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
        // SAFETY: a descriptor that is open, a string with its end, and room for the answer.
        let result = unsafe {
            libc::statx(folder.as_raw_fd(), path.as_ptr(), flags, wanted, found.as_mut_ptr())
        };
        Errno::result(result)?;
        // SAFETY: numbers only, for which zeros are values, and which the call has filled in.
        let found = unsafe { found.assume_init() };
        let knows_birth = found.stx_mask & libc::STATX_BTIME != 0;
        let born = nanoseconds(found.stx_btime.tv_sec, found.stx_btime.tv_nsec.into());
        Ok(Self {
            identity: Identity {
                device: u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor),
                inode: found.stx_ino,
                born: if knows_birth { born } else { 0 },
            },
            owner: found.stx_uid,
            file_type: u32::from(found.stx_mode) & libc::S_IFMT,
        })
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.file_type == libc::S_IFDIR
    }

    pub(crate) fn is_socket(&self) -> bool {
        self.file_type == libc::S_IFSOCK
    }

    pub(crate) fn is_regular(&self) -> bool {
        self.file_type == libc::S_IFREG
    }
}

/// What time it is for a file that is made now, in nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // The clock of the file systems: a file that is made after this is not born before it.
    // SAFETY: room for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &raw mut time) };
    nanoseconds(time.tv_sec, time.tv_nsec)
}

#[allow(clippy::useless_conversion, reason = "the widths differ from target to target")]
fn nanoseconds(seconds: i64, nanoseconds: i64) -> u64 {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds.unsigned_abs())
}

/// Which mount namespace this process is in; 0 if that is not known.
pub(crate) fn mounts() -> u64 {
    // SAFETY: the working folder's number, which is always valid, for an absolute path.
    let folder = unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) };
    Thing::stat(folder, c"/proc/thread-self/ns/mnt", 0).map_or(0, |found| found.identity.inode)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsFd;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn what_takes_the_name_is_somebody_else() {
        let folder =
            tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap();
        let open = File::open(folder.path()).unwrap();
        let path = folder.path().join("it");
        assert_eq!(Thing::at(open.as_fd(), c"it").unwrap_err(), Errno::ENOENT);
        let before = now();
        let file = File::create(&path).unwrap();
        let first = Thing::at(open.as_fd(), c"it").unwrap();
        assert_eq!(Thing::of(file.as_fd()).unwrap().identity, first.identity);
        assert!(first.is_regular() && !first.is_folder() && !first.is_socket());
        assert!(first.identity.born == 0 || first.identity.born >= before);
        assert_eq!(first.owner, nix::unistd::geteuid().as_raw());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let second = Thing::at(open.as_fd(), c"it").unwrap();
        assert!(second.is_folder());
        assert_ne!(second.identity, first.identity);
        let absolute = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
        assert_eq!(Thing::at(open.as_fd(), &absolute).unwrap().identity, second.identity);
        assert_ne!(mounts(), 0);
    }
}
