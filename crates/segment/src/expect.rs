//! What an opener expects.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::TypeTag;

use crate::attach::{self, Source};
use crate::error::{ErrorKind, Failure};
use crate::inspect::{Expected, Room};
use crate::memory::Memory;
use crate::name::{DIRECTORY, Place};
use crate::patience::PATIENCE;
use crate::remove::{self, Dead, RemoveOutcome, Terms};
use crate::{Segment, SegmentError};

/// What to expect of a segment that somebody else made.
///
/// By default: any content, this user's file, mode at most `0o600`, in [`DIRECTORY`].
#[derive(Clone, Debug)]
pub struct OpenOptions {
    content: Option<String>,
    pub(crate) mode: u32,
    owner: Owner,
    damaged: bool,
    pub(crate) memory: Memory,
    pub(crate) directory: PathBuf,
    pub(crate) time_limit: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Owner {
    Me,
    User(u32),
    Anybody,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenOptions {
    /// Makes the default expectations.
    pub fn new() -> Self {
        Self {
            content: None,
            mode: 0o600,
            owner: Owner::Me,
            damaged: false,
            memory: Memory::default(),
            directory: DIRECTORY.into(),
            time_limit: PATIENCE,
        }
    }

    /// What the application calls the contents; anything else is refused.
    pub fn content(mut self, content: impl Into<String>) -> Self {
        self.content = Some(content.into());
        self
    }

    /// The widest permissions that are accepted; by default `0o600`. A file that more users may write than expected may
    /// hold what nobody expects.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// The user whose segment is accepted, by default this process's effective one; `None` accepts anybody's. Whoever
    /// owns the file may do anything to it.
    pub fn owner(mut self, owner: impl Into<Option<u32>>) -> Self {
        self.owner = owner.into().map_or(Owner::Anybody, Owner::User);
        self
    }

    /// Whether [`remove_if_dead`](Self::remove_if_dead) also removes what no program can use any more: files that were
    /// cut off or written over, and that nobody has a lock on. By default it does not. It looks at nothing but names that
    /// begin as a segment's do and files that begin as one does or have been cut off before that shows.
    pub fn damaged(mut self, damaged: bool) -> Self {
        self.damaged = damaged;
        self
    }

    /// The directory of the file; by default [`DIRECTORY`].
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    /// Whether this process asks for huge pages (transparent ones, `MADV_HUGEPAGE`); by default it does not. Whether it gets any
    /// is for the system to say: `/sys/kernel/mm/transparent_hugepage/shmem_enabled` must be `advise`, or a tmpfs of one's own
    /// mounted with `huge=advise`.
    pub fn huge_pages(mut self, huge_pages: bool) -> Self {
        self.memory.huge = huge_pages;
        self
    }

    /// Whether this process has all pages of the segment in its page table when it has joined, so that no access to them
    /// faults; by default it does not. That takes time, and memory for what objects have only
    /// [reserved](crate::Options::max). Of a segment that grows this is done for what this process has it grow by, and what
    /// others add is faulted in as usual.
    pub fn populated(mut self, populated: bool) -> Self {
        self.memory.populated = populated;
        self
    }

    /// Whether the pages of the segment stay in memory as soon as this process has touched them (`mlock2`, at fault), also
    /// those that it grows by; by default they may be swapped out. With [`populated`](Self::populated) that is all of them. The
    /// whole [limit](crate::Options::max) counts against RLIMIT_MEMLOCK. A forked child has none of it.
    pub fn locked(mut self, locked: bool) -> Self {
        self.memory.locked = locked;
        self
    }

    /// How long this goes on while others make and remove the name all the time; by default 5 s.
    pub fn time_limit(mut self, time_limit: Duration) -> Self {
        self.time_limit = time_limit;
        self
    }

    /// Joins the segment called `name`. One that everybody has left by being killed is adopted as it is.
    ///
    /// Opening a segment that this process has open already shares its mapping and its place.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound), [`Full`](ErrorKind::Full), and a kind for everything that the file is not:
    /// a regular file, of this user, of this mode, a segment, of this layout version, byte order and word width, of
    /// this content, whole.
    ///
    /// # If a peer dies
    ///
    /// while it removes or makes a segment of this name: nobody waits for the dead.
    pub fn open(&self, name: &str) -> Result<Segment, SegmentError> {
        let run = || {
            let place = Place::new(&self.directory, name)?;
            attach::by_name(&place, &self.expected()?)
        };
        run().map_err(|failure| failure.during(opening(name))).map(Segment::from_shared)
    }

    /// Joins the segment that a descriptor is open on: one that was received through a socket, say.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), and [`Unlinked`](ErrorKind::Unlinked) if the segment has lost its name.
    pub fn from_owned_fd(&self, file: OwnedFd) -> Result<Segment, SegmentError> {
        let run = || attach::by_descriptor(file, Source::Descriptor, &self.expected()?);
        run()
            .map_err(|failure| failure.during("join the segment of a descriptor"))
            .map(Segment::from_shared)
    }

    /// Joins as [`from_owned_fd`](Self::from_owned_fd) does, where this process cannot open the file anew: without
    /// `/proc`, as another user, in a sandbox. `ticket` is what a participant made with [`Segment::ticket`] for this
    /// process alone, and has closed since (*Soundness*, at [`Segment`]).
    ///
    /// # Errors
    ///
    /// Those of [`from_owned_fd`](Self::from_owned_fd).
    pub fn from_ticket(&self, file: OwnedFd, ticket: OwnedFd) -> Result<Segment, SegmentError> {
        let run = || attach::by_descriptor(file, Source::Ticket(ticket), &self.expected()?);
        run()
            .map_err(|failure| failure.during("join a segment by ticket"))
            .map(Segment::from_shared)
    }

    /// Removes the name of a segment if nobody lives in it and it is not persistent. It must belong to the user that is
    /// [expected](Self::owner), and may have been made by another layout version, byte order or word width.
    ///
    /// It is race-free: while it looks and removes, nobody can join, and a name that leads to another file by then is
    /// left alone.
    ///
    /// # Errors
    ///
    /// What keeps the file from being looked at or removed.
    ///
    /// # If a peer dies
    ///
    /// while it does this: the name is there or not, and the next one is not held up.
    pub fn remove_if_dead(&self, name: impl AsRef<OsStr>) -> Result<RemoveOutcome, SegmentError> {
        let name = name.as_ref();
        let run =
            || remove::consider(&Place::new(&self.directory, name)?, self.terms(Dead::Remove));
        run().map_err(|failure| failure.during(format!("remove segment {name:?} if it is dead")))
    }

    /// Says what [`remove_if_dead`](Self::remove_if_dead) would do, and removes nothing: where that would remove, this
    /// answers [`Dead`](RemoveOutcome::Dead).
    ///
    /// # Errors
    ///
    /// What keeps the file from being looked at.
    pub fn survey(&self, name: impl AsRef<OsStr>) -> Result<RemoveOutcome, SegmentError> {
        let name = name.as_ref();
        let run =
            || remove::consider(&Place::new(&self.directory, name)?, self.terms(Dead::Report));
        run().map_err(|failure| failure.during(format!("look whether segment {name:?} is dead")))
    }

    /// Removes the name of a segment, whoever lives in it. They keep it, and nobody can join it any more.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound), [`PermissionDenied`](ErrorKind::PermissionDenied), and
    /// [`ForeignMagic`](ErrorKind::ForeignMagic) or [`NotRegular`](ErrorKind::NotRegular) for a file that is not ours.
    pub fn unlink(&self, name: impl AsRef<OsStr>) -> Result<(), SegmentError> {
        let name = name.as_ref();
        let run = || {
            let place = Place::new(&self.directory, name)?;
            let removed = remove::unlink(&place, Deadline::after(self.time_limit));
            removed.map_err(|failure| match failure.kind {
                // Nobody wants to make it.
                ErrorKind::NotFound => failure.instead(format!(
                    "there is no {}: `shmkit ls` shows what there is",
                    place.path().display()
                )),
                _ => failure,
            })
        };
        run().map_err(|failure| failure.during(format!("unlink segment {name:?}")))
    }

    pub(crate) fn expected(&self) -> Result<Expected, Failure> {
        let content = self.tag()?;
        let Self { mode, memory, time_limit, .. } = *self;
        let (owner, room) = (self.user(), Room::default());
        Ok(Expected { owner, mode, content, room, memory, time_limit })
    }

    /// The user that is expected; `None`: any.
    pub(crate) fn user(&self) -> Option<u32> {
        match self.owner {
            Owner::Me => Some(nix::unistd::geteuid().as_raw()),
            Owner::User(user) => Some(user),
            Owner::Anybody => None,
        }
    }

    fn terms(&self, dead: Dead) -> Terms {
        Terms { owner: self.user(), damaged: self.damaged, dead }
    }

    pub(crate) fn tag(&self) -> Result<Option<TypeTag>, Failure> {
        let Some(content) = &self.content else { return Ok(None) };
        if content.is_empty() || content.len() > 40 || content.contains('\0') {
            return Err(Failure::new(
                ErrorKind::InvalidOption,
                format!(
                    "the content is called {content:?}: 1 to 40 bytes without a NUL are possible, \
                     such as \"weather/1\""
                ),
            ));
        }
        Ok(Some(TypeTag::named(content)))
    }
}

pub(crate) fn opening(name: &str) -> String {
    format!("open segment {name:?}")
}
