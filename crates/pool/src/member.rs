//! A worker, as the parent has it.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use shmkit_parcel::{Descriptor, Incoming};
use shmkit_process::{Death, Failure, Process, TaskError};

use crate::builder::Builder;
use crate::luggage::Luggage;
use crate::store::Store;
use crate::worker::{Place, worker};
use crate::{AfterDeath, PoolError, PoolErrorKind, luggage, told};

/// How long the thread that sees all processes end may take to say so, when the kernel has.
const BURIAL: Duration = Duration::from_secs(5);

/// A worker's process.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) process: Process<Result<(), Failure>>,
    /// Readable when it has ended.
    pub(crate) sentinel: Arc<OwnedFd>,
    /// It asks through this for what goes with arguments; `None` when nothing more will come.
    pub(crate) socket: Option<Arc<UnixStream>>,
    pub(crate) incoming: Incoming,
    pub(crate) generation: u32,
    /// It leaves after its task: another one comes in its place, or was not wanted any more.
    pub(crate) leaves: bool,
}

/// A worker that has ended, and whose end is not settled yet.
#[derive(Debug)]
pub(crate) struct Corpse {
    pub(crate) place: usize,
    pub(crate) end: End,
    /// What somebody has said who was asked about its task.
    pub(crate) verdict: Option<AfterDeath>,
}

impl Corpse {
    pub(crate) fn new(place: usize, end: End) -> Self {
        Self { place, end, verdict: None }
    }
}

/// How a worker has ended.
#[derive(Debug)]
pub(crate) enum End {
    /// It has left, or says why it could not work.
    Left(Option<String>),
    Died(Box<Death>),
    /// It was not started, as it turned out.
    NotStarted(String),
}

impl Member {
    /// Starts the worker of a place in which none is.
    pub(crate) fn start(store: &Store, builder: &Builder, place: usize) -> Result<Self, PoolError> {
        let generation = store.table.workers()[place].prepare();
        let os = |error: std::io::Error| PoolError::of(PoolErrorKind::Spawn, error);
        let (ours, theirs) = UnixStream::pair().map_err(os)?;
        // It waits in the socket until the worker is there.
        store.segment.send(&ours).map_err(|error| PoolError::of(PoolErrorKind::Spawn, error))?;
        let seat = Place {
            number: place as u32,
            generation,
            parent: store.me().map_or(0, |me| me.get()),
            most_tasks: builder.most_tasks,
            most_resident: builder.most_resident,
            is_limited: builder.timeout.is_some(),
            cpu: builder.cpus.get(place % builder.cpus.len().max(1)).copied(),
            first: builder.first.as_ref().map(|first| (first.print, first.args.clone())),
        };
        let luggage = builder.first.as_ref().and_then(|first| first.luggage.as_ref());
        let files = luggage.map_or(Ok(Vec::new()), Luggage::copy).map_err(os)?;
        let files: Vec<Descriptor> = files.into_iter().map(Into::into).collect();
        // A daemon: it starts no processes that nobody would end.
        let process = Process::named(format!("{}-{place}", builder.name))
            .daemon(true)
            .spawn(worker, (Descriptor::from(theirs), seat, files))?;
        let sentinel = Arc::new(process.as_fd().try_clone_to_owned().map_err(os)?);
        ours.set_nonblocking(true).map_err(os)?;
        let (socket, incoming) = (Some(Arc::new(ours)), luggage::incoming());
        let member = Self { process, sentinel, socket, incoming, generation, leaves: false };
        told::started(&builder.name, place, member.process.pid());
        Ok(member)
    }

    /// Says how it has ended, which its sentinel says that it has.
    pub(crate) fn end(mut self) -> End {
        match self.process.join_timeout(BURIAL) {
            Ok(Ok(())) => End::Left(None),
            Ok(Err(failure)) => End::Left(Some(failure.to_string())),
            Err(TaskError::WorkerDied(death) | TaskError::Exited(death)) => End::Died(death),
            Err(error) => End::NotStarted(error.to_string()),
        }
    }
}

impl End {
    /// The text of it, for whom it concerns.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Left(None) => "it left".into(),
            Self::Left(Some(why)) | Self::NotStarted(why) => why.clone(),
            Self::Died(death) => death.to_string(),
        }
    }
}
