//! Calls that were packed elsewhere, and whose answers go there as they are.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_process::TaskError;

use crate::Pool;
use crate::answers::Reader;
use crate::book::{Later, News, Order, Sink};
use crate::inner::{Shared, Spot};

/// What became of a call: the whole answer, still packed, or why there is none.
pub type Outcome = Result<Vec<u8>, TaskError>;

/// Calls of one task, packed: one task to the pool.
#[derive(Debug)]
pub struct Packed {
    /// The task's name, for errors.
    pub task: &'static str,
    /// What it is known by.
    pub print: u64,
    /// Where the arguments of each call end, in bytes: at least one, ascending, the last one at the end.
    pub ends: Vec<usize>,
    /// The arguments of all.
    pub args: Vec<u8>,
    /// How long each call may run, but no longer than the pool lets a task run.
    pub limit: Option<Duration>,
}

/// Who is told when all calls have an outcome.
type Then = Box<dyn FnOnce(Vec<Outcome>) + Send>;

struct Gather(Mutex<Gathered>);

struct Gathered {
    task: &'static str,
    outcomes: Vec<Option<Outcome>>,
    missing: usize,
    then: Option<Then>,
}

impl Sink for Gather {
    fn take(self: Arc<Self>, news: News) -> Option<Later> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match news {
            News::Failed { index, error } => all.put(index, Err(error)),
            News::Answers { first, calls, mut packed } => {
                let mut answers = Reader::new(&mut packed);
                for index in first..first + calls {
                    let (task, name) = (all.task, "pool".to_owned());
                    all.put(index, match answers.cut() {
                        Some((answer, false)) => Ok(answer.to_vec()),
                        Some((_, true)) => {
                            let why = "its answer has a handle or a descriptor in it, which does not leave the machine";
                            Err(TaskError::Travel { task, name, why: why.into() })
                        }
                        None => {
                            let why = "it is cut off".into();
                            Err(TaskError::Decode { task, name, why })
                        }
                    });
                }
            }
        }
        let then = if all.missing == 0 { all.then.take() } else { None }?;
        let outcomes = all.outcomes.drain(..).flatten().collect();
        Some(Box::new(move || then(outcomes)))
    }
}

impl Gathered {
    fn put(&mut self, index: usize, outcome: Outcome) {
        if let Some(place @ None) = self.outcomes.get_mut(index) {
            *place = Some(outcome);
            self.missing -= 1;
        }
    }
}

/// Calls that a pool was given. Dropped, it lets them run. Clones are the same calls.
#[derive(Clone)]
pub struct Forwarded {
    inner: Shared,
    spot: Spot,
}

impl Forwarded {
    /// Calls them off if they have not begun, and if they have, kills who runs them, if that is to be; what is told then is
    /// [`Cancelled`](TaskError::Cancelled). Returns whether that is so.
    pub fn cancel(&self, kills: bool) -> bool {
        self.inner.cancel(self.spot, kills)
    }

    /// Returns whether a worker is at them.
    pub fn is_running(&self) -> bool {
        self.inner.is_running(self.spot)
    }

    /// How long each may run, but no longer than the pool lets a task run.
    pub fn limit(&self, limit: Duration) {
        let most = self.inner.builder.timeout.unwrap_or(limit);
        self.inner.limit(self.spot, limit.min(most));
    }
}

impl fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarded").field("spot", &self.spot).finish()
    }
}

impl Pool {
    #[doc(hidden)]
    /// Gives the pool calls that were packed elsewhere, if it has room for them now; `then` is called with what became of each, once,
    /// by whichever thread takes the answer: it should not wait.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TaskError::TimedOut): as many are under way as can be. Whatever it is, none of them runs, and `then` is not called.
    pub fn __forward(
        &self,
        packed: Packed,
        then: impl FnOnce(Vec<Outcome>) + Send + 'static,
    ) -> Result<Forwarded, TaskError> {
        let Packed { task, print, ends, args, limit } = packed;
        let is_whole = ends.last() == Some(&args.len()) && ends.is_sorted();
        if !is_whole {
            let why = "the ends of its calls' arguments are none".to_owned();
            return Err(TaskError::Encode { task, why });
        }
        let gathered = Gathered {
            task,
            outcomes: ends.iter().map(|_| None).collect(),
            missing: ends.len(),
            then: Some(Box::new(then)),
        };
        let order = Order {
            task,
            print,
            sink: Arc::new(Gather(Mutex::new(gathered))),
            first: 0,
            ends,
            bytes: args,
            luggage: None,
            // The shorter one, of two.
            limit: limit.into_iter().chain(self.inner.builder.timeout).min(),
            retry: self.inner.builder.retry,
            deaths: 0,
            killed: None,
        };
        // Before it can be answered: whoever tells counts it off.
        {
            let mut book = self.inner.book();
            book.watched += 1;
            self.inner.start_taker(&mut book);
        }
        match self.inner.dispatch(order, &Deadline::PASSED.into()) {
            Ok(spot) => Ok(Forwarded { inner: self.inner.clone(), spot }),
            Err(why) => {
                self.inner.book().watched -= 1;
                Err(why.0)
            }
        }
    }

    #[doc(hidden)]
    /// Returns how many tasks can be under way, and how many workers there can be.
    pub fn __most(&self) -> (u32, u32) {
        (self.inner.builder.capacity, self.inner.builder.most_workers)
    }
}
