//! A process that runs a task.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use shmkit_atomic::Deadline;
use shmkit_sync::{GivenUp, Patience};

use crate::shared::{Phase, Shared};
use crate::status::Status;
use crate::task::Task;
use crate::{Builder, SpawnError, TaskError};

/// How long a drop waits for the end of whom it has killed.
const BURIAL: Duration = Duration::from_secs(2);

/// A process that runs a task, and what that answers.
///
/// Whatever becomes of it is told: its answer, a panic, or how the process ended. An answer counts although the process dies
/// after it. Dropped, it is killed, unless it is [`detached`](Builder::detached) or
/// [not to be](Builder::kill_on_drop).
///
/// # Examples
///
/// ```no_run
/// use shmkit_process::{Process, task};
///
/// #[task(crate = shmkit_process)]
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let process = Process::spawn(square, (7,))?;
/// assert_eq!(process.join()?, 49);
/// assert_eq!(square(7), 49); // It stays a function.
/// # Ok(())
/// # }
/// ```
pub struct Process<T> {
    shared: Arc<Shared>,
    kill_on_drop: bool,
    output: PhantomData<fn() -> T>,
}

impl Process<()> {
    /// Begins to start one by a name of its own; see [`Builder`].
    pub fn named(name: impl Into<String>) -> Builder {
        Builder::new().name(name)
    }
}

impl<T> Process<T> {
    /// Starts a process that runs the task; see [`Builder::spawn`].
    ///
    /// # Errors
    ///
    /// Those of [`Builder::spawn`].
    pub fn spawn<K: Task<Output = T>>(task: K, args: K::Args) -> Result<Self, SpawnError> {
        Builder::new().spawn(task, args)
    }

    pub(crate) fn of(shared: Arc<Shared>, kill_on_drop: bool) -> Self {
        Self { shared, kill_on_drop, output: PhantomData }
    }

    /// Returns its number. It may be another's when the process has ended.
    pub fn pid(&self) -> u32 {
        self.shared.state().pid
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Returns the name of its task.
    pub fn task(&self) -> &'static str {
        self.shared.task
    }

    /// Returns whether it is a [daemon](Builder::daemon).
    pub fn is_daemon(&self) -> bool {
        self.shared.daemon
    }

    /// Returns whether it has not ended yet.
    pub fn is_alive(&self) -> bool {
        self.shared.is_alive()
    }

    /// Returns how it ended, if it has.
    pub fn status(&self) -> Option<Status> {
        self.shared.state().status
    }

    /// Returns the last 64 KiB of what it has written, once it has ended, if that is [captured](Builder::captured).
    pub fn output(&self) -> Vec<u8> {
        self.shared.state().output.clone()
    }

    /// Asks it to end: SIGTERM. It does nothing if it has ended.
    ///
    /// # Errors
    ///
    /// That of the system: the process has become another user's.
    pub fn terminate(&self) -> io::Result<()> {
        self.signal(libc::SIGTERM)
    }

    /// Ends it: SIGKILL. It does nothing if it has ended.
    ///
    /// # Errors
    ///
    /// Those of [`terminate`](Self::terminate).
    pub fn kill(&self) -> io::Result<()> {
        self.signal(libc::SIGKILL)
    }

    /// Interrupts it as Ctrl-C does: SIGINT. It does nothing if it has ended.
    ///
    /// # Errors
    ///
    /// Those of [`terminate`](Self::terminate).
    pub fn interrupt(&self) -> io::Result<()> {
        self.signal(libc::SIGINT)
    }

    /// Sends it a signal by its number. It does nothing if it has ended.
    ///
    /// # Errors
    ///
    /// Those of [`terminate`](Self::terminate); `InvalidInput`: there is no such signal.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        self.shared.signal(signal)
    }
}

impl<T: DeserializeOwned> Process<T> {
    /// Waits until the process has ended, and returns what its task has answered.
    ///
    /// # Errors
    ///
    /// [`TaskError`]: there is no answer. What the task says itself, an error among others, is in the answer.
    ///
    /// # If a peer dies
    ///
    /// The process without an answer: [`WorkerDied`](TaskError::WorkerDied), as soon as the kernel says so.
    pub fn join(mut self) -> Result<T, TaskError> {
        self.join_deadline(Patience::ENDLESS)
    }

    /// Returns what its task has answered, if the process has ended. The answer is taken.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TaskError::TimedOut): it has not; [`Taken`](TaskError::Taken); and those of [`join`](Self::join).
    pub fn try_join(&mut self) -> Result<T, TaskError> {
        self.join_deadline(Deadline::PASSED)
    }

    /// Waits so long until the process has ended, and returns what its task has answered. The answer is taken.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TaskError::TimedOut): it has not ended in time, and goes on; and those of [`try_join`](Self::try_join).
    pub fn join_timeout(&mut self, wait: Duration) -> Result<T, TaskError> {
        self.join_deadline(wait)
    }

    /// Waits as long as the patience says until the process has ended, and returns what its task has answered. The answer is
    /// taken. Of the patience count its deadline and its hook: on whose life the wait depends is the process.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TaskError::TimedOut), [`Interrupted`](TaskError::Interrupted): the process goes on; and those of
    /// [`try_join`](Self::try_join).
    pub fn join_deadline<'p>(&mut self, patience: impl Into<Patience<'p>>) -> Result<T, TaskError> {
        let Shared { parent, task, name, .. } = &*self.shared;
        if *parent != std::process::id() {
            return Err(TaskError::NotOurs);
        }
        let ended = self.shared.wait(patience.into(), |state| state.phase == Phase::Ended);
        let mut state = ended.map_err(|why| match why {
            GivenUp::Interrupted => TaskError::Interrupted,
            _ => TaskError::TimedOut,
        })?;
        let outcome = state.outcome.take().ok_or(TaskError::Taken)?;
        drop(state);
        outcome?.take().map_err(|error| TaskError::Decode {
            task,
            name: name.clone(),
            why: error.to_string(),
        })
    }
}

/// A descriptor of the process, which is readable when it has ended: for `poll`, `epoll`, [`AsyncFd`]; and for
/// [`shmkit_roster::Process`], which a wait can depend on.
///
/// [`AsyncFd`]: https://docs.rs/tokio/latest/tokio/io/unix/struct.AsyncFd.html
impl<T> AsFd for Process<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // It is there before there is a handle.
        self.shared.pidfd.get().expect("set before the process is handed out").as_fd()
    }
}

impl<T> Drop for Process<T> {
    fn drop(&mut self) {
        // A forked child has a copy, and the process is its parent's.
        // It may have been forked while another thread held the state: so nothing of that is looked at there.
        if self.shared.parent != std::process::id() {
            return;
        }
        if self.kill_on_drop && self.shared.is_alive() {
            let _ = self.shared.signal(libc::SIGKILL);
            let patience = Patience::from(BURIAL);
            drop(self.shared.wait(patience, |state| state.phase == Phase::Ended));
        }
    }
}

impl<T> fmt::Debug for Process<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pid, phase) = {
            let state = self.shared.state();
            (state.pid, state.phase)
        };
        f.debug_struct("Process")
            .field("name", &self.shared.name)
            .field("task", &self.shared.task)
            .field("pid", &pid)
            .field("phase", &phase)
            .finish()
    }
}
