//! A second description of a file.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

/// Opens the file of a descriptor anew, by `/proc`.
pub(crate) fn reopen(file: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    open(&*path, OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())
}
