//! The socket beside a ring: who sleeps there, and whether anybody has the other end.

use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};
use shmkit_atomic::Deadline;

use super::failure::Failure;

/// What a socket has to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    /// There is something to be read.
    pub(crate) readable: bool,
    /// Nobody has the other end any more.
    pub(crate) hung_up: bool,
    /// A signal handler ran before either.
    pub(crate) interrupted: bool,
}

/// Listens until there is something, or until `until`.
pub(crate) fn listen(socket: RawFd, until: Deadline) -> Result<Heard, Failure> {
    let millis = |left: Duration| left.as_nanos().div_ceil(1_000_000);
    let timeout = until.remaining().map_or(PollTimeout::NONE, |left| {
        PollTimeout::try_from(millis(left)).unwrap_or(PollTimeout::MAX)
    });
    // SAFETY: it is given to `poll` alone, which answers of a number that is no descriptor (any more) that it is none.
    let descriptor = unsafe { BorrowedFd::borrow_raw(socket) };
    let mut all = [PollFd::new(descriptor, PollFlags::POLLIN)];
    let interrupted = match poll(&mut all, timeout) {
        Ok(_) => false,
        Err(Errno::EINTR) => true,
        Err(errno) => return Err(errno.into()),
    };
    let told = if interrupted {
        PollFlags::empty()
    } else {
        all[0].revents().unwrap_or(PollFlags::empty())
    };
    if told.contains(PollFlags::POLLNVAL) {
        return Err(Failure::Socket(Errno::EBADF));
    }
    let hung_up = told.intersects(PollFlags::POLLHUP | PollFlags::POLLERR);
    Ok(Heard { readable: told.contains(PollFlags::POLLIN), hung_up, interrupted })
}

/// Makes the other end's socket readable.
pub(crate) fn tell(socket: RawFd) -> Result<(), Failure> {
    loop {
        match send(socket, &[0], MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
            // Full, it is readable.
            Ok(_) | Err(Errno::EAGAIN) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Takes what has made this end's socket readable: one byte, or all that have come.
pub(crate) fn hush(socket: RawFd, all: bool) {
    let mut bytes = [0; 64];
    let room = if all { bytes.len() } else { 1 };
    loop {
        match recv(socket, &mut bytes[..room], MsgFlags::MSG_DONTWAIT) {
            Err(Errno::EINTR) => {}
            Ok(taken) if all && taken > 0 => {}
            // What else may be wrong with it, whoever sleeps there is told.
            _ => return,
        }
    }
}
