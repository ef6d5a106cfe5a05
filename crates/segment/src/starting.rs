//! One thread of a process at a time starts a program that inherits descriptors.
//!
//! A thread that forks meanwhile makes a process in which nobody starts anything, though its memory says so: the lock of
//! the standard library would be held there for ever.

use std::process;
use std::thread;
use std::time::Duration;

use shmkit_atomic::Deadline;

use crate::list::List;

/// How long a thread waits for another. What hangs on it is that a program inherits no more than it should.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause between two looks: a program is started in some of them.
const PAUSE: Duration = Duration::from_micros(100);

/// The process of the thread whose turn it is; 0 if it is nobody's.
static HOLDER: List<u32> = List::new(0);

/// A thread's turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Starting(());

impl Starting {
    /// Waits for the turn.
    pub(crate) fn begin() -> Self {
        let enough = Deadline::after(PATIENCE);
        loop {
            let me = process::id();
            {
                let mut holder = HOLDER.lock();
                if *holder != me || enough.has_passed() {
                    *holder = me;
                    return Self(());
                }
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        *HOLDER.lock() = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};

    use super::*;

    #[test]
    fn threads_take_turns_and_a_child_does_not_wait_for_its_parents() {
        let mine = Starting::begin();
        let (says, hears) = mpsc::channel();
        let other = thread::spawn(move || {
            let _theirs = Starting::begin();
            says.send(()).unwrap();
        });
        assert!(hears.recv_timeout(20 * PAUSE).is_err(), "it waits");
        // SAFETY: the child uses this thread's own things, and ends by `_exit`.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                let begun = Instant::now();
                let _turn = Starting::begin();
                let waited = begun.elapsed() > PATIENCE / 2;
                // SAFETY: ends the process at once, without the parent's exit handlers.
                unsafe { libc::_exit(i32::from(waited)) }
            }
            ForkResult::Parent { child } => {
                assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
            }
        }
        drop(mine);
        hears.recv().unwrap();
        other.join().unwrap();
    }
}
