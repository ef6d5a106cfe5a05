//! A fork that returns in the parent when the child has taken its places.
//!
//! Until then the child has handles in its memory that nobody else knows of: what the parent drops first may be gone before the
//! child has said that it uses it, and then the child has no place at all.

use core::cell::Cell;
use std::time::Duration;

use shmkit_atomic::Deadline;

/// How long a child is waited for, which takes it microseconds: somebody else may have inherited what it is heard by.
const PATIENCE: Duration = Duration::from_secs(5);

thread_local! {
    /// A pipe of whose writing end the child has the last copy, for as long as it takes: the reading end, and that one.
    static ENDS: Cell<Option<[libc::c_int; 2]>> = const { Cell::new(None) };
}

/// Ahead of a fork. Without a descriptor nobody is waited for.
pub(crate) fn expect() {
    let mut ends = [-1; 2];
    // SAFETY: a place for two numbers.
    let made = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } == 0;
    ENDS.set(made.then_some(ends));
}

/// In the parent: waits until the child [has done](done) what it is to do, or has ended.
pub(crate) fn wait() {
    let Some([reading, writing]) = ENDS.take() else { return };
    close(writing);
    let deadline = Deadline::after(PATIENCE);
    let mut heard = libc::pollfd { fd: reading, events: 0, revents: 0 };
    while let Some(left) = deadline.remaining().filter(|left| !left.is_zero()) {
        // Below `PATIENCE`, rounded up.
        let millis = left.as_millis() as libc::c_int + 1;
        // SAFETY: one descriptor of this process.
        if unsafe { libc::poll(&raw mut heard, 1, millis) } > 0 {
            break;
        }
    }
    close(reading);
}

/// In the child: has done it.
pub(crate) fn done() {
    ENDS.take().into_iter().flatten().for_each(close);
}

fn close(descriptor: libc::c_int) {
    // SAFETY: made by `expect`, and closed nowhere else: each copy once.
    unsafe { libc::close(descriptor) };
}

#[cfg(test)]
mod tests {
    use shmkit_atomic::AtomicU32;
    use shmkit_atomic::Ordering::Relaxed;

    use super::*;
    use crate::in_every_child;
    use crate::testing::in_child;

    /// How the child of the test below says that it is done.
    static DONE: AtomicU32 = AtomicU32::new(u32::MAX);

    fn slowly() {
        // Not for order: a fork that does not wait has this long to show it.
        std::thread::sleep(Duration::from_millis(30));
        // SAFETY: a byte of ours, to a descriptor of ours.
        unsafe { libc::write(DONE.load(Relaxed) as libc::c_int, [1_u8].as_ptr().cast(), 1) };
    }

    #[test]
    fn a_fork_returns_when_the_child_has_done_what_all_do() {
        in_child(|| {
            let mut ends = [0; 2];
            // SAFETY: a place for two numbers.
            assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK) }, 0);
            DONE.store(ends[1] as u32, Relaxed);
            in_every_child(Some(slowly)).unwrap();
            // SAFETY: the child ends at once.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: ends the process without the parent's exit handlers.
                unsafe { libc::_exit(0) };
            }
            let mut byte = 0_u8;
            // SAFETY: a place for a byte, and a descriptor of ours.
            assert_eq!(unsafe { libc::read(ends[0], (&raw mut byte).cast(), 1) }, 1);
            // SAFETY: our child.
            unsafe { libc::waitpid(child, core::ptr::null_mut(), 0) };
        });
    }
}
