//! This process, the one that started it, and those that it has started.

use std::io;
use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use shmkit_sync::Patience;

use crate::keeper::Keeper;
use crate::shared::{Phase, Shared};
use crate::status::Status;
use crate::worker;

/// What this process was started as; see [`current`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Current {
    /// Its number.
    pub pid: u32,
    /// Its name; `MainProcess` if it was not started to run a task.
    pub name: String,
    /// It may start no others.
    pub is_daemon: bool,
}

/// Returns what this process is.
pub fn current() -> Current {
    let pid = std::process::id();
    match worker::role() {
        Some(role) => Current { pid, name: role.name.clone(), is_daemon: role.daemon },
        None => Current { pid, name: "MainProcess".into(), is_daemon: false },
    }
}

/// The process that started this one; see [`parent`].
#[derive(Debug)]
pub struct Parent {
    pid: u32,
    /// `None` if it had ended before.
    pidfd: Option<OwnedFd>,
}

/// Returns the process that started this one to run a task; `None` if nobody did.
pub fn parent() -> Option<&'static Parent> {
    static PARENT: OnceLock<Option<Parent>> = OnceLock::new();
    PARENT.get_or_init(|| worker::role().map(Parent::of)).as_ref()
}

impl Parent {
    fn of(role: &worker::Role) -> Self {
        // The kernel has noted who made the socket.
        let pid = getsockopt(&role.socket, PeerCredentials).map_or(0, |made| made.pid());
        // SAFETY: two numbers.
        let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let pidfd = Errno::result(opened).ok().map(|number| {
            // SAFETY: the kernel has just made it for us.
            unsafe { OwnedFd::from_raw_fd(number as RawFd) }
        });
        // It had the other end of the socket after that, so that the number was its own.
        let pidfd = pidfd.filter(|_| !worker::is_at_end(&role.socket));
        Self { pid: pid.unsigned_abs(), pidfd }
    }

    /// Returns its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns whether it has not ended.
    pub fn is_alive(&self) -> bool {
        self.pidfd.as_ref().is_some_and(|pidfd| {
            let mut asked = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
            poll(&mut asked, PollTimeout::ZERO) == Ok(0)
        })
    }

    /// Returns a descriptor that is readable when it has ended; `None` if it had before this was asked for the first time.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }
}

/// A process that this one has started, and whose handle is somewhere else; see [`active_children`].
#[derive(Clone, Debug)]
pub struct ActiveChild(Arc<Shared>);

/// Returns the processes that this one has started and that have not ended.
pub fn active_children() -> Vec<ActiveChild> {
    Keeper::living().into_iter().filter(|shared| shared.is_alive()).map(ActiveChild).collect()
}

impl ActiveChild {
    /// Returns its number. It may be another's when it has ended.
    pub fn pid(&self) -> u32 {
        self.0.state().pid
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns whether it is a [daemon](crate::Builder::daemon).
    pub fn is_daemon(&self) -> bool {
        self.0.daemon
    }

    /// Returns whether it has not ended yet.
    pub fn is_alive(&self) -> bool {
        self.0.is_alive()
    }

    /// Ends it: SIGKILL. It does nothing if it has ended.
    ///
    /// # Errors
    ///
    /// That of the system: the process has become another user's.
    pub fn kill(&self) -> io::Result<()> {
        self.0.signal(libc::SIGKILL)
    }

    /// Waits until it has ended.
    pub fn wait(&self) -> Status {
        let ended = self.0.wait(Patience::ENDLESS, |state| state.phase == Phase::Ended);
        ended.ok().and_then(|state| state.status).unwrap_or(Status::Unknown)
    }
}

/// Returns how many processors there are for this process: those of the machine that its affinity and the limits of its control
/// group leave to it.
pub fn cpu_count() -> NonZero<usize> {
    available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}

/// Ends `main` in good order: see [`#[main]`](macro@crate::main).
#[doc(hidden)]
#[derive(Debug)]
pub struct AtEnd;

impl Drop for AtEnd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let children = active_children();
        let (daemons, others): (Vec<_>, Vec<_>) = children
            .into_iter()
            .filter(|child| !child.0.detached)
            .partition(ActiveChild::is_daemon);
        for daemon in &daemons {
            let _ = daemon.kill();
        }
        for child in daemons.iter().chain(&others) {
            child.wait();
        }
    }
}
