//! Messages that come, and the links that they are of.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use zenoh::Wait;
use zenoh::qos::CongestionControl;
use zenoh::sample::Sample;

use super::{Inner, Offer, ROOT, State, random};
use crate::BridgeError;
use crate::frame::{self, Decline, Frame, HEAD, Head, Kind, PROTOCOL, Tag};
use crate::link::{Link, Said};

/// The most nodes that are linked with this one by their own wish.
const MOST_LINKS: usize = 256;
/// How long it takes at most until a token that must come first has come.
const EARLY: Duration = Duration::from_millis(20);
/// What a link says that was opened before its node's token had come.
const TOO_EARLY: &str = "its token has not come yet";

impl Inner {
    /// A message has come.
    pub(super) fn come(self: &Arc<Self>, sample: &Sample) {
        let Some(from) = sample.key_expr().as_str().rsplit('/').next() else { return };
        let bytes = sample.payload().to_bytes();
        let Ok((head, frames)) = frame::open(&bytes) else { return };
        let found = {
            let state = self.state();
            let links = [state.theirs.get(from), state.ours.get(from)];
            links.into_iter().flatten().find(|link| link.id == head.link).cloned()
        };
        let link = match found {
            Some(link) => link,
            None => match self.accept(from, head, frames) {
                Ok(Some(link)) => link,
                Ok(None) => return,
                Err(why) => return self.refuse(from, head.link, &why),
            },
        };
        if let Err(why) = link.receive(head, frames, &**self) {
            self.refuse(from, head.link, &why);
            {
                let State { theirs, ours, .. } = &mut *self.state();
                for links in [theirs, ours] {
                    if links.get(from).is_some_and(|found| Arc::ptr_eq(found, &link)) {
                        links.remove(from);
                    }
                }
            }
            link.fail(&format!("the link to host {:?} is broken: {why}", link.host()));
        }
    }

    /// Makes the other end of a link that another node opens, with its first message. `None`: there is nothing to be said to what has come.
    fn accept(&self, from: &str, head: Head, frames: &[u8]) -> Result<Option<Arc<Link>>, String> {
        let (protocol, is_little, width, host) = match frame::frames(frames).next() {
            Some(Ok(Frame::Open { protocol, is_little, width, host })) if head.seq == 0 => {
                (protocol, is_little, width, host)
            }
            // To whom says that, nothing is said: that would go on for ever.
            Some(Ok(Frame::Broken { .. })) | None => return Ok(None),
            _ => return Err("there is no such link".into()),
        };
        if protocol != PROTOCOL {
            return Err(format!(
                "{:?} speaks version {PROTOCOL} of the protocol, and {host:?} version {protocol}",
                self.host
            ));
        }
        if is_little != cfg!(target_endian = "little") || u32::from(width) != usize::BITS {
            return Err(format!(
                "{:?} and {host:?} have another byte order or width: values as they lie in memory mean nothing there",
                self.host
            ));
        }
        {
            let state = self.state();
            if !state.alive.contains(from) {
                return Err(TOO_EARLY.into());
            }
            if state.theirs.len() >= MOST_LINKS && !state.theirs.contains_key(from) {
                return Err(format!(
                    "{:?} is linked with {MOST_LINKS} others, the most",
                    self.host
                ));
            }
        }
        let link = self.link_to(from, head.link).map_err(|error| error.to_string())?;
        link.set_host(host);
        let before = self.state().theirs.insert(from.to_owned(), link.clone());
        if let Some(before) = before {
            before.fail("its node has opened another one");
        }
        link.post(&Frame::Opened { host: &self.host });
        Ok(Some(link))
    }

    fn link_to(&self, node: &str, id: u64) -> Result<Arc<Link>, BridgeError> {
        let key = format!("{ROOT}/to/{node}/{}", self.id);
        let publisher = self.session.declare_publisher(key);
        let publisher = publisher.congestion_control(CongestionControl::Block).express(true).wait();
        let publisher = publisher.map_err(BridgeError::zenoh("make way for messages"))?;
        Link::start(id, node.to_owned(), publisher).map_err(BridgeError::Os)
    }

    /// Says that there is no such link.
    fn refuse(&self, node: &str, link: u64, why: &str) {
        let mut message = vec![0; HEAD];
        Head { link, seq: u64::MAX, ack: 0 }.write(&mut message);
        frame::push(&mut message, &Frame::Broken { why });
        let put = self.session.put(format!("{ROOT}/to/{node}/{}", self.id), message);
        // Whoever does not hear of it asks again.
        let _ = put.congestion_control(CongestionControl::Drop).wait();
    }

    /// Returns the link to a node, which is opened if there is none; waits for it until then.
    pub(crate) fn link(
        self: &Arc<Self>,
        node: &str,
        until: Instant,
    ) -> Result<Arc<Link>, BridgeError> {
        loop {
            let mut state = self.state();
            if let Some(link) = state.ours.get(node) {
                if link.down().is_none() {
                    return Ok(link.clone());
                }
                state.ours.remove(node);
            }
            if state.is_closed {
                return Err(BridgeError::Gone("this node was closed".into()));
            }
            if !state.alive.contains(node) {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(BridgeError::Gone("its token is there no more".into()));
                }
                let waited = self.changed.wait_timeout(state, left.min(EARLY));
                drop(waited.unwrap_or_else(PoisonError::into_inner));
                continue;
            }
            drop(state);
            // No two links have one number, nor does it say anything.
            let id = random();
            let link = self.link_to(node, id)?;
            let mut state = self.state();
            if state.ours.contains_key(node) {
                drop(state);
                link.fail("there is one already");
                continue;
            }
            state.ours.insert(node.to_owned(), link.clone());
            drop(state);
            let width = usize::BITS as u8;
            let is_little = cfg!(target_endian = "little");
            link.post(&Frame::Open { protocol: PROTOCOL, is_little, width, host: &self.host });
            return Ok(link);
        }
    }

    /// Enters what a node serves: returns the link, the number of the session, and what is to be known first.
    pub(crate) fn enter(
        self: &Arc<Self>,
        offer: &Offer,
        kind: Kind,
        name: &str,
        tag: Option<Tag<'_>>,
        until: Instant,
    ) -> Result<(Arc<Link>, u32, Vec<u8>), BridgeError> {
        loop {
            let link = self.link(&offer.node, until)?;
            link.set_host(&offer.host);
            let (session, ticket) = (link.number() as u32, link.number());
            let (tell, told) = std::sync::mpsc::channel();
            let then = Box::new(move |said: Said<'_>| {
                if let Said::Last(answer) = said {
                    let _ = tell.send(answer.map(<[u8]>::to_vec));
                }
            });
            link.ask(ticket, then, &Frame::Enter { ticket, session, kind, name, tag });
            let left = until.saturating_duration_since(Instant::now());
            match told.recv_timeout(left) {
                Ok(Ok(info)) => return Ok((link, session, info)),
                Ok(Err(Decline::Gone(why))) if why.contains(TOO_EARLY) && !left.is_zero() => {
                    std::thread::sleep(EARLY.min(left));
                }
                Ok(Err(why)) => return Err(why.into()),
                Err(_) => {
                    link.post(&Frame::Leave { session });
                    return Err(BridgeError::Gone("it has not answered in time".into()));
                }
            }
        }
    }
}
