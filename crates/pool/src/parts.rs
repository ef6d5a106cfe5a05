//! A task for each part of a shared array.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Range;

use shmkit_cell::{Array, ArrayPart};
use shmkit_layout::ShmSafe;
use shmkit_process::{Failure, Task, TaskError};

use crate::Pool;

/// How many ranges an error's text names.
const NAMED: usize = 5;

impl Pool {
    /// Runs the task for each part of an array, which the workers change where it lies: its elements do not travel. It is cut
    /// into four parts for each worker. Returns what the task has answered for each part, in their order.
    ///
    /// ```no_run
    /// # use shmkit_cell::{Array, ArrayPart};
    /// # use shmkit_pool::Pool;
    /// # use shmkit_process::{Failure, task};
    /// #[task(crate = shmkit_process)]
    /// fn halve(part: ArrayPart<f64>) -> Result<(), Failure> {
    ///     Ok(part.update(|numbers| numbers.iter_mut().for_each(|n| *n /= 2.0))?)
    /// }
    /// # fn halved(pool: &Pool, array: &Array<f64>) -> Result<(), Box<dyn std::error::Error>> {
    /// pool.par_for_each(halve, array)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PartsError`], when all parts are done: which parts have no answer, and why. Who wants the others' answers nevertheless
    /// uses [`par_map_each`](Self::par_map_each).
    ///
    /// # If a peer dies
    ///
    /// A worker: the error names the part that it was at; all others are done. That part is as it was, or changed; half
    /// changed only if the array says so itself ([`ArrayPart::update`]). A pool that [retries](crate::Builder::retry) runs the
    /// task for it again, on what it finds there then.
    pub fn par_map<T, A>(&self, task: T, array: &Array<A>) -> Result<Vec<T::Output>, PartsError>
    where
        T: Task<Args = (ArrayPart<A>,)>,
        A: ShmSafe,
    {
        let all = self.par_map_each(task, array).into_iter();
        sorted(all.map(|(range, answer)| (range, answer.map_err(PartFailure::Task))))
    }

    /// As [`par_map`](Self::par_map), of a task that has nothing to answer but why it failed.
    ///
    /// # Errors
    ///
    /// As [`par_map`](Self::par_map); a part whose task says itself that it failed has [`Said`](PartFailure::Said).
    ///
    /// # If a peer dies
    ///
    /// As with [`par_map`](Self::par_map).
    pub fn par_for_each<T, A>(&self, task: T, array: &Array<A>) -> Result<(), PartsError>
    where
        T: Task<Args = (ArrayPart<A>,), Output = Result<(), Failure>>,
        A: ShmSafe,
    {
        let all = self.par_map_each(task, array).into_iter();
        let what = |answer: Result<Result<(), Failure>, TaskError>| {
            answer.map_err(PartFailure::Task)?.map_err(PartFailure::Said)
        };
        sorted(all.map(|(range, answer)| (range, what(answer)))).map(drop)
    }

    /// As [`par_map`](Self::par_map), and returns of each part which elements it has, and what became of its task.
    ///
    /// # If a peer dies
    ///
    /// As with [`par_map`](Self::par_map).
    #[expect(clippy::type_complexity, reason = "a part, and what became of it")]
    pub fn par_map_each<T, A>(
        &self,
        task: T,
        array: &Array<A>,
    ) -> Vec<(Range<usize>, Result<T::Output, TaskError>)>
    where
        T: Task<Args = (ArrayPart<A>,)>,
        A: ShmSafe,
    {
        let parts = || array.parts(4 * self.workers() as usize);
        let answers = self.chunked(task, parts().map(|part| (part,)), 1);
        parts().map(|part| part.range()).zip(answers).collect()
    }
}

/// All of them, or those that failed.
fn sorted<R>(
    all: impl Iterator<Item = (Range<usize>, Result<R, PartFailure>)>,
) -> Result<Vec<R>, PartsError> {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for (range, part) in all {
        match part {
            Ok(answer) => done.push(answer),
            Err(failure) => failed.push((range, failure)),
        }
    }
    if failed.is_empty() { Ok(done) } else { Err(PartsError { failed, done: done.len() }) }
}

/// Parts of an array whose task has failed. All others are done.
#[derive(Debug)]
pub struct PartsError {
    failed: Vec<(Range<usize>, PartFailure)>,
    done: usize,
}

/// Why a part's task has failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum PartFailure {
    /// There is no answer.
    Task(TaskError),
    /// The task says so itself.
    Said(Failure),
}

impl PartsError {
    /// Returns which elements of the array, and why, in order: at least one.
    pub fn failed(&self) -> &[(Range<usize>, PartFailure)] {
        &self.failed
    }

    /// Returns how many parts are done.
    pub fn done(&self) -> usize {
        self.done
    }
}

impl fmt::Display for PartsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.failed.len() + self.done;
        write!(f, "{} of {all} parts of the array failed: ", self.failed.len())?;
        for (n, (range, why)) in self.failed.iter().take(NAMED).enumerate() {
            let before = if n > 0 { "; " } else { "" };
            write!(f, "{before}elements {range:?}: {why}")?;
        }
        if self.failed.len() > NAMED { f.write_str("; …") } else { Ok(()) }
    }
}

impl Error for PartsError {}

/// With this error as the inner one.
impl From<PartsError> for io::Error {
    fn from(error: PartsError) -> Self {
        Self::other(error)
    }
}

impl fmt::Display for PartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(error) => error.fmt(f),
            Self::Said(failure) => failure.fmt(f),
        }
    }
}
