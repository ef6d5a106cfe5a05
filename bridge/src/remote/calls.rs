//! Tasks on their way: which host has which, who has room, and what is to be done when one is gone.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shmkit::{Patience, TaskError};

use super::hosts::{Host, choose};
use super::job::{Job, Place, outcomes};
use super::side::{say, wait_for};
use crate::Node;
use crate::frame::{Decline, Frame};
use crate::link::{Link, Said, is_telling};
use crate::node::Offer;
use crate::talk::{PoolAsk, encode};

pub(crate) struct Calls {
    pub(crate) node: Node,
    pub(crate) name: String,
    /// How often a task that may is given to another host.
    pub(crate) attempts: u32,
    /// How long each call may run.
    pub(crate) limit: Option<Duration>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) hosts: Vec<Host>,
    /// Who serves the pool, whether there is a link to it or not; and how many of them are being linked again.
    pub(super) offers: Vec<Offer>,
    pub(super) returning: usize,
    /// Jobs that are to go again, before all others.
    backlog: VecDeque<Job>,
    pub(crate) under_way: usize,
    /// How many are not any more.
    pub(crate) completed: u64,
    pub(crate) is_closed: bool,
    pub(crate) is_ended: bool,
}

/// Until a host that has said that it has no room is asked again.
const AGAIN: Duration = Duration::from_millis(2);

impl Calls {
    pub(crate) fn new(
        node: Node,
        name: String,
        attempts: u32,
        limit: Option<Duration>,
    ) -> Arc<Self> {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Arc::new(Self { node, name, attempts, limit, state, changed })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // Whole, whatever panicked: nothing of a user's runs under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something has changed, or until then.
    fn wait<'s>(
        &self,
        state: MutexGuard<'s, State>,
        until: Option<Instant>,
    ) -> MutexGuard<'s, State> {
        match until.map(|until| until.saturating_duration_since(Instant::now())) {
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(left) => {
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// Waits until there is something in the state, as long as the patience says.
    ///
    /// # Errors
    ///
    /// Those of [`wait_for`].
    pub(crate) fn wait_for<R>(
        &self,
        patience: &Patience<'_>,
        found: impl FnMut(&mut State) -> Option<R>,
    ) -> Result<R, TaskError> {
        wait_for(&self.state, &self.changed, patience, found)
    }

    pub(crate) fn stir(&self) {
        self.changed.notify_all();
    }

    /// Gives a job to a host; waits for one that has room. A thread that brings answers, by which there will be some, leaves it to be sent.
    pub(crate) fn give(self: &Arc<Self>, job: Job) {
        let mut state = self.state();
        loop {
            if state.is_closed {
                drop(state);
                return job.fail(|_| TaskError::Closed);
            }
            if state.are_gone() {
                drop(state);
                return self.nobody(job);
            }
            if state.backlog.is_empty()
                && let Some(chosen) = choose(&mut state.hosts)
            {
                state.under_way += 1;
                drop(state);
                if !self.send(job, chosen) {
                    self.pump();
                    self.stir();
                }
                return;
            }
            if is_telling() {
                state.under_way += 1;
                return state.backlog.push_back(job);
            }
            state = self.wait(state, None);
        }
    }

    fn nobody(&self, job: Job) {
        let name = &self.name;
        job.fail(|_| TaskError::Broken(format!("no host serves pool {name:?} any more")));
    }

    /// Sends a job. Returns false if it was not sent, so that there is room again, for the caller to [`pump`](Self::pump): here that
    /// would go one call deeper with each job that was called off.
    fn send(self: &Arc<Self>, job: Job, (link, session): (Arc<Link>, u32)) -> bool {
        if link.down().is_some() {
            // It was not sent: it can go again, whatever it is.
            self.lose(&link, session);
            if let Some(job) = self.keep(job) {
                job.fail(|_| TaskError::Closed);
                self.state().off(1);
            }
            return false;
        }
        let ticket = link.number();
        let Ok(limit) = job.state.begin(ticket) else {
            // Its place first: who is told may give another one, and wait for that.
            self.free(&link, session, false);
            job.fail(|_| TaskError::Cancelled);
            self.state().off(1);
            return false;
        };
        // What it says is needed for as long as it may have to be said again.
        let body = encode(&PoolAsk::Run { limit, order: &job.order });
        let place = job.state.clone();
        let (calls, own) = (self.clone(), link.clone());
        let mut job = Some(job);
        let then = move |said: Said<'_>| match said {
            Said::Part(bytes) => {
                if let Some(job) = &mut job {
                    job.tell(outcomes(job.task, bytes));
                }
            }
            Said::Last(answer) => {
                if let Some(job) = job.take() {
                    calls.answered(job, answer, &own, session);
                }
            }
        };
        link.ask(ticket, Box::new(then), &Frame::Ask { session, ticket, body: &body });
        place.sent(&link, session, ticket);
        true
    }

    fn answered(
        self: &Arc<Self>,
        mut job: Job,
        answer: Result<&[u8], Decline>,
        link: &Arc<Link>,
        session: u32,
    ) {
        match answer {
            Ok(bytes) => {
                job.state.put(Place::Done);
                let mut all = outcomes(job.task, bytes);
                if self.state().is_ended {
                    // Called off, or killed, with the pool.
                    let cancelled = all
                        .iter_mut()
                        .filter(|outcome| matches!(outcome, Err(TaskError::Cancelled)));
                    cancelled.for_each(|outcome| *outcome = Err(TaskError::Closed));
                }
                job.tell(all);
                if job.left() > 0 {
                    let why = "the host's answer ends before this call's";
                    job.fail(|task| {
                        let (name, why) = (link.host(), why.into());
                        TaskError::Decode { task, name, why }
                    });
                }
                self.done(link, session, false);
            }
            // It has not begun: it can go again, whatever it is.
            Err(Decline::Busy) => {
                if let Some(job) = self.keep(job) {
                    job.fail(|_| TaskError::Closed);
                    return self.done(link, session, false);
                }
                self.done(link, session, true);
            }
            Err(Decline::Refused(why)) => {
                let host = link.host();
                job.fail(|_| TaskError::Broken(format!("host {host:?} refuses: {why}")));
                self.done(link, session, false);
            }
            Err(Decline::Gone(why)) => {
                job.deaths += 1;
                let is_again = job.is_idempotent && job.deaths < self.attempts;
                self.lose(link, session);
                let is_left = !self.state().are_gone();
                let failed = if is_again && is_left { self.keep(job) } else { Some(job) };
                if let Some(job) = failed {
                    job.fail(|_| TaskError::HostDied { host: why.clone() });
                    self.state().off(1);
                }
                self.pump();
                self.stir();
            }
        }
    }

    /// Keeps a job that is to go again; returns it if nothing goes any more.
    fn keep(&self, mut job: Job) -> Option<Job> {
        let mut state = self.state();
        if state.is_ended {
            return Some(job);
        }
        job.back();
        state.backlog.push_back(job);
        None
    }

    /// A job has come back from a host.
    fn done(self: &Arc<Self>, link: &Arc<Link>, session: u32, is_full: bool) {
        self.free(link, session, is_full);
        if !is_full {
            self.state().off(1);
            // Else not in this thread, which brings all that comes from there.
            self.pump();
        }
        self.stir();
    }

    /// A host has one job less.
    fn free(&self, link: &Arc<Link>, session: u32, is_full: bool) {
        let mut state = self.state();
        for host in state.hosts.iter_mut().filter(|host| host.is(link, session)) {
            host.under_way -= 1;
            host.is_full = is_full;
        }
        state.hosts.retain(|host| !host.is_leaving || host.under_way > 0);
    }

    /// Sends what is to go again, as far as there is room. Who calls it then [stirs](Self::stir).
    pub(super) fn pump(self: &Arc<Self>) {
        loop {
            let mut state = self.state();
            if state.backlog.is_empty() {
                return;
            }
            let are_gone = state.are_gone();
            let chosen = choose(&mut state.hosts);
            if chosen.is_none() && !are_gone && !state.is_ended {
                return;
            }
            let Some(job) = state.backlog.pop_front() else { return };
            match chosen {
                Some(chosen) => {
                    drop(state);
                    self.send(job, chosen);
                }
                None => {
                    drop(state);
                    self.nobody(job);
                    self.state().off(1);
                }
            }
        }
    }

    /// The life of the thread that asks those again that had no room.
    pub(crate) fn retry(self: Arc<Self>) {
        let mut state = self.state();
        while !state.is_ended {
            if !state.hosts.iter().any(|host| host.is_full) {
                state = self.wait(state, None);
                continue;
            }
            let until = Instant::now() + AGAIN;
            while !state.is_ended && Instant::now() < until {
                state = self.wait(state, Some(until));
            }
            state.hosts.iter_mut().for_each(|host| host.is_full = false);
            drop(state);
            self.pump();
            self.stir();
            state = self.state();
        }
    }

    /// Ends it: nothing more is sent, what runs is killed, and what is not answered is told so.
    pub(crate) fn end(&self) {
        let (left, hosts) = {
            let mut state = self.state();
            (state.is_closed, state.is_ended) = (true, true);
            (std::mem::take(&mut state.backlog), std::mem::take(&mut state.hosts))
        };
        let jobs = left.len();
        left.into_iter().for_each(|job| job.fail(|_| TaskError::Closed));
        self.state().off(jobs);
        for Host { link, session, .. } in hosts {
            say(&link, session, &encode(&PoolAsk::Terminate));
            link.post(&Frame::Leave { session });
        }
        self.stir();
    }
}

impl State {
    /// Nobody takes jobs, nor is about to.
    fn are_gone(&self) -> bool {
        self.returning == 0 && self.hosts.iter().all(|host| host.is_leaving)
    }

    /// So many jobs are answered, and who waits for that was told.
    fn off(&mut self, jobs: usize) {
        self.under_way -= jobs;
        self.completed += jobs as u64;
    }
}

#[cfg(test)]
mod tests;
