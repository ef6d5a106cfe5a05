//! Who is to claim the other side of a ring.

#[cfg(not(loom))]
use shmkit_roster::Process;
use shmkit_roster::{Judge, OwnerId, Verdict, ask};

use super::Peer;

/// Who is expected to claim the other end of a pipe: a participant, or a process that has not joined yet.
///
/// ```
/// use shmkit_pipe::Expected;
/// use shmkit_roster::Process;
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
    /// Returns what the other side is that nobody has claimed: `Absent`, unless who is to come is gone. Asked, and told, of
    /// a process that could not be: `Absent` as well, for another may come.
    pub(super) fn absent<J: Judge + ?Sized>(&self, judge: &J, me: OwnerId) -> Peer {
        match self {
            Self::Participant(peer) => match ask(judge, me, *peer) {
                // An id that cannot be is nobody who will come.
                Verdict::Dead | Verdict::Nobody => Peer::NeverCame(*peer),
                Verdict::Alive => Peer::Absent,
                Verdict::Unknown => Peer::Unknown(*peer),
            },
            #[cfg(not(loom))]
            Self::Process(process) => match process.verdict() {
                Verdict::Dead => Peer::Ended(process.id()),
                _ => Peer::Absent,
            },
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
