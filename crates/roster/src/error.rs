//! What can go wrong with a roster, and with joining one.

use core::error::Error;
use core::fmt;
use std::io;

use shmkit_layout::OffsetError;

use crate::OwnerId;
use crate::salt::Salt;

/// Why bytes cannot be used as a roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RosterError {
    /// No roster has so many slots, or none.
    Slots {
        /// The number asked for.
        found: u32,
    },
    /// No roster of so many slots has so many names: each slot needs one, and [`OwnerId::LAST`] is the greatest.
    Numbers {
        /// The number asked for, or found in the roster.
        found: u32,
        /// The number of slots.
        slots: u32,
    },
    /// The roster does not fit in its region.
    Place(OffsetError),
    /// The roster says another number of slots than what leads to it.
    Corrupt {
        /// The number in the roster.
        found: u32,
        /// The number that was said.
        expected: u32,
    },
    /// The roster has no salt that any roster has: its participants cannot be found.
    Salt {
        /// The number in the roster.
        found: u64,
    },
    /// The kernel drew no random number, which a new roster needs.
    Random {
        /// What [getrandom(2)](https://man7.org/linux/man-pages/man2/getrandom.2.html) answered.
        errno: i32,
    },
}

impl fmt::Display for RosterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slots { found } => write!(
                f,
                "a roster of {found} participants was asked for, where 1 to {} are possible",
                OwnerId::MAX_SLOTS
            ),
            Self::Numbers { found, slots } => write!(
                f,
                "a roster of {slots} participants has {found} names, where {slots} to {} are possible",
                OwnerId::LAST
            ),
            Self::Place(_) => f.write_str("the roster does not fit in its region"),
            Self::Corrupt { found, expected } => write!(
                f,
                "the roster says {found} slots where {expected} were expected: it was damaged, or never made; make the segment anew"
            ),
            Self::Salt { found } => write!(
                f,
                "the roster's salt is {found:#x} where 1 to {:#x} was expected: it was damaged, or never made; make the segment anew",
                Salt::COUNT - 1
            ),
            Self::Random { errno } => write!(
                f,
                "the kernel drew no random number for a new roster ({}); allow getrandom",
                io::Error::from_raw_os_error(*errno)
            ),
        }
    }
}

impl Error for RosterError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Place(error) => Some(error),
            _ => None,
        }
    }
}

/// Why an address space got no place in a roster.
#[derive(Debug)]
pub struct JoinError {
    kind: JoinErrorKind,
    source: Option<io::Error>,
}

/// The kinds of [`JoinError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinErrorKind {
    /// Every slot is taken by somebody alive.
    Full {
        /// Number of slots.
        slots: u32,
    },
    /// A place is free, but has given out all its names, and nobody said how the memory is swept of them
    /// ([`Roster::swept_by`](crate::Roster::swept_by)).
    Exhausted {
        /// Number of slots.
        slots: u32,
    },
    /// A place is free, but has given out all its names, and the memory could not be swept of them.
    Unswept {
        /// What kept it from being swept.
        why: &'static str,
    },
    /// The file has no name any more: it was removed, and whoever opens the name gets another.
    Unlinked,
    /// Somebody is removing the file just now. Open the name again.
    Removing,
    /// The file system, or the kernel, has no locks that tell who is alive.
    Unsupported,
    /// The kernel had no memory for a lock: the limit of a control group, above all, or a file server that keeps none.
    NoMemory,
    /// The ticket shares its description with the file's descriptor, or with another participant's.
    Ticket,
    /// Somebody has joined by this very ticket, and may live: each participant needs one of its own.
    TicketUsed,
    /// No description of its own could be made.
    Description,
    /// The description leads to another file.
    OtherFile,
    /// Another system call failed.
    System,
}

impl JoinError {
    pub(crate) fn new(kind: JoinErrorKind) -> Self {
        Self { kind, source: None }
    }

    pub(crate) fn with(kind: JoinErrorKind, source: impl Into<io::Error>) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    pub(crate) fn system(source: impl Into<io::Error>) -> Self {
        Self::with(JoinErrorKind::System, source)
    }

    fn is_out_of_descriptors(&self) -> bool {
        matches!(self.errno(), Some(libc::EMFILE | libc::ENFILE))
    }

    pub(crate) fn system_error(&self) -> Option<&io::Error> {
        self.source.as_ref()
    }

    /// Returns what kind of error it is.
    pub fn kind(&self) -> JoinErrorKind {
        self.kind
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use JoinErrorKind::*;
        f.write_str("cannot join the roster: ")?;
        match self.kind {
            Full { slots } => write!(
                f,
                "all {slots} places are taken; wait until a participant leaves, or make the segment with more"
            ),
            Exhausted { slots } => write!(
                f,
                "the free ones of its {slots} places have given out all their names; say how the memory is swept of \
                 them (`Roster::swept_by`), or make it anew"
            ),
            Unswept { why } => write!(
                f,
                "its free places have given out all their names, and the memory cannot be swept of them: {why}; make it anew"
            ),
            Unlinked => f.write_str(
                "the file's name was removed, so that nobody could find us there; open or create the name again",
            ),
            Removing => f.write_str("somebody is removing the file; open or create the name again"),
            Unsupported => f.write_str(
                "the file system or the kernel has no open-file-description locks that a mapping carries \
                 (overlay and network file systems often lack them); put the file on a tmpfs such as /dev/shm, or use a memfd",
            ),
            NoMemory => f.write_str(
                "there was no memory for a lock; raise the limit of the control group, or try again",
            ),
            Ticket => f.write_str(
                "the ticket is a duplicate of the file's descriptor, not a description of its own; \
                 let the sender open the file once more for it",
            ),
            TicketUsed => f.write_str(
                "somebody has joined by this ticket, and each participant needs one of its own; \
                 let the sender open the file once more for it",
            ),
            Description if self.is_out_of_descriptors() => f.write_str(
                "no description of its own could be opened; close some descriptors, or raise the limit (RLIMIT_NOFILE)",
            ),
            Description => f.write_str(
                "no description of its own could be opened; mount /proc, or give the file's path or a ticket",
            ),
            OtherFile => f.write_str(
                "the path or ticket leads to another file than the descriptor; the name was made anew, open it again",
            ),
            System => f.write_str("a system call failed"),
        }
    }
}

impl Error for JoinError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|error| error as _)
    }
}
