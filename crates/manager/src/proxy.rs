//! A reference to an object of a manager.

use std::fmt;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use shmkit_sync::Patience;

use crate::link::Link;
use crate::objects::Held;

/// What has a [`Proxy`] inside: what `#[manager]` makes, and the objects that every manager has.
pub trait Remote: Sized {
    /// Makes it of a reference to an object of its type.
    fn from_proxy(proxy: Proxy) -> Self;

    /// Returns the reference.
    fn proxy(&self) -> &Proxy;

    /// Returns one whose calls give up after `limit`, with [`TimedOut`](crate::CallError::TimedOut). In a manager's own process nothing
    /// does.
    #[must_use]
    fn limited(&self, limit: Duration) -> Self {
        Self::from_proxy(Proxy { limit: Some(limit), ..self.proxy().clone() })
    }
}

/// A reference to an object of a manager, whatever its type is.
///
/// As long as it is there the object is, or until the manager ends. Clones are cheap, and one reference to the manager.
///
/// It is a value: in a task's arguments, in an answer, or in another object it leads to the same object. From the moment that
/// it is packed the object is kept for whoever it comes to, as long as the sender lives and a minute beyond.
#[derive(Clone)]
pub struct Proxy {
    pub(crate) target: Arc<Target>,
    limit: Option<Duration>,
}

/// What a reference leads to. The last one here tells the manager.
pub(crate) struct Target {
    pub(crate) link: Arc<Link>,
    pub(crate) object: u64,
    pub(crate) counted: Counted,
}

pub(crate) enum Counted {
    /// The manager has counted it for this process.
    There { pid: u32 },
    /// In the manager's own process.
    Here(Held),
    /// The object was gone when it came.
    Nowhere,
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Counted::There { pid } = self.counted {
            self.link.release(self.object, pid);
        }
    }
}

impl Proxy {
    /// Of an object that the manager has counted for this process.
    pub(crate) fn counted(link: Arc<Link>, object: u64) -> Self {
        Self::of(link, object, Counted::There { pid: process::id() })
    }

    /// Of an object that has come from its manager, which has counted the reference; or that is here, if it still is.
    pub(crate) fn come(link: Arc<Link>, object: u64) -> Option<Self> {
        match link.manager_here() {
            None => Some(Self::counted(link, object)),
            Some(here) => {
                let held = here.objects().find(object)?;
                Some(Self::of(link, object, Counted::Here(held)))
            }
        }
    }

    pub(crate) fn of(link: Arc<Link>, object: u64, counted: Counted) -> Self {
        Self { target: Arc::new(Target { link, object, counted }), limit: None }
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.target.link
    }

    pub(crate) fn object(&self) -> u64 {
        self.target.object
    }

    pub(crate) fn patience(&self) -> Patience<'static> {
        self.limit.map_or(Patience::ENDLESS, Patience::from)
    }
}

impl Remote for Proxy {
    fn from_proxy(proxy: Proxy) -> Self {
        proxy
    }

    fn proxy(&self) -> &Proxy {
        self
    }
}

/// The same object of the same manager.
impl PartialEq for Proxy {
    fn eq(&self, other: &Self) -> bool {
        (self.target.link.manager, self.target.object)
            == (other.target.link.manager, other.target.object)
    }
}

impl Eq for Proxy {}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "object {} of the manager at {}", self.target.object, self.target.link.address)
    }
}
