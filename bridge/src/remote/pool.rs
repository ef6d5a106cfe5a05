//! A pool of other machines.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use shmkit::{Patience, PoolError, PoolErrorKind};
use shmkit_process::Task;

use super::batch::Batch;
use super::calls::Calls;
use super::hosts::deal;
use super::job::{JobState, Sink};
use super::pending::{RemotePending, Ticket};
use super::side::ask;
use crate::frame::Decline;
use crate::node::Watch;
use crate::talk::{PoolAsk, PoolSaid, encode};

/// The pools of one name that other machines [serve](crate::Node::serve_pool), as one.
///
/// It has a [`Pool`](shmkit::Pool)'s methods. A task goes to the host that has the most room, and is answered once: with its result, or
/// with why there is none. What is unlike a pool of this machine:
///
/// * A task is run at most once, whatever dies, unless it says `#[task(idempotent)]`: then it goes to another host when the one that had it
///   is gone, up to [`attempts`](crate::RemoteBuilder::attempts) times.
/// * Arguments and answers are bytes, a mebibyte at most for each call. A handle, a descriptor, a lock does not leave its machine: that is
///   an error of the call, which says so.
/// * [`cancel`](RemotePending::cancel), [`kill`](RemotePending::kill) and [`is_running`](RemotePending::is_running) ask the host, which takes a
///   message's way there and back.
/// * The hosts' pools are their programs': who else gives them tasks shares what [`resize`](Self::resize) does, and they go on when this
///   one is closed or dropped.
///
/// What it has not got, and why, stands in the package's README.
///
/// Dropped, it is [terminated](Self::terminate).
///
/// # If a peer dies
///
/// | killed, or cut off | what becomes of it |
/// | --- | --- |
/// | a worker there | as that host's pool was made: its death is the answer, or another worker runs the task |
/// | a host | its tasks are answered with [`HostDied`](shmkit::TaskError::HostDied), or run on another one if they are idempotent; the others go on |
/// | a link, and not its host | as if the host had died, for what was on its way; then there is another link |
/// | all hosts | tasks that wait for one, and later ones, are answered with [`Broken`](shmkit::TaskError::Broken), until one comes |
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

    /// Returns how many workers its hosts have together, as they have said when they came, or as it was [said](Self::resize) here since.
    pub fn workers(&self) -> u32 {
        self.calls.state().hosts.iter().map(|host| host.facts.workers).sum()
    }

    /// Says how many workers its hosts are to have together from now on: as evenly as they can, and one each at least. It waits until they
    /// have heard of it, and not for the workers to come, or to leave. It is the hosts' own pools that change, for all who give them tasks.
    ///
    /// # Errors
    ///
    /// [`Workers`](PoolErrorKind::Workers): fewer than there are hosts, or more than their pools were made for
    /// ([`most_workers`](shmkit::pool::Builder::most_workers)).
    ///
    /// # If a peer dies
    ///
    /// A host: the others have their share, and its own is not dealt out anew.
    pub fn resize(&self, workers: u32) -> Result<(), PoolError> {
        let refused = || PoolError::from(PoolErrorKind::Workers(workers));
        let hosts = self.calls.all();
        let most: Vec<_> = hosts.iter().map(|(_, _, facts)| facts.most).collect();
        let shares = deal(workers, &most).ok_or_else(refused)?;
        for ((link, session, _), workers) in hosts.into_iter().zip(shares) {
            match ask(&link, session, &encode(&PoolAsk::Resize { workers })) {
                Ok(_) => self.calls.resized(&link, session, workers),
                Err(Decline::Gone(_)) => {}
                Err(Decline::Busy | Decline::Refused(_)) => return Err(refused()),
            }
        }
        Ok(())
    }

    /// Returns how many tasks were answered, whatever the answer: of those that this one has given.
    pub fn completed(&self) -> u64 {
        self.calls.state().completed
    }

    /// Returns how many workers have ended on its hosts that had come: killed, recycled, or gone with their task, whoever had given it. The
    /// hosts are asked; one that is gone meanwhile counts for nothing.
    pub fn replaced(&self) -> u64 {
        let hosts = self.calls.all();
        let counts = hosts.into_iter().filter_map(|(link, session, _)| {
            let said = ask(&link, session, &encode(&PoolAsk::Replaced)).ok()?;
            match postcard::from_bytes(&said) {
                Ok(PoolSaid::Count(count)) => Some(count),
                _ => None,
            }
        });
        counts.sum()
    }

    /// Gives a host a task. What keeps it from being run is its answer; if as many are under way as there is room for, this waits, and in a
    /// callback of [`then`](RemotePending::then) has it sent when there is.
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
        let state = JobState::new(self.calls.limit);
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

    /// Takes no tasks any more. Those that it has are answered.
    pub fn close(&self) {
        self.calls.state().is_closed = true;
        self.calls.stir();
    }

    /// Waits until all tasks are answered. The hosts' workers stay.
    ///
    /// # Errors
    ///
    /// [`Open`](PoolErrorKind::Open): it takes tasks, and was not [closed](Self::close).
    ///
    /// # If a peer dies
    ///
    /// A host: its tasks are answered. Nobody waits for the dead.
    pub fn join(&self) -> Result<(), PoolError> {
        self.join_deadline(Patience::ENDLESS)
    }

    /// Returns whether all tasks are answered.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](PoolErrorKind::TimedOut): they are not; and those of [`join`](Self::join).
    pub fn try_join(&self) -> Result<(), PoolError> {
        self.join_deadline(Duration::ZERO)
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
        if !self.calls.state().is_closed {
            return Err(PoolErrorKind::Open.into());
        }
        let gone =
            self.calls.wait_for(&patience.into(), |state| (state.under_way == 0).then_some(()));
        gone.map_err(|_| PoolErrorKind::TimedOut.into())
    }

    /// Ends what it has given: what has not begun is called off, here and there, and who runs the rest is killed there. All that is not answered
    /// is answered with [`Closed`](shmkit::TaskError::Closed), when its host has heard of it. The hosts' pools go on, and so do others' tasks.
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
