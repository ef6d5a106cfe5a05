//! How a process is to be started.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::SigSet;
use shmkit_parcel::{Parcel, ParcelError};

use crate::keeper::{Keeper, Order, Origin};
use crate::mark::Mark;
use crate::message::Start;
use crate::shared::Shared;
use crate::task::Task;
use crate::{Nursery, Process, SpawnError, SpawnErrorKind, told, worker};

/// How many processes may stand one above the other, unless it is said otherwise.
const DEPTH: u32 = 8;

/// How a process is to be started.
///
/// ```no_run
/// use shmkit_process::{Builder, task};
///
/// #[task(crate = shmkit_process)]
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let process = Builder::new().name("Process-1").daemon(true).spawn(square, (7,))?;
/// assert_eq!(process.join()?, 49);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it starts nothing before `spawn`"]
pub struct Builder {
    name: Option<String>,
    program: Option<PathBuf>,
    variables: Vec<(OsString, OsString)>,
    daemon: bool,
    detached: bool,
    captured: bool,
    kill_on_drop: bool,
    depth: u32,
    hello_within: Duration,
    nursery: Option<Nursery>,
}

/// How long a process may take until it says that it runs tasks, unless it is said otherwise.
const HELLO_WITHIN: Duration = Duration::from_secs(10);

impl Builder {
    /// Starts with what is usual: this program, killed when its handle is dropped.
    pub fn new() -> Self {
        Self {
            name: None,
            program: None,
            variables: Vec::new(),
            daemon: false,
            detached: false,
            captured: false,
            kill_on_drop: true,
            depth: DEPTH,
            hello_within: HELLO_WITHIN,
            nursery: None,
        }
    }

    /// Gives the process a name, for errors and for itself; by default its task's.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Has another program run the task, which must have one of the same name and signature. By default it is this one,
    /// whatever became of its file.
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// Has the process be forked from a nursery, which it finds as that is: with what it has loaded, and its environment. Not from
    /// another [`program`](Self::program), nor with [variables](Self::env) of its own.
    pub fn nursery(mut self, nursery: &Nursery) -> Self {
        self.nursery = Some(nursery.clone());
        self
    }

    /// Sets a variable of the process's environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Has the process be a daemon: it may start no others, and is killed at the end of `main`
    /// ([`#[main]`](macro@crate::main)), which waits for those that are none.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = daemon;
        self
    }

    /// Has the process live on when this one dies, or drops its handle. By default neither.
    pub fn detached(mut self, detached: bool) -> Self {
        self.detached = detached;
        self
    }

    /// Keeps what the process writes to its standard output and error from this process's, and the last 64 KiB of it for
    /// [`output`](Process::output) and for errors.
    pub fn captured(mut self, captured: bool) -> Self {
        self.captured = captured;
        self
    }

    /// Whether to kill the process when its handle is dropped: by default, yes.
    pub fn kill_on_drop(mut self, kill: bool) -> Self {
        self.kill_on_drop = kill;
        self
    }

    /// How many processes may stand one above the other, each started by the one before, this one's child included: by default 8.
    pub fn depth(mut self, depth: u32) -> Self {
        self.depth = depth;
        self
    }

    /// How long the process may take until it says that it runs tasks, which is the first that it does: by default 10 s. Then it is
    /// killed, as one that never would.
    pub fn hello_within(mut self, time: Duration) -> Self {
        self.hello_within = time;
        self
    }

    /// Starts a process that runs the task, and returns as soon as it is there. It takes a millisecond or two until the task runs;
    /// what keeps it from running then is told by [`join`](Process::join).
    ///
    /// # Errors
    ///
    /// [`SpawnError`]: this process may start none, an argument cannot travel, or the system says no.
    ///
    /// # If a peer dies
    ///
    /// If this process is killed, the one that it has started is, too, and by the kernel; unless it is
    /// [`detached`](Self::detached).
    pub fn spawn<K: Task>(self, task: K, args: K::Args) -> Result<Process<K::Output>, SpawnError> {
        let _ = task;
        self.check(K::NAME)?;
        let name = self.name.clone().unwrap_or_else(|| K::NAME.to_owned());
        let start = Start {
            print: K::PRINT,
            task: K::NAME.into(),
            name: name.clone(),
            daemon: self.daemon,
        };
        let mut parcel = Parcel::new();
        let not_packed = |error: ParcelError, text: String| {
            let kind = match error {
                ParcelError::CannotTravel(_) => SpawnErrorKind::CannotTravel,
                _ => SpawnErrorKind::Encode,
            };
            SpawnError::new(kind, K::NAME, text)
        };
        parcel.add(&start).map_err(|error| {
            let text = error.to_string();
            not_packed(error, text)
        })?;
        K::pack(&args, &mut parcel).map_err(|error| {
            let text = error.to_string();
            not_packed(error.error, text)
        })?;
        let order = Order {
            program: self.program,
            name: self.name,
            variables: self.variables,
            captured: self.captured,
            detached: self.detached,
            hello_within: self.hello_within,
            origin: match &self.nursery {
                Some(nursery) => Origin::Nursery(nursery.line()?),
                None => Origin::Program,
            },
            parcel,
            mask: SigSet::thread_get_mask().unwrap_or_else(|_| SigSet::empty()),
        };
        let shared = Arc::new(Shared::new(K::NAME, name, self.daemon, self.detached));
        Keeper::start(order, &shared)?;
        told::started(&shared);
        Ok(Process::of(shared, self.kill_on_drop && !self.detached))
    }

    /// Whether this process may start any.
    pub(crate) fn check(&self, task: &str) -> Result<(), SpawnError> {
        let refuse = |kind, detail: String| Err(SpawnError::new(kind, task, detail));
        if Mark::is_pending() {
            return refuse(
                SpawnErrorKind::NotInitialised,
                "this process was itself started to run a task, and does not know, so that it would start others for ever: have it \
                 call `shmkit::init()` first in `main`, or add `shmkit::early!();`"
                    .into(),
            );
        }
        if worker::role().is_some_and(|role| role.daemon) {
            return refuse(
                SpawnErrorKind::Daemon,
                "this process is a daemon, which is killed without its children being waited for: start them elsewhere, or it as \
                 none"
                    .into(),
            );
        }
        let depth = Mark::depth();
        if depth >= self.depth {
            return refuse(
                SpawnErrorKind::TooDeep,
                format!(
                    "{depth} processes stand above this one, each started by the one before, where {} are the most: is there a \
                     task that starts itself? If not, raise it (`Builder::depth`)",
                    self.depth
                ),
            );
        }
        Ok(())
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}
