//! Who has called the method that this thread runs.

use std::cell::RefCell;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

/// After how long a method that waits for something looks whether its caller is still there.
pub(crate) const SLICE: Duration = Duration::from_millis(250);

thread_local! {
    static CALLER: RefCell<Option<Arc<OwnedFd>>> = const { RefCell::new(None) };
}

/// Says whose calls this thread runs from now on.
pub(crate) fn set(socket: Arc<OwnedFd>) {
    CALLER.set(Some(socket));
}

/// Returns whether who has called the method that this thread runs has gone: its process has ended, or gave the call up. A
/// method that waits for long asks from time to time, and before it gives away what would be lost.
///
/// In a thread that runs no method of a manager it is `false`.
pub fn is_gone() -> bool {
    CALLER.with_borrow(|caller| {
        caller.as_ref().is_some_and(|socket| {
            let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
            // Who waits for an answer says nothing meanwhile, and that is not the end.
            !matches!(recv(socket.as_raw_fd(), &mut [0], flags), Ok(1) | Err(Errno::EAGAIN))
        })
    })
}
