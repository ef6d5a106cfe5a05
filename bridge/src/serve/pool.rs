//! A pool that other machines give tasks to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use shmkit::pool::__bridge::{Forwarded, Packed};
use shmkit::{Pool, TaskError};
use shmkit_process::__bridge::{Call, Told};

use crate::frame::{Decline, Kind, MOST_BODY, push};
use crate::link::{Reply, Session};
use crate::node::Serve;
use crate::remote::Facts;
use crate::talk::{Order, Outcome, PoolAsk, PoolSaid, encode};
use crate::{BridgeError, Node, Served};

impl Node {
    /// Serves a pool: other machines give it tasks, by a [`RemotePool`](crate::RemotePool) of this name. Several hosts that serve pools of
    /// one name are one remote pool.
    ///
    /// A pool's tasks are functions of a program. So it is that program that serves it, and whoever gives it tasks has been built with the
    /// same functions: they are known by name, signature and version. It can use the pool itself meanwhile.
    ///
    /// A task from elsewhere is run at most once, and answered once, as one from here. With as many tasks under way as the pool has room
    /// for, others are told so, and wait.
    ///
    /// # Errors
    ///
    /// [`BridgeError::Name`], [`BridgeError::Taken`], [`BridgeError::Zenoh`].
    ///
    /// # If a peer dies
    ///
    /// What the other machine has given and no worker has begun is called off; what has begun goes on, and its answer is dropped.
    pub fn serve_pool(&self, name: &str, pool: &Arc<Pool>) -> Result<Served, BridgeError> {
        let (capacity, most) = pool.__most();
        let facts = Facts { workers: pool.workers(), most, capacity };
        let serve = Arc::new(ServePool { pool: pool.clone(), sessions: Mutex::default() });
        self.serve(Kind::Pool, name, &facts.text(), serve)
    }
}

struct ServePool {
    pool: Arc<Pool>,
    sessions: Mutex<Vec<Weak<dyn Session>>>,
}

impl Serve for ServePool {
    fn enter(&self, _: &Reply) -> Result<(Arc<dyn Session>, Vec<u8>), String> {
        let session: Arc<dyn Session> =
            Arc::new(PoolSession { pool: self.pool.clone(), under_way: Arc::default() });
        remember(&self.sessions, &session);
        Ok((session, Vec::new()))
    }

    fn owns(&self, session: &Arc<dyn Session>) -> bool {
        is_among(&self.sessions, session)
    }
}

/// Notes a session, and forgets those that are no more.
pub(super) fn remember(sessions: &Mutex<Vec<Weak<dyn Session>>>, session: &Arc<dyn Session>) {
    let mut all = sessions.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|one| one.strong_count() > 0);
    all.push(Arc::downgrade(session));
}

pub(super) fn is_among(
    sessions: &Mutex<Vec<Weak<dyn Session>>>,
    session: &Arc<dyn Session>,
) -> bool {
    let all = sessions.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().any(|one| std::ptr::addr_eq(one.as_ptr(), Arc::as_ptr(session)))
}

/// What one link has given the pool.
struct PoolSession {
    pool: Arc<Pool>,
    under_way: Arc<Mutex<UnderWay>>,
}

/// By their tickets; `None`: answered before it was noted.
type UnderWay = HashMap<u64, Option<Forwarded>>;

fn lock(under_way: &Mutex<UnderWay>) -> MutexGuard<'_, UnderWay> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session for PoolSession {
    fn ask(&self, reply: Reply, body: &[u8]) {
        let said = match postcard::from_bytes(body) {
            Ok(PoolAsk::Run { limit, order }) => return self.run(reply, limit, order),
            Ok(PoolAsk::Cancel { ticket, kills }) => {
                PoolSaid::Is(self.of(ticket).is_some_and(|it| it.cancel(kills)))
            }
            Ok(PoolAsk::IsRunning { ticket }) => {
                PoolSaid::Is(self.of(ticket).is_some_and(|it| it.is_running()))
            }
            Ok(PoolAsk::Limit { ticket, limit }) => {
                PoolSaid::Is(self.of(ticket).inspect(|it| it.limit(limit)).is_some())
            }
            Ok(PoolAsk::Terminate) => {
                self.end(true);
                PoolSaid::Is(true)
            }
            Ok(PoolAsk::Resize { workers }) => match self.pool.resize(workers) {
                Ok(()) => PoolSaid::Is(true),
                Err(error) => return reply.decline(Decline::Refused(error.to_string())),
            },
            Ok(PoolAsk::Replaced) => PoolSaid::Count(self.pool.replaced()),
            Err(_) => {
                let why = "that is no task, and nothing else that a pool is asked";
                return reply.decline(Decline::Refused(why.into()));
            }
        };
        reply.answer(&encode(&said));
    }
}

impl PoolSession {
    /// Returns what was asked for by a ticket, and has no answer.
    fn of(&self, ticket: u64) -> Option<Forwarded> {
        lock(&self.under_way).get(&ticket).and_then(Clone::clone)
    }

    /// Calls off all that has not begun, and kills who runs the rest, if that is to be.
    fn end(&self, kills: bool) {
        // Without the lock: who is told of it takes it.
        let left: Vec<_> = lock(&self.under_way).values().flatten().cloned().collect();
        for forwarded in left {
            forwarded.cancel(kills);
        }
    }

    fn run(&self, reply: Reply, limit: Option<Duration>, order: &[u8]) {
        let Ok(Order { print, ends, args }) = postcard::from_bytes::<Order<'_>>(order) else {
            return reply.decline(Decline::Refused("that is no task".into()));
        };
        let call = match Call::find(print) {
            Ok(call) => call,
            // As a worker says it: which tasks there are.
            Err(unknown) => {
                let unknown = unknown.into_parts().0;
                let outcomes = ends.iter().map(|_| Ok(unknown.clone()));
                return answer(reply, outcomes.take(MOST_UNKNOWN));
            }
        };
        let packed = Packed {
            task: call.name(),
            print,
            ends: ends.into_iter().map(|end| end as usize).collect(),
            args: args.to_vec(),
            limit,
        };
        let ticket = reply.ticket;
        lock(&self.under_way).insert(ticket, None);
        // Whoever it is that has no room takes the answer's way back, too.
        let reply = Arc::new(Mutex::new(Some(reply)));
        let (own, under_way) = (reply.clone(), self.under_way.clone());
        let then = move |outcomes: Vec<Result<Vec<u8>, TaskError>>| {
            lock(&under_way).remove(&ticket);
            let reply = own.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(reply) = reply {
                answer(reply, outcomes.into_iter());
            }
        };
        match self.pool.__forward(packed, then) {
            Ok(forwarded) => {
                if let Some(place) = lock(&self.under_way).get_mut(&ticket) {
                    *place = Some(forwarded);
                }
            }
            Err(error) => {
                lock(&self.under_way).remove(&ticket);
                let reply = reply.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(reply) = reply {
                    reply.decline(match error {
                        TaskError::TimedOut => Decline::Busy,
                        error => Decline::Refused(error.to_string()),
                    });
                }
            }
        }
    }
}

/// To how many calls of a task that there is not the names of all are sent.
const MOST_UNKNOWN: usize = 64;

/// Sends what has become of calls, in as many parts as it takes.
fn answer(reply: Reply, outcomes: impl Iterator<Item = Result<Vec<u8>, TaskError>>) {
    let mut body = Vec::new();
    for outcome in outcomes {
        let outcome = match &outcome {
            Ok(bytes) if bytes.len() > MOST_BODY - MARGIN => Outcome::Failed(Told::Travel {
                name: "pool".into(),
                why: format!(
                    "its answer has {} bytes, and {} are the most that go to another machine",
                    bytes.len(),
                    MOST_BODY - MARGIN
                ),
            }),
            Ok(bytes) => Outcome::Answered(bytes),
            Err(_) => {
                let Err(error) = outcome else { continue };
                Outcome::Failed(Told::from(error))
            }
        };
        let before = body.len();
        push(&mut body, &outcome);
        if body.len() > MOST_BODY && before > 0 {
            reply.part(&body[..before]);
            body.drain(..before);
        }
    }
    reply.answer(&body);
}

/// What stands beside an answer, or a task's arguments, in bytes at most.
pub(crate) const MARGIN: usize = 1 << 10;

/// What has not begun is called off.
impl Drop for PoolSession {
    fn drop(&mut self) {
        self.end(false);
    }
}
