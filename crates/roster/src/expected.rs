//! On whom somebody depends: participants, and processes that may become some.

use core::fmt;

#[cfg(not(loom))]
use crate::Process;
use crate::{Judge, OwnerId, Verdict, ask};

/// Who is expected to do something: a participant, or a process that has not joined yet.
///
/// ```
/// use shmkit_roster::{Expected, Process};
///
/// # fn start() -> std::io::Result<std::process::Child> { std::process::Command::new("true").spawn() }
/// let mut child = start()?;
/// let expected: Expected = Process::of_child(&mut child)?.into();
/// # child.wait()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Expected {
    /// Somebody who has joined.
    Participant(OwnerId),
    /// Somebody who may join.
    #[cfg(not(loom))]
    Process(Process),
}

impl Expected {
    /// Returns whether `judge`, whose id is `me`, knows it to live. [`Nobody`](Verdict::Nobody) is a participant that cannot
    /// be, and will never do anything; [`Unknown`](Verdict::Unknown) may come of a process as of a participant.
    pub fn verdict<J: Judge + ?Sized>(&self, judge: &J, me: OwnerId) -> Verdict {
        match self {
            Self::Participant(peer) => ask(judge, me, *peer),
            #[cfg(not(loom))]
            Self::Process(process) => process.verdict(),
        }
    }

    /// Returns who it is.
    pub fn id(&self) -> PeerId {
        match self {
            Self::Participant(peer) => PeerId::Participant(*peer),
            #[cfg(not(loom))]
            Self::Process(process) => PeerId::Process(process.id()),
        }
    }
}

impl From<OwnerId> for Expected {
    fn from(peer: OwnerId) -> Self {
        Self::Participant(peer)
    }
}

#[cfg(not(loom))]
impl From<Process> for Expected {
    fn from(process: Process) -> Self {
        Self::Process(process)
    }
}

/// Somebody else: a participant, or a process that was none.
///
/// Closed: who has joined has an id, and who has not has the number of its process alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerId {
    /// A participant.
    Participant(OwnerId),
    /// The process of this number, which may be another's by now.
    Process(u32),
}

impl From<OwnerId> for PeerId {
    fn from(peer: OwnerId) -> Self {
        Self::Participant(peer)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Participant(peer) => write!(f, "participant {peer}"),
            Self::Process(pid) => write!(f, "process {pid}"),
        }
    }
}
