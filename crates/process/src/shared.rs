//! What the keeper and a process's handle have in common.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use shmkit_parcel::Parcel;
use shmkit_sync::{GivenUp, Patience};

use crate::status::{Death, Status};
use crate::{SpawnError, TaskError};

/// How long a wait sleeps that a signal handler may end.
const SLICE: Duration = Duration::from_millis(32);

/// How far a process has come.
///
/// Closed: who starts one learns of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Not there yet.
    Asked,
    /// There, and has said nothing.
    Starting,
    /// It has its arguments.
    Running,
    /// It has answered.
    Answered,
    /// It is no more.
    Ended,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) pid: u32,
    pub(crate) running_since: Option<Instant>,
    /// What came of it, until somebody takes it: the answer is still packed.
    pub(crate) outcome: Option<Result<Parcel, TaskError>>,
    /// Why it was not started.
    pub(crate) refused: Option<SpawnError>,
    pub(crate) status: Option<Status>,
    pub(crate) output: Vec<u8>,
}

/// One process that was started here.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Who has started it.
    pub(crate) parent: u32,
    pub(crate) task: &'static str,
    pub(crate) name: String,
    pub(crate) daemon: bool,
    pub(crate) detached: bool,
    /// Readable when it has ended.
    pub(crate) pidfd: OnceLock<OwnedFd>,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    pub(crate) fn new(task: &'static str, name: String, daemon: bool, detached: bool) -> Self {
        let state = State {
            phase: Phase::Asked,
            pid: 0,
            running_since: None,
            outcome: None,
            refused: None,
            status: None,
            output: Vec::new(),
        };
        let parent = std::process::id();
        let (state, changed, pidfd) = (Mutex::new(state), Condvar::new(), OnceLock::new());
        Self { parent, task, name, daemon, detached, pidfd, state, changed }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned state is whole: every change to it is a store.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.state().phase != Phase::Ended
    }

    /// Changes the state, and tells who waits.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Waits until the state is as asked for.
    pub(crate) fn wait(
        &self,
        patience: Patience<'_>,
        mut until: impl FnMut(&State) -> bool,
    ) -> Result<MutexGuard<'_, State>, GivenUp> {
        let mut state = self.state();
        loop {
            if until(&state) {
                return Ok(state);
            }
            let left = patience.deadline().remaining();
            if patience.deadline().has_passed() {
                return Err(GivenUp::TimedOut);
            }
            if patience.has_hook() {
                // It may look at this process.
                drop(state);
                if patience.says_stop() {
                    return Err(GivenUp::Interrupted);
                }
                state = self.state();
                if until(&state) {
                    return Ok(state);
                }
            }
            let slice = match patience.has_hook() {
                true => Some(left.map_or(SLICE, |left| left.min(SLICE))),
                false => left,
            };
            state = match slice {
                Some(slice) => {
                    let woken = self.changed.wait_timeout(state, slice);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Sends it a signal. One that has ended gets none.
    pub(crate) fn signal(&self, signal: i32) -> io::Result<()> {
        let Some(pidfd) = self.pidfd.get() else { return Ok(()) };
        let info = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: without information about the signal there is no memory to read.
        let sent = unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, 0)
        };
        match Errno::result(sent) {
            Ok(_) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// What is known of an end without an answer.
    pub(crate) fn death(&self, state: &State, status: Status) -> Death {
        Death {
            task: self.task,
            name: self.name.clone(),
            pid: state.pid,
            status,
            ran_for: state.running_since.map(|since| since.elapsed()),
            attempt: 1,
            output: String::from_utf8_lossy(&state.output).into_owned(),
        }
    }
}
