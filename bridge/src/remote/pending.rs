//! A task that was given to another machine, and its answer.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use shmkit::TaskError;
use shmkit_parcel::Parcel;
use shmkit_process::__bridge::answered;

use super::calls::{JobState, Packed, Sink};

/// What is called with an answer.
type Then<T> = Box<dyn FnOnce(&Result<T, TaskError>) + Send>;

/// A task that a [`RemotePool`](crate::RemotePool) was given, and its answer.
///
/// It is a [`Future`], of no runtime in particular. Dropped, it calls the task off if that has not begun; whoever wants neither the answer
/// nor that [detaches](Self::detach) it.
#[must_use = "dropped at once, it calls the task off"]
pub struct RemotePending<T> {
    ticket: Arc<Ticket<T>>,
    job: Arc<JobState>,
    is_detached: bool,
}

pub(crate) struct Ticket<T> {
    task: &'static str,
    state: Mutex<State<T>>,
    told: Condvar,
}

struct State<T> {
    answer: Option<Result<T, TaskError>>,
    /// It was there, and was taken.
    is_taken: bool,
    waker: Option<Waker>,
    then: Vec<Then<T>>,
}

/// Returns what a task has answered.
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

impl<T> Ticket<T> {
    pub(crate) fn new(task: &'static str) -> Arc<Self> {
        let state = State { answer: None, is_taken: false, waker: None, then: Vec::new() };
        Arc::new(Self { task, state: Mutex::new(state), told: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Whole, whatever panicked: every change to it is a store.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: DeserializeOwned + Send + 'static> Sink for Ticket<T> {
    fn take(&self, _: usize, outcomes: Vec<Packed>) {
        let Some(packed) = outcomes.into_iter().next() else { return };
        let answer = unpack(self.task, packed);
        let mut state = self.state();
        let then = std::mem::take(&mut state.then);
        let waker = state.waker.take();
        if then.is_empty() {
            state.answer = Some(answer);
            drop(state);
        } else {
            drop(state);
            then.into_iter().for_each(|then| then(&answer));
            self.state().answer = Some(answer);
        }
        self.told.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T: DeserializeOwned + Send + 'static> RemotePending<T> {
    pub(crate) fn new(ticket: Arc<Ticket<T>>, job: Arc<JobState>) -> Self {
        Self { ticket, job, is_detached: false }
    }

    /// Waits for the answer.
    ///
    /// # Errors
    ///
    /// [`TaskError`]: there is no answer. What the task says itself, an error among others, is in the answer.
    ///
    /// # If a peer dies
    ///
    /// The host that has it: [`HostDied`](TaskError::HostDied), or another host runs it, if the task says that it is idempotent. The worker
    /// that runs it there: as that host's pool was made.
    pub fn wait(mut self) -> Result<T, TaskError> {
        self.wait_until(None)
    }

    /// Returns the answer, if it is there. It is taken.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TaskError::TimedOut): it is not; [`Taken`](TaskError::Taken); and those of [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> Result<T, TaskError> {
        self.wait_until(Some(Instant::now()))
    }

    /// Waits so long for the answer. It is taken.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TaskError::TimedOut): it is not there, and the task goes on; and those of [`try_wait`](Self::try_wait).
    ///
    /// # If a peer dies
    ///
    /// As with [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, wait: Duration) -> Result<T, TaskError> {
        self.wait_until(Instant::now().checked_add(wait))
    }

    /// Waits for the answer until then.
    ///
    /// # Errors
    ///
    /// As [`wait_timeout`](Self::wait_timeout).
    ///
    /// # If a peer dies
    ///
    /// As with [`wait`](Self::wait).
    pub fn wait_deadline(&mut self, deadline: Instant) -> Result<T, TaskError> {
        self.wait_until(Some(deadline))
    }

    fn wait_until(&mut self, until: Option<Instant>) -> Result<T, TaskError> {
        let mut state = self.ticket.state();
        loop {
            if let Some(answer) = state.answer.take() {
                state.is_taken = true;
                return answer;
            }
            if state.is_taken {
                return Err(TaskError::Taken);
            }
            let told = &self.ticket.told;
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => told.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return Err(TaskError::TimedOut),
                Some(left) => {
                    told.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Returns whether the answer is there, or was.
    pub fn is_done(&self) -> bool {
        let state = self.ticket.state();
        state.answer.is_some() || state.is_taken
    }

    /// Has `then` called with the answer when it is there, by whichever thread brings it: it must not wait. The answer can be waited for
    /// nevertheless.
    pub fn then(self, then: impl FnOnce(&Result<T, TaskError>) + Send + 'static) -> Self {
        let mut state = self.ticket.state();
        match state.answer.take() {
            Some(answer) => {
                drop(state);
                then(&answer);
                self.ticket.state().answer = Some(answer);
            }
            None => {
                state.then.push(Box::new(then));
                drop(state);
            }
        }
        self
    }

    /// Calls the task off if it has not begun: then it never runs, and its answer is [`Cancelled`](TaskError::Cancelled).
    pub fn cancel(&self) {
        self.job.cancel();
    }

    /// Lets the task run, and its answer go.
    pub fn detach(mut self) {
        self.is_detached = true;
    }
}

impl<T: DeserializeOwned + Send + 'static> Future for RemotePending<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.ticket.state();
        if let Some(answer) = state.answer.take() {
            state.is_taken = true;
            return Poll::Ready(answer);
        }
        if state.is_taken {
            return Poll::Ready(Err(TaskError::Taken));
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for RemotePending<T> {
    fn drop(&mut self) {
        let is_there = {
            let state = self.ticket.state();
            state.answer.is_some() || state.is_taken
        };
        if !is_there && !self.is_detached {
            self.job.cancel();
        }
    }
}

impl<T> fmt::Debug for RemotePending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemotePending").field("task", &self.ticket.task).finish_non_exhaustive()
    }
}

/// Many calls' answers.
pub(crate) struct Gather<T> {
    task: &'static str,
    /// Those that are there and that nobody has taken, by their calls' numbers.
    all: Mutex<BTreeMap<usize, Packed>>,
    told: Condvar,
    answer: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Gather<T> {
    pub(crate) fn new(task: &'static str) -> Arc<Self> {
        let (all, told) = (Mutex::default(), Condvar::new());
        Arc::new(Self { task, all, told, answer: PhantomData })
    }

    fn wait_until<R>(&self, mut found: impl FnMut(&mut BTreeMap<usize, Packed>) -> Option<R>) -> R {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match found(&mut all) {
                Some(found) => return found,
                None => all = self.told.wait(all).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Waits for so many, which are all.
    pub(crate) fn wait(&self, calls: usize) -> Vec<Result<T, TaskError>> {
        let all = self.wait_until(|all| (all.len() >= calls).then(|| std::mem::take(all)));
        all.into_values().map(|packed| unpack(self.task, packed)).collect()
    }

    /// Waits for the answer of a call, or of any, which is under way.
    pub(crate) fn next(&self, call: Option<usize>) -> (usize, Result<T, TaskError>) {
        let (n, packed) = self.wait_until(|all| match call {
            Some(call) => all.remove(&call).map(|packed| (call, packed)),
            None => all.pop_first(),
        });
        (n, unpack(self.task, packed))
    }
}

impl<T> Sink for Gather<T> {
    fn take(&self, first: usize, outcomes: Vec<Packed>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend((first..).zip(outcomes));
        drop(all);
        self.told.notify_all();
    }
}
