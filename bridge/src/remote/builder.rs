//! Connecting to the pools of one name.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::calls::Calls;
use super::pool::RemotePool;
use crate::frame::Kind;
use crate::{BridgeError, Node};

/// How a remote pool is to be used.
#[derive(Clone, Debug)]
#[must_use = "it connects to nobody before `connect`"]
pub struct RemoteBuilder {
    node: Node,
    name: String,
    wait: Duration,
    attempts: u32,
    limit: Option<Duration>,
}

impl RemoteBuilder {
    pub(super) fn new(node: &Node, name: &str) -> Self {
        let (node, name) = (node.clone(), name.to_owned());
        Self { node, name, wait: Duration::from_secs(10), attempts: 3, limit: None }
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

    /// How long each call may run. A worker that takes longer is killed there, and the call is answered with
    /// [`Overran`](shmkit::TaskError::Overran). The time counts from when a worker begins with it; a host whose pool was made for less
    /// lets it run for less.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Connects to those that serve it, and to those that come later.
    ///
    /// # Errors
    ///
    /// [`BridgeError::Nobody`]: none has come in time; [`BridgeError::Name`], [`BridgeError::Zenoh`], [`BridgeError::Os`].
    pub fn connect(self) -> Result<RemotePool, BridgeError> {
        let Self { node, name, wait, attempts, limit } = self;
        let until = Instant::now() + wait;
        let calls = Calls::new(node.clone(), name.clone(), attempts, limit);
        let own = calls.clone();
        let retry = std::thread::Builder::new().name("shmkit-again".into());
        retry.spawn(move || own.retry()).map_err(BridgeError::Os)?;
        let weak = Arc::downgrade(&calls);
        let watch = node.inner().watch(Kind::Pool, &name, move |offer, is_there| {
            let Some(calls) = weak.upgrade() else { return };
            if !is_there {
                return calls.leave(&offer.node);
            }
            calls.come(offer, wait);
        });
        let pool = RemotePool { calls: calls.clone(), _watch: watch? };
        let come = calls.wait_for(&until.into(), |state| (!state.hosts.is_empty()).then_some(()));
        match come {
            Ok(()) => Ok(pool),
            Err(_) => Err(BridgeError::Nobody { what: format!("pool {name:?}") }),
        }
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
