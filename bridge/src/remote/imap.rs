//! Answers as they come.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use shmkit::{Patience, TaskError};
use shmkit_process::Task;

use super::batch::Batch;
use super::gather::Gather;
use super::job::JobState;
use super::pool::RemotePool;

/// The answers of many calls, as they are wanted: of [`RemotePool::imap`] and [`RemotePool::imap_unordered`].
///
/// Inputs are taken by whoever asks for the next answer, in its thread, and only as many as are to be under way. Dropped, it calls off what has
/// not begun.
#[must_use = "it calls nothing before somebody asks for an answer"]
pub struct RemoteImap<'p, T: Task, I> {
    pool: &'p RemotePool,
    inputs: Option<I>,
    gather: Arc<Gather<T::Output>>,
    batch: Batch<T>,
    /// Those that may be under way, the oldest first.
    jobs: VecDeque<Arc<JobState>>,
    is_ordered: bool,
    chunk: usize,
    /// How many calls may be given and not handed over.
    window: usize,
    given: usize,
    taken: usize,
}

/// A call's number, and what became of it.
type Each<T> = (usize, Result<<T as Task>::Output, TaskError>);

impl RemotePool {
    /// Calls the task for each of the inputs, and returns an iterator over the answers, in their order. Nothing is called ahead of its use
    /// but twice as many as there are workers.
    pub fn imap<T, A, J>(
        &self,
        task: T,
        inputs: J,
    ) -> RemoteImap<'_, T, impl Iterator<Item = T::Args> + use<T, A, J>>
    where
        T: Task<Args = (A,)>,
        J: IntoIterator<Item = A>,
    {
        let _ = task;
        RemoteImap::new(self, inputs.into_iter().map(|input| (input,)), true)
    }

    /// As [`imap`](Self::imap), with the answers as they come.
    pub fn imap_unordered<T, A, J>(
        &self,
        task: T,
        inputs: J,
    ) -> RemoteImap<'_, T, impl Iterator<Item = T::Args> + use<T, A, J>>
    where
        T: Task<Args = (A,)>,
        J: IntoIterator<Item = A>,
    {
        let _ = task;
        RemoteImap::new(self, inputs.into_iter().map(|input| (input,)), false)
    }
}

impl<'p, T: Task, I: Iterator<Item = T::Args>> RemoteImap<'p, T, I> {
    fn new(pool: &'p RemotePool, inputs: I, is_ordered: bool) -> Self {
        Self {
            pool,
            inputs: Some(inputs),
            gather: Gather::new(T::NAME),
            batch: Batch::new(0),
            jobs: VecDeque::new(),
            is_ordered,
            chunk: 1,
            window: 2 * pool.workers().max(1) as usize,
            given: 0,
            taken: 0,
        }
    }

    /// Has so many calls run as one task.
    ///
    /// # Panics
    ///
    /// If `calls` is 0.
    pub fn chunk(mut self, calls: usize) -> Self {
        assert!(calls > 0, "a chunk has at least one call");
        self.window = self.window * calls / self.chunk;
        self.chunk = calls;
        self
    }

    /// How many calls may be under way, or answered, and not asked for.
    pub fn window(mut self, calls: usize) -> Self {
        self.window = calls.max(1);
        self
    }

    /// Has each answer come with its input's number, from 0.
    pub fn with_index(self) -> RemoteWithIndex<Self> {
        RemoteWithIndex(self)
    }

    /// Returns the next answer, if it is there.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TaskError::TimedOut): it is not; and what became of the call.
    pub fn try_next(&mut self) -> Option<Result<T::Output, TaskError>> {
        self.next_deadline(Duration::ZERO)
    }

    /// As [`next`](Iterator::next), for at most `wait`.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TaskError::TimedOut): there is none yet; and what became of the call.
    ///
    /// # If a peer dies
    ///
    /// See [the pool](RemotePool#if-a-peer-dies).
    pub fn next_timeout(&mut self, wait: Duration) -> Option<Result<T::Output, TaskError>> {
        self.next_deadline(wait)
    }

    /// As [`next`](Iterator::next), as long as the patience says: its deadline and its hook count. If others fill the hosts, it waits for
    /// room for what is to be called next, too, as long as it takes.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TaskError::TimedOut), [`Interrupted`](TaskError::Interrupted): there is none yet; and what became of the call.
    ///
    /// # If a peer dies
    ///
    /// See [the pool](RemotePool#if-a-peer-dies).
    pub fn next_deadline<'h>(
        &mut self,
        patience: impl Into<Patience<'h>>,
    ) -> Option<Result<T::Output, TaskError>> {
        match self.next_with_index(&patience.into()) {
            Ok(next) => next.map(|(_, answer)| answer),
            Err(error) => Some(Err(error)),
        }
    }

    /// Takes inputs, as many as may be under way.
    fn fill(&mut self) {
        while self.given - self.taken < self.window
            && let Some(inputs) = &mut self.inputs
        {
            let Some(args) = inputs.next() else {
                self.inputs = None;
                break;
            };
            let jobs = &mut self.jobs;
            let (gather, chunk) = (&self.gather, self.chunk);
            self.pool.pack_call(&mut self.batch, gather, &args, self.given, chunk, |job| {
                jobs.push_back(job);
            });
            self.given += 1;
        }
        if let Some(job) = self.pool.flush(&mut self.batch, &self.gather) {
            self.jobs.push_back(job);
        }
        while self.jobs.front().is_some_and(|job| job.is_done()) {
            self.jobs.pop_front();
        }
    }

    fn next_with_index(&mut self, patience: &Patience<'_>) -> Result<Option<Each<T>>, TaskError> {
        self.fill();
        if self.taken == self.given {
            return Ok(None);
        }
        let answer = self.gather.next(self.is_ordered.then_some(self.taken), patience)?;
        self.taken += 1;
        Ok(Some(answer))
    }
}

impl<T: Task, I: Iterator<Item = T::Args>> Iterator for RemoteImap<'_, T, I> {
    type Item = Result<T::Output, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_deadline(Patience::ENDLESS)
    }
}

/// Answers with their inputs' numbers: of [`RemoteImap::with_index`].
#[derive(Debug)]
#[must_use = "it calls nothing before somebody asks for an answer"]
pub struct RemoteWithIndex<I>(I);

impl<T: Task, I: Iterator<Item = T::Args>> Iterator for RemoteWithIndex<RemoteImap<'_, T, I>> {
    type Item = (usize, Result<T::Output, TaskError>);

    fn next(&mut self) -> Option<Self::Item> {
        // It is patient.
        self.0.next_with_index(&Patience::ENDLESS).ok().flatten()
    }
}

impl<T: Task, I> Drop for RemoteImap<'_, T, I> {
    fn drop(&mut self) {
        self.jobs.iter().for_each(|job| job.call_off());
    }
}

impl<T: Task, I> fmt::Debug for RemoteImap<'_, T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteImap")
            .field("task", &T::NAME)
            .field("given", &self.given)
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}
