//! Many calls of one task, and their answers as they come: no more is under way than somebody is about to use.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_process::{Task, TaskError};
use shmkit_sync::{GivenUp, Patience};

use crate::Pool;
use crate::course::Course;

/// The answers to many calls, as they are wanted: of [`Pool::imap`] and [`Pool::imap_unordered`].
///
/// Inputs are taken by whoever asks for the next answer, in its thread, and only as many as are to be under way. Dropped, it
/// calls off what has not begun.
#[must_use = "it calls nothing before somebody asks for an answer"]
pub struct Imap<'p, T: Task, I> {
    course: Course<'p, T>,
    inputs: Option<I>,
    is_ordered: bool,
    /// How many calls may be given and not handed over.
    window: usize,
    /// Of those that came before their turn.
    early: BTreeMap<usize, Result<T::Output, TaskError>>,
    ready: VecDeque<Each<T>>,
    /// How many were handed over.
    taken: usize,
}

/// A call's number, and what became of it.
type Each<T> = (usize, Result<<T as Task>::Output, TaskError>);

impl Pool {
    /// Calls the task for each of the inputs, and returns an iterator over the answers, in their order. Nothing is called ahead of
    /// its use but twice as many as there are workers.
    pub fn imap<T, A, J>(
        &self,
        task: T,
        inputs: J,
    ) -> Imap<'_, T, impl Iterator<Item = T::Args> + use<T, A, J>>
    where
        T: Task<Args = (A,)>,
        J: IntoIterator<Item = A>,
    {
        let _ = task;
        Imap::new(self, inputs.into_iter().map(|input| (input,)), true)
    }

    /// As [`imap`](Self::imap), with the answers as they come.
    pub fn imap_unordered<T, A, J>(
        &self,
        task: T,
        inputs: J,
    ) -> Imap<'_, T, impl Iterator<Item = T::Args> + use<T, A, J>>
    where
        T: Task<Args = (A,)>,
        J: IntoIterator<Item = A>,
    {
        let _ = task;
        Imap::new(self, inputs.into_iter().map(|input| (input,)), false)
    }
}

impl<'p, T: Task, I: Iterator<Item = T::Args>> Imap<'p, T, I> {
    fn new(pool: &'p Pool, inputs: I, is_ordered: bool) -> Self {
        Self {
            course: Course::new(&pool.inner, 1),
            inputs: Some(inputs),
            is_ordered,
            window: 2 * pool.workers() as usize,
            early: BTreeMap::new(),
            ready: VecDeque::new(),
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
        self.window = self.window * calls / self.course.chunk();
        self.course.set_chunk(calls);
        self
    }

    /// How many calls may be under way, or answered, and not asked for.
    pub fn window(mut self, calls: usize) -> Self {
        self.window = calls.max(1);
        self
    }

    /// Has each answer come with its input's number, from 0.
    pub fn with_index(self) -> WithIndex<Self> {
        WithIndex(self)
    }

    /// Takes inputs, as many as may be under way.
    fn fill(&mut self) {
        while self.course.given - self.taken < self.window {
            let Some(inputs) = &mut self.inputs else { return };
            match inputs.next() {
                Some(args) => {
                    self.course.give(&args);
                }
                None => self.inputs = None,
            }
        }
    }

    /// Returns the next answer, if it is there.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TaskError::TimedOut): it is not; and what became of the call.
    pub fn try_next(&mut self) -> Option<Result<T::Output, TaskError>> {
        self.course.look();
        self.next_deadline(Deadline::PASSED)
    }

    /// As [`next`](Iterator::next), for at most `wait`.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TaskError::TimedOut): there is none yet; and what became of the call.
    ///
    /// # If a peer dies
    ///
    /// A worker: as with [`map`](Pool::map).
    pub fn next_timeout(&mut self, wait: Duration) -> Option<Result<T::Output, TaskError>> {
        self.next_deadline(wait)
    }

    /// As [`next`](Iterator::next), as long as the patience says: its deadline and its hook count. There is always room for what
    /// is to be called next, unless others fill the pool: then it waits for that, too, as long as it takes.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TaskError::TimedOut), [`Interrupted`](TaskError::Interrupted): there is none yet; and what became of the call.
    ///
    /// # If a peer dies
    ///
    /// A worker: as with [`map`](Pool::map).
    pub fn next_deadline<'h>(
        &mut self,
        patience: impl Into<Patience<'h>>,
    ) -> Option<Result<T::Output, TaskError>> {
        match self.next_with_index(&patience.into()) {
            Ok(next) => next.map(|(_, answer)| answer),
            Err(GivenUp::Interrupted) => Some(Err(TaskError::Interrupted)),
            Err(_) => Some(Err(TaskError::TimedOut)),
        }
    }

    fn next_with_index(&mut self, patience: &Patience<'_>) -> Result<Option<Each<T>>, GivenUp> {
        loop {
            // First: an input that panics hides no answer that is there.
            if let Some(answer) = self.ready.pop_front() {
                self.taken += 1;
                return Ok(Some(answer));
            }
            self.fill();
            self.course.send();
            if self.taken == self.course.given {
                return Ok(None);
            }
            let (early, ready) = (&mut self.early, &mut self.ready);
            let is_ordered = self.is_ordered;
            self.course.receive(Some(patience), |index, answer| match is_ordered {
                true => drop(early.insert(index, answer)),
                false => ready.push_back((index, answer)),
            })?;
            while let Some(answer) = self.early.remove(&(self.taken + self.ready.len())) {
                self.ready.push_back((self.taken + self.ready.len(), answer));
            }
        }
    }
}

impl<T: Task, I: Iterator<Item = T::Args>> Iterator for Imap<'_, T, I> {
    type Item = Result<T::Output, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_deadline(Patience::ENDLESS)
    }
}

/// Answers with their inputs' numbers: of [`Imap::with_index`].
#[derive(Debug)]
#[must_use = "it calls nothing before somebody asks for an answer"]
pub struct WithIndex<I>(I);

impl<T: Task, I: Iterator<Item = T::Args>> Iterator for WithIndex<Imap<'_, T, I>> {
    type Item = (usize, Result<T::Output, TaskError>);

    fn next(&mut self) -> Option<Self::Item> {
        // It is patient.
        self.0.next_with_index(&Patience::ENDLESS).ok().flatten()
    }
}

impl<T: Task, I> fmt::Debug for Imap<'_, T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imap")
            .field("task", &T::NAME)
            .field("given", &self.course.given)
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}
