//! The manager's side.

mod connection;
mod lease;
mod listen;
mod passes;
mod session;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use nix::sys::socket::{Shutdown, shutdown};
use shmkit_connection::Address;
use shmkit_process::__manager::apart;

pub use self::listen::Server;
pub(crate) use self::session::Session;

use self::lease::Leases;
use self::passes::Passes;
use crate::here::Here;
use crate::link::Link;
use crate::objects::{Held, Objects};
use crate::protocol::{Answer, Token};
use crate::served::{Args, Returned, Type};
use crate::terms::Terms;

/// How many names may be published.
const NAMES: usize = 1 << 16;

/// What all threads of a manager have in common.
pub(crate) struct Shared {
    /// Its random number: another one at the same address has another.
    pub(crate) manager: u64,
    address: Address,
    terms: Terms,
    pub(crate) objects: Arc<Objects>,
    pub(crate) passes: Passes,
    pub(crate) leases: Leases,
    names: Mutex<BTreeMap<String, Held>>,
    sessions: Mutex<HashMap<Token, Weak<Session>>>,
    /// The sockets of those who are connected.
    sockets: Mutex<HashMap<u64, Arc<OwnedFd>>>,
    link: OnceLock<Arc<Link>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(terms: Terms, address: Address) -> io::Result<Arc<Self>> {
        let mut manager = [0; 8];
        getrandom::fill(&mut manager).map_err(io::Error::from)?;
        Ok(Arc::new(Self {
            manager: u64::from_ne_bytes(manager),
            address,
            terms,
            objects: Arc::default(),
            passes: Passes::default(),
            leases: Leases::default(),
            names: Mutex::default(),
            sessions: Mutex::default(),
            sockets: Mutex::default(),
            link: OnceLock::new(),
        }))
    }

    /// The types that this program has, by their fingerprints.
    fn kind(print: u64) -> Option<&'static Type> {
        static ALL: OnceLock<HashMap<u64, &'static Type>> = OnceLock::new();
        let all = ALL.get_or_init(|| {
            apart::<Type>().into_iter().map(|(entry, found)| (entry.print(), found)).collect()
        });
        all.get(&print).copied()
    }

    /// The way to this manager, in its own process.
    pub(crate) fn link(self: &Arc<Self>) -> &Arc<Link> {
        self.link.get_or_init(|| {
            let here: Weak<dyn Here> = Arc::<Self>::downgrade(self);
            Link::here(self.address.clone(), self.terms.key.clone(), self.manager, here)
        })
    }

    /// The process of this token, which may have other connections.
    fn session(self: &Arc<Self>, token: Token) -> Arc<Session> {
        let mut sessions = lock(&self.sessions);
        if let Some(there) = sessions.get(&token).and_then(Weak::upgrade) {
            return there;
        }
        let session = Arc::new(Session::new(token, Arc::downgrade(self)));
        sessions.insert(token, Arc::downgrade(&session));
        session
    }

    /// Forgets a process whose last connection has ended, unless it has another one by now.
    pub(crate) fn forget(&self, token: Token) {
        let mut sessions = lock(&self.sessions);
        if sessions.get(&token).is_some_and(|session| session.strong_count() == 0) {
            sessions.remove(&token);
        }
    }

    fn publish(&self, name: String, held: Held) -> bool {
        let mut names = lock(&self.names);
        if names.len() >= NAMES && !names.contains_key(&name) {
            return false;
        }
        let before = names.insert(name, held);
        drop(names);
        drop(before);
        true
    }

    fn find(&self, name: &str) -> Option<Held> {
        lock(&self.names).get(name).cloned()
    }

    fn withdraw(&self, name: &str) -> bool {
        let before = lock(&self.names).remove(name);
        before.is_some()
    }

    fn names(&self) -> Vec<String> {
        lock(&self.names).keys().cloned().collect()
    }

    /// Ends all connections.
    fn hang_up(&self) {
        for socket in lock(&self.sockets).values() {
            let _ = shutdown(socket.as_raw_fd(), Shutdown::Both);
        }
    }
}

impl Here for Shared {
    fn objects(&self) -> &Objects {
        &self.objects
    }

    fn call(
        self: Arc<Self>,
        held: &Held,
        method: u64,
        args: Args,
    ) -> Result<(Returned, Vec<Held>), Answer> {
        Self::call(&self, held, method, args)
    }

    fn keep_passed(&self, held: Held) {
        self.passes.add(held, Weak::new());
    }

    fn has_come(&self, object: u64) {
        drop(self.passes.take(object));
    }
}
