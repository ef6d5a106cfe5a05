//! Who listens for calls in the program that has the pool.

use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, io, process};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket;
use shmkit_connection::{ConnectionError, Listener};
use shmkit_pool::Pool;

use crate::protocol::{Reply, address};
use crate::shared::Shared;
use crate::{Builder, CallError, CallErrorKind as Kind, taken};

/// For how long it looks, once it is full, whether one of the clients that it serves has been answered, before it says to others that
/// it has too many: whoever has its answer may come again before its thread has ended.
const FULL: Duration = Duration::from_millis(50);

/// How long it waits when it has no descriptor free.
const SHORT_OF_FILES: Duration = Duration::from_millis(50);

/// Serves tasks of a pool to whoever of this user calls them by the server's name.
///
/// Dropped, it takes no calls any more, and tells those whose calls are under way; that takes a fifth of a second, and up to five
/// seconds if a client does not read its answer. What a worker has begun with goes on.
pub struct Server {
    shared: Arc<Shared>,
    /// Shut down, it ends the thread that listens.
    stop: UnixStream,
    thread: Option<JoinHandle<()>>,
    pid: u32,
}

impl Server {
    /// Begins to say which tasks may be called, by this name: 1 to 80 bytes.
    pub fn builder(name: impl Into<String>) -> Builder {
        Builder::new(name.into())
    }

    pub(crate) fn start(terms: Builder, pool: Arc<Pool>) -> Result<Self, CallError> {
        let system = |error| CallError::system("the server was not started", error);
        let address = address(&terms.name)?;
        let listener = match Listener::bind(&address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(taken::by(&terms.name, &address));
            }
            listener => listener.map_err(system)?,
        };
        let (stop, stopped) = UnixStream::pair().map_err(system)?;
        let shared = Arc::new(Shared { terms, pool, closing: OnceLock::new() });
        let serving = Arc::clone(&shared);
        let thread = thread::Builder::new().name("shmkit-call".into());
        let thread = thread.spawn(move || serve(listener, &stopped, &serving)).map_err(system)?;
        Ok(Self { shared, stop, thread: Some(thread), pid: process::id() })
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.shared.terms.name
    }
}

/// Lets clients in, each with a thread of its own, until the server is dropped.
fn serve(mut listener: Listener, stopped: &UnixStream, shared: &Arc<Shared>) {
    let mut served = Served { threads: Vec::new(), most: shared.terms.connections, full: None };
    while shared.closing.get().is_none() {
        let asked = [listener.as_fd(), stopped.as_fd()];
        // A signal, at worst.
        let _ = poll(&mut asked.map(|fd| PollFd::new(fd, PollFlags::POLLIN)), PollTimeout::NONE);
        match listener.try_accept() {
            Ok(connection) if served.has_room() => {
                let theirs = Arc::clone(shared);
                let thread = thread::Builder::new().name("shmkit-call".into());
                // Of one that is not started the connection is closed.
                served.threads.extend(thread.spawn(move || theirs.answer(connection)));
            }
            Ok(mut connection) => {
                let most = shared.terms.connections;
                let message = format!(
                    "{:?} serves {most} clients, and no more at a time: try again",
                    shared.terms.name
                );
                let busy = shared.packed(&Reply::failed(Kind::Busy, message));
                // It fits into the socket, which is new.
                let _ = connection.try_send_bytes(&busy);
            }
            Err(ConnectionError::WouldBlock) => {}
            // No descriptor is free: somebody will hang up.
            Err(_) => thread::sleep(SHORT_OF_FILES),
        }
    }
    // Not only closed: a forked child may have it, too, and whoever calls would wait in its queue for ever.
    let _ = socket::shutdown(listener.as_fd().as_raw_fd(), socket::Shutdown::Both);
    while listener.try_accept().is_ok() {}
    drop(listener);
    for thread in served.threads {
        // One that has panicked in a program's own decoding has closed its connection.
        let _ = thread.join();
    }
}

/// Those who are served, a thread each.
struct Served {
    threads: Vec<JoinHandle<()>>,
    most: usize,
    /// Since when there are as many as may be.
    full: Option<Instant>,
}

impl Served {
    /// Returns whether fewer than may be are served. Of a crowd only the first one waits for that.
    fn has_room(&mut self) -> bool {
        loop {
            self.threads.retain(|thread| !thread.is_finished());
            if self.threads.len() < self.most {
                self.full = None;
                return true;
            }
            if self.full.get_or_insert_with(Instant::now).elapsed() >= FULL {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A forked child has a copy, and none of the threads.
        if self.pid != process::id() {
            return;
        }
        let _ = self.shared.closing.set(());
        // Not closed: a forked child may have it, too.
        let _ = self.stop.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.terms.fmt(f)
    }
}
