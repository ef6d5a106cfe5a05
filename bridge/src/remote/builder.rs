//! Connecting to the pools of one name.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::calls::Calls;
use super::pool::RemotePool;
use crate::frame::Kind;
use crate::{BridgeError, Node};

/// How many jobs a host has at a time, for each of its workers: that they are never without one while another is on its way.
const AHEAD: usize = 64;

/// How a remote pool is to be used.
#[derive(Clone, Debug)]
#[must_use = "it connects to nobody before `connect`"]
pub struct RemoteBuilder {
    node: Node,
    name: String,
    wait: Duration,
    attempts: u32,
}

impl RemoteBuilder {
    pub(super) fn new(node: &Node, name: &str) -> Self {
        let (node, name) = (node.clone(), name.to_owned());
        Self { node, name, wait: Duration::from_secs(10), attempts: 3 }
    }

    /// How long it is waited for the first host; by default 10 s.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// How many hosts are given a task that says that it is idempotent, each after the death of the one before; by default 3.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Connects to those that serve it, and to those that come later.
    ///
    /// # Errors
    ///
    /// [`BridgeError::Nobody`]: none has come in time; [`BridgeError::Name`], [`BridgeError::Zenoh`], [`BridgeError::Os`].
    pub fn connect(self) -> Result<RemotePool, BridgeError> {
        let Self { node, name, wait, attempts } = self;
        let until = Instant::now() + wait;
        let calls = Calls::new(node.clone(), name.clone(), attempts);
        let own = calls.clone();
        let retry = std::thread::Builder::new().name("shmkit-again".into());
        retry.spawn(move || own.retry()).map_err(BridgeError::Os)?;
        let weak = Arc::downgrade(&calls);
        let watch = node.inner().watch(Kind::Pool, &name, move |offer, is_there| {
            let Some(calls) = weak.upgrade() else { return };
            if !is_there {
                return calls.leave(&offer.node);
            }
            // To enter waits, which nobody does in zenoh's threads. Without one, that host is not used.
            let _ = std::thread::Builder::new().name("shmkit-enter".into()).spawn(move || {
                let (workers, room) = offer.facts.split_once('x').unwrap_or_default();
                let (Ok(workers), Ok(room)) = (workers.parse::<usize>(), room.parse()) else {
                    return;
                };
                let until = Instant::now() + wait;
                let inner = calls.node.inner().clone();
                let entered = inner.enter(&offer, Kind::Pool, &calls.name, None, until);
                if let Ok((link, session, _)) = entered {
                    let workers = workers.max(1);
                    let room = (AHEAD * workers).min(room);
                    calls.add(&offer.host, link, session, workers, room);
                }
            });
        });
        let pool = RemotePool { calls: calls.clone(), _watch: watch? };
        let mut state = calls.state();
        while state.hosts.is_empty() {
            let (next, is_time) = calls.wait(state, Some(until));
            state = next;
            if !is_time && state.hosts.is_empty() {
                drop(state);
                return Err(BridgeError::Nobody { what: format!("pool {name:?}") });
            }
        }
        drop(state);
        Ok(pool)
    }
}

impl RemotePool {
    /// Connects to those that serve a pool of this name, as usual.
    ///
    /// # Errors
    ///
    /// Those of [`RemoteBuilder::connect`].
    pub fn connect(node: &Node, name: &str) -> Result<Self, BridgeError> {
        Self::builder(node, name).connect()
    }

    /// Begins to connect.
    pub fn builder(node: &Node, name: &str) -> RemoteBuilder {
        RemoteBuilder::new(node, name)
    }
}
