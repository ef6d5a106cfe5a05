//! How a manager is to be started.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};
use shmkit_connection::{Address, Key};
use shmkit_parcel::Parcel;
use shmkit_process::{ArgumentError, Failure, Task};

use crate::start::{self, Setup};
use crate::{Manager, Server, StartError};

/// How many may be connected at once, unless it is said otherwise.
const CROWD: u32 = 256;

/// The longest call or answer, in bytes, unless it is said otherwise: 16 MiB.
const MOST: usize = 16 << 20;

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
    pub(crate) address: Option<Address>,
    pub(crate) key: Option<Key>,
    pub(crate) crowd: u32,
    pub(crate) most: usize,
    pub(crate) name: Option<String>,
    pub(crate) initializer: Option<Initializer>,
}

/// What the manager's process is to run first: a task, and its arguments.
pub(crate) struct Initializer {
    pub(crate) task: u64,
    pub(crate) name: &'static str,
    pub(crate) args: Result<Parcel, ArgumentError>,
}

/// The same on its way.
#[derive(Serialize, Deserialize)]
pub(crate) struct First {
    pub(crate) task: u64,
    pub(crate) name: String,
    pub(crate) args: Vec<u8>,
}

impl Builder {
    /// Starts with what is usual: a name of its own in the abstract namespace, for processes of this user and no key.
    pub fn new() -> Self {
        let (address, key, name, initializer) = (None, None, None, None);
        Self { address, key, crowd: CROWD, most: MOST, name, initializer }
    }

    /// Has it listen there. A path is removed when it ends in good order; an abstract name leaves nothing behind.
    pub fn address(mut self, address: impl Into<Address>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// Lets in only who knows this key. Who comes through a Unix socket must be of this user, or root, besides. Over TCP a key is
    /// drawn if none is given.
    pub fn key(mut self, key: impl Into<Option<Key>>) -> Self {
        self.key = key.into();
        self
    }

    /// Sets how many connections it may have, each with a thread: 256 unless it is set. A process has one for each of its threads
    /// that calls at a time. Who comes then is told so.
    pub fn connections(mut self, most: u32) -> Self {
        self.crowd = most;
        self
    }

    /// Sets how long a call or an answer may be, in bytes: 16 MiB unless it is set.
    pub fn max_len(mut self, most: usize) -> Self {
        self.most = most;
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
        start::start(self)
    }

    /// Listens in this process, which [serves](Server::serve) then: for a program that is a manager and nothing else. The name and
    /// the initializer do not count.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn bind(self) -> io::Result<Server> {
        let setup = Setup::of(&self)?;
        let address = setup.address();
        let key = setup.key();
        Server::new(&Self { key, ..self }, address)
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
