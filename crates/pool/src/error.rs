//! Why there is no pool.

use std::error::Error;
use std::fmt;
use std::io;

use shmkit_heap::HeapError;
use shmkit_layout::OffsetError;
use shmkit_process::SpawnError;
use shmkit_queue::QueueError;
use shmkit_segment::{ObjectError, SegmentError};

use crate::raw::Corrupt;

/// Why a pool was not made, or did not do what it was asked for.
#[derive(Debug)]
pub struct PoolError {
    kind: PoolErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What kept a pool from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolErrorKind {
    /// A number of workers that the pool cannot have: there are 1 to 1,000, and no more than it was
    /// [made for](crate::Builder::most_workers).
    Workers(u32),
    /// A number of tasks under way that no pool can have: from as many as workers to a million.
    Capacity(u32),
    /// The initializer's arguments cannot travel.
    Initializer,
    /// A worker was not started; those that were are ended.
    Spawn,
    /// Its memory was not to be had.
    Memory,
    /// It takes tasks: close it first.
    Open,
    /// The time is over.
    TimedOut,
    /// It was forked together with the process that has it.
    NotOurs,
}

impl PoolError {
    pub(crate) fn new(kind: PoolErrorKind) -> Self {
        Self { kind, source: None }
    }

    pub(crate) fn of(kind: PoolErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// Returns what it was.
    pub fn kind(&self) -> PoolErrorKind {
        self.kind
    }
}

/// Without a cause.
impl From<PoolErrorKind> for PoolError {
    fn from(kind: PoolErrorKind) -> Self {
        Self::new(kind)
    }
}

impl From<SpawnError> for PoolError {
    fn from(error: SpawnError) -> Self {
        Self::of(PoolErrorKind::Spawn, error)
    }
}

impl From<Trouble> for PoolError {
    fn from(error: Trouble) -> Self {
        Self::of(PoolErrorKind::Memory, error)
    }
}

/// With this error as the inner one, whose sources say everything.
impl From<PoolError> for io::Error {
    fn from(error: PoolError) -> Self {
        let kind = match error.kind {
            PoolErrorKind::Workers(_) | PoolErrorKind::Capacity(_) | PoolErrorKind::Initializer => {
                io::ErrorKind::InvalidInput
            }
            PoolErrorKind::TimedOut => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            PoolErrorKind::Workers(found) => {
                write!(
                    f,
                    "a pool of {found} workers was asked for, where 1 to 1,000 are possible, and no more than it was made for \
                 (`Builder::most_workers`)"
                )
            }
            PoolErrorKind::Capacity(found) => write!(
                f,
                "a pool for {found} tasks under way was asked for, where as many as workers to 1,000,000 are possible"
            ),
            PoolErrorKind::Initializer => f.write_str("the initializer's arguments cannot travel"),
            PoolErrorKind::Spawn => f.write_str("a worker of the pool was not started"),
            PoolErrorKind::Memory => f.write_str("the pool's memory failed"),
            PoolErrorKind::Open => f.write_str(
                "the pool takes tasks, so that it has no end: close it before it is joined",
            ),
            PoolErrorKind::TimedOut => f.write_str("the pool has not ended in time"),
            PoolErrorKind::NotOurs => f.write_str(
                "the pool is that of the process that this one was forked from: make one here",
            ),
        }
    }
}

impl Error for PoolError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|error| &**error as _)
    }
}

/// What went wrong with the shared memory of a pool.
#[derive(Debug)]
pub(crate) enum Trouble {
    Segment(SegmentError),
    Object(ObjectError),
    Queue(QueueError),
    Heap(HeapError),
    Offset(OffsetError),
    Corrupt(Corrupt),
    /// More bytes than a cell, or an answer, can have.
    TooLong(usize),
}

macro_rules! from {
    ($($variant:ident($error:ty)),*) => { $(
        impl From<$error> for Trouble {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    )* };
}

from!(
    Segment(SegmentError),
    Object(ObjectError),
    Queue(QueueError),
    Heap(HeapError),
    Offset(OffsetError),
    Corrupt(Corrupt)
);

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(error) => error.fmt(f),
            Self::Object(error) => error.fmt(f),
            Self::Queue(error) => error.fmt(f),
            Self::Heap(error @ HeapError::Full { .. }) => {
                write!(
                    f,
                    "{error}: give the pool more (`Builder::memory`), or large things a place in shared memory of their own"
                )
            }
            Self::Heap(error) => error.fmt(f),
            Self::Offset(error) => error.fmt(f),
            Self::Corrupt(error) => error.fmt(f),
            Self::TooLong(len) => {
                write!(
                    f,
                    "{len} bytes are too many: large things belong into shared memory of their own"
                )
            }
        }
    }
}

impl Error for Trouble {}
