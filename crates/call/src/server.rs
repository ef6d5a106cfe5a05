//! Who listens for calls in the program that has the pool.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket;
use nix::unistd::geteuid;
use serde_json::value::RawValue;
use shmkit_connection::{Address, Connection, ConnectionError, Listener};
use shmkit_pool::Pool;
use shmkit_sync::Patience;

use crate::callable::Entry;
use crate::protocol::{Reply, Request, VERSION, address};
use crate::{Builder, CallError, CallErrorKind as Kind};

/// How long a client may take to send its request, and to read its answer.
const PROMPT: Duration = Duration::from_secs(5);

/// How often it looks, at a millisecond's distance, whether one of the clients that it serves has been answered, before it says that it
/// has too many.
const LOOKS: u32 = 50;

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

/// What all threads of a server have in common.
struct Shared {
    terms: Builder,
    pool: Arc<Pool>,
    /// It is set when the server is dropped.
    closing: OnceLock<()>,
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
                return Err(taken(&terms.name, &address));
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

/// Says who has the name.
fn taken(name: &str, address: &Address) -> CallError {
    let client = shmkit_connection::Client::new().any_user(true);
    let there = client.connect_timeout(address, PROMPT).ok().and_then(|it| it.credentials().ok());
    match there {
        Some(there) if there.uid != geteuid().as_raw() => {
            let message =
                format!("user {} has taken the name {name:?}: choose another one", there.uid);
            CallError::new(Kind::OtherUser, message)
        }
        Some(there) if there.pid != 0 => {
            let message = format!(
                "process {} serves {name:?} already: end it, or choose another name",
                there.pid
            );
            CallError::new(Kind::Taken, message)
        }
        // It has ended meanwhile, or does not let in; or it is of another PID namespace.
        _ => CallError::new(
            Kind::Taken,
            format!("another program serves {name:?}: end it, or choose another name"),
        ),
    }
}

/// Lets clients in, each with a thread of its own, until the server is dropped.
fn serve(mut listener: Listener, stopped: &UnixStream, shared: &Arc<Shared>) {
    let mut served: Vec<JoinHandle<()>> = Vec::new();
    while shared.closing.get().is_none() {
        let asked = [listener.as_fd(), stopped.as_fd()];
        // A signal, at worst.
        let _ = poll(&mut asked.map(|fd| PollFd::new(fd, PollFlags::POLLIN)), PollTimeout::NONE);
        match listener.try_accept() {
            Ok(connection) if has_room(&mut served, shared.terms.connections) => {
                let theirs = Arc::clone(shared);
                let thread = thread::Builder::new().name("shmkit-call".into());
                // Of one that is not started the connection is closed.
                served.extend(thread.spawn(move || theirs.answer(connection)));
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
    for thread in served {
        // One that has panicked in a program's own decoding has closed its connection.
        let _ = thread.join();
    }
}

/// Returns whether fewer than so many are served. Whoever has its answer may come again before its thread has ended.
fn has_room(served: &mut Vec<JoinHandle<()>>, most: usize) -> bool {
    for look in 0..LOOKS {
        if look > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        served.retain(|thread| !thread.is_finished());
        if served.len() < most {
            return true;
        }
    }
    false
}

impl Shared {
    /// Answers one call.
    fn answer(&self, mut connection: Connection) {
        // The kernel drops descriptors that come along: they would fill this program's table.
        connection.read_ahead();
        connection.set_max_len(self.terms.most);
        let closes = || self.flow(false);
        let asked = connection.recv_bytes_deadline(Patience::from(PROMPT).interruptible(&closes));
        let reply = match asked {
            Ok(bytes) => self.reply(&bytes, connection.as_fd()),
            Err(ConnectionError::TooLong { length, most }) => {
                let message = format!(
                    "the request has {length} bytes, where {most} are the most (`max_len`)"
                );
                Reply::failed(Kind::TooLong, message)
            }
            // Silent, gone, or no client.
            Err(_) => return,
        };
        let _ = connection.send_bytes_timeout(&self.packed(&reply), PROMPT);
    }

    fn reply(&self, request: &[u8], client: BorrowedFd<'_>) -> Reply {
        let request = match serde_json::from_slice::<Request<'_>>(request) {
            Ok(request) if request.call == VERSION => request,
            Ok(Request { call, .. }) => {
                let message =
                    format!("version {VERSION} is spoken here, and version {call} was asked for");
                return Reply::failed(Kind::NotSpoken, message);
            }
            Err(error) => {
                return Reply::failed(Kind::NotSpoken, format!("that is no request: {error}"));
            }
        };
        let Some(task) = &request.task else {
            return Reply::Tasks(self.terms.tasks.iter().map(|task| task.shown.clone()).collect());
        };
        let entry = match self.find(task) {
            Ok(entry) => entry,
            Err(reply) => return reply,
        };
        let args = request.args.map_or("[]", RawValue::get);
        let args: Vec<&RawValue> = match serde_json::from_str(args) {
            Ok(args) => args,
            Err(error) => {
                return Reply::failed(
                    Kind::Arguments,
                    format!("the arguments are no array: {error}"),
                );
            }
        };
        // What is no time is for ever.
        let asked = request.timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let limit = asked.into_iter().chain(self.terms.timeout).min();
        let ends = || self.flow(is_gone(client));
        let patience = limit.map_or(Patience::ENDLESS, Patience::from).interruptible(&ends);
        (entry.run)(&self.pool, &args, patience)
    }

    /// Finds a task by its name, or by the last part of that.
    fn find(&self, asked: &str) -> Result<&Entry, Reply> {
        let tasks = &self.terms.tasks;
        if let Some(entry) = tasks.iter().find(|entry| entry.shown.name == asked) {
            return Ok(entry);
        }
        let found: Vec<_> = tasks.iter().filter(|entry| entry.is(asked)).collect();
        let names = |entries: &[&Entry]| {
            entries.iter().map(|entry| &*entry.shown.name).collect::<Vec<_>>().join(", ")
        };
        let message = match found[..] {
            [entry] => return Ok(entry),
            [] => {
                let all: Vec<_> = tasks.iter().collect();
                format!("{:?} has no task {asked:?}, but: {}", self.terms.name, names(&all))
            }
            _ => format!("{asked:?} is the name of several tasks: call one of {}", names(&found)),
        };
        Err(Reply::failed(Kind::UnknownTask, message))
    }

    /// A reply as bytes, if it is not longer than may be; an error is cut.
    fn packed(&self, reply: &Reply) -> Vec<u8> {
        // Texts and numbers, which can be said in JSON.
        let bytes = serde_json::to_vec(reply).unwrap_or_default();
        let (length, most) = (bytes.len(), self.terms.most);
        let told = match reply {
            _ if length <= most => return bytes,
            // As many as the program has.
            Reply::Tasks(_) => return bytes,
            Reply::Returned(_) => {
                let message = format!(
                    "the answer has {length} bytes, where {most} are the most: ask for less at a time, or raise it (`max_len`)"
                );
                Reply::failed(Kind::TooLong, message)
            }
            Reply::Failed { kind, message } => {
                let note = format!(
                    "… (cut: the error has {} bytes, and an answer {most} at most, `max_len`)",
                    message.len()
                );
                // Each of its bytes is at least one of the answer's.
                let mut end = message.len().saturating_sub(length - most + note.len());
                while !message.is_char_boundary(end) {
                    end -= 1;
                }
                Reply::failed(*kind, format!("{}{note}", &message[..end]))
            }
        };
        serde_json::to_vec(&told).unwrap_or_default()
    }

    /// Says stop to who waits for a client that has gone, or when the server is dropped.
    fn flow(&self, is_gone: bool) -> ControlFlow<()> {
        match is_gone || self.closing.get().is_some() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Returns whether nobody has the other end of a socket any more.
fn is_gone(client: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::new(client, PollFlags::empty())];
    matches!(poll(&mut asked, PollTimeout::ZERO), Ok(1..))
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
