//! A pool of other machines.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shmkit::{PoolError, TaskError};
use shmkit_process::Task;

use super::batch::Batch;
use super::calls::{Calls, JobState, Sink};
use super::pending::{Gather, RemotePending, Ticket};
use crate::node::Watch;

/// The most calls in a chunk that nobody asked for.
const MOST: usize = 1 << 16;

/// The pools of one name that other machines [serve](crate::Node::serve_pool), as one.
///
/// It has a [`Pool`](shmkit::Pool)'s methods. A task goes to the host that has the most room, and is answered once: with its result, or
/// with why there is none. What is unlike a pool of this machine:
///
/// * A task is run at most once, whatever dies, unless it says `#[task(idempotent)]`: then it goes to another host when the one that had it
///   is gone, up to [`attempts`](crate::RemoteBuilder::attempts) times.
/// * Arguments and answers are bytes, a mebibyte at most for each call. A handle, a descriptor, a lock does not leave its machine: that is
///   an error of the call, which says so.
/// * [`cancel`](RemotePending::cancel) asks; the answer says what has become of it.
///
/// Dropped, it calls off what has not begun.
///
/// # If a peer dies
///
/// | killed, or cut off | what becomes of it |
/// | --- | --- |
/// | a worker there | as that host's pool was made: its death is the answer, or another worker runs the task |
/// | a host | its tasks are answered with [`HostDied`](TaskError::HostDied), or run on another one if they are idempotent; the others go on |
/// | all hosts | tasks that wait for one, and later ones, are answered with [`Broken`](TaskError::Broken), until one comes |
/// | this process | what has not begun there is called off; what has begun goes on, and its answer is dropped |
pub struct RemotePool {
    pub(super) calls: Arc<Calls>,
    pub(super) _watch: Watch,
}

impl RemotePool {
    /// Returns the names of the hosts that it has now.
    pub fn hosts(&self) -> Vec<String> {
        self.calls.state().hosts.iter().map(|host| host.name.clone()).collect()
    }

    /// Returns how many workers its hosts have together, as they have said when they came.
    pub fn workers(&self) -> usize {
        self.calls.state().hosts.iter().map(|host| host.workers).sum()
    }

    /// Gives a host a task. What keeps it from being run is its answer; if as many are under way as there is room for, this waits.
    ///
    /// # If a peer dies
    ///
    /// See [the type](Self#if-a-peer-dies); so with all that runs tasks.
    pub fn submit<T>(&self, task: T, args: T::Args) -> RemotePending<T::Output>
    where
        T: Task,
        T::Output: Send + 'static,
    {
        let _ = task;
        let ticket = Ticket::new(T::NAME);
        let state = Arc::new(JobState::default());
        let mut batch = Batch::<T>::new(0);
        match batch.pack(&args) {
            Ok(_) => {
                if let Some(job) = batch.take(ticket.clone(), state.clone()) {
                    self.calls.give(job);
                }
            }
            Err(error) => ticket.take(0, vec![Err(error)]),
        }
        RemotePending::new(ticket, state)
    }

    /// Calls the task for each of the inputs, and returns the answers in their order. The inputs are cut into four chunks for each worker.
    ///
    /// # Errors
    ///
    /// That of the first call that has no answer, when all calls are done. Who wants the others' answers nevertheless uses
    /// [`map_each`](Self::map_each).
    pub fn map<T, A>(
        &self,
        task: T,
        inputs: impl IntoIterator<Item = A>,
    ) -> Result<Vec<T::Output>, TaskError>
    where
        T: Task<Args = (A,)>,
    {
        self.starmap(task, inputs.into_iter().map(|input| (input,)))
    }

    /// As [`map`](Self::map), of a task with several arguments: the inputs are tuples of them.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    pub fn starmap<T: Task>(
        &self,
        task: T,
        inputs: impl IntoIterator<Item = T::Args>,
    ) -> Result<Vec<T::Output>, TaskError> {
        self.starmap_each(task, inputs).into_iter().collect()
    }

    /// As [`map`](Self::map), and returns what became of each call.
    pub fn map_each<T, A>(
        &self,
        task: T,
        inputs: impl IntoIterator<Item = A>,
    ) -> Vec<Result<T::Output, TaskError>>
    where
        T: Task<Args = (A,)>,
    {
        self.starmap_each(task, inputs.into_iter().map(|input| (input,)))
    }

    /// As [`map_each`](Self::map_each), of a task with several arguments.
    pub fn starmap_each<T: Task>(
        &self,
        task: T,
        inputs: impl IntoIterator<Item = T::Args>,
    ) -> Vec<Result<T::Output, TaskError>> {
        let inputs: Vec<_> = inputs.into_iter().collect();
        let chunk = inputs.len().div_ceil(4 * self.workers().max(1)).clamp(1, MOST);
        self.chunked(task, inputs, chunk)
    }

    /// As [`starmap_each`](Self::starmap_each), with so many calls in a chunk: one task to a host, which one worker runs. If its host dies,
    /// all calls of a chunk that have no answer are told so.
    ///
    /// # Panics
    ///
    /// If `chunk` is 0.
    pub fn chunked<T: Task>(
        &self,
        task: T,
        inputs: impl IntoIterator<Item = T::Args>,
        chunk: usize,
    ) -> Vec<Result<T::Output, TaskError>> {
        assert!(chunk > 0, "a chunk has at least one call");
        let _ = task;
        let gather = Gather::<T::Output>::new(T::NAME);
        let mut batch = Batch::<T>::new(0);
        let mut given = 0;
        for args in inputs {
            self.pack_call(&mut batch, &gather, &args, given, chunk.min(MOST));
            given += 1;
        }
        self.flush(&mut batch, &gather);
        gather.wait(given)
    }

    pub(crate) fn pack_call<T: Task>(
        &self,
        batch: &mut Batch<T>,
        gather: &Arc<Gather<T::Output>>,
        args: &T::Args,
        index: usize,
        chunk: usize,
    ) {
        match batch.pack(args) {
            // It would be more than goes at a time.
            Ok(false) => {
                self.flush(batch, gather);
                if let Err(error) = batch.pack(args) {
                    gather.take(index, vec![Err(error)]);
                    batch.skip(index + 1);
                }
            }
            Ok(true) => {}
            Err(error) => {
                self.flush(batch, gather);
                gather.take(index, vec![Err(error)]);
                batch.skip(index + 1);
            }
        }
        if batch.calls() >= chunk {
            self.flush(batch, gather);
        }
    }

    pub(crate) fn flush<T: Task>(&self, batch: &mut Batch<T>, gather: &Arc<Gather<T::Output>>) {
        if let Some(job) = batch.take(gather.clone(), Arc::default()) {
            self.calls.give(job);
        }
    }

    /// Takes no tasks any more. Those that it has are answered.
    pub fn close(&self) {
        self.calls.state().is_closed = true;
        self.calls.stir();
    }

    /// Waits until all tasks are answered.
    ///
    /// # Errors
    ///
    /// [`Open`](shmkit::pool::PoolErrorKind::Open): it takes tasks, and was not [closed](Self::close).
    pub fn join(&self) -> Result<(), PoolError> {
        self.join_until(None)
    }

    /// As [`join`](Self::join), for at most `wait`.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](shmkit::pool::PoolErrorKind::TimedOut), and those of [`join`](Self::join).
    pub fn join_timeout(&self, wait: Duration) -> Result<(), PoolError> {
        self.join_until(Instant::now().checked_add(wait))
    }

    fn join_until(&self, until: Option<Instant>) -> Result<(), PoolError> {
        let mut state = self.calls.state();
        if !state.is_closed {
            return Err(shmkit::pool::PoolErrorKind::Open.into());
        }
        while state.under_way > 0 {
            let (next, is_time) = self.calls.wait(state, until);
            state = next;
            if !is_time && state.under_way > 0 {
                return Err(shmkit::pool::PoolErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }

    /// Calls off what has not begun, here and there. What has begun goes on there, and its answer is told if it comes.
    pub fn terminate(&self) {
        self.calls.end();
    }
}

impl Drop for RemotePool {
    fn drop(&mut self) {
        self.terminate();
    }
}

impl fmt::Debug for RemotePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.hosts();
        let state = self.calls.state();
        f.debug_struct("RemotePool")
            .field("name", &self.calls.name)
            .field("hosts", &hosts)
            .field("under_way", &state.under_way)
            .finish()
    }
}
