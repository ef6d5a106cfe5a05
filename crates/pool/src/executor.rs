//! A pool by the words of Python's `concurrent.futures`.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use shmkit_process::{Task, TaskError};

use crate::{Imap, Pending, Pool, PoolError};

/// A pool by the words of Python's `concurrent.futures`: [`submit`](Self::submit), [`map`](Self::map),
/// [`shutdown`](Self::shutdown), [`as_completed`], [`wait`].
///
/// It is a [`Pool`], which it can be made of, with what that is [made](Pool::builder) with. A worker that dies costs its task
/// alone: there is no `BrokenProcessPool` because of one.
///
/// Dropped, it waits for what it has been given, as a `with` block does.
///
/// # Examples
///
/// ```no_run
/// use shmkit_pool::executor::{Executor, as_completed};
/// use shmkit_process::task;
///
/// #[task(crate = shmkit_process)]
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let executor = Executor::new(4)?;
/// let futures = (1..=4).map(|x| executor.submit(square, (x,))).collect();
/// for future in as_completed(futures, None) {
///     println!("{}", future?.result(None)?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Executor {
    pool: Pool,
}

impl Executor {
    /// Makes one with so many workers.
    ///
    /// # Errors
    ///
    /// Those of [`Pool::new`].
    pub fn new(max_workers: u32) -> Result<Self, PoolError> {
        Pool::new(max_workers).map(Self::from)
    }

    /// Gives it a task.
    ///
    /// # If a peer dies
    ///
    /// As with [`Pool::submit`].
    pub fn submit<T>(&self, task: T, args: T::Args) -> Future<T::Output>
    where
        T: Task,
        T::Output: Send + 'static,
    {
        Future(self.pool.submit(task, args).kept_running())
    }

    /// Calls the task for each of the inputs, and returns an iterator over the answers, in their order. At most twice as many calls
    /// as workers are ahead of their use (`buffersize`).
    pub fn map<T, A, J>(
        &self,
        task: T,
        inputs: J,
    ) -> Imap<'_, T, impl Iterator<Item = T::Args> + use<T, A, J>>
    where
        T: Task<Args = (A,)>,
        J: IntoIterator<Item = A>,
    {
        self.pool.imap(task, inputs)
    }

    /// Takes no tasks any more; those that have not begun are called off, if `cancel_futures`. Returns when the workers have ended,
    /// if `wait`.
    ///
    /// # If a peer dies
    ///
    /// A worker: as always. Nobody waits for the dead.
    pub fn shutdown(&self, wait: bool, cancel_futures: bool) {
        self.pool.close();
        if cancel_futures {
            self.pool.inner.cancel_all();
        }
        if wait {
            // Closed, and this process's.
            let _ = self.pool.join();
        }
    }

    /// Returns the pool.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }
}

impl From<Pool> for Executor {
    fn from(pool: Pool) -> Self {
        Self { pool }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        if self.pool.inner.is_ours() && !std::thread::panicking() {
            self.shutdown(true, false);
        }
    }
}

/// A task that an [`Executor`] was given. Dropped, it lets the task run.
pub struct Future<T>(Pending<T>);

impl<T: DeserializeOwned + Send + 'static> Future<T> {
    /// Waits for the answer, for so long, or as long as it takes.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TaskError::TimedOut): there is none yet; [`Cancelled`](TaskError::Cancelled); and what keeps the task from
    /// having one.
    ///
    /// # If a peer dies
    ///
    /// As with [`Pending::wait`].
    pub fn result(&mut self, timeout: Option<Duration>) -> Result<T, TaskError> {
        match timeout {
            Some(wait) => self.0.wait_timeout(wait),
            None => self.0.wait_deadline(shmkit_sync::Patience::ENDLESS),
        }
    }

    /// Waits for the end of the task, and returns why there is no answer, as text; `None` if there is one. It stays.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TaskError::TimedOut): it has not ended.
    ///
    /// # If a peer dies
    ///
    /// As with [`Pending::wait`].
    pub fn exception(&self, timeout: Option<Duration>) -> Result<Option<String>, TaskError> {
        self.0.wait_and_peek(timeout, |answer| match answer {
            // Whoever has it knows.
            Ok(_) | Err(TaskError::Taken) => None,
            Err(error) => Some(error.to_string()),
        })
    }

    /// Returns whether it has ended: answered, called off, or without an answer.
    pub fn done(&self) -> bool {
        self.0.is_done()
    }

    /// Returns whether a worker is at it.
    pub fn running(&self) -> bool {
        self.0.is_running()
    }

    /// Returns whether it was called off.
    pub fn cancelled(&self) -> bool {
        let cancelled = |answer: &Result<T, TaskError>| matches!(answer, Err(TaskError::Cancelled));
        self.done() && self.0.peek(cancelled).unwrap_or(false)
    }

    /// Calls it off, if it has not begun. Returns whether that is so.
    pub fn cancel(&self) -> bool {
        self.0.cancel()
    }

    /// Has `callback` called with the answer when it is there: see [`Pending::then`].
    pub fn add_done_callback(
        self,
        callback: impl FnOnce(&Result<T, TaskError>) + Send + 'static,
    ) -> Self {
        Self(self.0.then(callback))
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Future").field(&self.0).finish()
    }
}

/// Returns the futures as they end, which may be of several executors' pools; those of one are waited for together.
///
/// # Errors
///
/// An item is [`TimedOut`](TaskError::TimedOut) if the time, which counts from now, is over: it is the last one.
///
/// # If a peer dies
///
/// A worker: its task has ended.
pub fn as_completed<T: DeserializeOwned + Send + 'static>(
    futures: Vec<Future<T>>,
    timeout: Option<Duration>,
) -> impl Iterator<Item = Result<Future<T>, TaskError>> {
    let end = timeout.map(|timeout| Instant::now() + timeout);
    let mut waits = futures;
    std::iter::from_fn(move || {
        if waits.is_empty() {
            return None;
        }
        match first_done(&waits, end) {
            Some(n) => Some(Ok(waits.remove(n))),
            None => {
                waits.clear();
                Some(Err(TaskError::TimedOut))
            }
        }
    })
}

/// What [`wait`] waits for.
///
/// Closed: they are Python's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnWhen {
    /// One has ended.
    FirstCompleted,
    /// One has ended without an answer, or all have ended.
    FirstException,
    /// All have ended.
    AllCompleted,
}

/// Waits for futures, for so long, or as long as it takes. Returns those that have ended, and those that have not.
///
/// # If a peer dies
///
/// A worker: its task has ended.
pub fn wait<T: DeserializeOwned + Send + 'static>(
    futures: Vec<Future<T>>,
    timeout: Option<Duration>,
    return_when: ReturnWhen,
) -> (Vec<Future<T>>, Vec<Future<T>>) {
    let end = timeout.map(|timeout| Instant::now() + timeout);
    let (mut done, mut waits) = (Vec::new(), futures);
    let mut is_enough = waits.is_empty();
    while !is_enough {
        let Some(n) = first_done(&waits, end) else { break };
        let future = waits.remove(n);
        is_enough = match return_when {
            ReturnWhen::FirstCompleted => true,
            ReturnWhen::FirstException => {
                let failed = future.0.wait_and_peek(None, Result::is_err);
                failed.unwrap_or(true) || waits.is_empty()
            }
            ReturnWhen::AllCompleted => waits.is_empty(),
        };
        done.push(future);
    }
    // Others may have ended at the same time.
    let (more, waits): (Vec<_>, Vec<_>) = waits.into_iter().partition(Future::done);
    done.extend(more);
    (done, waits)
}

/// How long those of one pool are waited for, when there are several.
const SLICE: Duration = Duration::from_millis(5);

/// Waits until one has ended, and returns which.
fn first_done<T: DeserializeOwned + Send + 'static>(
    futures: &[Future<T>],
    end: Option<Instant>,
) -> Option<usize> {
    let first = futures.first()?;
    let are_of_one = futures.iter().all(|future| Arc::ptr_eq(future.0.inner(), first.0.inner()));
    let is_told = || futures.iter().any(|future| future.0.is_told());
    loop {
        // It also takes what has come.
        if let Some(n) = futures.iter().position(Future::done) {
            return Some(n);
        }
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return None;
        }
        let most = if are_of_one { Duration::MAX } else { SLICE };
        first.0.wait_for(left.map_or(most, |left| left.min(most)), is_told);
    }
}
