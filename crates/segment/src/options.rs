//! What a segment is made with, and what an opener expects.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::TypeTag;
use shmkit_roster::OwnerId;

use crate::attach::{self, Source};
use crate::create;
use crate::error::{ErrorKind, Failure};
use crate::inspect::{Expected, Plan, Room};
use crate::name::{DIRECTORY, Place};
use crate::remove::{self, Dead, Outcome, Terms};
use crate::{Segment, SegmentError};

/// How to make a segment.
///
/// ```
/// # fn main() -> Result<(), shmkit_segment::SegmentError> {
/// let segment = shmkit_segment::Options::new(1 << 20).participants(16).anonymous()?;
/// assert!(segment.header().size > 1 << 20);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// Room for objects, in bytes.
    size: u64,
    participants: u32,
    objects: u32,
    persistence: Persistence,
    fresh: bool,
    open: OpenOptions,
}

/// How long a segment outlives its participants.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Persistence {
    pub(crate) is_wanted: bool,
    pub(crate) until_opened: bool,
    /// After the making; nothing: for ever.
    pub(crate) expires: Option<Duration>,
}

/// A set of options that was found to be possible.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) plan: Plan,
    /// Of the whole file, in bytes.
    pub(crate) size: u64,
    pub(crate) participants: u32,
    pub(crate) objects: u32,
    pub(crate) persistence: Persistence,
    /// Not to adopt what the dead left.
    pub(crate) fresh: bool,
    pub(crate) content: TypeTag,
    pub(crate) mode: u32,
    /// Whose segment may be in the way; `None`: anybody's.
    pub(crate) owner: Option<u32>,
    pub(crate) time_limit: Duration,
}

impl Options {
    /// Makes options for a segment with room for `size` bytes of objects. What header, roster and directory take comes
    /// on top.
    pub fn new(size: u64) -> Self {
        Self {
            size,
            participants: 1024,
            objects: 64,
            persistence: Persistence::default(),
            fresh: false,
            open: OpenOptions::new(),
        }
    }

    /// How many processes can take part at the same time: 1 to 16384, by default 1024. Each
    /// place takes 40 bytes.
    pub fn participants(mut self, participants: u32) -> Self {
        self.participants = participants;
        self
    }

    /// How many objects the directory has room for; by default 64. With 0 there is no directory, and the bytes are
    /// yours.
    pub fn objects(mut self, objects: u32) -> Self {
        self.objects = objects;
        self
    }

    /// Whether a named segment outlives its participants, until somebody [unlinks](OpenOptions::unlink) it; by default it
    /// does not.
    pub fn persistent(mut self, persistent: bool) -> Self {
        self.persistence.is_wanted = persistent;
        self
    }

    /// Whether a [persistent](Self::persistent) segment is so only until somebody opens it: for who makes it, leaves it to a
    /// consumer to come, and ends. Whoever opens it, by name, by a descriptor or in a forked child, makes an ordinary segment
    /// of it, which the last one out removes, and which the next visitor removes if all are killed.
    ///
    /// # If a peer dies
    ///
    /// before it opens the segment: that stays. Say also [when it expires](Self::expires_after).
    pub fn until_opened(mut self, until_opened: bool) -> Self {
        self.persistence.until_opened = until_opened;
        self
    }

    /// How long after its making a [persistent](Self::persistent) segment is so, in seconds, rounded up; by default for
    /// ever. Then it is an ordinary one: whoever lives in it goes on, and if nobody does, a [sweep](crate::sweep) or the next
    /// creator of the name removes it. It is the system's clock that counts, which somebody may set.
    pub fn expires_after(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.persistence.expires = time.into();
        self
    }

    /// Whether [`open_or_create`](Self::open_or_create) removes a segment that everybody has left or been killed in, and
    /// makes it anew; by default it adopts it with all that is in it. One that somebody lives in, or that is persistent,
    /// is opened either way.
    pub fn fresh(mut self, fresh: bool) -> Self {
        self.fresh = fresh;
        self
    }

    /// What the application calls the contents, with a version: `"weather/1"`. Whoever expects something else is
    /// refused. In 1 to 40 bytes.
    pub fn content(mut self, content: impl Into<String>) -> Self {
        self.open = self.open.content(content);
        self
    }

    /// The permissions of the file, whatever the umask; by default `0o600`, the owner alone.
    pub fn mode(mut self, mode: u32) -> Self {
        self.open = self.open.mode(mode);
        self
    }

    /// The user whose segment [`open_or_create`](Self::open_or_create) accepts if there is one, and whose dead segment a
    /// creator removes; see [`OpenOptions::owner`].
    pub fn owner(mut self, owner: impl Into<Option<u32>>) -> Self {
        self.open = self.open.owner(owner);
        self
    }

    /// The directory of the file, on a file system that keeps it in memory; by default [`DIRECTORY`].
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.open = self.open.directory(directory);
        self
    }

    /// How long this goes on while others make and remove the name all the time; by default 5 s. What the making of a
    /// large segment takes comes on top.
    pub fn time_limit(mut self, time_limit: Duration) -> Self {
        self.open = self.open.time_limit(time_limit);
        self
    }

    /// Makes a new segment under a name that nobody has, and that [`Segment::name`] tells: to be sent to others, where
    /// there is nothing by which they could know a name beforehand.
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create), without `AlreadyExists`.
    pub fn create_unique(&self) -> Result<Segment, SegmentError> {
        let run = || create::create_unique(&self.open.directory, &self.check()?);
        run()
            .map_err(|failure| failure.during(format!("create a segment of {} bytes", self.size)))
            .map(Segment::from_created)
    }

    /// Makes a new segment called `name`.
    ///
    /// A segment of this name that everybody has left or been killed in is removed first.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if somebody lives in the segment of this name, if it is persistent,
    /// or if the file is not ours; [`NoSpace`](ErrorKind::NoSpace) if the file system has not room for *all* of it,
    /// even after a full [sweep](crate::sweep): no later access can fail; and what is wrong with the name, the
    /// options, the directory or the process's limits.
    ///
    /// # If a peer dies
    ///
    /// Killed before the file has its name, the creator leaves nothing; afterwards, a whole segment.
    pub fn create(&self, name: &str) -> Result<Segment, SegmentError> {
        let run = || create::create(&Place::new(&self.open.directory, name)?, &self.check()?);
        run()
            .map_err(|failure| failure.during(self.attempt("create", name)))
            .map(Segment::from_created)
    }

    /// Opens the segment called `name`, or makes it if there is none. Of any number of processes that do this at once
    /// one makes it and the others open the same.
    ///
    /// [`was_created`](Segment::was_created) tells which.
    ///
    /// That one is elected before anything is allocated: there need be room for one segment only.
    ///
    /// What exists keeps its size, room and persistence; it must have room for as much as was asked for, and content,
    /// mode and owner must be as expected. A segment that everybody has left by being killed is adopted as it is, with
    /// all that is in it, unless it is to be [`fresh`](Self::fresh).
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create) and of [`OpenOptions::open`], without `NotFound`; and
    /// [`TooSmall`](ErrorKind::TooSmall).
    ///
    /// # If a peer dies
    ///
    /// while it makes the segment, the next one is elected. Where it has been stopped, the others wait for as long as
    /// the making may take on a busy machine, and then go ahead.
    pub fn open_or_create(&self, name: &str) -> Result<Segment, SegmentError> {
        let run = || {
            let place = Place::new(&self.open.directory, name)?;
            let room =
                Room { bytes: self.size, objects: self.objects, participants: self.participants };
            let expected = Expected { room, ..self.open.expected()? };
            create::open_or_create(&place, &self.check()?, &expected)
        };
        run().map_err(|failure| failure.during(self.attempt("open or create", name))).map(
            |(shared, is_new)| match is_new {
                true => Segment::from_created(shared),
                false => Segment::from_shared(shared),
            },
        )
    }

    /// Makes a segment without a name: a sealed memory file, which nobody can shrink and which cannot leak.
    ///
    /// It is handed to children by [`share_segment`](crate::ShareSegment::share_segment) or by fork, and to others
    /// through a socket.
    ///
    /// # Errors
    ///
    /// What is wrong with the options or the process's limits.
    pub fn anonymous(&self) -> Result<Segment, SegmentError> {
        let run = || create::anonymous(&self.check()?);
        run()
            .map_err(|failure| {
                failure.during(format!("create an anonymous segment of {} bytes", self.size))
            })
            .map(Segment::from_created)
    }

    fn attempt(&self, verb: &str, name: &str) -> String {
        format!("{verb} segment {name:?} of {} bytes", self.size)
    }

    fn check(&self) -> Result<Checked, Failure> {
        let invalid = |detail| Err(Failure::new(ErrorKind::InvalidOption, detail));
        if self.participants == 0 || self.participants > OwnerId::MAX_SLOTS {
            return invalid(format!(
                "{} participants were asked for: 1 to {} are possible",
                self.participants,
                OwnerId::MAX_SLOTS
            ));
        }
        let mode = self.open.mode;
        if mode & !0o777 != 0 || mode & 0o600 != 0o600 {
            return invalid(format!(
                "the mode {mode:#o} was asked for: permission bits are possible, among them \
                 0o600, as the owner must read and write"
            ));
        }
        if self.size == 0 {
            return Err(Failure::new(
                ErrorKind::InvalidSize,
                "a size of 0 was asked for: ask for at least 1 byte",
            ));
        }
        let plan = Plan::new(self.participants, self.objects);
        let most = isize::MAX as u64;
        match plan.data.checked_add(self.size).filter(|&size| size <= most) {
            Some(size) => Ok(Checked {
                plan,
                size,
                participants: self.participants,
                objects: self.objects,
                persistence: self.persistence,
                fresh: self.fresh,
                owner: self.open.user(),
                time_limit: self.open.time_limit,
                content: self.open.tag()?.unwrap_or(TypeTag::NONE),
                mode,
            }),
            None => Err(Failure::new(
                ErrorKind::InvalidSize,
                format!(
                    "a size of {} bytes was asked for: at most {} fit in an address space with {} \
                     bytes of roster and directory",
                    self.size,
                    most.saturating_sub(plan.data),
                    plan.data
                ),
            )),
        }
    }
}

/// What to expect of a segment that somebody else made.
///
/// By default: any content, this user's file, mode at most `0o600`, in [`DIRECTORY`].
#[derive(Clone, Debug)]
pub struct OpenOptions {
    content: Option<String>,
    mode: u32,
    owner: Owner,
    damaged: bool,
    directory: PathBuf,
    time_limit: Duration,
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
            directory: DIRECTORY.into(),
            time_limit: attach::PATIENCE,
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
    /// process alone, and has closed since.
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
    pub fn remove_if_dead(&self, name: &str) -> Result<Outcome, SegmentError> {
        let run =
            || remove::consider(&Place::new(&self.directory, name)?, self.terms(Dead::Remove));
        run().map_err(|failure| failure.during(format!("remove segment {name:?} if it is dead")))
    }

    /// Says what [`remove_if_dead`](Self::remove_if_dead) would do, and removes nothing: where that would remove, this
    /// answers [`Dead`](Outcome::Dead).
    ///
    /// # Errors
    ///
    /// What keeps the file from being looked at.
    pub fn survey(&self, name: &str) -> Result<Outcome, SegmentError> {
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
    pub fn unlink(&self, name: &str) -> Result<(), SegmentError> {
        let run = || {
            let place = Place::new(&self.directory, name)?;
            remove::unlink(&place, Deadline::after(self.time_limit))
        };
        run().map_err(|failure| failure.during(format!("unlink segment {name:?}")))
    }

    pub(crate) fn expected(&self) -> Result<Expected, Failure> {
        let content = self.tag()?;
        let Self { mode, time_limit, .. } = *self;
        Ok(Expected { owner: self.user(), mode, content, room: Room::default(), time_limit })
    }

    /// The user that is expected; `None`: any.
    fn user(&self) -> Option<u32> {
        match self.owner {
            Owner::Me => Some(nix::unistd::geteuid().as_raw()),
            Owner::User(user) => Some(user),
            Owner::Anybody => None,
        }
    }

    fn terms(&self, dead: Dead) -> Terms {
        Terms { owner: self.user(), damaged: self.damaged, dead }
    }

    fn tag(&self) -> Result<Option<TypeTag>, Failure> {
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
