//! Calls on their way, and where they are.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use shmkit::TaskError;
use shmkit_parcel::Parcel;
use shmkit_process::__bridge::{Told, answered};

use super::side::{ask, say};
use crate::link::Link;
use crate::talk::{Outcome, PoolAsk, PoolSaid, encode};

/// What became of a call, packed.
pub(crate) type Packed = Result<Vec<u8>, TaskError>;

/// Returns what became of calls, as far as it is there.
pub(super) fn outcomes(task: &'static str, mut bytes: &[u8]) -> Vec<Packed> {
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

/// Returns what a task has answered, as its type.
pub(crate) fn unpack<T: DeserializeOwned>(
    task: &'static str,
    packed: Packed,
) -> Result<T, TaskError> {
    let name = "remote";
    let mut parcel = Parcel::from_parts(packed?, Vec::new());
    answered(task, name, &mut parcel)?;
    parcel.take().map_err(|error| {
        let (name, why) = (name.to_owned(), error.to_string());
        TaskError::Decode { task, name, why }
    })
}

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
    /// The number of its first call, and how many there are.
    pub(crate) first: usize,
    pub(crate) calls: usize,
    /// How many of them somebody was told of.
    pub(crate) told: usize,
    /// Of how many the host that has it has said what became.
    pub(crate) heard: usize,
    /// An [`Order`](crate::talk::Order), encoded.
    pub(crate) order: Vec<u8>,
    /// How many hosts have died with it.
    pub(crate) deaths: u32,
    pub(crate) state: Arc<JobState>,
}

impl Job {
    /// Tells what became of the next calls, as far as nobody was told of them: another host may have answered some before it died.
    pub(super) fn tell(&mut self, outcomes: Vec<Packed>) {
        let before = self.told - self.heard;
        self.heard += outcomes.len();
        let new: Vec<_> = outcomes.into_iter().skip(before).take(self.left()).collect();
        if !new.is_empty() {
            let first = self.first + self.told;
            self.told += new.len();
            self.sink.take(first, new);
        }
        self.heard = self.heard.min(self.told);
    }

    /// Returns of how many calls nobody was told.
    pub(super) fn left(&self) -> usize {
        self.calls - self.told
    }

    /// It comes back, and goes again, to be answered from its first call on.
    pub(super) fn back(&mut self) {
        self.heard = 0;
        self.state.put(Place::Here);
    }

    /// Tells that there are no answers.
    pub(crate) fn fail(self, why: impl Fn(&'static str) -> TaskError) {
        self.state.put(Place::Done);
        let all: Vec<_> = (0..self.left()).map(|_| Err(why(self.task))).collect();
        if !all.is_empty() {
            self.sink.take(self.first + self.told, all);
        }
    }
}

/// Where a job is, for who calls it off.
#[derive(Default)]
pub(crate) struct JobState {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    place: Place,
    /// It is to be called off.
    is_off: bool,
    /// How long each of its calls may run.
    limit: Option<Duration>,
}

#[derive(Clone, Default)]
pub(super) enum Place {
    /// Not sent, or come back.
    #[default]
    Here,
    /// Somebody sends it by this ticket, with this limit.
    Sent(u64, Option<Duration>),
    There(Arc<Link>, u32, u64),
    /// Answered.
    Done,
}

impl JobState {
    pub(crate) fn new(limit: Option<Duration>) -> Arc<Self> {
        let state = State { limit, ..State::default() };
        Arc::new(Self { state: Mutex::new(state), moved: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole, whatever panicked: every change to it is a store.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is about to be sent by this ticket: returns how long it may run. `Err`: it is called off, and is not sent.
    pub(super) fn begin(&self, ticket: u64) -> Result<Option<Duration>, ()> {
        let mut state = self.state();
        if state.is_off {
            return Err(());
        }
        state.place = Place::Sent(ticket, state.limit);
        Ok(state.limit)
    }

    /// It was sent: what was asked for meanwhile follows it.
    pub(super) fn sent(&self, link: &Arc<Link>, session: u32, ticket: u64) {
        let mut state = self.state();
        let limit = match state.place {
            Place::Sent(by, limit) if by == ticket => limit,
            // It is back already.
            _ => return,
        };
        state.place = Place::There(link.clone(), session, ticket);
        let (is_off, new) = (state.is_off, state.limit);
        drop(state);
        self.moved.notify_all();
        if is_off {
            say(link, session, &encode(&PoolAsk::Cancel { ticket, kills: false }));
        }
        if let Some(limit) = new.filter(|_| new != limit) {
            say(link, session, &encode(&PoolAsk::Limit { ticket, limit }));
        }
    }

    /// It is somewhere else now.
    pub(super) fn put(&self, place: Place) {
        self.state().place = place;
        self.moved.notify_all();
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.state().place, Place::Done)
    }

    /// Calls it off unless it has begun, and waits for nobody.
    pub(crate) fn call_off(&self) {
        let mut state = self.state();
        state.is_off = true;
        if let Place::There(link, session, ticket) = state.place.clone() {
            drop(state);
            say(&link, session, &encode(&PoolAsk::Cancel { ticket, kills: false }));
        }
    }

    /// Calls it off, and kills who runs it, if it is to. Returns whether its host says that it is so.
    pub(crate) fn cancel(&self, kills: bool) -> bool {
        let mut state = self.state();
        state.is_off = true;
        loop {
            match &state.place {
                Place::Here => return true,
                Place::Done => return false,
                Place::Sent(..) => {
                    state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Place::There(link, session, ticket) => {
                    let (link, session, ticket) = (link.clone(), *session, *ticket);
                    drop(state);
                    // If it has come back meanwhile it is not sent again.
                    return is_so(&link, session, &PoolAsk::Cancel { ticket, kills })
                        || matches!(self.state().place, Place::Here);
                }
            }
        }
    }

    /// Returns whether a worker is at it.
    pub(crate) fn is_running(&self) -> bool {
        match self.state().place.clone() {
            Place::There(link, session, ticket) => {
                is_so(&link, session, &PoolAsk::IsRunning { ticket })
            }
            Place::Here | Place::Sent(..) | Place::Done => false,
        }
    }

    /// Says how long each of its calls may run.
    pub(crate) fn limit(&self, limit: Duration) {
        let mut state = self.state();
        state.limit = Some(limit);
        if let Place::There(link, session, ticket) = state.place.clone() {
            drop(state);
            say(&link, session, &encode(&PoolAsk::Limit { ticket, limit }));
        }
    }
}

/// Asks a host whether something is so; if it does not say, it is not.
fn is_so(link: &Link, session: u32, what: &PoolAsk<'_>) -> bool {
    let said = ask(link, session, &encode(what));
    said.is_ok_and(|said| matches!(postcard::from_bytes(&said), Ok(PoolSaid::Is(true))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was told, by the calls' numbers.
    #[derive(Default)]
    struct Told(Mutex<Vec<(usize, Packed)>>);

    impl Sink for Told {
        fn take(&self, first: usize, outcomes: Vec<Packed>) {
            self.0.lock().unwrap().extend((first..).zip(outcomes));
        }
    }

    fn answers(numbers: std::ops::Range<u8>) -> Vec<Packed> {
        numbers.map(|n| Ok(vec![n])).collect()
    }

    #[test]
    fn calls_that_a_host_had_answered_before_it_died_are_not_told_of_again() {
        let sink = Arc::new(Told::default());
        let mut job = Job {
            task: "task",
            is_idempotent: true,
            sink: sink.clone(),
            first: 10,
            calls: 5,
            told: 0,
            heard: 0,
            order: Vec::new(),
            deaths: 0,
            state: Arc::default(),
        };
        job.tell(answers(0..2));
        job.back();
        // The next one begins with the first, in parts of its own.
        job.tell(answers(0..1));
        job.tell(answers(1..4));
        assert_eq!(job.left(), 1);
        job.back();
        // More than there are.
        job.tell(answers(0..7));
        job.tell(answers(7..9));
        assert_eq!(job.left(), 0);
        job.fail(|_| TaskError::Closed);
        let told = std::mem::take(&mut *sink.0.lock().unwrap());
        let found: Vec<_> = told.into_iter().map(|(n, it)| (n, it.unwrap()[0])).collect();
        assert_eq!(found, [(10, 0), (11, 1), (12, 2), (13, 3), (14, 4)]);
    }

    #[test]
    fn a_job_that_was_called_off_while_it_was_here_is_not_sent() {
        let state = JobState::new(Some(Duration::from_secs(1)));
        assert_eq!(state.begin(1), Ok(Some(Duration::from_secs(1))));
        state.put(Place::Here);
        assert!(state.cancel(false) && state.begin(2).is_err());
        state.put(Place::Done);
        assert!(!state.cancel(false) && !state.is_running());
    }
}
