//! Closing descriptors without a loss of the program's own locks.
//!
//! With any descriptor of a file that a process closes, the kernel takes away all classic record locks that it has on the
//! file. They belong to a *table* of descriptors: who closes in another table takes away nothing.

use std::io;
use std::thread;

use crate::JoinError;

/// Runs `run` in a thread with a table of descriptors for itself, which begins as a copy of the caller's.
pub(crate) fn with_own_descriptors<R: Send>(
    run: impl FnOnce() -> Result<R, JoinError> + Send,
) -> Result<R, JoinError> {
    thread::scope(|scope| {
        let run = || {
            // SAFETY: what this thread closes from now on are copies. Nothing else changes.
            match unsafe { libc::unshare(libc::CLONE_FILES) } {
                0 => run(),
                _ => Err(JoinError::system(io::Error::last_os_error())),
            }
        };
        let thread = thread::Builder::new().name("shmkit-join".to_owned());
        let thread = thread.spawn_scoped(scope, run).map_err(JoinError::system)?;
        let died = |_| JoinError::system(io::Error::from(io::ErrorKind::Interrupted));
        thread.join().map_err(died)?
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, OwnedFd};

    use crate::testing::{Bytes, in_child, memfd};
    use crate::{Description, Judge, Link, Participant, Roster, Verdict};

    /// Whether another process finds a classic lock on the first byte.
    fn is_locked(file: &OwnedFd) -> bool {
        let mut lock = libc::flock {
            l_type: libc::F_WRLCK as _,
            l_whence: libc::SEEK_SET as _,
            l_start: 0,
            l_len: 1,
            l_pid: 0,
        };
        // SAFETY: a description's question, which this process's classic locks answer as another process's would.
        let failed = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
        assert_eq!(failed, 0);
        i32::from(lock.l_type) != libc::F_UNLCK
    }

    #[test]
    fn a_programs_own_locks_stay_when_it_joins_beside_them() {
        let file = memfd();
        let bytes = Bytes::of(&file, Roster::bytes(4));
        let roster = bytes.roster(4);
        in_child(|| {
            let lock = libc::flock {
                l_type: libc::F_WRLCK as _,
                l_whence: libc::SEEK_SET as _,
                l_start: 0,
                l_len: 1,
                l_pid: 0,
            };
            // SAFETY: a lock on this test's file.
            let failed = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const lock) };
            assert!(failed == 0 && is_locked(&file));
            let data = file.try_clone().unwrap();
            // SAFETY: `Bytes` maps the same file.
            let beside = unsafe {
                Participant::join_beside_locks(roster, data, Description::Proc, Link::Nameless)
            };
            let beside = beside.unwrap();
            let id = beside.id().unwrap();
            assert!(is_locked(&file), "joined");
            assert_eq!(beside.verdict(id), Verdict::Alive);
            drop(beside);
            assert!(is_locked(&file), "left");
            let data = file.try_clone().unwrap();
            // SAFETY: as above.
            let usual =
                unsafe { Participant::join(roster, data, Description::Proc, Link::Nameless) };
            drop(usual.unwrap());
            assert!(!is_locked(&file), "the usual way");
        });
    }
}
