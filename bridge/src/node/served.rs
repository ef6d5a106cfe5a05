//! What a node serves.

use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, PoisonError};

use zenoh::Wait;
use zenoh::liveliness::LivelinessToken;

use super::{Inner, Node, ROOT};
use crate::BridgeError;
use crate::config::checked;
use crate::frame::{Frame, Kind, Tag};
use crate::link::{Enter, Reply, Session as Use};

/// Something that is served.
pub(crate) trait Serve: Send + Sync {
    /// The type that its values have, if they have one.
    fn tag(&self) -> Option<Tag<'_>> {
        None
    }

    /// Lets another node use it; returns what that is to know first.
    fn enter(&self, reply: &Reply) -> Result<(Arc<dyn Use>, Vec<u8>), String>;

    /// Whether a session is one of its own.
    fn owns(&self, session: &Arc<dyn Use>) -> bool;
}

impl Node {
    pub(crate) fn serve(
        &self,
        kind: Kind,
        name: &str,
        facts: &str,
        what: Arc<dyn Serve>,
    ) -> Result<Served, BridgeError> {
        checked(kind.name(), name)?;
        let inner = self.inner();
        {
            let mut served = inner.served.lock().unwrap_or_else(PoisonError::into_inner);
            let place = served.entry((kind, name.to_owned()));
            match place {
                Entry::Occupied(_) => {
                    return Err(BridgeError::Taken { what: format!("{} {name:?}", kind.name()) });
                }
                Entry::Vacant(place) => place.insert(what.clone()),
            };
        }
        let mut served =
            Served { node: self.clone(), kind, name: name.to_owned(), what, token: None };
        let (id, host) = (&inner.id, &inner.host);
        let key = format!("{ROOT}/serves/{}/{name}/{id}/{host}/{facts}", kind.name());
        let token = inner.session.liveliness().declare_token(key).wait();
        served.token = Some(token.map_err(BridgeError::zenoh("announce what is served"))?);
        Ok(served)
    }
}

/// Something that a node serves, for as long as this lives.
#[must_use = "dropped at once, it is served no more"]
pub struct Served {
    node: Node,
    kind: Kind,
    name: String,
    what: Arc<dyn Serve>,
    token: Option<LivelinessToken>,
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.token.take());
        let inner = self.node.inner();
        let key = (self.kind, std::mem::take(&mut self.name));
        inner.served.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        let links: Vec<_> = inner.state().theirs.values().cloned().collect();
        for link in links {
            link.forget(|session| self.what.owns(session));
        }
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served").field("kind", &self.kind).field("name", &self.name).finish()
    }
}

impl Enter for Inner {
    fn enter(&self, reply: &Reply, frame: &Frame<'_>) -> Result<(Arc<dyn Use>, Vec<u8>), String> {
        let &Frame::Enter { kind, name, tag, .. } = frame else {
            return Err("that enters nothing".into());
        };
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        let found = served.get(&(kind, name.to_owned())).cloned();
        drop(served);
        let found = found
            .ok_or_else(|| format!("host {:?} serves no {} {name:?}", self.host, kind.name()))?;
        if found.tag() != tag {
            let show = |tag: Option<Tag<'_>>| match tag {
                Some(tag) => format!("{} ({} bytes)", tag.name, tag.size),
                None => "messages of any length".into(),
            };
            return Err(format!(
                "{} {name:?} is of {}, and was asked for as of {}",
                kind.name(),
                show(found.tag()),
                show(tag)
            ));
        }
        found.enter(reply)
    }
}
