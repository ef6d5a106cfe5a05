//! What a segment is made with.

use std::path::PathBuf;
use std::time::Duration;

use shmkit_layout::TypeTag;
use shmkit_roster::OwnerId;

use crate::checked::{Checked, Persistence};
use crate::create;
use crate::error::{ErrorKind, Failure};
use crate::inspect::{Expected, Plan, Room};
use crate::name::Place;
use crate::{OpenOptions, Segment, SegmentError};

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
    /// How much room there may be later; nothing: as much as there is.
    max: Option<u64>,
    participants: u32,
    names: u32,
    objects: u32,
    persistence: Persistence,
    fresh: bool,
    open: OpenOptions,
}

impl Options {
    /// Makes options for a segment with room for `size` bytes of objects. What header, roster and directory take comes
    /// on top.
    pub fn new(size: u64) -> Self {
        Self {
            size,
            max: None,
            participants: 1024,
            names: OwnerId::LAST,
            objects: 64,
            persistence: Persistence::default(),
            fresh: false,
            open: OpenOptions::new(),
        }
    }

    /// How much room for objects there may be later, in bytes; by default the segment has what it is [made](Self::new) with.
    ///
    /// All of it is mapped from the beginning, by everybody, which takes addresses and no memory: the segment grows as
    /// objects are made that need more, where it lies, so that no handle and no address changes and nobody is told. Whoever
    /// had it open before finds the new objects.
    ///
    /// The memory for what is new is had when it is needed, all of it at once and before anybody can touch it. If there is
    /// none left, making the object is the error ([`NoRoom`](crate::ObjectErrorKind::NoRoom)), and all else stays as it was. A
    /// segment never gets smaller.
    ///
    /// # If a peer dies
    ///
    /// in the middle of growth, the next one goes on: the file may be longer than the segment by then, which is all.
    pub fn max(mut self, max: impl Into<Option<u64>>) -> Self {
        self.max = max.into();
        self
    }

    /// How many processes can take part at the same time: 1 to 16384, by default 1024. Each
    /// place takes 40 bytes.
    pub fn participants(mut self, participants: u32) -> Self {
        self.participants = participants;
        self
    }

    /// How many names the participants share, at least one for each place, before the places begin anew. For tests: usually
    /// there are so many that it takes a thousand million joins.
    #[doc(hidden)]
    pub fn names(mut self, names: u32) -> Self {
        self.names = names;
        self
    }

    /// How many objects the directory has room for; by default 64. With more of them it grows, by 200 bytes for each, which
    /// it takes from the room for objects. With 0 there is no directory, and the bytes are yours.
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

    /// The directory of the file, on a file system that keeps it in memory; by default [`DIRECTORY`](crate::DIRECTORY).
    ///
    /// On a `hugetlbfs` the segment takes whole huge pages (`vm.nr_hugepages` of them are there), and cannot
    /// [grow](Self::max). On a `tmpfs` they are [asked for](Self::huge_pages).
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.open = self.open.directory(directory);
        self
    }

    /// Whether this process asks for huge pages; see [`OpenOptions::huge_pages`].
    pub fn huge_pages(mut self, huge_pages: bool) -> Self {
        self.open = self.open.huge_pages(huge_pages);
        self
    }

    /// Whether this process has all pages there from the beginning; see [`OpenOptions::populated`].
    pub fn populated(mut self, populated: bool) -> Self {
        self.open = self.open.populated(populated);
        self
    }

    /// Whether pages stay in memory as soon as this process has touched them; see [`OpenOptions::locked`].
    pub fn locked(mut self, locked: bool) -> Self {
        self.open = self.open.locked(locked);
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
            let bytes = self.max.map_or(self.size, |max| max.max(self.size));
            let room = Room { bytes, objects: self.objects, participants: self.participants };
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
        if let Some(max) = self.max.filter(|&max| max < self.size) {
            return invalid(format!(
                "it is to grow to {max} bytes, and to have {} from the beginning: ask for a larger \
                 `max`, or for none",
                self.size
            ));
        }
        if self.max.is_some() && self.objects == 0 {
            return invalid(
                "it is to grow, and to have no directory, for whose objects it would: ask for \
                 `objects`, or for no `max`"
                    .to_owned(),
            );
        }
        let plan = Plan::new(self.participants, self.objects);
        let most = isize::MAX as u64;
        let whole = |bytes: u64| plan.data.checked_add(bytes).filter(|&size| size <= most);
        let limit = self.max.map_or(Some(0), whole);
        match whole(self.size).zip(limit) {
            Some((size, limit)) => Ok(Checked {
                plan,
                size,
                limit,
                participants: self.participants,
                names: self.names,
                objects: self.objects,
                persistence: self.persistence,
                fresh: self.fresh,
                owner: self.open.user(),
                time_limit: self.open.time_limit,
                memory: self.open.memory,
                content: self.open.tag()?.unwrap_or(TypeTag::NONE),
                mode,
            }),
            None => Err(Failure::new(
                ErrorKind::InvalidSize,
                format!(
                    "a size of {} bytes was asked for: at most {} fit in an address space with {} \
                     bytes of roster and directory",
                    self.max.unwrap_or(self.size),
                    most.saturating_sub(plan.data),
                    plan.data
                ),
            )),
        }
    }
}
