//! Which tasks may be called, and how much of whom is put up with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use shmkit_pool::Pool;
use shmkit_process::Task;

use crate::callable::Entry;
use crate::{CallError, Server};

/// How many clients are served at a time unless it is set.
const CONNECTIONS: usize = 64;

/// The longest request and answer unless it is set, in bytes.
const LENGTH: usize = 1 << 20;

/// Which tasks of a pool may be called, and how. [`start`](Self::start) ends it.
#[must_use = "it serves nothing before `start`"]
pub struct Builder {
    pub(crate) name: String,
    pub(crate) tasks: Vec<Entry>,
    pub(crate) connections: usize,
    pub(crate) most: usize,
    pub(crate) timeout: Option<Duration>,
}

impl Builder {
    pub(crate) fn new(name: String) -> Self {
        Self { name, tasks: Vec::new(), connections: CONNECTIONS, most: LENGTH, timeout: None }
    }

    /// Lets this task be called. Nothing else of the program is.
    ///
    /// What it takes must be made of JSON: a task that takes a handle to shared memory, or a descriptor, refuses every call. Of what it
    /// returns as a `Result`, `Err` is the call's failure.
    pub fn task<T>(mut self, task: T) -> Self
    where
        T: Task<Args: DeserializeOwned, Output: Send + 'static>,
    {
        let entry = Entry::of(task);
        if self.tasks.iter().all(|other| other.shown.name != entry.shown.name) {
            self.tasks.push(entry);
        }
        self
    }

    /// How many clients are served at a time, each by a thread: 64 unless it is set, and at least one. Whoever comes then is told so.
    pub fn connections(mut self, most: usize) -> Self {
        self.connections = most.max(1);
        self
    }

    /// The longest request, and the longest answer, in bytes of JSON: 1 MiB unless it is set. A longer error of a task is cut.
    pub fn max_len(mut self, bytes: usize) -> Self {
        self.most = bytes;
        self
    }

    /// How long a call may take, with its wait for a worker, whatever its client says. Then it is called off, or its worker is killed
    /// if it had begun. Without it a call takes as long as the [pool](shmkit_pool::Builder::timeout) lets it.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Serves the pool's tasks from now on. The pool can be used beside it, and is kept until the server is dropped.
    ///
    /// # Errors
    ///
    /// [`Name`](crate::CallErrorKind::Name); [`Taken`](crate::CallErrorKind::Taken), with the number of the process that serves this name, and
    /// [`OtherUser`](crate::CallErrorKind::OtherUser); and what the system says.
    ///
    /// # If a peer dies
    ///
    /// that served this name, the name is free at once.
    pub fn start(self, pool: &Arc<Pool>) -> Result<Server, CallError> {
        Server::start(self, Arc::clone(pool))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks: Vec<_> = self.tasks.iter().map(|task| &task.shown.name).collect();
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("tasks", &tasks)
            .finish_non_exhaustive()
    }
}
