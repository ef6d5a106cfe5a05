//! What is asked of the keeper.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::stat::fstat;
use nix::unistd::pipe2;
use shmkit_parcel::Parcel;

use crate::mark::{Mark, VARIABLE};

/// This program, whatever became of its file.
const SELF: &str = "/proc/self/exe";

/// A process that is to be started.
#[derive(Debug)]
pub(crate) struct Order {
    /// Another program than this one.
    pub(crate) program: Option<PathBuf>,
    pub(crate) variables: Vec<(OsString, OsString)>,
    pub(crate) captured: bool,
    pub(crate) detached: bool,
    pub(crate) hello_within: Duration,
    /// The start, and the arguments.
    pub(crate) parcel: Parcel,
    /// The signals that are blocked in the thread that asks: those of the keeper are not the child's.
    pub(crate) mask: nix::sys::signal::SigSet,
}

/// Our ends of what leads to a process that is being started.
pub(crate) struct Ends {
    pub(crate) socket: UnixStream,
    /// What it writes to its output and error.
    pub(crate) output: Option<OwnedFd>,
}

impl Order {
    /// Makes the command, and what leads to its process.
    pub(crate) fn command(&self, task: &str) -> io::Result<(Command, Ends)> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        let mark = Mark {
            depth: Mark::depth() + 1,
            inode: fstat(theirs.as_fd())?.st_ino,
            detached: self.detached,
        };
        let program = self.program.clone().unwrap_or_else(own_program);
        let mut command = Command::new(&program);
        let called = std::env::args_os().next().unwrap_or_else(|| program.into());
        // For who lists processes. Without a `pre_exec`, so that the standard library need not fork.
        command.arg0(called).arg(format!("worker:{task}")).stdin(OwnedFd::from(theirs));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env(VARIABLE, mark.to_string());
        let mut output = None;
        if self.captured {
            let (ours, theirs) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
            // To write to it is to block as always.
            let flags = nix::fcntl::FcntlArg::F_SETFL(OFlag::empty());
            nix::fcntl::fcntl(&theirs, flags)?;
            command.stdout(Stdio::from(theirs.try_clone()?)).stderr(Stdio::from(theirs));
            output = Some(ours);
        }
        Ok((command, Ends { socket, output }))
    }
}

/// A path that leads to this program: where there is no `/proc`, the one that it was started by.
fn own_program() -> PathBuf {
    if std::fs::symlink_metadata(SELF).is_ok() {
        return SELF.into();
    }
    // SAFETY: a number.
    let path = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const libc::c_char;
    if path.is_null() {
        return SELF.into();
    }
    // SAFETY: the kernel has put a text with a NUL at its end there, and it stays.
    let path = unsafe { std::ffi::CStr::from_ptr(path) };
    <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(path.to_bytes()).into()
}
