//! Answers as they come.

use std::fmt;
use std::sync::Arc;

use shmkit::TaskError;
use shmkit_process::Task;

use super::batch::Batch;
use super::pending::Gather;
use super::pool::RemotePool;

/// The answers of many calls, as they come: see [`RemotePool::imap`].
///
/// It looks at the next inputs when it is asked for the next answer, and at no more than twice as many as there are workers ahead.
#[must_use = "it calls nothing before it is asked for an answer"]
pub struct RemoteImap<'p, T: Task, I> {
    pool: &'p RemotePool,
    inputs: Option<I>,
    gather: Arc<Gather<T::Output>>,
    /// In the order of the inputs.
    in_order: bool,
    given: usize,
    told: usize,
    /// Of the answers that were told, the number of the last call.
    last: Option<usize>,
}

impl RemotePool {
    /// Returns the answers in the order of the inputs, as they come. The inputs are looked at as far ahead as there are places for them.
    pub fn imap<T, I>(&self, task: T, inputs: I) -> RemoteImap<'_, T, I::IntoIter>
    where
        T: Task,
        I: IntoIterator<Item = T::Args>,
    {
        let _ = task;
        RemoteImap::new(self, inputs.into_iter(), true)
    }

    /// As [`imap`](Self::imap), in the order in which the answers come.
    pub fn imap_unordered<T, I>(&self, task: T, inputs: I) -> RemoteImap<'_, T, I::IntoIter>
    where
        T: Task,
        I: IntoIterator<Item = T::Args>,
    {
        let _ = task;
        RemoteImap::new(self, inputs.into_iter(), false)
    }
}

impl<'p, T: Task, I: Iterator<Item = T::Args>> RemoteImap<'p, T, I> {
    fn new(pool: &'p RemotePool, inputs: I, in_order: bool) -> Self {
        let gather = Gather::new(T::NAME);
        Self { pool, inputs: Some(inputs), gather, in_order, given: 0, told: 0, last: None }
    }

    /// Returns the number of the call that the last answer is of, from 0.
    pub fn index(&self) -> Option<usize> {
        self.last
    }
}

impl<T: Task, I: Iterator<Item = T::Args>> Iterator for RemoteImap<'_, T, I> {
    type Item = Result<T::Output, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        let window = 2 * self.pool.workers().max(1);
        while self.given - self.told < window
            && let Some(inputs) = &mut self.inputs
        {
            let Some(args) = inputs.next() else {
                self.inputs = None;
                break;
            };
            let mut batch = Batch::<T>::new(self.given);
            self.pool.pack_call(&mut batch, &self.gather, &args, self.given, 1);
            self.given += 1;
        }
        if self.told == self.given {
            return None;
        }
        let (n, answer) = self.gather.next(self.in_order.then_some(self.told));
        self.told += 1;
        self.last = Some(n);
        Some(answer)
    }
}

impl<T: Task, I> fmt::Debug for RemoteImap<'_, T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteImap")
            .field("given", &self.given)
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}
