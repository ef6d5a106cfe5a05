//! The thread that starts a watcher anew when one was killed.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_roster::NoForks;

use crate::launch::{close_range, launch};
use crate::register::Register;
use crate::release::Cleaner;
use crate::shared::{Shared, open_folder};

impl Shared {
    /// Has a watcher started whenever there is none, by a thread of this process that sleeps until then; if this process has
    /// asked for one.
    pub(crate) fn guard(&'static self, cleaners: &'static [Cleaner]) {
        let me = std::process::id();
        // In a forked child it is another process's number.
        if self.asked_by.load(Relaxed) != me || self.guarded_by.swap(me, Relaxed) == me {
            return;
        }
        // No signal handler of the program runs in it.
        let no_forks = NoForks::hold().ok();
        let thread = std::thread::Builder::new().name("shmkit-tracker".to_owned());
        let started = thread.stack_size(512 << 10).spawn(move || {
            run(self, cleaners);
            self.guarded_by.store(0, Relaxed);
        });
        drop(no_forks);
        if started.is_err() {
            // Who asks next tries again.
            self.guarded_by.store(0, Relaxed);
        }
    }
}

/// Sleeps until there is no watcher, and starts one; to the end of the process, or until it cannot. Of all processes that
/// wait so one is woken by a watcher's death: the kernel gives the lock to one.
fn run(shared: &'static Shared, cleaners: &'static [Cleaner]) {
    // A table of descriptors of its own: a program that closes all of its own (a daemon) would close this one's, and give
    // their numbers to others.
    // SAFETY: this thread knows of no descriptor.
    let is_alone = unsafe { libc::unshare(libc::CLONE_FILES) } == 0;
    while round(shared, cleaners, is_alone).is_ok_and(|again| again) {}
}

/// One watcher; whether there is to be another. If somebody has removed the register by force there is none: this process's
/// next step makes another, with its own guard.
fn round(
    shared: &'static Shared,
    cleaners: &'static [Cleaner],
    is_alone: bool,
) -> Result<bool, Errno> {
    let other = |_| Errno::EIO;
    let folder = open_folder(shared.directory()).map_err(other)?;
    let Some(register) = Register::open(folder.as_fd(), shared.register_name())? else {
        return Ok(false);
    };
    if is_alone {
        close_all_but(folder.as_raw_fd(), register.as_raw_fd());
    }
    register.watch_next()?;
    if register.is_unlinked() {
        return Ok(false);
    }
    launch(register, folder, shared.path(), shared.register_name(), cleaners)?;
    Ok(true)
}

/// What this thread's table has of the program's would keep pipes open that the program closes.
fn close_all_but(one: i32, other: i32) {
    let (low, high) = (one.min(other).cast_unsigned(), one.max(other).cast_unsigned());
    if low > 0 {
        close_range(0, low - 1);
    }
    if high - low > 1 {
        close_range(low + 1, high - 1);
    }
    close_range(high + 1, u32::MAX);
}
