//! Why an operation on a pipe did not happen.

use core::error::Error;
use core::fmt;

use shmkit_roster::{OwnerId, PeerId};

/// Why a value was not sent or received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PipeError {
    /// There is no room now. From `try_` operations of a sender.
    Full,
    /// There is nothing to receive now. From `try_` operations of a receiver.
    Empty,
    /// The time is over.
    TimedOut,
    /// The other end was closed, and everything it sent has been received: end of file.
    Closed,
    /// The caller's [`Patience`](shmkit_sync::Patience) was told to stop. To the standard library this is *aborted*, not
    /// *interrupted*, at which its readers and writers would just go on.
    Interrupted,
    /// The other end's process died, and everything it sent has been received. Or the one as long as whose life the caller's
    /// [`Patience`](shmkit_sync::Patience) was to last.
    PeerDied {
        /// Who died.
        peer: OwnerId,
        /// To who sends: how many items, or whole messages, were sent and not received. They are there still, for a successor.
        /// 0 to who receives, who has got all by then; and of one at neither end.
        left: u64,
    },
    /// Nobody has claimed the other end, and who was expected to do so is gone.
    NeverCame {
        /// Who was expected.
        peer: OwnerId,
    },
    /// Nobody has claimed the other end, and the process that was expected to do so has ended. Or the one as long as whose
    /// life the caller's [`Patience`](shmkit_sync::Patience) was to last.
    ProcessEnded {
        /// Its number.
        pid: u32,
    },
    /// This process is not a participant: it was forked from one and has not joined.
    NotJoined,
    /// This end belongs to another participant: it was made before a fork, or somebody took it over.
    NotMine,
    /// Nobody could tell whether the other end's process is alive, or one of those on whose lives the caller's
    /// [`Patience`](shmkit_sync::Patience) depends, for a second or to the end of the time given.
    CannotJudge {
        /// Who it is that may have died; the first of several.
        peer: PeerId,
    },
    /// More items, or bytes of a message, were asked for at once than the pipe can ever hold in one piece.
    TooMany {
        /// How many.
        wanted: usize,
        /// How many can be.
        capacity: usize,
    },
    /// The next message is longer than the place given for it. It is still to be received.
    TooShort {
        /// Its length, in bytes.
        length: u64,
    },
    /// The next message is longer than this end [takes](crate::FrameReceiver::set_limit). It is still to be received, or to be
    /// [discarded](crate::FrameReceiver::discard).
    TooLong {
        /// Its length, in bytes.
        length: u64,
        /// The most that it may have.
        limit: u64,
    },
    /// There is no memory for the next message, which is still to be received.
    NoMemory {
        /// Its length, in bytes.
        length: u64,
    },
    /// A message of several pieces is not whole, because somebody died in the middle of it: its sender, or the receiver before
    /// this one, with its beginning. What there was of it is discarded; the next message is not concerned.
    Torn {
        /// How many of its bytes are discarded.
        discarded: u64,
    },
    /// A word of the pipe has a value that no peer of this version writes.
    Corrupt {
        /// What the word means.
        field: &'static str,
        /// The value found.
        found: u64,
    },
}

impl PipeError {
    /// Returns whether the time was over before anything moved.
    pub fn is_timeout(&self) -> bool {
        *self == Self::TimedOut
    }
}

impl fmt::Display for PipeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Full => f.write_str("the pipe is full"),
            Self::Empty => f.write_str("the pipe is empty"),
            Self::TimedOut => f.write_str("nothing moved in the pipe within the time given"),
            Self::Closed => f.write_str("the other end of the pipe is closed"),
            Self::Interrupted => f.write_str("the wait was told to stop"),
            Self::PeerDied { peer, left: 0 } => {
                write!(f, "participant {peer} died, at the other end of the pipe (a successor may claim it) or as long as whose life the wait was to last")
            }
            Self::PeerDied { peer, left } => {
                write!(f, "participant {peer} died, which was to receive from the pipe; {left} of what was sent are left, for a successor to claim its end")
            }
            Self::NeverCame { peer } => {
                write!(f, "participant {peer}, expected at the other end of the pipe, is gone, and nobody holds that end")
            }
            Self::ProcessEnded { pid } => {
                write!(f, "process {pid} has ended, which was expected at the other end of the pipe, or as long as whose life the wait was to last")
            }
            Self::NotJoined => f.write_str(
                "this process is no participant (it was forked from one); join, then claim an end of its own",
            ),
            Self::NotMine => f.write_str(
                "this end of the pipe belongs to another participant; claim one in the process that uses it",
            ),
            Self::CannotJudge { peer } => write!(
                f,
                "cannot tell whether {peer} is alive, at the other end of the pipe or as long as whose life the wait was to last"
            ),
            Self::TooMany { wanted, capacity } => {
                write!(f, "{wanted} at once were asked for, and the pipe takes {capacity} in one piece")
            }
            Self::TooShort { length } => {
                write!(f, "the next message has {length} bytes, more than there is place for; it is still to be received")
            }
            Self::TooLong { length, limit } => write!(
                f,
                "the next message has {length} bytes, and this end takes {limit} at most; raise its limit, or discard the message"
            ),
            Self::NoMemory { length } => {
                write!(f, "there is no memory for the next message, of {length} bytes; it is still to be received")
            }
            Self::Torn { discarded } => write!(
                f,
                "a message is not whole, because its sender or its receiver died in the middle of it; {discarded} bytes were discarded"
            ),
            Self::Corrupt { field, found } => write!(
                f,
                "the pipe is corrupt: its {field} is {found:#x}, which no peer of this version writes; make the pipe anew"
            ),
        }
    }
}

impl Error for PipeError {}

/// A value was not sent: the value, and why.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T> {
    /// The value, given back.
    pub value: T,
    /// Why it was not sent.
    pub error: PipeError,
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value was not sent")
    }
}

impl<T> Error for SendError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// Only a part of a batch was sent: how much, and why not the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchError {
    /// How many items of the batch were sent, from its beginning.
    pub sent: usize,
    /// Why the next one was not.
    pub error: PipeError,
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "only the first {} items of the batch were sent", self.sent)
    }
}

impl Error for BatchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// Why an end of a pipe could not be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimError {
    /// Somebody has it: another participant that is alive, or this one.
    Taken {
        /// Who has it.
        holder: OwnerId,
    },
    /// This process is not a participant: it was forked from one and has not joined.
    NotJoined,
    /// Somebody has it, and nobody can tell whether that participant is alive.
    CannotJudge {
        /// Who has it.
        holder: OwnerId,
    },
    /// A word of the pipe has a value that no peer of this version writes.
    Corrupt {
        /// What the word means.
        field: &'static str,
        /// The value found.
        found: u64,
    },
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Taken { holder } => write!(
                f,
                "participant {holder} has this end of the pipe; an end has one holder, which must close it or die first"
            ),
            Self::NotJoined => f.write_str(
                "this process is no participant (it was forked from one); join before claiming an end",
            ),
            Self::CannotJudge { holder } => write!(
                f,
                "participant {holder} has this end of the pipe, and nobody can tell whether it is alive"
            ),
            Self::Corrupt { field, found } => PipeError::Corrupt { field, found }.fmt(f),
        }
    }
}

impl Error for ClaimError {}
