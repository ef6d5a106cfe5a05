//! What is asked of pools, queues, broadcasts and maps, and what is answered. Items, keys and values are [`Pieces`](crate::frame::Pieces).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::frame::as_bytes;

/// For how long the other side waits: `None` for ever, zero not at all.
pub(crate) type Wait = Option<Duration>;

/// What is asked of a pool. A task is called by the ticket that it was asked for with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PoolAsk<'a> {
    /// Runs an [`Order`]; the answer is what has become of its calls, each an [`Outcome`].
    Run {
        /// How long each call may run.
        limit: Option<Duration>,
        #[serde(serialize_with = "as_bytes")]
        order: &'a [u8],
    },
    /// Calls a task off; kills whoever runs it, if it is to: whether that is so.
    Cancel { ticket: u64, kills: bool },
    /// Whether a worker is at it.
    IsRunning { ticket: u64 },
    /// How long each of its calls may run: whether it is under way.
    Limit { ticket: u64, limit: Duration },
    /// Calls off whatever this session has asked for, and kills who runs it.
    Terminate,
    /// How many workers there are to be.
    Resize { workers: u32 },
    /// How many workers have ended that had come.
    Replaced,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PoolSaid {
    Is(bool),
    Count(u64),
}

/// What one call of a task has come to: its whole answer, packed, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome<'a, E> {
    Answered(#[serde(serialize_with = "as_bytes")] &'a [u8]),
    Failed(E),
}

/// Calls of one task: the ends of each one's arguments, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order<'a> {
    pub(crate) print: u64,
    pub(crate) ends: Vec<u32>,
    #[serde(serialize_with = "as_bytes")]
    pub(crate) args: &'a [u8],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum QueueAsk<'a> {
    Put {
        wait: Wait,
        #[serde(serialize_with = "as_bytes")]
        items: &'a [u8],
    },
    /// Up to so many items, the first one waited for. They are leases, numbered one after the other, until they are done or given back.
    Take {
        wait: Wait,
        most: u32,
    },
    Done {
        leases: Vec<u64>,
    },
    Back {
        leases: Vec<u64>,
    },
    Close,
    Facts,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum QueueSaid<'a> {
    /// So many were put, from the first; why not the rest.
    Put {
        count: u32,
        why: Option<Why>,
    },
    Taken {
        first: u64,
        #[serde(serialize_with = "as_bytes")]
        items: &'a [u8],
    },
    Facts {
        len: u64,
        capacity: u64,
        is_closed: bool,
    },
    Yes,
    No(Why),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NextAsk {
    pub(crate) wait: Wait,
    pub(crate) most: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum NextSaid<'a> {
    Items {
        /// The number of the first, of all that this subscriber has received.
        first: u64,
        #[serde(serialize_with = "as_bytes")]
        items: &'a [u8],
    },
    No(Why),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MapAsk<'a> {
    Get(#[serde(serialize_with = "as_bytes")] &'a [u8]),
    Insert {
        #[serde(serialize_with = "as_bytes")]
        key: &'a [u8],
        #[serde(serialize_with = "as_bytes")]
        value: &'a [u8],
    },
    Remove(#[serde(serialize_with = "as_bytes")] &'a [u8]),
    Len,
    /// What is in a part now, of as many as `Parts` says; keys and values in turn, in pieces of an answer.
    Part(u32),
    /// What has changed after a version; waited for.
    Changes {
        epoch: u64,
        after: u64,
        wait: Wait,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MapSaid<'a> {
    /// What was there, if something was.
    Value(Option<&'a [u8]>),
    Len(u64),
    /// A piece of a part. The version is that of the whole at that moment.
    Part {
        epoch: u64,
        version: u64,
        parts: u32,
        #[serde(serialize_with = "as_bytes")]
        entries: &'a [u8],
    },
    /// Changes up to a version: a key, then a value behind a byte that is 1, or a 0 alone if it was removed.
    Changes {
        version: u64,
        #[serde(serialize_with = "as_bytes")]
        changes: &'a [u8],
    },
    /// What comes after that version is not known any more, or never was: a new copy is needed.
    Gap,
    No(Why),
}

/// Why something was not done, as it is said elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Why {
    Full,
    Empty,
    TimedOut,
    Closed,
    Lagged(u64),
    PublisherDied,
    TooLong { length: u64, most: u64 },
    NoSuchValue,
    Other(String),
}

/// Encodes what was asked or said: it has numbers, texts and bytes only.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap_or_default()
}
