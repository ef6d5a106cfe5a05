//! A task that was given to another machine, and its answer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde::de::DeserializeOwned;
use shmkit::{Patience, TaskError};

use super::job::{JobState, Packed, Sink, unpack};
use super::side::wait_for;

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
        // More may be added while some are called.
        while !state.then.is_empty() {
            let then = std::mem::take(&mut state.then);
            drop(state);
            then.into_iter().for_each(|then| then(&answer));
            state = self.state();
        }
        let waker = state.waker.take();
        state.answer = Some(answer);
        drop(state);
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
        self.wait_deadline(Patience::ENDLESS)
    }

    /// Returns the answer, if it is there. It is taken.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TaskError::TimedOut): it is not; [`Taken`](TaskError::Taken); and those of [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> Result<T, TaskError> {
        self.wait_deadline(Duration::ZERO)
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
        self.wait_deadline(wait)
    }

    /// Waits for the answer as long as the patience says. It is taken. Of the patience count its deadline and its hook.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TaskError::TimedOut), [`Interrupted`](TaskError::Interrupted): the task goes on; and those of
    /// [`try_wait`](Self::try_wait).
    ///
    /// # If a peer dies
    ///
    /// As with [`wait`](Self::wait).
    pub fn wait_deadline<'p>(&mut self, patience: impl Into<Patience<'p>>) -> Result<T, TaskError> {
        let Ticket { state, told, .. } = &*self.ticket;
        wait_for(state, told, &patience.into(), |state| match state.answer.take() {
            Some(answer) => {
                state.is_taken = true;
                Some(answer)
            }
            None => state.is_taken.then_some(Err(TaskError::Taken)),
        })?
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

    /// How long the task may run: its worker is killed then. The time counts from when it begins, on whichever host. A host whose pool was
    /// made for less lets it run for less.
    pub fn timeout(self, limit: Duration) -> Self {
        self.job.limit(limit);
        self
    }

    /// Calls the task off if it has not begun: then it never runs, and its answer is [`Cancelled`](TaskError::Cancelled).
    /// Returns whether that is so: its host is asked, and this waits for what it says. A callback of [`then`](Self::then) only asks, and
    /// is told `false`; the answer says what has become of it.
    ///
    /// # If a peer dies
    ///
    /// The host: it is not known, and `false`; no other host runs it.
    pub fn cancel(&self) -> bool {
        self.job.cancel(false)
    }

    /// Calls the task off, and kills its worker if it has begun; that hits no other task. Returns false if it has answered, or if it is not
    /// known, as [`cancel`](Self::cancel) does.
    ///
    /// # If a peer dies
    ///
    /// As with [`cancel`](Self::cancel).
    pub fn kill(&self) -> bool {
        self.job.cancel(true)
    }

    /// Returns whether a worker is at it: its host is asked.
    ///
    /// # If a peer dies
    ///
    /// The host: it is not.
    pub fn is_running(&self) -> bool {
        !self.is_done() && self.job.is_running()
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
            self.job.call_off();
        }
    }
}

impl<T> fmt::Debug for RemotePending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemotePending").field("task", &self.ticket.task).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn who_asks_to_be_told_while_others_are_is_told_too() {
        let ticket = Ticket::<u64>::new("task");
        let (at, reached) = channel();
        let (go, goes) = channel::<()>();
        let (tell, told) = channel();
        let pending = RemotePending::new(ticket.clone(), Arc::default()).then(move |_| {
            at.send(()).unwrap();
            goes.recv().unwrap();
        });
        let brings = std::thread::spawn(move || ticket.take(0, vec![Err(TaskError::Closed)]));
        reached.recv().unwrap();
        let pending = pending.then(move |answer| tell.send(answer.is_err()).unwrap());
        go.send(()).unwrap();
        brings.join().unwrap();
        assert_eq!(told.try_recv(), Ok(true));
        assert!(matches!(pending.wait(), Err(TaskError::Closed)));
    }
}
