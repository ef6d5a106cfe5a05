//! A queue that other machines put into and take from.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use shmkit::{Delivery, MessageQueue, Patience, Queue, QueueError, ShmSafe};

use super::line::{Line, why};
use super::pool::{MARGIN, is_among, remember};
use super::turn::{Asked, Inbox, start};
use crate::frame::{Decline, Kind, MOST_BODY, Pieces, Tag};
use crate::link::{Reply, Session};
use crate::node::Serve;
use crate::talk::{QueueAsk, QueueSaid, Wait, Why, encode};
use crate::{BridgeError, Node, Served};

/// The most bytes of an item that goes to another machine.
pub(crate) const MOST_ITEM: usize = MOST_BODY - MARGIN;

impl Node {
    /// Serves a queue: other machines put into it and take from it, by a [`RemoteQueue`](crate::RemoteQueue) of this name. Whoever uses it
    /// here goes on as before.
    ///
    /// # Errors
    ///
    /// [`BridgeError::Name`], [`BridgeError::Taken`], [`BridgeError::Zenoh`]; [`BridgeError::Refused`]: an item is longer than what goes to
    /// another machine.
    ///
    /// # If a peer dies
    ///
    /// What the other machine had taken and was not done with goes to another, or is lost and counted, as the queue was made: as when a
    /// process of this machine is killed. If this process is, the same is true of all that others have taken by it.
    pub fn serve_queue<T: ShmSafe>(
        &self,
        name: &str,
        queue: &Queue<T>,
    ) -> Result<Served, BridgeError> {
        if size_of::<T>() > MOST_ITEM {
            return Err(too_large(size_of::<T>()));
        }
        self.serve_line(name, queue.clone())
    }

    /// Serves a queue of messages, as [`serve_queue`](Self::serve_queue) does. A message that is longer than what goes to another machine, a
    /// mebibyte, stays, and whoever takes there is told.
    ///
    /// # Errors
    ///
    /// [`BridgeError::Name`], [`BridgeError::Taken`], [`BridgeError::Zenoh`].
    ///
    /// # If a peer dies
    ///
    /// As with [`serve_queue`](Self::serve_queue).
    pub fn serve_messages(&self, name: &str, queue: &MessageQueue) -> Result<Served, BridgeError> {
        self.serve_line(name, queue.clone())
    }

    fn serve_line<L: Line>(&self, name: &str, line: L) -> Result<Served, BridgeError> {
        let serve = Arc::new(ServeLine { line, sessions: Mutex::default() });
        self.serve(Kind::Queue, name, "1", serve)
    }
}

pub(super) fn too_large(size: usize) -> BridgeError {
    BridgeError::Refused(format!(
        "an item has {size} bytes, and {MOST_ITEM} are the most that go to another machine"
    ))
}

struct ServeLine<L> {
    line: L,
    sessions: Mutex<Vec<Weak<dyn Session>>>,
}

impl<L: Line> Serve for ServeLine<L> {
    fn tag(&self) -> Option<Tag<'_>> {
        L::tag()
    }

    fn enter(&self, _: &Reply) -> Result<(Arc<dyn Session>, Vec<u8>), String> {
        let line = self.line.clone();
        let session = start("queue", move |inbox| answer(&line, inbox))?;
        remember(&self.sessions, &session);
        Ok((session, Vec::new()))
    }

    fn owns(&self, session: &Arc<dyn Session>) -> bool {
        is_among(&self.sessions, session)
    }
}

/// Somebody who waits for items.
struct Waiter {
    reply: Reply,
    most: u32,
    /// `None`: for ever.
    until: Option<Instant>,
    /// Not at all, rather.
    is_now: bool,
}

/// What one session has taken, and who waits in it.
struct Desk<'l, L: Line + 'l> {
    line: &'l L,
    leases: HashMap<u64, L::Lease<'l>>,
    next: u64,
    waiters: VecDeque<Waiter>,
}

/// Answers a session's questions. What it has taken goes back with the thread's end.
fn answer<L: Line>(line: &L, inbox: &Inbox) {
    let (leases, waiters) = (HashMap::new(), VecDeque::new());
    let mut desk = Desk { line, leases, next: 0, waiters };
    loop {
        let asked = match desk.waiters.is_empty() {
            true => match inbox.next() {
                Some(asked) => Some(asked),
                None => return,
            },
            false => inbox.try_next(),
        };
        match asked {
            Some(Asked { reply, body }) => desk.ask(reply, &body, inbox),
            None if inbox.is_over() => return,
            None => desk.wait(inbox),
        }
    }
}

impl<'l, L: Line> Desk<'l, L> {
    fn ask(&mut self, reply: Reply, body: &[u8], inbox: &Inbox) {
        let Ok(ask) = postcard::from_bytes::<QueueAsk<'_>>(body) else {
            return reply.decline(Decline::Refused("that is no question to a queue".into()));
        };
        let said = match ask {
            QueueAsk::Take { wait, most } => {
                let until = wait.and_then(|wait| Instant::now().checked_add(wait));
                let is_now = wait.is_some_and(|wait| wait.is_zero());
                self.waiters.push_back(Waiter { reply, most, until, is_now });
                return;
            }
            QueueAsk::Put { wait, items } => self.put(items, wait, inbox),
            QueueAsk::Done { leases } => {
                // Those that it does not have were done, or are another session's: which is gone.
                let done = leases.iter().filter_map(|lease| self.leases.remove(lease)).map(L::done);
                done.collect::<Result<(), _>>()
                    .map_or_else(|error| QueueSaid::No(why(&error)), |()| QueueSaid::Yes)
            }
            QueueAsk::Back { leases } => {
                for lease in leases {
                    drop(self.leases.remove(&lease));
                }
                QueueSaid::Yes
            }
            QueueAsk::Close => match self.line.close() {
                Ok(()) => QueueSaid::Yes,
                Err(error) => QueueSaid::No(why(&error)),
            },
            QueueAsk::Facts => match self.line.facts() {
                Ok((len, capacity, is_closed)) => QueueSaid::Facts { len, capacity, is_closed },
                Err(error) => QueueSaid::No(why(&error)),
            },
        };
        reply.answer(&encode(&said));
    }

    fn put(&self, items: &[u8], wait: Wait, inbox: &Inbox) -> QueueSaid<'static> {
        let hook = || inbox.until_over();
        let patience = wait.map_or(Patience::ENDLESS, Patience::from).interruptible(&hook);
        let is_now = wait.is_some_and(|wait| wait.is_zero());
        let (mut count, mut failed) = (0, None);
        for item in Pieces::of(items) {
            let put = match item {
                Ok(item) => self.line.put(item, patience),
                Err(cut) => Err(Why::Other(cut.to_string())),
            };
            match put {
                Ok(()) => count += 1,
                Err(Why::TimedOut) if is_now => failed = Some(Why::Full),
                Err(why) => failed = Some(why),
            }
            if failed.is_some() {
                break;
            }
        }
        QueueSaid::Put { count, why: failed }
    }

    /// Waits for an item for the first who waits, until there is something else to be done.
    fn wait(&mut self, inbox: &Inbox) {
        let Some(waiter) = self.waiters.front() else { return };
        let hook = || inbox.until_asked();
        let left = match waiter.until {
            _ if waiter.is_now => Some(Duration::ZERO),
            until => until.map(|until| until.saturating_duration_since(Instant::now())),
        };
        let patience = left.map_or(Patience::ENDLESS, Patience::from).interruptible(&hook);
        let taken = self.line.take(patience);
        if matches!(taken, Err(QueueError::Interrupted)) {
            return;
        }
        let Some(Waiter { reply, most, is_now, .. }) = self.waiters.pop_front() else { return };
        let said = match taken {
            Ok(lease) => return self.hand_over(lease, most, reply),
            Err(QueueError::TimedOut) if is_now => Why::Empty,
            Err(error) => why(&error),
        };
        reply.answer(&encode(&QueueSaid::No(said)));
    }

    fn hand_over(&mut self, lease: L::Lease<'l>, most: u32, reply: Reply) {
        let (first, mut items) = (self.next, Vec::new());
        let mut next = Some(lease);
        let mut count = 0;
        while let Some(lease) = next.take() {
            let bytes = L::bytes(&lease);
            if bytes.len() > MOST_ITEM {
                // It goes back. What came before it is handed over; it is told of by the next.
                if count == 0 {
                    let (length, most) = (bytes.len() as u64, MOST_ITEM as u64);
                    let said = QueueSaid::No(Why::TooLong { length, most });
                    return reply.answer(&encode(&said));
                }
                break;
            }
            if items.len() + bytes.len() + 4 > MOST_ITEM && count > 0 {
                break; // Back.
            }
            Pieces::push(&mut items, bytes);
            count += 1;
            if self.line.delivery() == Delivery::AtMostOnce {
                // Nobody is to have it twice: it is done before it goes. Refused to a forked child only.
                let _ = L::done(lease);
            } else {
                self.leases.insert(self.next, lease);
            }
            self.next += 1;
            if count < most && items.len() < MOST_ITEM {
                next = self.line.take(Duration::ZERO.into()).ok();
            }
        }
        reply.answer(&encode(&QueueSaid::Taken { first, items: &items }));
    }
}
