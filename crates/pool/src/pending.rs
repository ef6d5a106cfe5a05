//! A task that was given to a pool, and its answer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::de::DeserializeOwned;
use shmkit_atomic::Deadline;
use shmkit_process::TaskError;
use shmkit_sync::{GivenUp, Patience};

use crate::book::Book;
use crate::inner::{Shared, Spot};
use crate::ticket::{Listens, Ticket};

/// A task that a pool was given, and its answer.
///
/// It is a [`Future`], of no runtime in particular. Dropped, it calls the task off if that has not begun; whoever wants neither
/// the answer nor that [detaches](Self::detach) it.
#[must_use = "dropped at once, it calls the task off"]
pub struct Pending<T> {
    inner: Shared,
    ticket: Arc<Ticket<T>>,
    /// `None` if it was never sent.
    spot: Option<Spot>,
    is_detached: bool,
}

impl<T: DeserializeOwned + Send + 'static> Pending<T> {
    pub(crate) fn new(
        inner: Shared,
        ticket: Arc<Ticket<T>>,
        sent: Result<Spot, TaskError>,
    ) -> Self {
        let spot = match sent {
            Ok(spot) => Some(spot),
            Err(error) => {
                ticket.refuse(error);
                None
            }
        };
        Self { inner, ticket, spot, is_detached: false }
    }

    /// Waits for the answer.
    ///
    /// # Errors
    ///
    /// [`TaskError`]: there is no answer. What the task says itself, an error among others, is in the answer.
    ///
    /// # If a peer dies
    ///
    /// The worker that runs it: [`WorkerDied`](TaskError::WorkerDied), or another one runs it, as the pool was made.
    pub fn wait(mut self) -> Result<T, TaskError> {
        self.wait_deadline(Patience::ENDLESS)
    }

    /// Returns the answer, if it is there. It is taken.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TaskError::TimedOut): it is not; [`Taken`](TaskError::Taken); and those of [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> Result<T, TaskError> {
        self.inner.drain_now();
        self.wait_deadline(Deadline::PASSED)
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
        if let Some(spot) = self.spot {
            if !self.inner.is_here() {
                return Err(TaskError::NotOurs);
            }
            let patience = patience.into();
            if patience.waits() {
                self.inner.tell_soon(spot);
            }
            loop {
                if let Some(answer) = self.ticket.take_answer() {
                    self.spot = None;
                    return answer;
                }
                // It may be there now, and lent to others when it is to be taken.
                let is_told = |_: &mut Book| self.ticket.is_told().then_some(());
                self.inner.work_until(&patience, is_told).map_err(|why| match why {
                    GivenUp::Interrupted => TaskError::Interrupted,
                    _ => TaskError::TimedOut,
                })?;
            }
        }
        self.ticket.take_answer().unwrap_or(Err(TaskError::TimedOut))
    }

    /// Returns whether the answer is there.
    pub fn is_done(&self) -> bool {
        if !self.ticket.is_told() {
            self.inner.drain_now();
        }
        self.ticket.is_told()
    }

    /// Has `then` called with the answer when it is there, by whichever thread takes it: it should not wait, and must not for this
    /// very answer. The answer can be waited for nevertheless, and is there when all have returned who are called with it, or
    /// have panicked.
    pub fn then(self, then: impl FnOnce(&Result<T, TaskError>) + Send + 'static) -> Self {
        self.ticket.then(Box::new(then));
        if !self.watch() {
            self.ticket.call();
        }
        self
    }

    /// How long the task may run: its worker is killed then. The time counts from when it begins.
    pub fn timeout(self, limit: Duration) -> Self {
        if let Some(spot) = self.spot {
            self.inner.limit(spot, limit);
        }
        self
    }

    /// Calls the task off if it has not begun: then it never runs, and its answer is [`Cancelled`](TaskError::Cancelled).
    /// Returns whether that is so.
    pub fn cancel(&self) -> bool {
        self.spot.is_some_and(|spot| self.inner.cancel(spot, false))
    }

    /// Calls the task off, and kills its worker if it has begun; that hits no other task. Returns false if it has answered.
    pub fn kill(&self) -> bool {
        self.spot.is_some_and(|spot| self.inner.cancel(spot, true))
    }

    /// Lets the task run, and its answer go.
    pub fn detach(mut self) {
        self.is_detached = true;
    }

    /// As it is, but dropped it lets the task run.
    pub(crate) fn kept_running(mut self) -> Self {
        self.is_detached = true;
        self
    }

    pub(crate) fn inner(&self) -> &Shared {
        &self.inner
    }

    /// Whether the answer has been told of.
    pub(crate) fn is_told(&self) -> bool {
        self.ticket.is_told()
    }

    /// Shows the answer, which stays.
    pub(crate) fn peek<R>(&self, show: impl FnOnce(&Result<T, TaskError>) -> R) -> Option<R> {
        self.ticket.peek(show)
    }

    /// Returns whether a worker is at it.
    pub fn is_running(&self) -> bool {
        !self.is_done() && self.spot.is_some_and(|spot| self.inner.is_running(spot))
    }

    /// Waits for the answer, shows it, and leaves it there.
    pub(crate) fn wait_and_peek<R>(
        &self,
        wait: Option<Duration>,
        show: impl Fn(&Result<T, TaskError>) -> R,
    ) -> Result<R, TaskError> {
        if !self.inner.is_here() {
            return Err(TaskError::NotOurs);
        }
        let patience = wait.map_or(Patience::ENDLESS, Into::into);
        // Not under the book: it may be a user's type that is unpacked.
        loop {
            let told = self.inner.work_until(&patience, |_| self.ticket.is_told().then_some(()));
            told.map_err(|_| TaskError::TimedOut)?;
            if let Some(shown) = self.peek(&show) {
                return Ok(shown);
            }
        }
    }

    /// Waits for so long until something is as asked for, which answers of this pool may bring about.
    pub(crate) fn wait_for(&self, wait: Duration, is_so: impl Fn() -> bool) {
        // Too little time, or it is so.
        let _ = self.inner.work_until(&wait.into(), |_| is_so().then_some(()));
    }

    /// Has somebody take answers who does not wait for them himself. Returns false if it is there already.
    fn watch(&self) -> bool {
        let mut book = self.inner.book();
        match self.ticket.listen() {
            Listens::Late => return false,
            Listens::Already => {}
            Listens::Now => {
                book.watched += 1;
                self.inner.start_taker(&mut book);
            }
        }
        true
    }
}

impl<T: DeserializeOwned + Send + 'static> Future for Pending<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(answer) = self.ticket.take_answer() {
            return Poll::Ready(answer);
        }
        if !self.inner.is_here() {
            return Poll::Ready(Err(TaskError::NotOurs));
        }
        self.ticket.wake(context.waker());
        if self.watch() {
            return Poll::Pending;
        }
        // Those come first who are being called with it: then it wakes.
        self.ticket.take_answer().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        if let Some(spot) = self.spot
            && !self.is_detached
        {
            self.inner.cancel(spot, false);
        }
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ticket, spot, .. } = self;
        f.debug_struct("Pending").field("task", &ticket.task).field("spot", spot).finish()
    }
}
