//! Where a process learns that it was started to run a task.

use std::panic::catch_unwind;

use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;

use crate::mark::Mark;
use crate::worker;

/// Runs the task that this process was started for, and ends it; returns at once from any other process.
///
/// It is the first line of `main`, before the command line is looked at, in a program that runs tasks;
/// [`#[main]`](macro@crate::main) puts it there. Where there is no `main` of yours, in tests and in libraries, it is
/// [`early!`](crate::early).
///
/// # Examples
///
/// ```no_run
/// shmkit_process::init();
/// // The program's own life: clap, and so on.
/// ```
pub fn init() {
    if let Some(mark) = Mark::take() {
        worker::run(mark)
    }
}

/// Has this program run the tasks that it is started for before `main` begins: for libraries, tests, examples, and whoever
/// cannot put a line into `main`.
///
/// It stands once in a program, outside of functions; twice does no harm. The task then runs before `main`, so that what the standard library prepares
/// there is missing: a stack overflow ends in a bare signal.
///
/// ```
/// shmkit_process::early!();
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! early {
    () => {
        const _: () = {
            #[used]
            #[unsafe(link_section = ".init_array")]
            static EARLY: extern "C" fn() = $crate::__task::early;
        };
    };
}

/// What [`early!`](crate::early) has the loader call.
#[doc(hidden)]
pub extern "C" fn early() {
    // Nothing may unwind out of here, and nobody would hear of it.
    let _ = catch_unwind(|| {
        if let Some(mark) = Mark::take() {
            prepare();
            worker::run(mark)
        }
    });
}

/// Does what the standard library does before `main`.
fn prepare() {
    // SAFETY: to ignore a signal needs no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    // The standard input is the task's socket. What is closed of the others would be the next file that is opened.
    for number in 1..3 {
        // SAFETY: a number that is used for system calls only.
        let file = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        if fcntl(file, FcntlArg::F_GETFD).is_err()
            && let Ok(file) = open("/dev/null", OFlag::O_RDWR, Mode::empty())
        {
            // It is to stay open, and has the lowest number that was free.
            std::mem::forget(file);
        }
    }
}
