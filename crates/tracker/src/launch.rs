//! Starting the watcher: a process that is forked and never executes anything.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, umask};
use shmkit_roster::NoForks;

use crate::events::Events;
use crate::fork::fork;
use crate::register::Register;
use crate::release::Cleaner;
use crate::unmap::unmap_shared;
use crate::watcher::Watcher;

/// Forks a watcher, which has this description of the register, and with it the lock that makes it one.
///
/// It is a grandchild, so that whoever is init reaps it, and nobody here has a zombie or a child too many.
pub(crate) fn launch(
    register: Register,
    folder: OwnedFd,
    path: &CStr,
    register_name: &CStr,
    cleaners: &'static [Cleaner],
) -> Result<(), Errno> {
    let events = Events::of(path, register.file())?;
    register.set_watched(true)?;
    let watcher = Watcher { folder, register, events, cleaners };
    // No other thread joins meanwhile, so that the child has no description of anybody's lock; and no signal handler runs.
    let no_forks = NoForks::hold().ok();
    // SAFETY: the child does nothing but what `daemon` does.
    let Some(child) = unsafe { fork() }? else { daemon(&watcher, register_name, no_forks) };
    drop(no_forks);
    let mut status = 0;
    loop {
        // SAFETY: our child, and room for its status.
        match Errno::result(unsafe { libc::waitpid(child, &raw mut status, libc::__WALL) }) {
            Err(Errno::EINTR) => {}
            // Somebody has reaped it: it has started all the same.
            Err(Errno::ECHILD) => return Ok(()),
            Ok(_) if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 => return Ok(()),
            Ok(_) => return Err(Errno::from_raw(libc::WEXITSTATUS(status))),
            Err(errno) => return Err(errno),
        }
    }
}

/// What the child does. It calls only what is safe in a signal handler: system calls.
fn daemon(watcher: &Watcher, register_name: &CStr, no_forks: Option<NoForks>) -> ! {
    // SAFETY: as the child itself.
    match unsafe { fork() } {
        // SAFETY: ends it without the program's exit handlers.
        Ok(Some(_)) => unsafe { libc::_exit(0) },
        // SAFETY: as above.
        Err(errno) => unsafe { libc::_exit(errno as i32) },
        Ok(None) => {}
    }
    // SAFETY: a plain call: no terminal's and no job's signals reach it.
    unsafe { libc::setsid() };
    expect_signals();
    drop(no_forks);
    let none = nix::sys::signal::SigSet::empty();
    let _ =
        nix::sys::signal::sigprocmask(nix::sys::signal::SigmaskHow::SIG_SETMASK, Some(&none), None);
    umask(Mode::from_bits_truncate(0o077));
    let _ = nix::unistd::chdir(c"/");
    // SAFETY: a string with its end.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"shmkit-watch".as_ptr()) };
    let kept = [&watcher.folder.as_fd(), &watcher.register.file(), &watcher.events.file()];
    close_all_but(kept.map(AsRawFd::as_raw_fd));
    // What the program had mapped would stay in memory, though nobody can name it any more.
    unmap_shared();
    let ended = watcher.run(register_name, &mut |_| ());
    // SAFETY: ends it without the program's exit handlers.
    unsafe { libc::_exit(ended.map_or_else(|errno| errno as i32, |()| 0)) }
}

/// Has no signal handler of the program's, and ignores what asks a program to end: it ends when there is nothing to watch.
fn expect_signals() {
    for signal in 1..=64 {
        let action = match signal {
            libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT | libc::SIGPIPE => {
                libc::SIG_IGN
            }
            _ => libc::SIG_DFL,
        };
        // SAFETY: a plain call, which refuses what cannot be changed.
        unsafe { libc::signal(signal, action) };
    }
}

/// Closes everything else that the program had open; input, output and errors go nowhere.
fn close_all_but(mut kept: [RawFd; 3]) {
    if let Ok(null) = open(c"/dev/null", OFlag::O_RDWR, Mode::empty()) {
        for standard in 0..3 {
            if !kept.contains(&standard) {
                // SAFETY: an open descriptor, and a number of which nobody here knows anything.
                unsafe { libc::dup2(null.as_raw_fd(), standard) };
            }
        }
        // It may be one of the three.
        std::mem::forget(null);
    }
    kept.sort_unstable();
    let mut first = 3;
    for kept in kept.map(RawFd::cast_unsigned).into_iter().chain([u32::MAX]) {
        if kept > first {
            close_range(first, kept - 1);
        }
        first = first.max(kept.saturating_add(1));
    }
}

/// Closes copies of descriptors of which nobody who runs here knows.
pub(crate) fn close_range(first: u32, last: u32) {
    // SAFETY: nobody here knows of these descriptors.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if closed != 0 {
        // Linux 5.8 and older.
        for number in first..=last.min(65_536) {
            // SAFETY: as above.
            unsafe { libc::close(number.cast_signed()) };
        }
    }
}
