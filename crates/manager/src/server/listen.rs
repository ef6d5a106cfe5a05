//! Who listens for a manager, and lets in.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use shmkit_connection::{Address, Connection, ConnectionError, Listener};

use super::connection::{say, serve};
use super::{Shared, lock};
use crate::link::keep_alive;
use crate::protocol::Welcome;
use crate::terms::Terms;

/// After how long it looks for what has to be tidied up though nobody comes.
const LOOK: u16 = 5_000;

/// How long it waits when it has no descriptor free.
const SHORT_OF_FILES: Duration = Duration::from_millis(50);

/// A manager in this process: Python's `get_server()`. [`Builder::bind`](crate::Builder::bind) makes it; [`Manager::start`](crate::Manager::start)
/// starts one in a process of its own.
pub struct Server {
    listener: Listener,
    shared: Arc<Shared>,
}

impl Server {
    pub(crate) fn new(terms: Terms, address: Address) -> io::Result<Self> {
        let options = Listener::options().key(terms.key.clone());
        let listener = options.bind(address)?;
        let shared = Shared::new(terms, listener.address().clone())?;
        Ok(Self { listener, shared })
    }

    /// Returns where it listens, with the port that it was given.
    pub fn address(&self) -> &Address {
        self.listener.address()
    }

    /// Serves for ever.
    ///
    /// # Errors
    ///
    /// What the system says of the listener.
    ///
    /// # If a peer dies
    ///
    /// what it had is dropped, and all others go on.
    pub fn serve(self) -> io::Result<()> {
        self.run(None)
    }

    /// Serves until there is something to read from `stop`, or its other end is closed. Calls that are under way then are cut off.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    pub fn serve_until(self, stop: impl AsFd) -> io::Result<()> {
        self.run(Some(stop.as_fd()))
    }

    fn run(mut self, stop: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let mut number = 0;
        loop {
            let mut asked = vec![PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
            asked.extend(stop.map(|stop| PollFd::new(stop, PollFlags::POLLIN)));
            match poll(&mut asked, PollTimeout::from(LOOK)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            if asked.get(1).is_some_and(|stop| stop.any() == Some(true)) {
                return Ok(());
            }
            self.shared.passes.sweep(Instant::now());
            loop {
                match self.listener.try_accept() {
                    Ok(connection) => {
                        number += 1;
                        self.admit(number, connection);
                    }
                    Err(ConnectionError::WouldBlock) => break,
                    Err(ConnectionError::System(_)) => {
                        // No descriptor is free: somebody will hang up.
                        thread::sleep(SHORT_OF_FILES);
                        break;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    /// Gives a connection a thread of its own, if there are not too many.
    fn admit(&self, number: u64, connection: Connection) {
        let shared = &self.shared;
        let busy = |mut connection: Connection| {
            let _ = say(&mut connection, &Welcome::Busy { most: shared.terms.crowd });
        };
        if lock(&shared.sockets).len() >= shared.terms.crowd as usize {
            return busy(connection);
        }
        keep_alive(&connection);
        let Ok(socket) = connection.as_fd().try_clone_to_owned().map(Arc::new) else {
            return busy(connection);
        };
        lock(&shared.sockets).insert(number, Arc::clone(&socket));
        let theirs = Arc::clone(shared);
        let builder = thread::Builder::new().name("manager".into());
        // What it was to serve goes with the closure, so that the other end hears of it.
        let started = builder.spawn(move || serve(&theirs, number, connection, socket));
        if started.is_err() {
            lock(&shared.sockets).remove(&number);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.hang_up();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", self.address()).finish_non_exhaustive()
    }
}
