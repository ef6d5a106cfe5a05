//! Closing descriptors without a loss of the program's own locks.
//!
//! With any descriptor of a file that a process closes, the kernel takes away all classic record locks that it has on the
//! file. They belong to a *table* of descriptors: who closes in another table takes away nothing.

use std::io;
use std::thread;

use crate::atfork::{block_signals, restore_signals};

/// Runs `run` in a thread with a table of descriptors for itself, which begins as a copy of the caller's: what is closed
/// there stays open here. No signal handler of the program runs in it: it would miss what it expects there.
///
/// # Errors
///
/// No thread could be started, or not have its own descriptors. `run` did not run, or it panicked.
pub fn with_own_descriptors<R: Send>(run: impl FnOnce() -> R + Send) -> io::Result<R> {
    thread::scope(|scope| {
        let run = || {
            // SAFETY: what this thread closes from now on are copies. Nothing else changes.
            match unsafe { libc::unshare(libc::CLONE_FILES) } {
                0 => Ok(run()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        // It inherits the mask.
        let mask = block_signals();
        let thread = thread::Builder::new().name("shmkit".to_owned()).spawn_scoped(scope, run);
        restore_signals(&mask);
        thread?.join().unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))
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
