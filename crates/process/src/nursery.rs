//! A process that has prepared what tasks need, and forks for each of them.

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use shmkit_parcel::{Descriptor, Incoming, Outgoing, Parcel, ParcelError};
use shmkit_roster::is_alone;

use crate::message::{MOST, Start};
use crate::task::{Ran, Task, Tasks};
use crate::{Builder, Process, SpawnError, SpawnErrorKind, worker};

/// What is said on the line to a nursery: a task to be run once, [`Start`] and its arguments.
const PRELOAD: u32 = 1;
/// [`Fork`].
const FORK: u32 = 2;
/// What it says to either: [`Said`].
const SAID: u32 = 3;
/// How long it may take to fork.
const FORK_WITHIN: Duration = Duration::from_secs(5);
/// How long it may take to prepare.
const PRELOAD_WITHIN: Duration = Duration::from_secs(600);

#[derive(Serialize, Deserialize)]
struct Fork {
    detached: bool,
    /// The socket of the new process.
    socket: Descriptor<UnixStream>,
    /// Where it writes to.
    output: Option<Descriptor<OwnedFd>>,
}

#[derive(Serialize, Deserialize)]
enum Said {
    Done,
    /// The number of the new process.
    Forked(u32),
    TooManyThreads,
    Failed(String),
}

/// A process of ours that has run a task, to load what is large or slow, and from which others are forked that find it: in a tenth of a
/// millisecond, and with the memory shared until one of them writes to it.
///
/// It must have one thread when it forks: a task that leaves another one behind is refused. A process that it has forked is a child of
/// *this* process as any other, and lives on when the nursery is killed; the next start makes another nursery, which runs its task again.
/// Clones are the same nursery; it ends when the last one is dropped.
///
/// # Examples
///
/// ```no_run
/// use shmkit_process::{Builder, Failure, Nursery, task};
///
/// static MODEL: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
///
/// #[task(crate = shmkit_process)]
/// fn load(path: String) -> Result<(), Failure> {
///     let model = std::fs::read(path)?;
///     MODEL.set(model).map_err(|_| Failure::new("it was loaded before"))
/// }
///
/// #[task(crate = shmkit_process)]
/// fn ask(question: usize) -> u8 {
///     MODEL.get().map_or(0, |model| model[question])
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let nursery = Nursery::preload(load, ("model.bin".into(),))?;
/// let process = Builder::new().nursery(&nursery).spawn(ask, (7,))?;
/// process.join()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Nursery(Arc<Inner>);

struct Inner {
    /// Makes a line to a new one.
    start: Box<dyn Fn() -> Result<Line, SpawnError> + Send + Sync>,
    line: Mutex<Arc<Line>>,
}

/// A nursery's process, and the socket by which it is told what to do.
pub(crate) struct Line {
    process: Process<()>,
    control: UnixStream,
}

impl Nursery {
    /// Starts one that prepares nothing.
    ///
    /// # Errors
    ///
    /// Those of [`Builder::spawn`].
    pub fn new() -> Result<Self, SpawnError> {
        Self::with(Box::new(Line::start))
    }

    /// Starts one, and waits until it has run the task.
    ///
    /// # Errors
    ///
    /// Those of [`Builder::spawn`]; [`Preload`](SpawnErrorKind::Preload): the task has failed in its process.
    pub fn preload<K: Task<Args: Send + Sync>>(task: K, args: K::Args) -> Result<Self, SpawnError>
    where
        K::Args: 'static,
    {
        let _ = task;
        Self::with(Box::new(move || {
            let failed = |why: String| SpawnError::new(SpawnErrorKind::Preload, K::NAME, why);
            let mut parcel = Parcel::new();
            let (task, name) = (K::NAME.to_owned(), "nursery".to_owned());
            let start = Start { print: K::PRINT, task, name, daemon: true };
            parcel.add(&start).map_err(|error| failed(error.to_string()))?;
            K::pack(&args, &mut parcel).map_err(|error| failed(error.to_string()))?;
            let line = Line::start()?;
            // Used here until it is used there.
            let kept = parcel.take_kept();
            let said = line.say(PRELOAD, parcel, PRELOAD_WITHIN);
            drop(kept);
            match said.map_err(|error| failed(format!("its process has ended: {error}")))? {
                Said::Failed(why) => Err(failed(why)),
                _ => Ok(line),
            }
        }))
    }

    fn with(
        start: Box<dyn Fn() -> Result<Line, SpawnError> + Send + Sync>,
    ) -> Result<Self, SpawnError> {
        let line = Mutex::new(Arc::new(start()?));
        Ok(Self(Arc::new(Inner { start, line })))
    }

    /// Returns the number of its process.
    pub fn pid(&self) -> u32 {
        self.lock().process.pid()
    }

    /// The line to its process: to another one, if that has ended.
    pub(crate) fn line(&self) -> Result<Arc<Line>, SpawnError> {
        let mut line = self.lock();
        if !line.process.is_alive() || worker::is_at_end(&line.control) {
            *line = Arc::new((self.0.start)()?);
        }
        Ok(line.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Arc<Line>> {
        // What a panicked thread has left is one line or another.
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Nursery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nursery").field("process", &self.lock().process).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("process", &self.process).finish_non_exhaustive()
    }
}

impl Line {
    fn start() -> Result<Self, SpawnError> {
        let pair = UnixStream::pair();
        let (control, theirs) =
            pair.map_err(|error| SpawnError::os("nursery", "make what leads to it", error))?;
        // It starts nobody itself: what it forks are our children.
        let process = Builder::new().name("nursery").daemon(true).spawn(serve, (theirs.into(),))?;
        Ok(Self { process, control })
    }

    fn say(&self, kind: u32, parcel: Parcel, within: Duration) -> Result<Said, ParcelError> {
        self.control.set_read_timeout(Some(within)).map_err(ParcelError::Os)?;
        Outgoing::new(kind, parcel).finish(&self.control)?;
        Incoming::new(MOST).finish(&self.control)?.1.take()
    }

    /// Has it fork, and returns the number of the new process, which is a child of this one.
    pub(crate) fn fork(
        &self,
        task: &str,
        socket: UnixStream,
        output: Option<OwnedFd>,
        detached: bool,
    ) -> Result<u32, SpawnError> {
        let run = || {
            let mut parcel = Parcel::new();
            let output = output.map(Descriptor::from);
            parcel.add(&Fork { detached, socket: socket.into(), output })?;
            self.say(FORK, parcel, FORK_WITHIN)
        };
        let failed = |kind, why: String| Err(SpawnError::new(kind, task, why));
        match run() {
            Ok(Said::Forked(pid)) => Ok(pid),
            Ok(Said::TooManyThreads) => failed(
                SpawnErrorKind::TooManyThreads,
                "its nursery has more than one thread, of which a fork would take one: end the others at the end of its preload".into(),
            ),
            Ok(Said::Failed(why)) => failed(SpawnErrorKind::Os, format!("its nursery did not fork: {why}")),
            Ok(Said::Done) => failed(SpawnErrorKind::OtherProtocol, "its nursery says what it was not asked".into()),
            Err(error) => {
                let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
                failed(SpawnErrorKind::Nursery, format!("its nursery has died or hangs: {error}{cause}: start it again"))
            }
        }
    }
}

/// The life of a nursery: to its line's end.
#[crate::task(crate = crate)]
fn serve(control: Descriptor<UnixStream>) {
    let control = control.into_inner();
    while let Ok((kind, mut parcel)) = Incoming::new(MOST).finish(&control) {
        let said = match kind {
            PRELOAD => preload(&mut parcel),
            FORK => match parcel.take::<Fork>() {
                Ok(_) if !is_alone() => Said::TooManyThreads,
                Ok(fork) => match fork_a_sibling() {
                    Ok(0) => {
                        drop(control);
                        live(fork)
                    }
                    Ok(pid) => Said::Forked(pid),
                    Err(errno) => Said::Failed(errno.to_string()),
                },
                Err(error) => Said::Failed(error.to_string()),
            },
            _ => Said::Failed("it is of another version".into()),
        };
        let mut parcel = Parcel::new();
        if parcel.add(&said).is_err() || Outgoing::new(SAID, parcel).finish(&control).is_err() {
            return;
        }
    }
}

fn preload(parcel: &mut Parcel) -> Said {
    let Ok(start) = parcel.take::<Start>() else {
        return Said::Failed("it is of another version".into());
    };
    match Tasks::all().find(start.print, &start.task) {
        Err(error) => Said::Failed(format!("{error:?}")),
        Ok(entry) => match entry.run(parcel, &mut Parcel::new(), &mut || {}) {
            Ran::Returned => Said::Done,
            Ran::Panicked => Said::Failed("it has panicked".into()),
            Ran::Undecodable(why) | Ran::Unencodable(why) => Said::Failed(why),
        },
    }
}

/// The life of what a nursery has forked: as of any process that was started to run a task.
fn live(fork: Fork) -> ! {
    if let Some(output) = fork.output {
        for number in 1..3 {
            // SAFETY: two numbers; what these led to was the nursery's, as which nobody writes here any more.
            unsafe { libc::dup2(output.as_fd().as_raw_fd(), number) };
        }
    }
    worker::live(fork.socket.into_inner(), fork.detached)
}

/// Forks a child of this process's *parent*, who reaps it, and with whose thread it ends; returns 0 in it.
///
/// glibc keeps the number of a thread at the place that the kernel clears at the thread's end, and `fork` has it stored anew there; so
/// does this. No fork handlers run: there is one thread, which is in none of what they guard.
fn fork_a_sibling() -> Result<u32, Errno> {
    // What stands in its buffer would be written twice.
    let _ = std::io::stdout().flush();
    let mut place = std::ptr::null_mut::<libc::c_int>();
    const PR_GET_TID_ADDRESS: libc::c_int = 40;
    // SAFETY: the kernel stores one address there; where it does not know how, `place` stays null.
    unsafe { libc::prctl(PR_GET_TID_ADDRESS, &raw mut place) };
    let mut flags = libc::CLONE_PARENT | libc::SIGCHLD;
    if !place.is_null() {
        flags |= libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID;
    }
    let (none, null) = (0_usize, std::ptr::null_mut::<libc::c_int>());
    // The place, and the thread's own storage, which it keeps: in this order there, and in the other one elsewhere.
    let (fourth, fifth) = match cfg!(target_arch = "x86_64") {
        true => (place.addr(), none),
        false => (none, place.addr()),
    };
    // SAFETY: without a stack and without `CLONE_VM` it is a fork of the only thread: the child goes on here, in a copy of all memory, and
    // the kernel stores its number where glibc has that of the thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, null, fourth, fifth) };
    Errno::result(pid).map(|pid| pid as u32)
}
