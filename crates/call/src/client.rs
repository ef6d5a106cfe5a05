//! Who calls tasks of another program.

use std::io;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::to_raw_value;
use shmkit_connection::{Address, ConnectionError, HandshakeError};
use shmkit_roster::{Expected, Process};
use shmkit_sync::Patience;

use crate::protocol::{Callable, Reply, Request, VERSION, address};
use crate::{CallError, CallErrorKind as Kind};

/// How much longer than its call a client waits for the answer, which may be that the time was over.
const MORE: Duration = Duration::from_secs(1);

/// How long it waits for a place in the queue of a server that does not take those who wait there, if the call has no end of its own.
const QUEUE: Duration = Duration::from_secs(30);

/// The longest answer that is taken, in bytes. The server has a limit of its own; memory is taken as bytes come.
const MOST: usize = 1 << 30;

/// Calls tasks of a program that serves them by a [`Server`](crate::Server). Each call is a connection of its own.
///
/// ```no_run
/// use shmkit_call::Client;
///
/// let kitchen = Client::new("kitchen")?;
/// let plates: String = kitchen.call("cook", &("soup", 3))?;
/// # Ok::<(), shmkit_call::CallError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    name: String,
    address: Address,
    timeout: Option<Duration>,
}

impl Client {
    /// Makes one for the server of this name. Nothing is connected before a call.
    ///
    /// # Errors
    ///
    /// [`Name`](Kind::Name).
    pub fn new(name: impl Into<String>) -> Result<Self, CallError> {
        let name = name.into();
        Ok(Self { address: address(&name)?, name, timeout: None })
    }

    /// How long a call may take, with its wait for a worker. Then it is called off, or its worker is killed if it had begun. Without it,
    /// as long as the server lets it.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Calls a task, by its name or the last part of that. The arguments are a tuple, an array, or `()`.
    ///
    /// # Errors
    ///
    /// [`CallError`], as the table of this crate's page says.
    ///
    /// # If a peer dies
    ///
    /// The worker: [`NotAnswered`](Kind::NotAnswered), with how. The program that serves: [`Gone`](Kind::Gone), at
    /// once, or within about 40 ms if a child that it has forked has its sockets.
    pub fn call<R: DeserializeOwned>(
        &self,
        task: &str,
        args: &impl Serialize,
    ) -> Result<R, CallError> {
        let args = to_raw_value(args).map_err(|error| {
            CallError::new(
                Kind::Arguments,
                format!("the arguments cannot be said in JSON: {error}"),
            )
        })?;
        // `()` is nothing in JSON.
        let args = if args.get() == "null" { None } else { Some(&*args) };
        let timeout = self.timeout.map(|limit| limit.as_secs_f64());
        let task = Some(task.into());
        match self.ask(&Request { call: VERSION, task, args, timeout })? {
            Reply::Returned(value) => serde_json::from_str(value.get()).map_err(|error| {
                let message =
                    format!("what the task has returned is not what was asked for: {error}");
                CallError::new(Kind::NotAnswered, message)
            }),
            Reply::Failed { kind, message } => Err(CallError::new(kind, message)),
            Reply::Tasks(_) => Err(self.not_spoken("a list came where an answer was to come")),
        }
    }

    /// Returns what can be called, in the order in which the program names it.
    ///
    /// # Errors
    ///
    /// Those of [`call`](Self::call).
    ///
    /// # If a peer dies
    ///
    /// As with [`call`](Self::call).
    pub fn tasks(&self) -> Result<Vec<Callable>, CallError> {
        let timeout = self.timeout.map(|limit| limit.as_secs_f64());
        match self.ask(&Request { call: VERSION, task: None, args: None, timeout })? {
            Reply::Tasks(tasks) => Ok(tasks),
            Reply::Failed { kind, message } => Err(CallError::new(kind, message)),
            Reply::Returned(_) => Err(self.not_spoken("an answer came where a list was to come")),
        }
    }

    fn ask(&self, request: &Request<'_>) -> Result<Reply, CallError> {
        let limit = self.timeout.map(|limit| limit.saturating_add(MORE));
        let patience = limit.map_or(Patience::ENDLESS, Patience::from);
        let client = shmkit_connection::Client::new();
        let entry = Patience::from(limit.unwrap_or(QUEUE));
        let connected = client.connect_deadline(&self.address, entry);
        let mut connection = connected.map_err(|error| self.unreachable(error))?;
        connection.set_max_len(MOST);
        let pid = connection.credentials().map_or(0, |it| it.pid);
        let who = format!("the program that serves {:?} (process {pid})", self.name);
        // A child that it has forked has its sockets, too: their end is not that of the program.
        let program = match pid {
            // Of another PID namespace.
            0 => None,
            pid => Some(Process::of_pid(pid).map_err(|error| CallError::of_process(&who, error))?),
        };
        let program: Vec<Expected> = program.into_iter().map(Expected::from).collect();
        let patience = patience.while_all_alive(&program);
        // Texts and numbers, which can be said in JSON.
        let bytes = serde_json::to_vec(request).unwrap_or_default();
        // One that does not want to hear it says why.
        let sent = connection.send_bytes_deadline(&bytes, patience);
        let reply = connection.recv_bytes_deadline(patience);
        let reply = match (sent, reply) {
            (_, Ok(reply)) => reply,
            (Err(error), _) | (_, Err(error)) => return Err(CallError::of_connection(&who, error)),
        };
        serde_json::from_slice(&reply).map_err(|error| self.not_spoken(&error.to_string()))
    }

    fn unreachable(&self, error: HandshakeError) -> CallError {
        let name = &self.name;
        match error {
            HandshakeError::Connection(ConnectionError::System(error))
                if error.kind() == io::ErrorKind::ConnectionRefused =>
            {
                let message = format!(
                    "no program of this user serves {name:?}: start it, or look whether it serves another name (`shmkit::call::Server`)"
                );
                CallError::new(Kind::NotServed, message)
            }
            HandshakeError::OtherUser { uid } => CallError::new(
                Kind::OtherUser,
                format!("user {uid} has taken the name {name:?}: nothing was sent there"),
            ),
            HandshakeError::Connection(error) => {
                CallError::of_connection(&format!("the program that serves {name:?}"), error)
            }
            error => CallError::system(format!("{name:?} cannot be reached"), error),
        }
    }

    fn not_spoken(&self, why: &str) -> CallError {
        let message = format!("what {:?} answers is none of this version's: {why}", self.name);
        CallError::new(Kind::NotSpoken, message)
    }
}
