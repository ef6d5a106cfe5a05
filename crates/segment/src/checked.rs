//! What a segment is made with, when it was found to be possible.

use std::time::Duration;

use shmkit_layout::TypeTag;

use crate::inspect::Plan;
use crate::memory::Memory;

/// A set of options that was found to be possible.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) plan: Plan,
    /// Of the whole file, in bytes.
    pub(crate) size: u64,
    /// What that may become; 0 if it does not grow.
    pub(crate) limit: u64,
    pub(crate) participants: u32,
    /// How many names the participants share.
    pub(crate) names: u32,
    pub(crate) objects: u32,
    pub(crate) persistence: Persistence,
    /// Not to adopt what the dead left.
    pub(crate) fresh: bool,
    pub(crate) memory: Memory,
    pub(crate) content: TypeTag,
    pub(crate) mode: u32,
    /// Whose segment may be in the way; `None`: anybody's.
    pub(crate) owner: Option<u32>,
    pub(crate) time_limit: Duration,
}

/// How long a segment outlives its participants.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Persistence {
    pub(crate) is_wanted: bool,
    pub(crate) until_opened: bool,
    /// After the making; nothing: for ever.
    pub(crate) expires: Option<Duration>,
}
