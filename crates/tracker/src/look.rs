//! A look at a file that tells nobody: what is opened for reading only, nobody who watches for writers hears of.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::geteuid;
use shmkit_layout::Header;
use shmkit_roster::removal;
use shmkit_segment::RemoveOutcome;
use shmkit_segment::sweep;

/// What a file is to a watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// A segment of this user that somebody lives in, joins or removes.
    InUse,
    /// One that nobody lives in.
    Dead,
    /// Nothing to care about: it is gone, persistent, damaged, or somebody else's.
    Other,
}

/// Looks at a file of the folder that is called like a segment.
pub(crate) fn look(folder: BorrowedFd<'_>, name: &CStr) -> Look {
    let seen = nix::sys::stat::fstatat(folder, name, nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW);
    let is_ours = seen.is_ok_and(|seen| {
        seen.st_mode & libc::S_IFMT == libc::S_IFREG && seen.st_uid == geteuid().as_raw()
    });
    if !is_ours {
        return Look::Other;
    }
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let Ok(file) = openat(folder, name, flags, Mode::empty()) else { return Look::Other };
    let mut bytes = [0; size_of::<Header>()];
    let Ok(len) = nix::sys::uio::pread(&file, &mut bytes, 0) else { return Look::Other };
    let Ok(status) = fstat(&file) else { return Look::Other };
    let size = u64::try_from(status.st_size).unwrap_or(0);
    if status.st_nlink != 1 || Header::parse(&bytes[..len], size).is_err() {
        return Look::Other;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    if Header::is_persistent_in(&bytes[..len], now) {
        return Look::Other;
    }
    match removal::in_use(file.as_fd()) {
        Ok(true) => Look::InUse,
        Ok(false) => Look::Dead,
        Err(_) => Look::Other,
    }
}

/// What a watcher did with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) removed: bool,
    /// Whether it may be dead at another look.
    pub(crate) again: bool,
    /// Whether it was opened for writing, and closed.
    pub(crate) closed: bool,
}

/// Removes a segment if nobody lives in it.
pub(crate) fn remove_if_dead(folder: BorrowedFd<'_>, name: &CStr) -> Done {
    match look(folder, name) {
        Look::Other => Done { removed: false, again: false, closed: false },
        Look::InUse => Done { removed: false, again: true, closed: false },
        Look::Dead => {
            let path: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name.to_bytes());
            let outcome = sweep::consider_at(folder, Path::new(path));
            let removed = matches!(outcome, Ok(RemoveOutcome::Removed));
            Done { removed, again: !removed, closed: true }
        }
    }
}
