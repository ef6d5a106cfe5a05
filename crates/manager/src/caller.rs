//! Who has called the method that this thread runs.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

/// After how long a method that waits for something looks whether its caller is still there.
pub(crate) const SLICE: Duration = Duration::from_millis(250);

/// The longest wait of one call: a client that waits for longer asks again.
const LONGEST: Duration = Duration::from_secs(5);

thread_local! {
    static MOST: Cell<Duration> = const { Cell::new(LONGEST) };
    static CALLER: RefCell<Option<Arc<OwnedFd>>> = const { RefCell::new(None) };
}

/// Says whose calls this thread runs from now on.
pub(crate) fn set(socket: Arc<OwnedFd>) {
    CALLER.set(Some(socket));
}

/// Has calls of this thread wait for no longer.
pub(crate) fn set_longest_wait(most: Duration) {
    MOST.set(most);
}

/// Returns how long a call of this thread may wait that asks for so long.
pub(crate) fn wait_of(asked: Duration) -> Duration {
    asked.min(MOST.get())
}

/// Returns whether the other end of a socket is closed, with nothing left to be read.
pub(crate) fn has_ended(socket: BorrowedFd<'_>) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    !matches!(recv(socket.as_raw_fd(), &mut [0], flags), Ok(1) | Err(Errno::EAGAIN))
}

/// Returns whether who has called the method that this thread runs has gone: its process has ended, or gave the call up. A
/// method that waits for long asks from time to time, and before it gives away what would be lost.
///
/// In a thread that runs no method of a manager it is `false`.
pub fn is_gone() -> bool {
    // Who waits for an answer says nothing meanwhile, and that is not the end.
    CALLER.with_borrow(|caller| caller.as_ref().is_some_and(|socket| has_ended(socket.as_fd())))
}
