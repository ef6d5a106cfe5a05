//! The hosts that a remote pool has, and which of them is next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shmkit::Patience;

use super::calls::{Calls, State};
use crate::frame::{Frame, Kind};
use crate::link::Link;
use crate::node::Offer;

/// How many jobs a host has at a time, for each of its workers: that they are never without one while another is on its way.
const AHEAD: usize = 64;
/// How long it may take until a host is linked again whose link has broken: tasks wait for it so long. After a pause as long it is tried again.
const RETURN: Duration = Duration::from_secs(1);

/// What a host says of its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// How many workers it has, and how many it can have.
    pub(crate) workers: u32,
    pub(crate) most: u32,
    /// How many tasks can be under way.
    pub(crate) capacity: u32,
}

impl Facts {
    /// As a part of a key.
    pub(crate) fn text(self) -> String {
        let Self { workers, most, capacity } = self;
        format!("{workers}x{most}x{capacity}")
    }

    pub(crate) fn of(text: &str) -> Option<Self> {
        let mut parts = text.split('x').map(str::parse);
        let mut next = || parts.next()?.ok();
        let facts = Self { workers: next()?, most: next()?, capacity: next()? };
        (facts.workers > 0 && facts.most > 0 && parts.next().is_none()).then_some(facts)
    }
}

/// A host that serves the pool.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(super) facts: Facts,
    pub(super) link: Arc<Link>,
    pub(super) session: u32,
    /// How many jobs it has.
    pub(super) under_way: usize,
    /// It has said that it has no room; there is some when one of its jobs is done, or soon.
    pub(super) is_full: bool,
    /// It takes no more.
    pub(super) is_leaving: bool,
}

impl Host {
    pub(super) fn new(name: &str, link: Arc<Link>, session: u32, facts: Facts) -> Self {
        let (under_way, is_full, is_leaving) = (0, false, false);
        Self { name: name.to_owned(), facts, link, session, under_way, is_full, is_leaving }
    }

    fn free(&self) -> usize {
        if self.is_full || self.is_leaving {
            return 0;
        }
        let room = (AHEAD * self.facts.workers as usize).min(self.facts.capacity as usize);
        room.saturating_sub(self.under_way)
    }

    /// Whether it is the one that a link and a session lead to.
    pub(super) fn is(&self, link: &Arc<Link>, session: u32) -> bool {
        Arc::ptr_eq(&self.link, link) && self.session == session
    }
}

impl Calls {
    /// A host serves the pool, from now on.
    pub(super) fn come(self: &Arc<Self>, offer: Offer, wait: Duration) {
        self.state().offers.push(offer.clone());
        // Without a thread, that host is not used.
        let _ = self.enter(offer, wait, |_| {});
    }

    /// Enters what a host serves, in a thread, which tries until it has, or until the host serves it no more: one that stands still does not
    /// say again that it is there. `then` is called when it has, or has not for that wait.
    fn enter(
        self: &Arc<Self>,
        offer: Offer,
        wait: Duration,
        then: impl FnOnce(&Self) + Send + 'static,
    ) -> std::io::Result<()> {
        let calls = self.clone();
        let run = move || {
            let mut is_done = calls.try_to_enter(&offer, wait);
            then(&calls);
            calls.pump();
            calls.stir();
            while !is_done && calls.pause(&offer) {
                is_done = calls.try_to_enter(&offer, RETURN);
                calls.pump();
                calls.stir();
            }
        };
        let thread = std::thread::Builder::new().name("shmkit-enter".into());
        thread.spawn(run).map(drop)
    }

    /// Enters what a host serves. Returns false if that may be tried again.
    fn try_to_enter(&self, offer: &Offer, wait: Duration) -> bool {
        let Some(facts) = Facts::of(&offer.facts) else { return true };
        let until = Instant::now() + wait;
        let entered = self.node.inner().enter(offer, Kind::Pool, &self.name, None, until);
        let Ok((link, session, _)) = entered else { return false };
        self.add(offer, Host::new(&offer.host, link, session, facts));
        true
    }

    /// Waits until a host is to be tried again. Returns false if it is not: it serves the pool no more, or this one has ended.
    fn pause(&self, offer: &Offer) -> bool {
        let patience = Patience::from(Instant::now() + RETURN);
        let is_over = |state: &mut State| (!state.has(offer)).then_some(());
        self.wait_for(&patience, is_over).is_err()
    }

    /// Takes a host, unless it is there, or has withdrawn while it was entered.
    pub(super) fn add(&self, offer: &Offer, host: Host) {
        let mut state = self.state();
        let is_there = state
            .hosts
            .iter()
            .any(|it| it.link.peer == host.link.peer && !it.is_leaving && it.link.down().is_none());
        if is_there || !state.has(offer) {
            drop(state);
            return host.link.post(&Frame::Leave { session: host.session });
        }
        state.hosts.push(host);
    }

    /// The link to a host is no more. If the host is still there, it was the link that broke: then there will be another one.
    pub(super) fn lose(self: &Arc<Self>, link: &Arc<Link>, session: u32) {
        let is_alive = self.node.inner().is_there(&link.peer);
        let offer = {
            let mut state = self.state();
            let before = state.hosts.len();
            state.hosts.retain(|host| !host.is(link, session));
            // Once, however many jobs it had.
            let is_first = state.hosts.len() < before && is_alive && !state.is_ended;
            let mut offers = state.offers.iter().filter(|_| is_first);
            let offer = offers.find(|offer| offer.node == link.peer).cloned();
            state.returning += usize::from(offer.is_some());
            offer
        };
        let Some(offer) = offer else { return };
        if self.enter(offer, RETURN, |calls| calls.state().returning -= 1).is_err() {
            self.state().returning -= 1;
        }
    }

    /// Returns the hosts that take tasks, and what they have said of their pools.
    pub(crate) fn all(&self) -> Vec<(Arc<Link>, u32, Facts)> {
        let state = self.state();
        let hosts = state.hosts.iter().filter(|host| !host.is_leaving);
        hosts.map(|host| (host.link.clone(), host.session, host.facts)).collect()
    }

    /// A host has other workers now.
    pub(crate) fn resized(self: &Arc<Self>, link: &Arc<Link>, session: u32, workers: u32) {
        let mut state = self.state();
        for host in state.hosts.iter_mut().filter(|host| host.is(link, session)) {
            host.facts.workers = workers;
        }
        drop(state);
        self.pump();
        self.stir();
    }

    /// A host takes no more, and answers what it has.
    pub(crate) fn leave(self: &Arc<Self>, node: &str) {
        let mut state = self.state();
        state.offers.retain(|offer| offer.node != node);
        state.hosts.iter_mut().filter(|host| host.link.peer == node).for_each(|host| {
            host.is_leaving = true;
        });
        state.hosts.retain(|host| !host.is_leaving || host.under_way > 0);
        drop(state);
        self.pump();
        self.stir();
    }
}

impl State {
    /// Whether a host that says this serves the pool, which has not ended.
    fn has(&self, offer: &Offer) -> bool {
        !self.is_ended && self.offers.contains(offer)
    }
}

/// Returns the host that has the most room, if any has some, with one place of it taken.
pub(super) fn choose(hosts: &mut [Host]) -> Option<(Arc<Link>, u32)> {
    let host = hosts.iter_mut().filter(|host| host.free() > 0).max_by_key(|host| host.free())?;
    host.under_way += 1;
    Some((host.link.clone(), host.session))
}

/// Deals workers out to hosts, as evenly as what each can have at most allows, and one to each at least; `None` if that cannot be.
pub(super) fn deal(workers: u32, most: &[u32]) -> Option<Vec<u32>> {
    let mut left = workers;
    let mut shares = vec![0; most.len()];
    let mut order: Vec<usize> = (0..most.len()).collect();
    // Who can have the fewest first: what it cannot take goes to the others.
    order.sort_by_key(|&at| most[at]);
    for (n, &at) in order.iter().enumerate() {
        let others = (most.len() - n) as u32;
        shares[at] = (left / others).min(most[at]);
        left -= shares[at];
    }
    (workers > 0 && left == 0 && shares.iter().all(|share| *share > 0)).then_some(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_dealt_out_evenly_as_far_as_hosts_can_have_them() {
        assert_eq!(deal(6, &[8, 8]), Some(vec![3, 3]));
        assert_eq!(deal(7, &[8, 2, 8]), Some(vec![2, 2, 3]));
        assert_eq!(deal(12, &[8, 2, 8]), Some(vec![5, 2, 5]));
        assert_eq!(deal(18, &[8, 2, 8]), Some(vec![8, 2, 8]));
        for (workers, most) in
            [(19, &[8, 2, 8][..]), (2, &[8, 2, 8]), (0, &[1]), (0, &[]), (1, &[])]
        {
            assert_eq!(deal(workers, most), None, "{workers} to {most:?}");
        }
    }

    #[test]
    fn facts_of_a_pool_come_out_as_they_went_in() {
        let facts = Facts { workers: 2, most: 8, capacity: 1024 };
        assert_eq!(Facts::of(&facts.text()), Some(facts));
        for text in ["", "2x8", "0x8x1024", "2x8x1024x1", "axbxc", "-1x8x10"] {
            assert_eq!(Facts::of(text), None, "{text:?}");
        }
    }
}
