//! What a file description says of itself: whose it is, and what for.

use std::os::fd::{AsRawFd, BorrowedFd};

/// A signal's number that a description keeps, and a file never sends: what tells of input at other kinds of files. Who
/// opens a file gets a description without it.
const MARK: libc::c_int = 64;
// Not in the `libc` crate.
const F_SETSIG: libc::c_int = 10;
const F_GETSIG: libc::c_int = 11;

/// Marks our descriptor, to be told from another of the same file that the program puts under its number: its
/// description by a signal, and itself by close-on-exec, which `dup2` takes away.
pub(crate) fn mark(file: BorrowedFd<'_>) {
    let fd = file.as_raw_fd();
    // SAFETY: sets a number of the description that only what sends signals reads.
    unsafe { libc::fcntl(fd, F_SETSIG, MARK) };
    // SAFETY: sets a flag of the descriptor, which is ours.
    unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
}

/// Returns whether it is still the descriptor that we have marked, or else the program's.
pub(crate) fn is_marked(file: BorrowedFd<'_>, can_be: bool) -> bool {
    let fd = file.as_raw_fd();
    // SAFETY: asks for flags.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    flags != -1 && flags & libc::FD_CLOEXEC != 0 && carries_mark(file) == can_be
}

/// Returns whether it is a description that a participant asks by, of this process or of another one.
pub(crate) fn carries_mark(file: BorrowedFd<'_>) -> bool {
    // SAFETY: asks for a number.
    (unsafe { libc::fcntl(file.as_raw_fd(), F_GETSIG) }) == MARK
}

/// What a description carries by which somebody has joined who had it from another: its locks are that one's.
const USED: libc::c_int = 63;

/// Notes on a ticket that its description is a participant's from now on, for all who have copies of it.
pub(crate) fn mark_used(ticket: BorrowedFd<'_>) {
    // SAFETY: sets a number of the description that only what sends signals reads.
    unsafe { libc::fcntl(ticket.as_raw_fd(), F_SETSIG, USED) };
}

/// Returns whether somebody has joined by this ticket.
pub(crate) fn is_used(ticket: BorrowedFd<'_>) -> bool {
    // SAFETY: asks for a number.
    (unsafe { libc::fcntl(ticket.as_raw_fd(), F_GETSIG) }) == USED
}
