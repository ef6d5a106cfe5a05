//! What the kernel says of a file, and what tells one segment's file from every other.

use std::os::fd::BorrowedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{SFlag, fstat, fstatat, lstat};
use shmkit_layout::Header;

/// Where a system call begins, and the path from there.
pub(crate) type At<'a> = (BorrowedFd<'a>, &'a Path);

/// What tells one segment from every other, for ever: a file's number may be used again, the cookie is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) cookie: u64,
}

/// A file, as `fstat` sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) is_regular: bool,
    pub(crate) owner: u32,
    /// Permission bits.
    pub(crate) mode: u32,
    /// In bytes.
    pub(crate) size: u64,
    /// Names of the file.
    pub(crate) links: u64,
}

impl Status {
    pub(crate) fn of(file: BorrowedFd<'_>) -> Result<Self, Errno> {
        fstat(file).map(Self::from)
    }

    /// What bears this name now; a symbolic link is not followed.
    pub(crate) fn of_path(path: &Path) -> Result<Self, Errno> {
        lstat(path).map(Self::from)
    }

    /// As [`of_path`](Self::of_path), from a directory that is held.
    pub(crate) fn at((directory, path): At<'_>) -> Result<Self, Errno> {
        fstatat(directory, path, AtFlags::AT_SYMLINK_NOFOLLOW).map(Self::from)
    }

    pub(crate) fn is_file_of(&self, identity: Identity) -> bool {
        (self.device, self.inode) == (identity.device, identity.inode)
    }
}

impl From<libc::stat> for Status {
    #[allow(clippy::unnecessary_cast, reason = "the widths differ from target to target")]
    fn from(stat: libc::stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            is_regular: SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG,
            owner: stat.st_uid,
            mode: stat.st_mode as u32 & 0o7777,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            links: stat.st_nlink as u64,
        }
    }
}

impl Identity {
    pub(crate) fn new(status: &Status, header: &Header) -> Self {
        Self { device: status.device, inode: status.inode, cookie: header.cookie }
    }
}
