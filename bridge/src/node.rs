//! This process among others: what it serves, and whom it is linked with.
//!
//! ```text
//! shmkit/1/node/NODE                              token: this node lives, and takes messages
//! shmkit/1/serves/KIND/NAME/NODE/HOST/FACTS       token: it serves this
//! shmkit/1/to/NODE/FROM                           messages
//! ```
//!
//! A node takes messages before its token is there: who sees the token can send.

mod links;
mod offers;
mod served;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use zenoh::sample::{Sample, SampleKind};
use zenoh::{Session, Wait};

pub(crate) use self::offers::{Offer, Watch};
pub(crate) use self::served::Serve;
pub use self::served::Served;
use crate::BridgeError;
use crate::config::Config;
use crate::frame::{Frame, Kind};
use crate::link::Link;

/// What all keys begin with: the number is that of the protocol.
const ROOT: &str = "shmkit/1";
/// How often it is asked whether what was sent has come. Nobody is judged by it.
const PING: Duration = Duration::from_secs(1);

/// This process, as others reach it, and as it reaches others.
///
/// It lives until it is dropped: then all that is served by it is served no more, and all who wait are told. Clones are the same one.
///
/// # If a peer dies
///
/// Its connection ends, and with it the token by which it is known to live: whoever waits for it is told, some milliseconds later. No
/// clock of this crate takes part. A machine that vanishes without closing its connections, or a process that is *stopped*, is taken for gone
/// by zenoh's lease (`transport/link/tx/lease`, 10 s as usual).
#[derive(Clone)]
pub struct Node(Arc<Owner>);

/// Ends the node with its last handle, in the thread that drops that: zenoh's own threads hold [`Inner`] only.
struct Owner(Arc<Inner>);

pub(crate) struct Inner {
    session: Session,
    pub(crate) id: String,
    pub(crate) host: String,
    state: Mutex<State>,
    changed: Condvar,
    served: Mutex<HashMap<(Kind, String), Arc<dyn Serve>>>,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    /// Nodes whose token is there.
    alive: HashSet<String>,
    /// Links, by the node at the other end: those that it has opened, and the one that this node has.
    theirs: HashMap<String, Arc<Link>>,
    ours: HashMap<String, Arc<Link>>,
}

impl Node {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// [`BridgeError::Zenoh`]: an address is taken, or none; the configuration is none. [`BridgeError::Name`], [`BridgeError::Os`].
    pub fn open(config: &Config) -> Result<Self, BridgeError> {
        let host = config.host_name()?;
        let session = zenoh::open(config.zenoh()?).wait().map_err(BridgeError::zenoh("open"))?;
        let inner = Arc::new(Inner {
            id: session.zid().to_string(),
            session,
            host,
            state: Mutex::default(),
            changed: Condvar::new(),
            served: Mutex::default(),
        });
        let node = Self(Arc::new(Owner(inner)));
        node.0.0.begin()?;
        Ok(node)
    }

    /// What this machine is called to others.
    pub fn host(&self) -> &str {
        &self.0.0.host
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0.0
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // Whole, whatever panicked: every change to it is one call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>) -> Result<(), BridgeError> {
        let weak = Arc::downgrade(self);
        let alive = move |sample: Sample| {
            if let Some(inner) = weak.upgrade() {
                inner.is_alive(&sample);
            }
        };
        let watch = self.session.liveliness().declare_subscriber(format!("{ROOT}/node/*"));
        watch
            .history(true)
            .callback(alive)
            .background()
            .wait()
            .map_err(BridgeError::zenoh("watch who lives"))?;
        let weak = Arc::downgrade(self);
        let come = move |sample: Sample| {
            if let Some(inner) = weak.upgrade() {
                inner.come(&sample);
            }
        };
        let messages = self.session.declare_subscriber(format!("{ROOT}/to/{}/*", self.id));
        let messages = messages.callback(come).background().wait();
        messages.map_err(BridgeError::zenoh("take messages"))?;
        let token =
            self.session.liveliness().declare_token(format!("{ROOT}/node/{}", self.id)).wait();
        // As long as the session.
        std::mem::forget(token.map_err(BridgeError::zenoh("announce this node"))?);
        let weak = Arc::downgrade(self);
        let ticker = std::thread::Builder::new().name("shmkit-ping".into());
        ticker.spawn(move || ping(&weak)).map_err(BridgeError::Os)?;
        Ok(())
    }

    fn is_alive(&self, sample: &Sample) {
        let Some(node) = sample.key_expr().as_str().rsplit('/').next() else { return };
        if sample.kind() == SampleKind::Put {
            self.state().alive.insert(node.to_owned());
            self.changed.notify_all();
            return;
        }
        let gone: Vec<_> = {
            let mut state = self.state();
            state.alive.remove(node);
            [state.theirs.remove(node), state.ours.remove(node)].into_iter().flatten().collect()
        };
        for link in gone {
            let why = format!("host {:?} has died, or the link to it was cut", link.host());
            link.fail(&why);
        }
        self.changed.notify_all();
    }

    /// Returns whether a node's token is there.
    pub(crate) fn is_there(&self, node: &str) -> bool {
        self.state().alive.contains(node)
    }

    fn close(&self) {
        let links: Vec<_> = {
            let mut state = self.state();
            state.is_closed = true;
            let State { theirs, ours, .. } = &mut *state;
            theirs.drain().chain(ours.drain()).map(|(_, link)| link).collect()
        };
        self.changed.notify_all();
        for link in links {
            link.fail("this node was closed");
        }
        // What is left of it goes with its connections.
        let _ = self.session.close().wait();
    }
}

/// Asks those who have not answered for a while whether all has come. It judges nobody.
fn ping(node: &Weak<Inner>) {
    let mut before: HashMap<u64, u64> = HashMap::new();
    while let Some(inner) = node.upgrade() {
        let state = inner.state();
        if state.is_closed {
            return;
        }
        let state = inner.changed.wait_timeout_while(state, PING, |state| !state.is_closed);
        let links: Vec<_> = {
            let (state, _) = state.unwrap_or_else(PoisonError::into_inner);
            state.ours.values().cloned().collect()
        };
        let now = links.iter().filter_map(|link| Some((link, link.waits()?)));
        let now: HashMap<u64, u64> = now
            .map(|(link, received)| {
                if before.get(&link.id) == Some(&received) {
                    link.post(&Frame::Ping);
                }
                (link.id, received)
            })
            .collect();
        before = now;
    }
}

/// A number that nobody else has.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u128(
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos()),
    );
    hasher.finish()
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner().state();
        f.debug_struct("Node")
            .field("host", &self.inner().host)
            .field("id", &self.inner().id)
            .field("alive", &state.alive.len())
            .field("ours", &state.ours.len())
            .field("theirs", &state.theirs.len())
            .finish()
    }
}
