//! What is asked of the keeper.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SigmaskHow, Signal, kill, pthread_sigmask};
use nix::sys::stat::fstat;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};
use shmkit_parcel::Parcel;

use crate::mark::{Mark, VARIABLE};
use crate::nursery::Line;
use crate::{SpawnError, Status};

/// This program, whatever became of its file.
const SELF: &str = "/proc/self/exe";

/// A process that is to be started.
#[derive(Debug)]
pub(crate) struct Order {
    /// Another program than this one.
    pub(crate) program: Option<PathBuf>,
    /// A name that is not the task's.
    pub(crate) name: Option<String>,
    pub(crate) variables: Vec<(OsString, OsString)>,
    pub(crate) captured: bool,
    pub(crate) detached: bool,
    pub(crate) hello_within: Duration,
    /// Where it comes from.
    pub(crate) origin: Origin,
    /// The start, and the arguments.
    pub(crate) parcel: Parcel,
    /// The signals that are blocked in the thread that asks: those of the keeper are not the child's.
    pub(crate) mask: nix::sys::signal::SigSet,
}

/// Where a process comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// A program is executed.
    Program,
    /// A nursery forks it.
    Nursery(Arc<Line>),
    /// It was forked here, and this leads to it.
    Forked(Pid, Option<UnixStream>),
}

/// Our ends of what leads to a process that is being started.
pub(crate) struct Ends {
    pub(crate) socket: UnixStream,
    /// What it writes to its output and error.
    pub(crate) output: Option<OwnedFd>,
}

/// Who waits for a process.
#[derive(Debug)]
pub(crate) enum Reaper {
    /// The standard library, which has started it.
    Std(Child),
    /// Ourselves: a nursery has forked it, by this number.
    Pid(u32),
}

impl Reaper {
    pub(crate) fn id(&self) -> u32 {
        match self {
            Self::Std(child) => child.id(),
            Self::Pid(pid) => *pid,
        }
    }

    /// Ends it, and waits for it.
    pub(crate) fn kill(&mut self) {
        match self {
            Self::Std(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Self::Pid(pid) => {
                let pid = Pid::from_raw(*pid as i32);
                let _ = kill(pid, Signal::SIGKILL);
                let _ = waitpid(pid, None);
            }
        }
    }

    /// Waits for one that has ended. Somebody else in this process may have waited for all that there are.
    pub(crate) fn reap(&mut self) -> Status {
        let reaped = match self {
            Self::Std(child) => child.try_wait().ok().flatten().map(Status::from),
            Self::Pid(pid) => match waitpid(Pid::from_raw(*pid as i32), Some(WaitPidFlag::WNOHANG))
            {
                Ok(WaitStatus::Exited(_, code)) => Some(Status::Exited(code)),
                Ok(WaitStatus::Signaled(_, signal, _)) => Some(Status::Signalled(signal as i32)),
                _ => None,
            },
        };
        reaped.unwrap_or(Status::Unknown)
    }
}

impl Order {
    /// Starts the process, and returns what leads to it.
    pub(crate) fn start(&mut self, task: &str) -> Result<(Reaper, Ends), SpawnError> {
        if let Origin::Forked(pid, socket) = &mut self.origin
            && let Some(socket) = socket.take()
        {
            let pid = Reaper::Pid(pid.as_raw().unsigned_abs());
            return Ok((pid, Ends { socket, output: None }));
        }
        let os = |during: &'static str| move |error| SpawnError::os(task, during, error);
        let (ends, theirs, output) = self.ends().map_err(os("make what leads to it"))?;
        if let Origin::Nursery(line) = &self.origin {
            return Ok((Reaper::Pid(line.fork(task, theirs, output, self.detached)?), ends));
        }
        let mut command =
            self.command(task, theirs, output).map_err(os("make what leads to it"))?;
        // It gets the signal mask of the thread that starts it: that of who asked for it.
        let ours = self.mask.thread_swap_mask(SigmaskHow::SIG_SETMASK);
        let started = command.spawn();
        if let Ok(ours) = ours {
            let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&ours), None);
        }
        Ok((Reaper::Std(started.map_err(os("start the program"))?), ends))
    }

    fn ends(&self) -> io::Result<(Ends, UnixStream, Option<OwnedFd>)> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        let (mut output, mut written) = (None, None);
        if self.captured {
            let (ours, theirs) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
            // To write to it is to block as always.
            fcntl(&theirs, FcntlArg::F_SETFL(OFlag::empty()))?;
            (output, written) = (Some(ours), Some(theirs));
        }
        Ok((Ends { socket, output }, theirs, written))
    }

    fn command(
        &self,
        task: &str,
        socket: UnixStream,
        output: Option<OwnedFd>,
    ) -> io::Result<Command> {
        let mark = Mark {
            depth: Mark::depth() + 1,
            inode: fstat(socket.as_fd())?.st_ino,
            detached: self.detached,
        };
        let program = self.program.clone().unwrap_or_else(own_program);
        let mut command = Command::new(&program);
        let called = std::env::args_os().next().unwrap_or_else(|| program.into());
        // For who lists processes. Without a `pre_exec`, so that the standard library need not fork.
        command.arg0(called).arg(format!("worker:{task}")).args(&self.name);
        command.stdin(OwnedFd::from(socket));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env(VARIABLE, mark.to_string());
        if let Some(output) = output {
            command.stdout(Stdio::from(output.try_clone()?)).stderr(Stdio::from(output));
        }
        Ok(command)
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
