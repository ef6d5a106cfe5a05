//! The pool as a program has it.

use std::fmt;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use shmkit_parcel::Parcel;
use shmkit_process::{Task, TaskError};
use shmkit_sync::{GivenUp, Patience};

use crate::book::{Order, Phase};
use crate::builder::Builder;
use crate::inner::{Inner, Shared};
use crate::luggage::Luggage;
use crate::member::Member;
use crate::pending::Pending;
use crate::ticket::Ticket;
use crate::{PoolError, PoolErrorKind, supervisor};

/// Places for workers beyond those that there are: so many may start while the one before is about to end.
const SPARE: u32 = 16;
/// How long workers have between SIGTERM and SIGKILL.
const POLITE: Duration = Duration::from_secs(2);

/// Processes that run tasks.
///
/// Each task is answered exactly once: with its result, or with who died and how. A worker that is killed costs the task that
/// it ran, and no other; another one takes its place.
///
/// Dropped, it is [terminated](Self::terminate).
///
/// # Examples
///
/// ```no_run
/// use shmkit_pool::Pool;
/// use shmkit_process::task;
///
/// #[task(crate = shmkit_process)]
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::new(4)?;
/// assert_eq!(pool.map(square, [1, 2, 3, 4])?, [1, 4, 9, 16]);
/// assert_eq!(pool.submit(square, (9,)).wait()?, 81);
/// # Ok(())
/// # }
/// ```
///
/// # If a peer dies
///
/// | killed | what becomes of it |
/// | --- | --- |
/// | a worker that runs a task | the task is answered with [`WorkerDied`](TaskError::WorkerDied), or runs again, as the pool was [made](Builder::retry) |
/// | any other worker | another one takes its place; what it was about to take goes to another |
/// | workers that have answered | the answer counts |
/// | three workers in a row before their first task | everybody is told [`Broken`](TaskError::Broken) |
/// | the process that has the pool | the kernel kills the workers; nothing stays behind |
pub struct Pool {
    pub(crate) inner: Shared,
    /// The one that sees workers end.
    supervisor: Option<JoinHandle<()>>,
}

impl Pool {
    /// Makes a pool of so many workers, which is otherwise as usual.
    ///
    /// # Errors
    ///
    /// Those of [`Builder::build`].
    pub fn new(workers: u32) -> Result<Self, PoolError> {
        Self::builder(workers).build()
    }

    /// Begins to make a pool of so many workers.
    pub fn builder(workers: u32) -> Builder {
        Builder::new(workers)
    }

    pub(crate) fn start(builder: Builder) -> Result<Self, PoolError> {
        let workers = builder.workers;
        let places = builder.most_workers + SPARE;
        let inner = Shared::new(Inner::new(builder, places as usize)?);
        for place in 0..workers as usize {
            let member = Member::start(&inner.store, &inner.builder, place);
            match member {
                Ok(member) => inner.book().members[place] = Some(member),
                Err(error) => {
                    end(&inner);
                    return Err(error);
                }
            }
        }
        let supervised = inner.clone();
        let thread = std::thread::Builder::new()
            .name("shmkit-pool".into())
            .spawn(move || supervisor::run(&supervised));
        match thread {
            Ok(thread) => Ok(Self { inner, supervisor: Some(thread) }),
            Err(error) => {
                end(&inner);
                Err(PoolError::of(PoolErrorKind::Spawn, error))
            }
        }
    }

    /// Gives the pool a task. What keeps it from being run is its answer; if as many are under way as can be, this waits.
    ///
    /// # If a peer dies
    ///
    /// A worker: there is room again.
    pub fn submit<T>(&self, task: T, args: T::Args) -> Pending<T::Output>
    where
        T: Task,
        T::Output: Send + 'static,
    {
        self.submit_deadline(task, args, Patience::ENDLESS)
    }

    /// As [`submit`](Self::submit), but waits for room only as long as the patience says, of which count its deadline and its hook. If
    /// there was none, the task never runs, and its answer is [`TimedOut`](TaskError::TimedOut) or
    /// [`Interrupted`](TaskError::Interrupted).
    ///
    /// # If a peer dies
    ///
    /// As with [`submit`](Self::submit).
    pub fn submit_deadline<'p, T>(
        &self,
        task: T,
        args: T::Args,
        patience: impl Into<Patience<'p>>,
    ) -> Pending<T::Output>
    where
        T: Task,
        T::Output: Send + 'static,
    {
        let _ = task;
        let ticket = Ticket::new(T::NAME, self.inner.name.clone());
        let encode = |why: String| TaskError::Encode { task: T::NAME, why };
        let mut parcel = Parcel::new();
        let packed = match T::pack(&args, &mut parcel) {
            Ok(()) => Ok(Luggage::of(parcel)),
            Err(error) => Err(encode(error.to_string())),
        };
        let sent = packed.and_then(|(bytes, luggage)| {
            let order = Order {
                task: T::NAME,
                print: T::PRINT,
                sink: ticket.clone(),
                first: 0,
                ends: vec![bytes.len()],
                bytes,
                luggage,
                limit: self.inner.builder.timeout,
                retry: self.inner.builder.retry,
                deaths: 0,
                killed: None,
            };
            self.inner.dispatch(order, &patience.into()).map_err(|why| why.0)
        });
        Pending::new(self.inner.clone(), ticket, sent)
    }

    /// Returns how many workers there are to be.
    pub fn workers(&self) -> u32 {
        self.inner.book().wanted as u32
    }

    /// Says how many workers there are to be from now on; of a pool that [scales](Builder::scale), at least. Those that are missing
    /// are started; those that are too many leave when they have done the task that they are at. It does not wait for that.
    ///
    /// # Errors
    ///
    /// [`Workers`](PoolErrorKind::Workers): none, or more than the pool was [made for](Builder::most_workers);
    /// [`NotOurs`](PoolErrorKind::NotOurs).
    pub fn resize(&self, workers: u32) -> Result<(), PoolError> {
        if !self.inner.is_ours() {
            return Err(PoolError::new(PoolErrorKind::NotOurs));
        }
        if !(1..=self.inner.builder.most_workers).contains(&workers) {
            return Err(PoolError::new(PoolErrorKind::Workers(workers)));
        }
        let mut book = self.inner.book();
        (book.least, book.wanted) = (workers as usize, workers as usize);
        drop(book);
        self.inner.ring();
        Ok(())
    }

    /// Returns the numbers of the workers' processes.
    pub fn pids(&self) -> Vec<u32> {
        self.inner.book().members.iter().flatten().map(|member| member.process.pid()).collect()
    }

    /// Returns how many tasks were answered, whatever the answer.
    pub fn completed(&self) -> u64 {
        self.inner.drain_now();
        self.inner.book().completed
    }

    /// Returns how many workers have ended that had come: killed, recycled, or gone with their task.
    pub fn replaced(&self) -> u64 {
        self.inner.book().ended
    }

    /// Takes no tasks any more. Those that it has are run; then the workers end.
    pub fn close(&self) {
        let mut book = self.inner.book();
        if book.phase == Phase::Open {
            book.phase = Phase::Closed;
        }
        self.inner.close_if_done(&mut book);
        drop(book);
        self.inner.ring();
    }

    /// Ends the workers, and with them what they run: SIGTERM, and after two seconds SIGKILL. All tasks that are not answered
    /// are answered with [`Closed`](TaskError::Closed).
    pub fn terminate(&self) {
        if self.inner.is_ours() {
            end(&self.inner);
            self.inner.ring();
        }
    }

    /// Waits until all tasks are answered and the workers have ended.
    ///
    /// # Errors
    ///
    /// [`Open`](PoolErrorKind::Open): it takes tasks, and was not [closed](Self::close).
    ///
    /// # If a peer dies
    ///
    /// A worker: as always. Nobody waits for the dead.
    pub fn join(&self) -> Result<(), PoolError> {
        self.join_deadline(Patience::ENDLESS)
    }

    /// Returns whether all tasks are answered and the workers have ended.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](PoolErrorKind::TimedOut): they have not; and those of [`join`](Self::join).
    pub fn try_join(&self) -> Result<(), PoolError> {
        self.inner.drain_now();
        self.join_deadline(shmkit_atomic::Deadline::PASSED)
    }

    /// As [`join`](Self::join), for at most `wait`.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](PoolErrorKind::TimedOut), and those of [`join`](Self::join).
    ///
    /// # If a peer dies
    ///
    /// As with [`join`](Self::join).
    pub fn join_timeout(&self, wait: Duration) -> Result<(), PoolError> {
        self.join_deadline(wait)
    }

    /// As [`join`](Self::join), as long as the patience says: its deadline and its hook count.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](PoolErrorKind::TimedOut), and those of [`join`](Self::join).
    ///
    /// # If a peer dies
    ///
    /// As with [`join`](Self::join).
    pub fn join_deadline<'p>(&self, patience: impl Into<Patience<'p>>) -> Result<(), PoolError> {
        if !self.inner.is_ours() {
            return Err(PoolError::new(PoolErrorKind::NotOurs));
        }
        if self.inner.book().phase == Phase::Open {
            return Err(PoolError::new(PoolErrorKind::Open));
        }
        let gone = self.inner.work_until(&patience.into(), |book| {
            let is_over = matches!(book.phase, Phase::Ended | Phase::Broken(_));
            (is_over && book.living() == 0).then_some(())
        });
        gone.map_err(|why| match why {
            GivenUp::TimedOut | GivenUp::Interrupted => PoolError::new(PoolErrorKind::TimedOut),
            _ => PoolError::new(PoolErrorKind::NotOurs),
        })
    }
}

/// Ends all workers, and tells everybody.
fn end(inner: &Inner) {
    let mut later = Vec::new();
    let members: Vec<Member> = {
        let mut book = inner.book();
        book.phase = Phase::Ended;
        inner.tell_all(&mut book, || TaskError::Closed, &mut later);
        book.members.iter_mut().filter_map(Option::take).collect()
    };
    inner.call(later);
    for member in &members {
        let _ = member.process.terminate();
    }
    let until = Instant::now() + POLITE;
    for mut member in members {
        let left = until.saturating_duration_since(Instant::now());
        // Dropped, it is killed, if it has not ended.
        let _ = member.process.join_timeout(left);
    }
    let mut book = inner.book();
    inner.stir(&mut book);
}

impl Drop for Pool {
    fn drop(&mut self) {
        // A forked child has a copy, and the workers are its parent's.
        if self.inner.is_ours() {
            self.terminate();
            if let Some(supervisor) = self.supervisor.take() {
                let _ = supervisor.join();
            }
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
