//! How one call is answered.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::value::RawValue;
use shmkit_connection::{Connection, ConnectionError};
use shmkit_pool::Pool;
use shmkit_sync::Patience;

use crate::callable::Entry;
use crate::protocol::{Reply, Request, VERSION};
use crate::{Builder, CallErrorKind as Kind};

/// How long a client may take to send its request, and to read its answer.
const PROMPT: Duration = Duration::from_secs(5);

/// What all threads of a server have in common.
pub(crate) struct Shared {
    pub(crate) terms: Builder,
    pub(crate) pool: Arc<Pool>,
    /// It is set when the server is dropped.
    pub(crate) closing: OnceLock<()>,
}

impl Shared {
    /// Answers one call.
    pub(crate) fn answer(&self, mut connection: Connection) {
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
    pub(crate) fn packed(&self, reply: &Reply) -> Vec<u8> {
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
