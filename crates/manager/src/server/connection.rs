//! One connection of a manager, and the thread that serves it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use shmkit_connection::{Connection, ConnectionError};
use shmkit_parcel::Parcel;
use shmkit_process::__manager::catch;

use super::{Session, Shared, lock};
use crate::caller;
use crate::context::{Context, within};
use crate::objects::Held;
use crate::protocol::{Answer, Ask, Hello, MAGIC, MOST_HELLO, VERSION, Welcome};
use crate::served::{Args, Returned};

/// How long may pass until who has connected says who it is.
const HELLO: Duration = Duration::from_secs(5);

/// Says a value, and nothing else.
pub(super) fn say<T: Serialize>(
    connection: &mut Connection,
    value: &T,
) -> Result<(), ConnectionError> {
    let mut parcel = Parcel::new();
    // Numbers and texts, which can be packed.
    let _ = parcel.add(value);
    connection.send_bytes_timeout(parcel.bytes(), HELLO)
}

/// Serves a connection to its end.
pub(super) fn serve(
    shared: &Arc<Shared>,
    number: u64,
    mut connection: Connection,
    socket: Arc<OwnedFd>,
) {
    caller::set(socket);
    if let Some(session) = greet(shared, &mut connection) {
        while let Ok(bytes) = connection.recv_bytes() {
            let Some(answer) = shared.answer(&session, bytes) else { continue };
            // No lock is held: who does not read keeps nobody else waiting.
            if connection.send_bytes(answer.bytes()).is_err() {
                break;
            }
        }
        // What the process had goes before its number is free for another one.
        drop(session);
    }
    lock(&shared.sockets).remove(&number);
}

/// Hears who it is; `None` if it is not let in.
fn greet(shared: &Arc<Shared>, connection: &mut Connection) -> Option<Arc<Session>> {
    connection.set_max_len(MOST_HELLO);
    let bytes = connection.recv_bytes_timeout(HELLO).ok()?;
    let (welcome, session) = shared.welcome(bytes);
    say(connection, &welcome).ok()?;
    connection.set_max_len(shared.terms.most);
    connection.read_ahead();
    session
}

fn only(answer: &Answer) -> Parcel {
    let mut parcel = Parcel::new();
    // Numbers and texts, which can be packed.
    let _ = parcel.add(answer);
    parcel
}

impl Shared {
    /// Answers the first frame of a connection, and says whose it is, if it is let in.
    pub(crate) fn welcome(self: &Arc<Self>, bytes: Vec<u8>) -> (Welcome, Option<Arc<Session>>) {
        let refused = match Parcel::from_parts(bytes, Vec::new()).take::<Hello>() {
            Ok(hello) if hello.magic != MAGIC => Welcome::NotSpoken,
            Err(_) => Welcome::NotSpoken,
            Ok(hello) if hello.version != VERSION => Welcome::OtherVersion(VERSION),
            Ok(hello) if hello.manager.is_some_and(|sought| sought != self.manager) => {
                Welcome::Another
            }
            Ok(hello) => {
                let (manager, most) = (self.manager, self.terms.most as u64);
                return (Welcome::In { manager, most }, Some(self.session(hello.session)));
            }
        };
        (refused, None)
    }

    /// Answers a frame; `None` if it is none that is answered.
    pub(crate) fn answer(
        self: &Arc<Self>,
        session: &Arc<Session>,
        bytes: Vec<u8>,
    ) -> Option<Parcel> {
        let mut parcel = Parcel::from_parts(bytes, Vec::new());
        let ask = match parcel.take::<Ask>() {
            Ok(ask) => ask,
            Err(error) => return Some(only(&Answer::Undecodable(error.to_string()))),
        };
        let found = |number| self.objects.find(number).ok_or(Answer::Gone(number));
        let yes = |is_so| if is_so { Answer::Done } else { Answer::Not };
        let held = |held: Held| {
            let answer = Answer::Object(held.object().number);
            session.hold(held);
            answer
        };
        let answer = match ask {
            Ask::Call { object, method } => {
                let called = found(object).and_then(|held| self.call(&held, method, Args(parcel)));
                match called {
                    Ok((Returned(answer), objects)) => {
                        return Some(self.fits(answer, session, objects));
                    }
                    Err(answer) => answer,
                }
            }
            Ask::Make { kind, method } => match self.make(kind, method, Args(parcel)) {
                Ok(Ok(object)) => held(object),
                Ok(Err((Returned(answer), objects))) => {
                    return Some(self.fits(answer, session, objects));
                }
                Err(answer) => answer,
            },
            Ask::Hold(object) => match found(object) {
                Ok(there) => {
                    let answer = held(there);
                    drop(self.passes.take(object));
                    answer
                }
                Err(answer) => answer,
            },
            Ask::Drop(objects) => {
                objects.into_iter().for_each(|object| session.release(object));
                return None;
            }
            Ask::Pass(object) => match found(object) {
                Ok(held) => {
                    self.passes.add(held, Arc::downgrade(session));
                    Answer::Done
                }
                Err(answer) => answer,
            },
            Ask::Publish { name, object } => match found(object) {
                Ok(held) => yes(self.publish(name, held)),
                Err(answer) => answer,
            },
            Ask::Find(name) => self.find(&name).map_or(Answer::Not, held),
            Ask::Withdraw(name) => yes(self.withdraw(&name)),
            Ask::Names => Answer::Names(self.names()),
            Ask::Count => Answer::Number(self.objects.count() as u64),
            Ask::Lease { name, ttl, wait } => {
                let wait = caller::wait_of(wait);
                let taken = self.leases.take(&name, session.token, ttl, wait);
                taken.map_or(Answer::Not, Answer::Number)
            }
            Ask::Extend { name, token, ttl } => {
                yes(self.leases.extend(&name, token, session.token, ttl))
            }
            Ask::EndLease { name, token } => {
                self.leases.end(&name, token, session.token);
                return None;
            }
        };
        Some(only(&answer))
    }

    /// Has the references in an answer counted, if it is not longer than who waits for it takes.
    fn fits(&self, answer: Parcel, session: &Session, objects: Vec<Held>) -> Parcel {
        let (length, most) = (answer.bytes().len(), self.terms.most);
        if length > most {
            return only(&Answer::Unencodable(format!(
                "an answer of {length} bytes is longer than the manager sends, {most}: ask for less at a time, or raise it (`max_len`)"
            )));
        }
        objects.into_iter().for_each(|object| session.hold(object));
        answer
    }

    /// Calls a method, and returns the whole answer, with the objects in it.
    pub(crate) fn call(
        self: &Arc<Self>,
        held: &Held,
        method: u64,
        args: Args,
    ) -> Result<(Returned, Vec<Held>), Answer> {
        self.run(args, |args| held.object().of.call(method, args))
    }

    /// Makes an object; if it was not, returns its maker's error.
    pub(crate) fn make(
        self: &Arc<Self>,
        kind: u64,
        method: u64,
        args: Args,
    ) -> Result<Result<Held, (Returned, Vec<Held>)>, Answer> {
        let Some(kind) = Self::kind(kind) else {
            return Err(Answer::NoSuchMethod("no such type in the manager's program".into()));
        };
        let (made, objects) = self.run(args, |args| (kind.make)(method, args))?;
        match made {
            Ok(object) => Ok(Ok(self.objects.add(object))),
            Err(why) => Ok(Err((why, objects))),
        }
    }

    /// Runs a program's own code, whose panic is an answer.
    fn run<T>(
        self: &Arc<Self>,
        mut args: Args,
        run: impl FnOnce(&mut Args) -> Result<T, Answer>,
    ) -> Result<(T, Vec<Held>), Answer> {
        let context = Context::Serving { link: Arc::clone(self.link()), objects: Vec::new() };
        let (result, context) = within(context, || catch(|| run(&mut args)));
        let objects = match context {
            Some(Context::Serving { objects, .. }) => objects,
            _ => Vec::new(),
        };
        match result {
            Ok(result) => result.map(|value| (value, objects)),
            Err(panic) => Err(Answer::Panicked(panic)),
        }
    }
}
