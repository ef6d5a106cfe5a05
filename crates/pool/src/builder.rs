//! How a pool is to be made.

use std::sync::Arc;
use std::time::Duration;

use shmkit_parcel::Parcel;
use shmkit_process::{Death, Task};

use crate::luggage::Luggage;
use crate::policy::Hook;
use crate::{AfterDeath, Pool, PoolError, PoolErrorKind, Retry};

/// The most workers of a pool.
pub(crate) const MAX_WORKERS: u32 = 1000;
/// The most tasks under way.
const MAX_CAPACITY: u32 = 1_000_000;
/// Usual bytes of what is too large for a cell.
const MEMORY: u64 = 1 << 30;

/// How a pool is to be made.
///
/// ```no_run
/// use std::time::Duration;
///
/// use shmkit_pool::{Pool, Retry};
///
/// let pool = Pool::builder(8).timeout(Duration::from_secs(2)).retry(Retry::times(1)).build()?;
/// # Ok::<(), shmkit_pool::PoolError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it starts nothing before `build`"]
pub struct Builder {
    pub(crate) workers: u32,
    pub(crate) capacity: u32,
    pub(crate) memory: u64,
    pub(crate) name: String,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Retry,
    pub(crate) most_tasks: Option<u64>,
    pub(crate) most_resident: Option<u64>,
    pub(crate) on_death: Option<Hook>,
    /// The most workers that there is room for.
    pub(crate) most_workers: u32,
    /// The most that come by themselves, and for how long they have nothing to do before they go.
    pub(crate) scale: Option<(u32, Duration)>,
    /// Which processors the workers run on, one after the other.
    pub(crate) cpus: Vec<usize>,
    pub(crate) first: Option<Arc<First>>,
    /// Why the initializer's arguments cannot travel.
    refused: Option<String>,
}

/// What each worker runs first.
#[derive(Debug)]
pub(crate) struct First {
    pub(crate) print: u64,
    /// Its arguments, and what goes with them.
    pub(crate) args: Vec<u8>,
    pub(crate) luggage: Option<Luggage>,
}

impl Builder {
    pub(crate) fn new(workers: u32) -> Self {
        Self {
            workers,
            capacity: workers.max(1024),
            memory: MEMORY,
            name: "pool".into(),
            timeout: None,
            retry: Retry::NEVER,
            most_tasks: None,
            most_resident: None,
            on_death: None,
            most_workers: workers,
            scale: None,
            cpus: Vec::new(),
            first: None,
            refused: None,
        }
    }

    /// Gives the workers' processes a name, with a number behind it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How many tasks, or chunks of them, can be under way at a time: who has more waits. By default 1,024, or as many as
    /// workers.
    pub fn capacity(mut self, tasks: u32) -> Self {
        self.capacity = tasks;
        self
    }

    /// How many bytes arguments and answers under way may take that are larger than 176 bytes each: by default 1 GiB, which the
    /// pool takes as it needs it.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    /// How long each task may run. A worker that takes longer is killed, and its task is answered with
    /// [`Overran`](crate::TaskError::Overran). The time counts from when a worker begins with it.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// What becomes of a task whose worker has died: by default the death is its answer.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Has this be asked of each death that would be a task's answer, whether another worker runs the task again: in place of
    /// [`retry`](Self::retry). It is called by the thread that sees workers end, which does nothing else meanwhile: it should not
    /// wait, and must not use the pool. If it panics, the death is the answer.
    ///
    /// ```no_run
    /// use shmkit_pool::{AfterDeath, Pool};
    ///
    /// let pool = Pool::builder(4)
    ///     .on_death(|death| match death.attempt {
    ///         1 => AfterDeath::Again,
    ///         _ => AfterDeath::Fail,
    ///     })
    ///     .build()?;
    /// # Ok::<(), shmkit_pool::PoolError>(())
    /// ```
    pub fn on_death(mut self, hook: impl Fn(&Death) -> AfterDeath + Send + Sync + 'static) -> Self {
        self.on_death = Some(Hook::new(hook));
        self
    }

    /// Has each worker run so many tasks, or chunks of them, and another process take its place then, which is started when the
    /// last of them begins.
    pub fn recycle_after(mut self, tasks: u64) -> Self {
        self.most_tasks = Some(tasks.max(1));
        self
    }

    /// Has another process take the place of a worker that has more bytes of memory resident when a task is done: it does one more,
    /// while its successor starts.
    pub fn recycle_above(mut self, bytes: u64) -> Self {
        self.most_resident = Some(bytes);
        self
    }

    /// Gives the pool room for so many workers: as many as [`Pool::resize`] can ask for. By default as many as it is made with.
    pub fn most_workers(mut self, workers: u32) -> Self {
        self.most_workers = workers;
        self
    }

    /// Has more workers come, up to `most`, as long as more tasks are under way than there are workers, and go when fewer were
    /// for a time of `idle`: down to as many as the pool was made with.
    pub fn scale(mut self, most: u32, idle: Duration) -> Self {
        self.most_workers = self.most_workers.max(most);
        self.scale = Some((most, idle));
        self
    }

    /// Has each worker run on one of these processors, the first on the first, and so on, over and over. A processor that this
    /// process may not use is one that no worker comes to: the pool is [broken](crate::TaskError::Broken), and says so.
    pub fn pin(mut self, processors: impl IntoIterator<Item = usize>) -> Self {
        self.cpus = processors.into_iter().collect();
        self
    }

    /// Has each worker run this before its first task. A worker in which it panics, or which it ends, has not come: three in
    /// a row, and the pool is [broken](crate::TaskError::Broken). What it returns is of no interest. Handles and descriptors in its
    /// arguments go to each worker.
    pub fn initializer<T: Task>(mut self, task: T, args: T::Args) -> Self {
        let _ = task;
        let mut parcel = Parcel::new();
        self.refused = T::pack(&args, &mut parcel).err().map(|error| error.to_string());
        let (args, luggage) = Luggage::of(parcel);
        self.first = Some(Arc::new(First { print: T::PRINT, args, luggage }));
        self
    }

    /// Makes the pool and starts its workers.
    ///
    /// # Errors
    ///
    /// [`PoolError`]: a number is none that a pool can have, this process may start no others, or the system says no. Then
    /// nothing is left of it.
    pub fn build(self) -> Result<Pool, PoolError> {
        if !(1..=MAX_WORKERS).contains(&self.workers) {
            return Err(PoolError::new(PoolErrorKind::Workers(self.workers)));
        }
        if !(self.workers..=MAX_WORKERS).contains(&self.most_workers) {
            return Err(PoolError::new(PoolErrorKind::Workers(self.most_workers)));
        }
        if !(self.workers..=MAX_CAPACITY).contains(&self.capacity) {
            return Err(PoolError::new(PoolErrorKind::Capacity(self.capacity)));
        }
        if let Some(why) = self.refused {
            return Err(PoolError::of(PoolErrorKind::Initializer, why));
        }
        Pool::start(self)
    }
}
