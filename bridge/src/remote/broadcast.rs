//! A broadcast of another machine.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use shmkit::{ShmSafe, bytemuck};

use super::queue::PATIENCE;
use super::side::Side;
use crate::frame::{Kind, Pieces};
use crate::serve::line::tag_of;
use crate::talk::{NextAsk, NextSaid, Wait, encode};
use crate::{BridgeError, Node, RemoteError};

/// How many items are asked for at a time.
const BATCH: u32 = 1024;

/// One who receives what is published in a broadcast that another machine [serves](Node::serve_broadcast): everything from when it came, at
/// its own pace.
///
/// It is a subscriber there, too: if the broadcast waits for slow ones, its publisher waits for this one, which has up to a thousand items
/// here that it has not asked for; else what this one has missed is told as [`Lagged`](RemoteError::Lagged).
///
/// # If a peer dies
///
/// The publisher: [`PublisherDied`](RemoteError::PublisherDied), behind what it had published. The host, or who serves the broadcast there:
/// [`Gone`](RemoteError::Gone); what was published and has not come is lost, and whoever connects again begins with what is published then.
/// This process: its place there is free.
pub struct RemoteSubscriber<T: ShmSafe> {
    side: Side,
    /// What has come and was not received.
    here: VecDeque<T>,
    /// How many have come.
    came: u64,
}

impl<T: ShmSafe> RemoteSubscriber<T> {
    /// Comes to receive what is published in the broadcast of this name from now on; `name@host`, if several hosts serve one. Waits for it,
    /// up to 10 s.
    ///
    /// # Errors
    ///
    /// [`BridgeError::Nobody`], [`BridgeError::Several`]; [`BridgeError::Refused`]: it is of another type, or all places are taken.
    pub fn connect(node: &Node, name: &str) -> Result<Self, BridgeError> {
        let until = Instant::now() + PATIENCE;
        let (offer, name) = node.inner().find(Kind::Broadcast, name, until)?;
        let side = Side::enter(node, &offer, Kind::Broadcast, &name, Some(tag_of::<T>()), until)?;
        Ok(Self { side, here: VecDeque::new(), came: 0 })
    }

    /// Receives a value; waits for one.
    ///
    /// # Errors
    ///
    /// [`RemoteError`]: `Closed`, `PublisherDied`, each time until somebody else publishes; `Lagged`, after which it goes on; `Gone`.
    ///
    /// # If a peer dies
    ///
    /// See [the type](Self#if-a-peer-dies); so with all operations.
    pub fn recv(&mut self) -> Result<T, RemoteError> {
        self.recv_by(None)
    }

    /// Receives a value if there is one now.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and `Empty`.
    pub fn try_recv(&mut self) -> Result<T, RemoteError> {
        self.recv_by(Some(Duration::ZERO))
    }

    /// Receives a value; waits for one at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and `TimedOut`.
    pub fn recv_timeout(&mut self, wait: Duration) -> Result<T, RemoteError> {
        self.recv_by(Some(wait))
    }

    fn recv_by(&mut self, wait: Wait) -> Result<T, RemoteError> {
        if self.here.is_empty() {
            self.fetch(wait)?;
        }
        self.here.pop_front().ok_or(RemoteError::Decode)
    }

    fn fetch(&mut self, wait: Wait) -> Result<(), RemoteError> {
        // It is waited for as long as it takes: items that come when nobody waits for them would be lost.
        let answer = self.side.ask(&encode(&NextAsk { wait, most: BATCH }))?;
        match postcard::from_bytes(&answer) {
            Ok(NextSaid::Items { first, items }) => {
                if first != self.came {
                    let why = format!("items {} to {first} were lost on the way", self.came);
                    return Err(RemoteError::Gone(why));
                }
                for item in Pieces::of(items) {
                    let item =
                        item.ok().and_then(|item| bytemuck::try_pod_read_unaligned(item).ok());
                    self.here.push_back(item.ok_or(RemoteError::Decode)?);
                    self.came += 1;
                }
                Ok(())
            }
            Ok(NextSaid::No(why)) => Err(why.into()),
            Err(_) => Err(RemoteError::Decode),
        }
    }

    /// Returns how many items have come and were not received.
    pub fn len(&self) -> usize {
        self.here.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.here.is_empty()
    }
}

impl<T: ShmSafe> fmt::Debug for RemoteSubscriber<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSubscriber")
            .field("host", &self.side.link.host())
            .field("here", &self.here.len())
            .finish_non_exhaustive()
    }
}
