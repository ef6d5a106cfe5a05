//! Many calls of one task, and all their answers.

use std::sync::Arc;

use shmkit::TaskError;
use shmkit_process::Task;

use super::batch::Batch;
use super::gather::Gather;
use super::job::{JobState, Sink};
use super::pool::RemotePool;

/// The most calls in a chunk that nobody asked for.
const MOST: usize = 1 << 16;

impl RemotePool {
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
        let chunk = inputs.len().div_ceil(4 * self.workers().max(1) as usize).clamp(1, MOST);
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
            self.pack_call(&mut batch, &gather, &args, given, chunk.min(MOST), drop);
            given += 1;
        }
        self.flush(&mut batch, &gather);
        gather.wait(given)
    }

    /// Packs a call, and gives what is packed to a host when it is enough; `given` is told of it.
    pub(super) fn pack_call<T: Task>(
        &self,
        batch: &mut Batch<T>,
        gather: &Arc<Gather<T::Output>>,
        args: &T::Args,
        index: usize,
        chunk: usize,
        mut given: impl FnMut(Arc<JobState>),
    ) {
        match batch.pack(args) {
            // It would be more than goes at a time.
            Ok(false) => {
                self.flush(batch, gather).into_iter().for_each(&mut given);
                if let Err(error) = batch.pack(args) {
                    gather.take(index, vec![Err(error)]);
                    batch.skip(index + 1);
                }
            }
            Ok(true) => {}
            Err(error) => {
                self.flush(batch, gather).into_iter().for_each(&mut given);
                gather.take(index, vec![Err(error)]);
                batch.skip(index + 1);
            }
        }
        if batch.calls() >= chunk {
            self.flush(batch, gather).into_iter().for_each(given);
        }
    }

    /// Gives what is packed to a host, if anything is.
    pub(super) fn flush<T: Task>(
        &self,
        batch: &mut Batch<T>,
        gather: &Arc<Gather<T::Output>>,
    ) -> Option<Arc<JobState>> {
        let state = JobState::new(self.calls.limit);
        let job = batch.take(gather.clone(), state.clone())?;
        self.calls.give(job);
        Some(state)
    }
}
