//! A process that goes on where this one is.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::unistd::{ForkResult, fork};
use serde::Serialize;
use serde::de::DeserializeOwned;
use shmkit_parcel::Parcel;

use crate::keeper::{Keeper, Order, Origin};
use crate::shared::Shared;
use crate::{Process, SpawnError, SpawnErrorKind, worker};

/// What errors call the task of a process that was forked.
const TASK: &str = "fork";
/// How many threads a process may have: itself, and the one that hears of other processes.
const THREADS: usize = 2;

impl<T: Serialize + DeserializeOwned> Process<T> {
    /// Forks this process, and runs a closure in the child, which finds everything that the closure has captured as it is here; nothing but its
    /// answer travels. It takes longer the more memory this process has: 10 ms for a gigabyte.
    ///
    /// The child runs no exit handlers, and takes no part in segments before it [joins](https://docs.rs/shmkit-segment). It is not killed when
    /// another than its parent's first thread ends.
    ///
    /// # Safety
    ///
    /// The child has a copy of all memory, and one thread. Whatever another thread had in the middle stays so: locks that it held, or what it
    /// was changing. That there is no other one is looked at; what a library keeps about a process, a descriptor of `epoll`, a
    /// connection, is in both from then on, and the closure must use nothing of it that cannot be used by two.
    ///
    /// # Errors
    ///
    /// [`TooManyThreads`](SpawnErrorKind::TooManyThreads): there are other threads than this one and the one that hears of processes; and
    /// those of [`Builder::spawn`](crate::Builder::spawn).
    ///
    /// # If a peer dies
    ///
    /// As of any other process.
    pub unsafe fn fork(run: impl FnOnce() -> T) -> Result<Self, SpawnError> {
        let builder = crate::Builder::new();
        builder.check(TASK)?;
        let os = |during| move |error| SpawnError::os(TASK, during, error);
        let (socket, theirs) = UnixStream::pair().map_err(os("make what leads to it"))?;
        socket.set_nonblocking(true).map_err(os("make what leads to it"))?;
        // What stands in its buffer would be written twice.
        let _ = std::io::Write::flush(&mut std::io::stdout());
        // The other thread has none of these locks in the child.
        let forked = Keeper::while_quiet(|| {
            let threads = std::fs::read_dir("/proc/self/task").map(Iterator::count);
            if threads.map_or(true, |threads| threads > THREADS) {
                return Err(None);
            }
            // SAFETY: there is no other thread than the keeper's, whose locks we hold; the rest is the caller's promise.
            unsafe { fork() }.map_err(Some)
        });
        match forked {
            Ok(ForkResult::Child) => {
                drop(socket);
                worker::run_here(theirs, TASK.to_owned(), run)
            }
            Ok(ForkResult::Parent { child }) => {
                drop(theirs);
                let order = Order {
                    program: None,
                    name: None,
                    variables: Vec::new(),
                    captured: false,
                    detached: false,
                    hello_within: std::time::Duration::from_secs(10),
                    origin: Origin::Forked(child, Some(socket)),
                    parcel: Parcel::new(),
                    mask: SigSet::empty(),
                };
                let shared = Arc::new(Shared::new(TASK, TASK.to_owned(), false, false));
                Keeper::start(order, &shared)?;
                Ok(Self::of(shared, true))
            }
            Err(None) => Err(SpawnError::new(
                SpawnErrorKind::TooManyThreads,
                TASK,
                "this process has other threads, of which a fork would take none along: fork before they are started, or use a nursery",
            )),
            Err(Some(errno)) => Err(os("start the program")(Errno::into(errno))),
        }
    }
}
