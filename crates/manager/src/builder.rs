//! How a manager is to be started.

use std::fmt;
use std::io;

use shmkit_connection::{Address, Key};
use shmkit_parcel::Parcel;
use shmkit_process::{Failure, Task};

use crate::manager::Manager;
use crate::start::{Initializer, Setup, start};
use crate::terms::Terms;
use crate::{Server, StartError};

/// How a manager is to be started.
///
/// ```no_run
/// use shmkit_manager::{Builder, Key};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = Key::new("secret");
/// let address: std::net::SocketAddr = "127.0.0.1:0".parse()?;
/// let manager = Builder::new().address(address).key(key).start()?;
/// println!("{}", manager.address());
/// # Ok(())
/// # }
/// ```
#[must_use = "it starts nothing before `start`"]
pub struct Builder {
    address: Option<Address>,
    terms: Terms,
    name: Option<String>,
    initializer: Option<Initializer>,
}

impl Builder {
    /// Starts with what is usual: a name of its own in the abstract namespace, for processes of this user and no key.
    pub fn new() -> Self {
        Self { address: None, terms: Terms::default(), name: None, initializer: None }
    }

    /// Has it listen there. A path is removed when it ends in good order; an abstract name leaves nothing behind.
    pub fn address(mut self, address: impl Into<Address>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// Lets in only who knows this key. Who comes through a Unix socket must be of this user, or root, besides. Over TCP a key is
    /// drawn if none is given.
    pub fn key(mut self, key: impl Into<Option<Key>>) -> Self {
        self.terms.key = key.into();
        self
    }

    /// Sets how many connections it may have, each with a thread: 256 unless it is set. A process has one for each of its threads
    /// that calls at a time. Who comes then is told so.
    pub fn connections(mut self, most: u32) -> Self {
        self.terms.crowd = most;
        self
    }

    /// Sets how long a call or an answer may be, in bytes: 16 MiB unless it is set.
    pub fn max_len(mut self, most: usize) -> Self {
        self.terms.most = most;
        self
    }

    /// Gives the process a name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Has the process run a task before it listens. Its error, or panic, is that of [`start`](Self::start).
    pub fn initializer<K: Task<Output = Result<(), Failure>>>(
        mut self,
        task: K,
        args: K::Args,
    ) -> Self {
        let _ = task;
        let mut parcel = Parcel::new();
        let args = K::pack(&args, &mut parcel).map(|()| parcel);
        self.initializer = Some(Initializer { task: K::PRINT, name: K::NAME, args });
        self
    }

    /// Starts it in a process of its own, and waits until it listens.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    ///
    /// # If a peer dies
    ///
    /// If this process is killed, the manager's is, too, and by the kernel.
    pub fn start(self) -> Result<Manager, StartError> {
        let Self { address, terms, name, initializer } = self;
        start(Setup::of(address, terms).map_err(StartError::System)?, name, initializer)
    }

    /// Listens in this process, which [serves](Server::serve) then: for a program that is a manager and nothing else. The name and
    /// the initializer do not count.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn bind(self) -> io::Result<Server> {
        let setup = Setup::of(self.address, self.terms)?;
        Server::new(setup.terms(), setup.address())
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Manager {
    /// Starts one in a process of its own; see [`Builder`] for other ways.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn start() -> Result<Self, StartError> {
        Builder::new().start()
    }

    /// Other ways to start one.
    pub fn builder() -> Builder {
        Builder::new()
    }
}
