//! Many calls of one task, and all their answers.

use shmkit_process::{Task, TaskError};
use shmkit_sync::Patience;

use crate::Pool;
use crate::course::Course;

/// The most calls in a chunk that nobody asked for.
const MOST: usize = 1 << 16;

impl Pool {
    /// Calls the task for each of the inputs, and returns the answers in their order. The inputs are cut into four chunks for each
    /// worker.
    ///
    /// # Errors
    ///
    /// That of the first call that has no answer, when all calls are done. Who wants the others' answers nevertheless uses
    /// [`map_each`](Self::map_each).
    ///
    /// # If a peer dies
    ///
    /// A worker: the call that it was at has no answer, or is called again, as the pool was made; no other call is touched.
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
    ///
    /// # If a peer dies
    ///
    /// As with [`map`](Self::map).
    pub fn starmap<T: Task>(
        &self,
        task: T,
        inputs: impl IntoIterator<Item = T::Args>,
    ) -> Result<Vec<T::Output>, TaskError> {
        let (inputs, chunk) = self.cut(inputs);
        // Not as results: an error takes ten times the room of a number.
        let mut outputs: Vec<Option<T::Output>> = Vec::new();
        outputs.resize_with(inputs.len(), || None);
        let mut first: Option<(usize, TaskError)> = None;
        self.call_all(task, inputs, chunk, |index, answer| match answer {
            Ok(output) => outputs[index] = Some(output),
            Err(error) if first.as_ref().is_none_or(|(first, _)| index < *first) => {
                first = Some((index, error));
            }
            Err(_) => {}
        });
        match first {
            Some((_, error)) => Err(error),
            None => outputs.into_iter().map(|output| output.ok_or(TaskError::Taken)).collect(),
        }
    }

    /// As [`map`](Self::map), and returns what became of each call.
    ///
    /// # If a peer dies
    ///
    /// As with [`map`](Self::map).
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
    ///
    /// # If a peer dies
    ///
    /// As with [`map`](Self::map).
    pub fn starmap_each<T: Task>(
        &self,
        task: T,
        inputs: impl IntoIterator<Item = T::Args>,
    ) -> Vec<Result<T::Output, TaskError>> {
        let (inputs, chunk) = self.cut(inputs);
        self.chunked(task, inputs, chunk)
    }

    /// Says how many calls a chunk is to have.
    fn cut<A>(&self, inputs: impl IntoIterator<Item = A>) -> (Vec<A>, usize) {
        // All of it, so that the chunks are of one size; and an input that panics leaves nothing half sent.
        let inputs: Vec<_> = inputs.into_iter().collect();
        let chunk = inputs.len().div_ceil(4 * self.workers() as usize).max(1);
        (inputs, chunk)
    }

    /// As [`starmap_each`](Self::starmap_each), with so many calls in a chunk: one task to the pool, which one worker runs.
    ///
    /// # Panics
    ///
    /// If `chunk` is 0.
    ///
    /// # If a peer dies
    ///
    /// As with [`map`](Self::map).
    pub fn chunked<T: Task>(
        &self,
        task: T,
        inputs: impl IntoIterator<Item = T::Args>,
        chunk: usize,
    ) -> Vec<Result<T::Output, TaskError>> {
        assert!(chunk > 0, "a chunk has at least one call");
        let mut results = Vec::new();
        self.call_all(task, inputs, chunk, |index, answer| {
            if results.len() <= index {
                results.resize_with(index + 1, || None);
            }
            results[index] = Some(answer);
        });
        results.into_iter().map(|answer| answer.unwrap_or(Err(TaskError::Taken))).collect()
    }

    /// Calls the task for each of the inputs, and hands over what became of each call, by its number.
    fn call_all<T: Task>(
        &self,
        task: T,
        inputs: impl IntoIterator<Item = T::Args>,
        chunk: usize,
        mut each: impl FnMut(usize, Result<T::Output, TaskError>),
    ) {
        let _ = task;
        let mut course = Course::<T>::new(&self.inner, chunk.min(MOST));
        for args in inputs {
            if course.give(&args) {
                let _ = course.receive(None, &mut each);
            }
        }
        course.send();
        while course.told < course.given {
            // It is patient.
            let _ = course.receive(Some(&Patience::ENDLESS), &mut each);
        }
    }
}
