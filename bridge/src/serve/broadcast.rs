//! A broadcast that other machines receive.

use std::sync::{Arc, Mutex, Weak};

use shmkit::{Broadcast, BroadcastError, Patience, ShmSafe, Start, Subscriber, bytemuck};

use super::line::tag_of;
use super::pool::{is_among, remember};
use super::queue::{MOST_ITEM, too_large};
use super::turn::{Asked, Inbox, start};
use crate::frame::{Decline, Kind, Pieces, Tag};
use crate::link::{Reply, Session};
use crate::node::Serve;
use crate::talk::{NextAsk, NextSaid, Why, encode};
use crate::{BridgeError, Node, Served};

impl Node {
    /// Serves a broadcast: other machines receive what is published, by a [`RemoteSubscriber`](crate::RemoteSubscriber) of this name. Each
    /// is a subscriber here, with a place of its own: what the broadcast does about slow ones it does about slow machines.
    ///
    /// # Errors
    ///
    /// [`BridgeError::Name`], [`BridgeError::Taken`], [`BridgeError::Zenoh`]; [`BridgeError::Refused`]: an item is longer than what goes to
    /// another machine.
    ///
    /// # If a peer dies
    ///
    /// The other machine: its place is free, and nobody waits for it. The publisher: the others are told, behind what it had published.
    pub fn serve_broadcast<T: ShmSafe>(
        &self,
        name: &str,
        broadcast: &Broadcast<T>,
    ) -> Result<Served, BridgeError> {
        if size_of::<T>() > MOST_ITEM {
            return Err(too_large(size_of::<T>()));
        }
        let serve = ServeBroadcast { broadcast: broadcast.clone(), sessions: Mutex::default() };
        self.serve(Kind::Broadcast, name, "1", Arc::new(serve))
    }
}

struct ServeBroadcast<T: ShmSafe> {
    broadcast: Broadcast<T>,
    sessions: Mutex<Vec<Weak<dyn Session>>>,
}

impl<T: ShmSafe> Serve for ServeBroadcast<T> {
    fn tag(&self) -> Option<Tag<'_>> {
        Some(tag_of::<T>())
    }

    fn enter(&self, _: &Reply) -> Result<(Arc<dyn Session>, Vec<u8>), String> {
        // Before it is told that it has come: what is published from then on is received.
        let subscriber = self.broadcast.subscribe(Start::Newest);
        let subscriber = subscriber.map_err(|error| error.to_string())?;
        let session = start("broadcast", move |inbox| answer(subscriber, inbox))?;
        remember(&self.sessions, &session);
        Ok((session, Vec::new()))
    }

    fn owns(&self, session: &Arc<dyn Session>) -> bool {
        is_among(&self.sessions, session)
    }
}

/// Hands over what is published, as it is asked for. With the thread's end, the subscriber leaves.
fn answer<T: ShmSafe>(mut subscriber: Subscriber<T>, inbox: &Inbox) {
    let fit = MOST_ITEM / (size_of::<T>() + 4);
    let mut values = Vec::new();
    // How many it has handed over.
    let mut first = 0;
    while let Some(Asked { reply, body }) = inbox.next() {
        let Ok(NextAsk { wait, most }) = postcard::from_bytes::<NextAsk>(&body) else {
            reply.decline(Decline::Refused("that is no question to a broadcast".into()));
            continue;
        };
        let hook = || inbox.until_over();
        let patience = wait.map_or(Patience::ENDLESS, Patience::from).interruptible(&hook);
        values.resize((most as usize).clamp(1, fit.clamp(1, 4096)), T::zeroed());
        let said = match subscriber.recv_batch_deadline(&mut values, patience) {
            Ok(count) => {
                let mut items = Vec::with_capacity(count * (size_of::<T>() + 4));
                values[..count]
                    .iter()
                    .for_each(|value| Pieces::push(&mut items, bytemuck::bytes_of(value)));
                let said = encode(&NextSaid::Items { first, items: &items });
                first += count as u64;
                said
            }
            Err(error) => encode(&NextSaid::No(match error {
                BroadcastError::TimedOut | BroadcastError::Interrupted => {
                    if wait.is_some_and(|wait| wait.is_zero()) { Why::Empty } else { Why::TimedOut }
                }
                BroadcastError::Empty => Why::Empty,
                BroadcastError::Closed => Why::Closed,
                BroadcastError::PublisherDied { .. } => Why::PublisherDied,
                BroadcastError::Lagged { missed } => Why::Lagged(missed),
                error => Why::Other(error.to_string()),
            })),
        };
        reply.answer(&said);
    }
}
