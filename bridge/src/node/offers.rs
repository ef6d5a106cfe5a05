//! Who serves what.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use zenoh::Wait;
use zenoh::sample::{Sample, SampleKind};

use super::{Inner, ROOT};
use crate::BridgeError;
use crate::config::checked;
use crate::frame::Kind;

/// How long it is waited for further ones when one is found.
const SETTLED: Duration = Duration::from_millis(50);

/// Who serves something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) node: String,
    pub(crate) host: String,
    pub(crate) facts: String,
}

/// Watches who serves something; nobody, when it is dropped.
pub(crate) struct Watch(
    #[expect(dead_code, reason = "for its drop")] zenoh::pubsub::Subscriber<()>,
);

impl Inner {
    /// Calls `each` for each who serves it, and for each who does no more, from now on.
    pub(crate) fn watch(
        &self,
        kind: Kind,
        name: &str,
        each: impl Fn(Offer, bool) + Send + Sync + 'static,
    ) -> Result<Watch, BridgeError> {
        checked(kind.name(), name)?;
        let told = move |sample: Sample| {
            let mut parts = sample.key_expr().as_str().rsplit('/');
            if let (Some(facts), Some(host), Some(node)) =
                (parts.next(), parts.next(), parts.next())
            {
                let offer = Offer { node: node.into(), host: host.into(), facts: facts.into() };
                each(offer, sample.kind() == SampleKind::Put);
            }
        };
        let key = format!("{ROOT}/serves/{}/{name}/*/*/*", kind.name());
        let watch = self.session.liveliness().declare_subscriber(key).history(true);
        let watch = watch.callback(told).wait();
        watch.map(Watch).map_err(BridgeError::zenoh("watch who serves it"))
    }

    /// Finds the one host that serves something: `name`, or `name@host`.
    pub(crate) fn find(
        &self,
        kind: Kind,
        place: &str,
        until: Instant,
    ) -> Result<(Offer, String), BridgeError> {
        let (name, wanted) = match place.split_once('@') {
            Some((name, host)) => (name, Some(host.to_owned())),
            None => (place, None),
        };
        let offers = Arc::new((Mutex::new(Vec::<Offer>::new()), Condvar::new()));
        let told = offers.clone();
        let _watch = self.watch(kind, name, move |offer, is_there| {
            let mut all = told.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|found| *found != offer);
            if is_there && wanted.as_ref().is_none_or(|host| *host == offer.host) {
                all.push(offer);
            }
            told.1.notify_all();
        })?;
        let mut all = offers.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Since when there is one: it is not alone because the others come a moment later.
        let mut since = None;
        loop {
            let what = || format!("{} {place:?}", kind.name());
            match &all[..] {
                [] => since = None,
                [offer] => {
                    let since = *since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= SETTLED {
                        return Ok((offer.clone(), name.to_owned()));
                    }
                }
                several => {
                    let mut hosts: Vec<_> = several.iter().map(|one| one.host.clone()).collect();
                    hosts.sort();
                    return Err(BridgeError::Several { what: what(), hosts });
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            let left = if since.is_some() { SETTLED } else { left };
            if left.is_zero() {
                return Err(BridgeError::Nobody { what: what() });
            }
            all = offers.1.wait_timeout(all, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
