//! A link to another node: numbered messages, questions and answers.
//!
//! zenoh brings what is published in order, or, where it must, not at all; and it says nothing of that. So each message has a number,
//! and a link in which one is missing is broken: whoever waits is told. A link ends with the connection, too, by the token of the node
//! at its other end. It never comes back; there may be another one, with another number, and what is of a past one is dropped.
//!
//! Who sends does so in its own thread while little is under way, and else leaves it to the link's own: so neither a slow peer holds up
//! who answers, nor does a message take a thread more than it needs.

mod calls;
mod reply;
mod tx;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use zenoh::pubsub::Publisher;

use self::calls::Calls;
pub(crate) use self::calls::{Said, is_telling};
pub(crate) use self::reply::Reply;
use self::tx::Tx;
use crate::frame::{self, Decline, Frame, Head};

/// With so many bytes that are not sent yet, the other side is answered that there is no room.
pub(crate) const MOST_WAITING: usize = 64 << 20;
/// The most that one link uses at a time.
const MOST_SESSIONS: usize = 64;

/// What a link uses of what is served. Dropped, it is used no more.
pub(crate) trait Session: Send + Sync {
    /// Answers a question, now or later. It must not wait: nothing else comes from this node meanwhile.
    fn ask(&self, reply: Reply, body: &[u8]);
}

/// Where sessions come from: the objects that a node serves.
pub(crate) trait Enter: Send + Sync {
    fn enter(
        &self,
        reply: &Reply,
        frame: &Frame<'_>,
    ) -> Result<(Arc<dyn Session>, Vec<u8>), String>;
}

/// A link to another node.
pub(crate) struct Link {
    pub(crate) id: u64,
    /// The other node.
    pub(crate) peer: String,
    /// The host that it says it is on.
    host: Mutex<String>,
    to: Publisher<'static>,
    tx: Mutex<Tx>,
    /// The thread that sends what is left over is to look.
    wake: Condvar,
    /// How many messages have come.
    received: AtomicU64,
    /// The next ticket, or session.
    next: AtomicU64,
    calls: Mutex<Calls>,
    sessions: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    is_down: bool,
    all: HashMap<u32, Arc<dyn Session>>,
}

/// What nothing can have left half done: each change is a store or a call to a map.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// Makes one, and starts its thread.
    pub(crate) fn start(
        id: u64,
        peer: String,
        to: Publisher<'static>,
    ) -> std::io::Result<Arc<Self>> {
        let link = Arc::new(Self {
            id,
            peer,
            host: Mutex::default(),
            to,
            tx: Mutex::default(),
            wake: Condvar::new(),
            received: AtomicU64::new(0),
            next: AtomicU64::new(1),
            calls: Mutex::default(),
            sessions: Mutex::default(),
        });
        let own = link.clone();
        std::thread::Builder::new().name("shmkit-link".into()).spawn(move || own.write())?;
        Ok(link)
    }

    /// Returns how many bytes are to be sent.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.tx).waiting
    }

    /// Returns the host at the other end, as it calls itself.
    pub(crate) fn host(&self) -> String {
        lock(&self.host).clone()
    }

    pub(crate) fn set_host(&self, host: &str) {
        host.clone_into(&mut lock(&self.host));
    }

    /// A number for a session or a ticket, each once.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Relaxed)
    }

    /// The link is no more: all who wait are told, and what it used is left.
    pub(crate) fn fail(&self, why: &str) {
        lock(&self.tx).is_down = true;
        self.wake.notify_one();
        self.tell_all(why);
        let sessions = {
            let mut sessions = lock(&self.sessions);
            sessions.is_down = true;
            std::mem::take(&mut sessions.all)
        };
        drop(sessions);
    }

    /// Takes a message that has come.
    ///
    /// # Errors
    ///
    /// Why the link is broken.
    pub(crate) fn receive(
        self: &Arc<Self>,
        head: Head,
        bytes: &[u8],
        served: &dyn Enter,
    ) -> Result<(), String> {
        // One thread: zenoh hands over what comes from one node one after the other.
        let expected = self.received.load(Relaxed);
        if head.seq < expected {
            return Ok(()); // It has come before.
        }
        if head.seq > expected {
            return Err(format!(
                "message {expected} of it was lost on the way, {} is what came",
                head.seq
            ));
        }
        self.received.store(expected + 1, Relaxed);
        {
            let mut tx = lock(&self.tx);
            if head.ack > tx.seq {
                return Err(format!("it says that {} messages have come, of {}", head.ack, tx.seq));
            }
            tx.acknowledge(head.ack);
        }
        for frame in frame::frames(bytes) {
            let frame = frame.map_err(|error| format!("what came is no frame: {error}"))?;
            self.take(&frame, served)?;
        }
        Ok(())
    }

    fn take(self: &Arc<Self>, frame: &Frame<'_>, served: &dyn Enter) -> Result<(), String> {
        match *frame {
            // By the node, before.
            Frame::Open { .. } => Ok(()),
            Frame::Opened { host } => {
                self.set_host(host);
                Ok(())
            }
            Frame::Broken { why } => Err(format!("the other side says: {why}")),
            Frame::Enter { ticket, session, .. } => {
                self.enter(Reply::new(self, ticket), session, frame, served);
                Ok(())
            }
            Frame::Leave { session } => {
                let left = lock(&self.sessions).all.remove(&session);
                drop(left);
                Ok(())
            }
            Frame::Ask { session, ticket, body } => {
                let reply = Reply::new(self, ticket);
                let found = lock(&self.sessions).all.get(&session).cloned();
                match found {
                    _ if self.waiting() > MOST_WAITING => reply.decline(Decline::Busy),
                    Some(session) => session.ask(reply, body),
                    None => reply.decline(Decline::Refused(format!(
                        "nothing was entered as {session}, or it is served no more"
                    ))),
                }
                Ok(())
            }
            Frame::Part { ticket, body } => {
                self.said(ticket, Said::Part(body));
                Ok(())
            }
            Frame::Answer { ticket, body } => {
                self.said(ticket, Said::Last(Ok(body)));
                Ok(())
            }
            Frame::Declined { ticket, ref why } => {
                self.said(ticket, Said::Last(Err(why.clone())));
                Ok(())
            }
            Frame::Ping => {
                self.post(&Frame::Pong);
                Ok(())
            }
            Frame::Pong => Ok(()),
        }
    }

    fn enter(&self, reply: Reply, number: u32, frame: &Frame<'_>, served: &dyn Enter) {
        if lock(&self.sessions).all.len() >= MOST_SESSIONS {
            return reply.decline(Decline::Busy);
        }
        match served.enter(&reply, frame) {
            Ok((session, info)) => {
                let mut sessions = lock(&self.sessions);
                if sessions.is_down {
                    return;
                }
                let before = sessions.all.insert(number, session);
                drop(sessions);
                drop(before);
                reply.answer(&info);
            }
            Err(why) => reply.decline(Decline::Refused(why)),
        }
    }

    /// Takes away what is served no more.
    pub(crate) fn forget(&self, is_it: impl Fn(&Arc<dyn Session>) -> bool) {
        let mut left = Vec::new();
        lock(&self.sessions).all.retain(|_, session| {
            let goes = is_it(session);
            if goes {
                left.push(session.clone());
            }
            !goes
        });
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("peer", &self.peer).field("id", &self.id).finish()
    }
}
