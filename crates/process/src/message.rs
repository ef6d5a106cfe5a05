//! What the two ends of a task's socket say to each other, each in a parcel.

use serde::{Deserialize, Serialize};

/// The version of these messages.
pub(crate) const PROTOCOL: u32 = 1;
/// How many bytes an answer or arguments can have: what is longer belongs into shared memory.
pub(crate) const MOST: u64 = 1 << 40;

/// The child is there: [`Hello`].
pub(crate) const HELLO: u32 = 1;
/// What to run: [`Start`], and the arguments.
pub(crate) const START: u32 = 2;
/// The arguments are unpacked: nothing of them need be kept for it any more.
pub(crate) const ARRIVED: u32 = 3;
/// What came of it: [`Answer`], and what the task returned.
pub(crate) const ANSWER: u32 = 4;

#[derive(Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) protocol: u32,
    pub(crate) width: u8,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) print: u64,
    /// The task's name, for errors.
    pub(crate) task: String,
    /// The process's own.
    pub(crate) name: String,
    pub(crate) daemon: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Answer {
    Returned,
    Panicked(Panic),
    Undecodable(String),
    Unencodable(String),
    /// The tasks that there are.
    Unknown(Vec<String>),
    /// The signature that the task has there.
    Differs(String),
    /// Where the two tasks stand.
    Twice([String; 2]),
}

/// How [`Answer::Returned`] is packed: by the variant's number.
pub(crate) const RETURNED: u8 = 0;

/// [`Answer::Returned`], and behind it what the task returned.
#[derive(Serialize)]
pub(crate) enum Returned<T> {
    Returned(T),
}

/// A panic in a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Panic {
    /// What it said.
    pub message: String,
    /// Where, as file, line and column.
    pub at: String,
    /// How it came there, if the process's environment asks for that (`RUST_BACKTRACE`); else empty.
    pub backtrace: String,
}
