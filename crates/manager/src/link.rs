//! The way from this process to a manager: where it is, who we are to it, connections that nobody uses now.

use std::collections::HashMap;
use std::fmt;
use std::io::ErrorKind;
use std::mem::take;
use std::os::fd::AsFd;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{KeepAlive, TcpKeepCount, TcpKeepIdle, TcpKeepInterval};
use serde::Serialize;
use shmkit_connection::{Address, Client, Connection, ConnectionError, HandshakeError, Key};
use shmkit_parcel::Parcel;
use shmkit_sync::Patience;

use crate::caller::has_ended;
use crate::error::Ran;
use crate::here::Here;
use crate::protocol::{Answer, Ask, Hello, MAGIC, MOST_HELLO, Token, VERSION, Welcome};
use crate::{CallError, served};

/// How many connections are kept for the next call.
const KEPT: usize = 16;

/// How long a reference that came is counted for, when the manager does not answer.
const SHORT: Duration = Duration::from_secs(5);

/// The way to one manager.
pub(crate) struct Link {
    pub(crate) address: Address,
    key: Option<Key>,
    /// The random number of the manager.
    pub(crate) manager: u64,
    /// Set in the manager's own process.
    here: Option<Weak<dyn Here>>,
    state: Mutex<State>,
}

struct State {
    pid: u32,
    /// Who this process is to the manager.
    token: Token,
    idle: Vec<Line>,
    /// References that are gone, of which the manager has not been told.
    gone: Vec<u64>,
}

/// A connection, and the longest frame that the manager takes.
struct Line {
    connection: Connection,
    most: usize,
}

/// The ways of this process, by the managers' random numbers.
fn links() -> MutexGuard<'static, HashMap<u64, Weak<Link>>> {
    static LINKS: OnceLock<Mutex<HashMap<u64, Weak<Link>>>> = OnceLock::new();
    let mut links =
        LINKS.get_or_init(Default::default).lock().unwrap_or_else(PoisonError::into_inner);
    links.retain(|_, link| link.strong_count() > 0);
    links
}

/// Has the kernel ask whether the machine at the other end is still there: a thing of TCP, and refused elsewhere.
pub(crate) fn keep_alive(connection: &Connection) {
    let socket = connection.as_fd();
    if setsockopt(&socket, TcpKeepIdle, &10).is_ok() {
        let _ = setsockopt(&socket, TcpKeepInterval, &5);
        let _ = setsockopt(&socket, TcpKeepCount, &4);
        let _ = setsockopt(&socket, KeepAlive, &true);
    }
}

/// Draws a number that nobody else has.
fn draw() -> Result<Token, CallError> {
    let mut token = Token::default();
    let drawn = getrandom::fill(&mut token);
    drawn.map_err(|error| CallError::Connection(ConnectionError::System(error.into())))?;
    Ok(token)
}

impl Link {
    /// Connects to whichever manager is there.
    pub(crate) fn connect(
        address: Address,
        key: Option<Key>,
        patience: Patience<'_>,
    ) -> Result<Arc<Self>, CallError> {
        let token = draw()?;
        let (line, manager) = dial(&address, key.as_ref(), token, None, patience)?;
        let mut links = links();
        if let Some(there) = links.get(&manager).and_then(Weak::upgrade) {
            // What was dialled belongs to nobody, and has nothing.
            return Ok(there);
        }
        let (pid, gone) = (process::id(), Vec::new());
        let state = Mutex::new(State { pid, token, idle: vec![line], gone });
        let link = Arc::new(Self { address, key, manager, here: None, state });
        links.insert(manager, Arc::downgrade(&link));
        Ok(link)
    }

    /// The way to a manager that something has come from, which is dialled when it is used.
    pub(crate) fn of(
        address: Address,
        key: Option<Key>,
        manager: u64,
    ) -> Result<Arc<Self>, CallError> {
        let token = draw()?;
        let mut links = links();
        if let Some(there) = links.get(&manager).and_then(Weak::upgrade) {
            return Ok(there);
        }
        let state = State { pid: process::id(), token, idle: Vec::new(), gone: Vec::new() };
        let link = Arc::new(Self { address, key, manager, here: None, state: Mutex::new(state) });
        links.insert(manager, Arc::downgrade(&link));
        Ok(link)
    }

    /// The way to a manager in its own process.
    pub(crate) fn here(
        address: Address,
        key: Option<Key>,
        manager: u64,
        here: Weak<dyn Here>,
    ) -> Arc<Self> {
        // It is never dialled.
        let state = State {
            pid: process::id(),
            token: Token::default(),
            idle: Vec::new(),
            gone: Vec::new(),
        };
        let (here, state) = (Some(here), Mutex::new(state));
        let link = Arc::new(Self { address, key, manager, here, state });
        links().insert(manager, Arc::downgrade(&link));
        link
    }

    /// The manager, if this is its own process.
    pub(crate) fn manager_here(&self) -> Option<Arc<dyn Here>> {
        self.here.as_ref().and_then(Weak::upgrade)
    }

    pub(crate) fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// What of this process the manager knows. A forked child is another process to it, and has no connection yet.
    fn state(&self) -> Result<MutexGuard<'_, State>, CallError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.pid != process::id() {
            let token = draw()?;
            *state = State { pid: process::id(), token, idle: Vec::new(), gone: Vec::new() };
        }
        Ok(state)
    }

    /// What an error says of a manager that has ended.
    pub(crate) fn gone(&self) -> CallError {
        CallError::Gone { what: format!("the manager at {}", self.address) }
    }

    /// Asks the manager something, and returns the whole answer.
    pub(crate) fn ask(&self, frame: &[u8], patience: Patience<'_>) -> Result<Parcel, CallError> {
        let mut fresh = false;
        loop {
            let mut line = match self.idle()? {
                Some(line) if !fresh => line,
                // The others are as old.
                _ => self.dial(patience)?,
            };
            if frame.len() > line.most {
                let (length, most) = (frame.len(), line.most);
                self.keep(line);
                return Err(CallError::TooLong { length, most });
            }
            match line.connection.send_bytes_deadline(frame, patience) {
                Ok(()) => {}
                // The manager has not got the whole of it, and will not run it. It may be there, and have lost the connection.
                Err(ConnectionError::Closed | ConnectionError::Reset) if !fresh => {
                    self.state()?.idle.clear();
                    fresh = true;
                    continue;
                }
                Err(ConnectionError::Closed | ConnectionError::Reset) => return Err(self.gone()),
                Err(error) => return Err(given_up(error)),
            }
            let answer = line.connection.recv_bytes_deadline(patience);
            let answer = answer.map_err(|error| match error {
                ConnectionError::Closed => CallError::Disconnected { ran: Ran::Maybe },
                // Of a Unix socket the kernel says so when the other end has not read it all.
                ConnectionError::Reset if !matches!(self.address, Address::Tcp(_)) => {
                    CallError::Disconnected { ran: Ran::No }
                }
                ConnectionError::Reset => CallError::Disconnected { ran: Ran::Maybe },
                ConnectionError::CutShort { .. } => CallError::Disconnected { ran: Ran::Yes },
                error => given_up(error),
            })?;
            self.keep(line);
            return Ok(Parcel::from_parts(answer, Vec::new()));
        }
    }

    /// Asks something that is answered by a word.
    pub(crate) fn ask_for(&self, ask: &Ask, patience: Patience<'_>) -> Result<Answer, CallError> {
        let mut answer = self.ask(frame(ask).bytes(), patience)?;
        take_answer(&mut answer, "the manager")
    }

    /// Returns a connection that nobody uses, after what is to be said first.
    fn idle(&self) -> Result<Option<Line>, CallError> {
        loop {
            let mut state = self.state()?;
            let Some(mut line) = state.idle.pop() else { return Ok(None) };
            let gone = take(&mut state.gone);
            drop(state);
            // TCP takes what is sent to one who has gone, and tells only then: nobody would know whether the call was run.
            if matches!(self.address, Address::Tcp(_)) && has_ended(line.connection.as_fd()) {
                continue;
            }
            if gone.is_empty() {
                return Ok(Some(line));
            }
            let frame = frame(&Ask::Drop(gone));
            if line.connection.send_bytes(frame.bytes()).is_ok() {
                return Ok(Some(line));
            }
            // With its connections the manager drops the references.
        }
    }

    fn keep(&self, line: Line) {
        if let Ok(mut state) = self.state()
            && state.idle.len() < KEPT
        {
            state.idle.push(line);
        }
    }

    fn dial(&self, patience: Patience<'_>) -> Result<Line, CallError> {
        let token = self.state()?.token;
        let sought = Some(self.manager);
        let dialled = dial(&self.address, self.key.as_ref(), token, sought, patience);
        Ok(dialled?.0)
    }

    /// Has an object counted that has come from somewhere else.
    pub(crate) fn hold(&self, object: u64) -> Result<(), CallError> {
        match self.ask_for(&Ask::Hold(object), SHORT.into())? {
            Answer::Object(_) => Ok(()),
            _ => Err(self.gone()),
        }
    }

    /// Has an object kept for whoever a reference to it is sent to. Where that fails the receiver will find out.
    pub(crate) fn pass(&self, object: u64) {
        let _ = self.ask_for(&Ask::Pass(object), SHORT.into());
    }

    /// Says that a reference of process `pid` is gone: now, if that takes no wait, or before the next call.
    pub(crate) fn release(&self, object: u64, pid: u32) {
        if pid != process::id() {
            // It was the parent's, who has it still.
            return;
        }
        let Ok(mut state) = self.state() else { return };
        state.gone.push(object);
        let Some(mut line) = state.idle.pop() else { return };
        let gone = take(&mut state.gone);
        drop(state);
        let ask = Ask::Drop(gone);
        match (line.connection.try_send_bytes(frame(&ask).bytes()), ask) {
            // Its rest goes ahead of the next frame.
            (Ok(()) | Err(ConnectionError::Unfinished { .. }), _) => self.keep(line),
            (Err(ConnectionError::WouldBlock), Ask::Drop(gone)) => {
                if let Ok(mut state) = self.state() {
                    state.gone.extend(gone);
                    state.idle.push(line);
                }
            }
            // With its connections the manager drops the references.
            _ => {}
        }
    }

    /// Says something that is not answered, if that takes no wait.
    pub(crate) fn tell(&self, ask: &Ask) {
        if let Ok(Some(mut line)) = self.idle()
            && matches!(
                line.connection.try_send_bytes(frame(ask).bytes()),
                Ok(()) | Err(ConnectionError::Unfinished { .. })
            )
        {
            self.keep(line);
        }
    }
}

/// Packs a question.
pub(crate) fn frame<T: Serialize>(ask: &T) -> Parcel {
    let mut parcel = served::roomy();
    // Numbers and texts, which can be packed.
    let _ = parcel.add(ask);
    parcel
}

/// Takes the word that an answer begins with.
pub(crate) fn take_answer(answer: &mut Parcel, method: &str) -> Result<Answer, CallError> {
    answer
        .take()
        .map_err(|error| CallError::Decode { method: method.into(), why: error.to_string() })
}

fn given_up(error: ConnectionError) -> CallError {
    match error {
        ConnectionError::TimedOut => CallError::TimedOut,
        ConnectionError::Interrupted => CallError::Interrupted,
        error => CallError::Connection(error),
    }
}

/// Connects, and says who this process is.
fn dial(
    address: &Address,
    key: Option<&Key>,
    session: Token,
    manager: Option<u64>,
    patience: Patience<'_>,
) -> Result<(Line, u64), CallError> {
    match dial_once(address, key, session, manager, patience) {
        // It went while it was dialled: the second time nobody listens there any more.
        Err(CallError::Disconnected { .. }) => dial_once(address, key, session, manager, patience),
        dialled => dialled,
    }
}

fn dial_once(
    address: &Address,
    key: Option<&Key>,
    session: Token,
    manager: Option<u64>,
    patience: Patience<'_>,
) -> Result<(Line, u64), CallError> {
    let gone = || CallError::Gone { what: format!("the manager at {address}") };
    let ended = |error: ConnectionError| match error {
        ConnectionError::Closed | ConnectionError::Reset | ConnectionError::CutShort { .. } => {
            CallError::Disconnected { ran: Ran::No }
        }
        ConnectionError::System(error)
            if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) =>
        {
            gone()
        }
        error => given_up(error),
    };
    let connected = Client::new().key(key.cloned()).connect_deadline(address, patience);
    let mut connection = connected.map_err(|error| match error {
        HandshakeError::Connection(error) => ended(error),
        error => CallError::Refused(error),
    })?;
    keep_alive(&connection);
    let hello = frame(&Hello { magic: MAGIC, version: VERSION, session, manager });
    // One that says at once that it is busy does not read it.
    match connection.send_bytes_deadline(hello.bytes(), patience) {
        Ok(()) | Err(ConnectionError::Closed | ConnectionError::Reset) => {}
        Err(error) => return Err(ended(error)),
    }
    connection.set_max_len(MOST_HELLO);
    let answer = connection.recv_bytes_deadline(patience).map_err(|error| match error {
        ConnectionError::TooLong { .. } | ConnectionError::Malformed { .. } => {
            CallError::NotAManager(error.to_string())
        }
        error => ended(error),
    })?;
    match welcomed(answer)? {
        Some((manager, most)) => {
            connection.set_max_len(most);
            connection.read_ahead();
            Ok((Line { connection, most }, manager))
        }
        None => Err(gone()),
    }
}

/// What a manager's first answer says: its number, and the longest frame that it takes; `None` if it is another one.
pub(crate) fn welcomed(answer: Vec<u8>) -> Result<Option<(u64, usize)>, CallError> {
    let strange = |why: String| Err(CallError::NotAManager(why));
    match Parcel::from_parts(answer, Vec::new()).take::<Welcome>() {
        Ok(Welcome::In { manager, most }) => {
            Ok(Some((manager, usize::try_from(most).unwrap_or(usize::MAX))))
        }
        Ok(Welcome::Busy { most }) => Err(CallError::Busy { most }),
        Ok(Welcome::Another) => Ok(None),
        Ok(Welcome::OtherVersion(found)) => {
            strange(format!("it speaks version {found}, and this is {VERSION}"))
        }
        Ok(Welcome::NotSpoken) => strange("it does not understand this one".into()),
        Err(error) => strange(error.to_string()),
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why an answer that is none of the method's is an error.
pub(crate) fn error_of(answer: Answer, method: &served::Known, link: &Link) -> CallError {
    let method = method.text();
    match answer {
        Answer::NoSuchMethod(found) => CallError::NoSuchMethod { method, found },
        Answer::Gone(number) => {
            CallError::Gone { what: format!("object {number} of the manager at {}", link.address) }
        }
        Answer::Panicked(panic) => CallError::Panicked { method, panic },
        Answer::Undecodable(why) | Answer::Unencodable(why) => CallError::Decode { method, why },
        Answer::Recursive => CallError::Recursive { method },
        other => CallError::Decode { method, why: format!("the manager answers {other:?}") },
    }
}
