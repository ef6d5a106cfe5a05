//! Asking what another node serves, and waiting for the answer.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shmkit::{Patience, TaskError};

use crate::frame::{Decline, Frame, Kind, Tag};
use crate::link::{Link, Said, is_telling};
use crate::node::Offer;
use crate::{BridgeError, Node, RemoteError};

/// How much longer than the other side this one waits: that tells itself that the time is over.
const GRACE: Duration = Duration::from_secs(1);

/// What is done with an answer that comes when nobody waits for it any more.
pub(super) type Late = Box<dyn FnOnce(&[u8]) + Send>;

/// A session with what another node serves. Dropped, it is left.
pub(super) struct Side {
    pub(super) link: Arc<Link>,
    session: u32,
    _node: Node,
}

/// An answer on its way.
enum Slot {
    Waiting,
    Said(Vec<Vec<u8>>, Option<Result<Vec<u8>, Decline>>),
    /// Nobody waits.
    Left(Option<Late>),
}

impl Side {
    pub(super) fn enter(
        node: &Node,
        offer: &Offer,
        kind: Kind,
        name: &str,
        tag: Option<Tag<'_>>,
        until: Instant,
    ) -> Result<Self, BridgeError> {
        let (link, session, _) = node.inner().enter(offer, kind, name, tag, until)?;
        Ok(Self { link, session, _node: node.clone() })
    }

    /// Asks, and waits for the answer; of one that has no limit, until the link is no more.
    pub(super) fn ask(&self, body: &[u8]) -> Result<Vec<u8>, RemoteError> {
        self.ask_all(body, None, None).map(|(_, last)| last)
    }

    /// Asks, and waits for the answer and its parts; a little longer than `limit`. If it comes later, `late` has it.
    pub(super) fn ask_all(
        &self,
        body: &[u8],
        limit: Option<Duration>,
        late: Option<Late>,
    ) -> Result<(Vec<Vec<u8>>, Vec<u8>), RemoteError> {
        if is_telling() {
            let why = "a callback runs in the thread that brings all answers, and cannot wait for one: ask in another thread";
            return Err(RemoteError::Refused(why.into()));
        }
        let slot = Arc::new((Mutex::new(Slot::Waiting), Condvar::new()));
        let told = slot.clone();
        let then = move |said: Said<'_>| {
            let mut slot = told.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Slot::Waiting = *slot {
                *slot = Slot::Said(Vec::new(), None);
            }
            match (&mut *slot, said) {
                (Slot::Said(parts, _), Said::Part(part)) => parts.push(part.to_vec()),
                (Slot::Said(_, last), Said::Last(answer)) => {
                    *last = Some(answer.map(<[u8]>::to_vec));
                    told.1.notify_one();
                }
                (Slot::Left(late), Said::Last(Ok(answer))) => {
                    let late = late.take();
                    drop(slot);
                    if let Some(late) = late {
                        late(answer);
                    }
                }
                (Slot::Left(_), _) | (Slot::Waiting, _) => {}
            }
        };
        let ticket = self.link.number();
        let session = self.session;
        self.link.ask(ticket, Box::new(then), &Frame::Ask { session, ticket, body });
        let until = limit.and_then(|limit| Instant::now().checked_add(limit + GRACE));
        let mut state = slot.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Slot::Said(parts, last) = &mut *state
                && let Some(last) = last.take()
            {
                return Ok((std::mem::take(parts), last?));
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            state = match left {
                None => slot.1.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => {
                    *state = Slot::Left(late);
                    return Err(RemoteError::TimedOut);
                }
                Some(left) => {
                    slot.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Says something, and does not wait for an answer.
    pub(super) fn say(&self, body: &[u8]) {
        say(&self.link, self.session, body);
    }

    /// For who says something later, by another thread.
    pub(super) fn place(&self) -> (Arc<Link>, u32) {
        (self.link.clone(), self.session)
    }
}

/// How long a wait may last before its hook is asked again.
const SLICE: Duration = Duration::from_millis(20);

/// Waits until there is something in a state, as long as the patience says: of that count its deadline and its hook.
///
/// # Errors
///
/// [`TimedOut`](TaskError::TimedOut), [`Interrupted`](TaskError::Interrupted).
pub(super) fn wait_for<T, R>(
    state: &Mutex<T>,
    changed: &Condvar,
    patience: &Patience<'_>,
    mut found: impl FnMut(&mut T) -> Option<R>,
) -> Result<R, TaskError> {
    let mut guard = state.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(found) = found(&mut guard) {
            return Ok(found);
        }
        let left = patience.deadline().remaining();
        if left.is_some_and(|left| left.is_zero()) {
            return Err(TaskError::TimedOut);
        }
        let mut slice = left;
        if patience.has_hook() {
            // Without the lock: it is the user's.
            drop(guard);
            if patience.says_stop() {
                return Err(TaskError::Interrupted);
            }
            guard = state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = found(&mut guard) {
                return Ok(found);
            }
            slice = Some(left.map_or(SLICE, |left| left.min(SLICE)));
        }
        guard = match slice {
            None => changed.wait(guard).unwrap_or_else(PoisonError::into_inner),
            Some(slice) => {
                changed.wait_timeout(guard, slice).unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}

/// Asks, and waits for the answer until the link is no more. A thread that brings answers does not wait for one, and is told that there is
/// none.
pub(super) fn ask(link: &Link, session: u32, body: &[u8]) -> Result<Vec<u8>, Decline> {
    let (tell, told) = std::sync::mpsc::channel();
    let then = move |said: Said<'_>| {
        if let Said::Last(answer) = said {
            // Whoever waited no more needs none.
            let _ = tell.send(answer.map(<[u8]>::to_vec));
        }
    };
    let ticket = link.number();
    link.ask(ticket, Box::new(then), &Frame::Ask { session, ticket, body });
    if is_telling() {
        return Err(Decline::Gone("this thread brings the answers".into()));
    }
    told.recv().unwrap_or_else(|_| Err(Decline::Gone("it was not answered".into())))
}

/// Says something, and does not wait for an answer.
pub(super) fn say(link: &Link, session: u32, body: &[u8]) {
    let ticket = link.number();
    link.ask(ticket, Box::new(|_| {}), &Frame::Ask { session, ticket, body });
}

impl Drop for Side {
    fn drop(&mut self) {
        self.link.post(&Frame::Leave { session: self.session });
    }
}

impl fmt::Debug for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Side").field("host", &self.link.host()).finish_non_exhaustive()
    }
}
