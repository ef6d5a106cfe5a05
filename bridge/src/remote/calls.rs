//! Tasks on their way: which host has which, who has room, and what is to be done when one is gone.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shmkit::TaskError;
use shmkit_process::__bridge::Told;

use crate::Node;
use crate::frame::{Decline, Frame, Outcome};
use crate::link::{Link, Said};

/// What became of a call, packed.
pub(crate) type Packed = Result<Vec<u8>, TaskError>;

/// Who is told what became of calls.
pub(crate) trait Sink: Send + Sync {
    /// Takes the outcomes of calls, from the one of this number on. It must not wait.
    fn take(&self, first: usize, outcomes: Vec<Packed>);
}

/// Calls of one task, which go to one host together.
pub(crate) struct Job {
    pub(crate) task: &'static str,
    /// May run twice.
    pub(crate) is_idempotent: bool,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) first: usize,
    pub(crate) calls: usize,
    /// An [`Order`](crate::frame::Order), encoded.
    pub(crate) body: Vec<u8>,
    /// How many hosts have died with it.
    pub(crate) deaths: u32,
    pub(crate) state: Arc<JobState>,
}

/// Where a job is, for who calls it off.
#[derive(Default)]
pub(crate) struct JobState {
    is_cancelled: AtomicBool,
    at: Mutex<Option<(Arc<Link>, u32, u64)>>,
}

impl JobState {
    /// Calls it off, unless it has begun.
    pub(crate) fn cancel(&self) {
        self.is_cancelled.store(true, Relaxed);
        let at = self.at.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((link, session, ticket)) = at {
            link.post(&Frame::Cancel { session, ticket });
        }
    }
}

impl Job {
    /// Tells what became of those calls that nobody was told of.
    fn tell(&mut self, mut outcomes: Vec<Packed>) {
        outcomes.truncate(self.calls);
        if !outcomes.is_empty() {
            let first = self.first;
            self.first += outcomes.len();
            self.calls -= outcomes.len();
            self.sink.take(first, outcomes);
        }
    }

    /// Tells that there are no answers.
    pub(crate) fn fail(mut self, why: impl Fn(&'static str) -> TaskError) {
        let all = (0..self.calls).map(|_| Err(why(self.task))).collect();
        self.tell(all);
    }
}

/// A host that serves the pool.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) workers: usize,
    link: Arc<Link>,
    session: u32,
    /// How many jobs it may have, and how many it has.
    room: usize,
    under_way: usize,
    /// It has said that it has no room; there is some when one of its jobs is done, or soon.
    is_full: bool,
    /// It takes no more.
    is_leaving: bool,
}

impl Host {
    fn free(&self) -> usize {
        if self.is_full || self.is_leaving { 0 } else { self.room.saturating_sub(self.under_way) }
    }

    /// Whether it is the one that a link and a session lead to.
    fn is(&self, link: &Arc<Link>, session: u32) -> bool {
        Arc::ptr_eq(&self.link, link) && self.session == session
    }
}

pub(crate) struct Calls {
    pub(crate) node: Node,
    pub(crate) name: String,
    /// How often a task that may is given to another host.
    pub(crate) attempts: u32,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) hosts: Vec<Host>,
    /// Jobs that are to go again, before all others.
    backlog: VecDeque<Job>,
    pub(crate) under_way: usize,
    pub(crate) is_closed: bool,
    pub(crate) is_ended: bool,
}

/// Until a host that has said that it has no room is asked again.
const AGAIN: Duration = Duration::from_millis(2);

impl Calls {
    pub(crate) fn new(node: Node, name: String, attempts: u32) -> Arc<Self> {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Arc::new(Self { node, name, attempts, state, changed })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // Whole, whatever panicked: nothing of a user's runs under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something has changed, or until then; returns false if it is then.
    pub(crate) fn wait<'s>(
        &self,
        state: MutexGuard<'s, State>,
        until: Option<Instant>,
    ) -> (MutexGuard<'s, State>, bool) {
        match until {
            None => (self.changed.wait(state).unwrap_or_else(PoisonError::into_inner), true),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                let waited = self.changed.wait_timeout(state, left);
                (waited.unwrap_or_else(PoisonError::into_inner).0, !left.is_zero())
            }
        }
    }

    pub(crate) fn stir(&self) {
        self.changed.notify_all();
    }

    /// A host has come.
    pub(crate) fn add(
        self: &Arc<Self>,
        name: &str,
        link: Arc<Link>,
        session: u32,
        workers: usize,
        room: usize,
    ) {
        let name = name.to_owned();
        let (under_way, is_full, is_leaving) = (0, false, false);
        self.state().hosts.push(Host {
            name,
            workers,
            link,
            session,
            room,
            under_way,
            is_full,
            is_leaving,
        });
        self.stir();
        self.pump();
    }

    /// A host takes no more, and answers what it has.
    pub(crate) fn leave(&self, node: &str) {
        let mut state = self.state();
        state.hosts.iter_mut().filter(|host| host.link.peer == node).for_each(|host| {
            host.is_leaving = true;
        });
        state.hosts.retain(|host| !host.is_leaving || host.under_way > 0);
        drop(state);
        self.stir();
    }

    /// Gives a job to a host; waits for one that has room.
    pub(crate) fn give(self: &Arc<Self>, job: Job) {
        let mut state = self.state();
        loop {
            if state.is_closed {
                drop(state);
                return job.fail(|_| TaskError::Closed);
            }
            if state.hosts.iter().all(|host| host.is_leaving) {
                drop(state);
                return self.nobody(job);
            }
            if state.backlog.is_empty()
                && let Some(chosen) = choose(&mut state)
            {
                state.under_way += 1;
                drop(state);
                return self.send(job, chosen);
            }
            state = self.wait(state, None).0;
        }
    }

    fn nobody(&self, job: Job) {
        let name = &self.name;
        job.fail(|_| TaskError::Broken(format!("no host serves pool {name:?} any more")));
    }

    fn send(self: &Arc<Self>, job: Job, (link, session): (Arc<Link>, u32)) {
        let ticket = link.number();
        *job.state.at.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((link.clone(), session, ticket));
        if job.state.is_cancelled.load(Relaxed) {
            self.done(&link, session, false);
            return job.fail(|_| TaskError::Cancelled);
        }
        // What it says is needed for as long as it may have to be said again.
        let body = job.body.clone();
        let (calls, own) = (self.clone(), link.clone());
        let mut job = Some(job);
        let then = move |said: Said<'_>| match said {
            Said::Part(bytes) => {
                if let Some(job) = &mut job {
                    job.tell(unpack(job.task, bytes));
                }
            }
            Said::Last(answer) => {
                if let Some(job) = job.take() {
                    calls.answered(job, answer, &own, session);
                }
            }
        };
        link.ask(ticket, Box::new(then), &Frame::Ask { session, ticket, body: &body });
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
                job.tell(unpack(job.task, bytes));
                self.done(link, session, false);
                if job.calls > 0 {
                    let why = "the host's answer ends before this call's";
                    job.fail(|task| {
                        let (name, why) = (link.host(), why.into());
                        TaskError::Decode { task, name, why }
                    });
                }
            }
            // It has not begun: it can go again, whatever it is.
            Err(Decline::Busy) => {
                self.state().backlog.push_back(job);
                self.done(link, session, true);
            }
            Err(Decline::Refused(why)) => {
                self.done(link, session, false);
                let host = link.host();
                job.fail(|_| TaskError::Broken(format!("host {host:?} refuses: {why}")));
            }
            Err(Decline::Gone(why)) => {
                job.deaths += 1;
                let is_again = job.is_idempotent && job.deaths < self.attempts;
                {
                    let mut state = self.state();
                    state.hosts.retain(|host| !host.is(link, session));
                    state.under_way -= 1;
                    if is_again && !state.hosts.is_empty() {
                        state.under_way += 1;
                        state.backlog.push_back(job);
                    } else {
                        drop(state);
                        job.fail(|_| TaskError::HostDied { host: why.clone() });
                    }
                }
                self.pump();
                self.stir();
            }
        }
    }

    /// A job has come back from a host.
    fn done(self: &Arc<Self>, link: &Arc<Link>, session: u32, is_full: bool) {
        let mut state = self.state();
        if !is_full {
            state.under_way -= 1;
        }
        for host in state.hosts.iter_mut().filter(|host| host.is(link, session)) {
            host.under_way -= 1;
            host.is_full = is_full;
        }
        state.hosts.retain(|host| !host.is_leaving || host.under_way > 0);
        drop(state);
        if is_full {
            // Not in this thread, which brings all that comes from there.
            self.stir();
        } else {
            self.pump();
            self.stir();
        }
    }

    /// Sends what is to go again, as far as there is room.
    fn pump(self: &Arc<Self>) {
        loop {
            let mut state = self.state();
            if state.backlog.is_empty() {
                return;
            }
            let are_gone = state.hosts.iter().all(|host| host.is_leaving);
            let chosen = choose(&mut state);
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
                    state.under_way -= 1;
                    drop(state);
                    self.nobody(job);
                }
            }
        }
    }

    /// The life of the thread that asks those again that had no room.
    pub(crate) fn retry(self: Arc<Self>) {
        let mut state = self.state();
        while !state.is_ended {
            if !state.hosts.iter().any(|host| host.is_full) {
                state = self.wait(state, None).0;
                continue;
            }
            let until = Instant::now() + AGAIN;
            while !state.is_ended && Instant::now() < until {
                state = self.wait(state, Some(until)).0;
            }
            state.hosts.iter_mut().for_each(|host| host.is_full = false);
            drop(state);
            self.pump();
            self.stir();
            state = self.state();
        }
    }

    /// Ends it: nothing more is sent, and what is not answered is told so.
    pub(crate) fn end(&self) {
        let (left, hosts) = {
            let mut state = self.state();
            (state.is_closed, state.is_ended) = (true, true);
            state.under_way -= state.backlog.len();
            (std::mem::take(&mut state.backlog), std::mem::take(&mut state.hosts))
        };
        left.into_iter().for_each(|job| job.fail(|_| TaskError::Closed));
        for host in hosts {
            // What has not begun is called off there.
            host.link.post(&Frame::Leave { session: host.session });
        }
        self.stir();
    }
}

/// Returns the host that has the most room, if any has some, with one place of it taken.
fn choose(state: &mut State) -> Option<(Arc<Link>, u32)> {
    let host =
        state.hosts.iter_mut().filter(|host| host.free() > 0).max_by_key(|host| host.free())?;
    host.under_way += 1;
    Some((host.link.clone(), host.session))
}

/// Returns what became of calls, as far as it is there.
fn unpack(task: &'static str, mut bytes: &[u8]) -> Vec<Packed> {
    let mut all = Vec::new();
    while !bytes.is_empty()
        && let Ok((outcome, rest)) = postcard::take_from_bytes::<Outcome<'_, Told>>(bytes)
    {
        bytes = rest;
        all.push(match outcome {
            Outcome::Answered(bytes) => Ok(bytes.to_vec()),
            Outcome::Failed(told) => Err(told.of(task)),
        });
    }
    all
}
