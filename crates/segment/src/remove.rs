//! Removing names: the only two ways in which shmkit ever unlinks a file.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use shmkit_atomic::Deadline;
use shmkit_layout::{HeaderError, MAGIC};
use shmkit_roster::removal::{self, Holder, Removal};
use shmkit_roster::{NoForks, OwnerId, Participant};

use crate::error::{ErrorKind, Failure};
use crate::inspect::{self, cannot_open, open_at};
use crate::name::Place;
use crate::patience::{PATIENCE, pause};
use crate::status::{At, Identity, Status};
use crate::told;

/// What became of a name that was to be removed if nobody uses the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoveOutcome {
    /// Nobody lived in it: the name was removed, and the memory with it.
    Removed,
    /// Nobody lives in it: a [survey](crate::sweep::survey) would have it removed.
    Dead,
    /// Somebody lives in it, is joining it, or is removing it.
    InUse,
    /// Nobody need live in it: it is persistent.
    Persistent,
    /// It is not a segment, or another user's than expected.
    Foreign,
    /// It begins like a segment, but no program can use it: it was cut off or written over. What nobody lives in is
    /// removed if [that is wanted](crate::OpenOptions::damaged).
    Damaged(HeaderError),
    /// Nobody lives in it, but its file has other names, so many in all: to remove this one would free nothing.
    Linked(u64),
    /// Nothing bears the name (any more), or another file does by now.
    Gone,
}

/// What to do with a dead segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dead {
    Remove,
    Report,
}

/// Which segments a visitor may remove.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Whose; `None`: anybody's.
    pub(crate) owner: Option<u32>,
    /// Also those that no program can use any more.
    pub(crate) damaged: bool,
    pub(crate) dead: Dead,
}

impl Terms {
    /// The terms of whoever passes by: this user's.
    pub(crate) fn mine(dead: Dead) -> Self {
        Self { owner: Some(geteuid().as_raw()), damaged: false, dead }
    }
}

/// Who looks at a segment in order to remove it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Remover<'p> {
    /// Somebody who trusts nothing in it.
    Visitor(Terms),
    /// The participant that has just left it, and was called so.
    Left(Identity, Option<OwnerId>),
    /// A participant of this process, which is exiting, and keeps its place to the end.
    Exiting(Identity, &'p Participant<'p>),
}

impl Remover<'_> {
    /// The one segment that it is about; a visitor's may be any.
    fn only(self) -> Option<Identity> {
        match self {
            Self::Visitor(_) => None,
            Self::Left(identity, _) | Self::Exiting(identity, _) => Some(identity),
        }
    }
}

/// How long a creator looks again at what is in use. A program that is started in the microseconds of a join has its
/// locks until it executes, though nobody lives there.
pub(crate) const GHOSTS: Duration = Duration::from_millis(10);

/// Removes a name if nobody lives in the segment and the terms allow it, for a creator: it waits for other removers, who
/// are done in microseconds, and looks again before it says that somebody lives there.
pub(crate) fn if_dead_by(
    place: &Place,
    owner: Option<u32>,
    deadline: Deadline,
) -> Result<RemoveOutcome, Failure> {
    let remover = Remover::Visitor(Terms { owner, ..Terms::mine(Dead::Remove) });
    let mut ghosts = None;
    loop {
        match attempt(place, remover)? {
            Some(RemoveOutcome::InUse)
                if !ghosts.get_or_insert_with(|| Deadline::after(GHOSTS)).has_passed() => {}
            Some(outcome) => return Ok(outcome),
            None => {}
        }
        pause(deadline, place)?;
    }
}

/// Looks at the segment of a name, and removes it if it is dead and that is wanted.
pub(crate) fn consider(place: &Place, terms: Terms) -> Result<RemoveOutcome, Failure> {
    Ok(attempt(place, Remover::Visitor(terms))?.unwrap_or(RemoveOutcome::InUse))
}

/// As [`consider`]; `None` if it is worth another look: another remover is at work, or was a moment ago, or what keeps
/// the segment is the locks of the one that has left.
pub(crate) fn attempt(
    place: &Place,
    remover: Remover<'_>,
) -> Result<Option<RemoveOutcome>, Failure> {
    let outcome = try_attempt(place.at(), remover).map_err(|trouble| trouble.tell(place))?;
    if outcome == Some(RemoveOutcome::Removed) {
        told::removed(place.path());
    }
    Ok(outcome)
}

/// As [`attempt`], with an error that can be told apart.
pub(crate) fn try_attempt(
    at: At<'_>,
    remover: Remover<'_>,
) -> Result<Option<RemoveOutcome>, Trouble> {
    // To open a pipe would wake who waits at its other end: only what is a file is opened.
    if let Remover::Visitor(_) = remover
        && Status::at(at).is_ok_and(|status| !status.is_regular)
    {
        return Ok(Some(RemoveOutcome::Foreign));
    }
    // A child forked now would inherit the description that is about to hold the remover's lock.
    let _no_forks = NoForks::hold().ok();
    without_forks(at, remover)
}

/// Nobody gives the folder's number away in the microseconds that this takes but who knows nothing of it, and then nothing
/// bears our name there.
fn without_forks(at: At<'_>, remover: Remover<'_>) -> Result<Option<RemoveOutcome>, Trouble> {
    let file = match open_at(at) {
        Ok(file) => file,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(Some(RemoveOutcome::Gone)),
        // Who took part in it could open it before.
        Err(Errno::EACCES) if remover.only().is_some() => {
            return Err(Trouble::Open(Errno::EACCES));
        }
        Err(Errno::ELOOP | Errno::EISDIR | Errno::ENXIO | Errno::ENODEV | Errno::EACCES) => {
            return Ok(Some(RemoveOutcome::Foreign));
        }
        Err(errno) => return Err(Trouble::Open(errno)),
    };
    let file = file.as_fd();
    let status = Status::of(file).map_err(Trouble::Status)?;
    // Who took part in it has met its owner; a visitor trusts no other user's file.
    let is_trusted = match remover {
        Remover::Visitor(terms) => terms.owner.is_none_or(|owner| owner == status.owner),
        Remover::Left(..) | Remover::Exiting(..) => true,
    };
    if !status.is_regular || !is_trusted {
        return Ok(Some(RemoveOutcome::Foreign));
    }
    let header = match inspect::try_read(file, status.size).map_err(Trouble::Read)? {
        Ok(header) => header,
        Err(HeaderError::Magic { .. }) => return Ok(Some(RemoveOutcome::Foreign)),
        Err(defect) => return unusable(at, file, &status, defect, remover).map(Some),
    };
    if remover.only().is_some_and(|only| only != Identity::new(&status, &header)) {
        return Ok(Some(RemoveOutcome::Gone));
    }
    let dead = match remover {
        Remover::Left(..) | Remover::Exiting(..) => Dead::Remove,
        Remover::Visitor(terms) => terms.dead,
    };
    if header.is_persistent(inspect::now()) {
        return Ok(Some(RemoveOutcome::Persistent));
    }
    if dead == Dead::Report {
        let in_use = removal::in_use(file).map_err(Trouble::Locks)?;
        return Ok(Some(found(in_use, status.links)));
    }
    // Having it proves that nobody is alive, and keeps joiners out until the name is gone.
    let removal = match remover {
        Remover::Exiting(_, me) => removal::nobody_but(me, file),
        _ => removal::nobody_alive(file),
    };
    let Some(removal) = removal.map_err(Trouble::Locks)? else {
        if let Remover::Left(_, Some(me)) = remover
            && removal::is_held(file, header.roster, me).map_err(Trouble::Locks)?
        {
            return Ok(None);
        }
        // Only now: our own ghost, which does not come back, is not taken for somebody else.
        let holder = removal::holder(file).map_err(Trouble::Locks)?;
        return Ok((holder == Some(Holder::Participant)).then_some(RemoveOutcome::InUse));
    };
    // Again, now that nobody can change it: somebody may have come, made it persistent, and died since it was read.
    if inspect::is_persistent(file).map_err(Trouble::Read)? {
        return Ok(Some(RemoveOutcome::Persistent));
    }
    remove_name(at, &status, Names::One, removal).map(Some)
}

/// What a survey says of a segment.
fn found(in_use: bool, links: u64) -> RemoveOutcome {
    match in_use {
        true => RemoveOutcome::InUse,
        false if links > 1 => RemoveOutcome::Linked(links),
        false => RemoveOutcome::Dead,
    }
}

/// Removes what begins like a segment and is none that this program can use. Who lives in a segment
/// of whatever version holds a lock in the same range of its file, and whoever joins one takes a lock before it looks
/// whether the name is still there.
fn unusable(
    at: At<'_>,
    file: BorrowedFd<'_>,
    status: &Status,
    defect: HeaderError,
    remover: Remover<'_>,
) -> Result<RemoveOutcome, Trouble> {
    let Remover::Visitor(terms) = remover else { return Ok(RemoveOutcome::Damaged(defect)) };
    let is_whole = matches!(
        defect,
        HeaderError::Version { .. } | HeaderError::ByteOrder | HeaderError::Width { .. }
    );
    if !is_whole && !terms.damaged {
        return Ok(RemoveOutcome::Damaged(defect));
    }
    if is_whole && inspect::is_persistent(file).map_err(Trouble::Read)? {
        return Ok(RemoveOutcome::Persistent);
    }
    if terms.dead == Dead::Report {
        let in_use = removal::in_use(file).map_err(Trouble::Locks)?;
        return Ok(found(in_use, status.links));
    }
    match removal::nobody_alive(file).map_err(Trouble::Locks)? {
        Some(removal) => remove_name(at, status, Names::One, removal),
        None => Ok(RemoveOutcome::InUse),
    }
}

/// Removes the name of a segment that this process takes part in.
pub(crate) fn unlink_this(place: &Place, identity: Identity) -> Result<(), Failure> {
    let by_path = place.by_path();
    // Its folder may have been moved, or replaced with what was in it.
    let places = [place, &by_path];
    let found = places.into_iter().find(|place| inspect::names(place, identity));
    let deadline = Deadline::after(PATIENCE);
    found.map_or_else(|| Err(nameless()), |place| unlink_if(place, Some(identity), deadline))
}

/// The segment has no name that could be removed.
pub(crate) fn nameless() -> Failure {
    Failure::new(
        ErrorKind::NotFound,
        "no name leads to it: it never had one, came by a descriptor that does not say, or was \
         unlinked before",
    )
}

/// Removes the name of a segment, whoever lives in it.
pub(crate) fn unlink(place: &Place, deadline: Deadline) -> Result<(), Failure> {
    unlink_if(place, None, deadline)
}

/// Removes the name if it leads to this segment; `None`: to any.
fn unlink_if(place: &Place, only: Option<Identity>, deadline: Deadline) -> Result<(), Failure> {
    loop {
        let result = {
            let _no_forks = NoForks::hold().ok();
            unlink_without_forks(place, only)
        };
        if result.map_err(|trouble| trouble.tell(place))? {
            return Ok(());
        }
        // Another remover is at work, or the name leads elsewhere by now.
        pause(deadline, place)?;
    }
}

fn unlink_without_forks(place: &Place, only: Option<Identity>) -> Result<bool, Trouble> {
    let at = place.at();
    let file = open_at(at).map_err(Trouble::Open)?;
    let file = file.as_fd();
    let status = Status::of(file).map_err(Trouble::Status)?;
    if !status.is_regular {
        return Err(Trouble::Irregular);
    }
    // This process has it open: no other file can have its number.
    if only.is_some_and(|only| !status.is_file_of(only)) {
        return Err(Trouble::Open(Errno::ENOENT));
    }
    // A damaged or foreign version is the user's to remove; another program's file is not ours.
    match inspect::try_read(file, status.size).map_err(Trouble::Read)? {
        Err(defect @ HeaderError::Magic { .. }) => return Err(Trouble::Foreign(defect)),
        // It may be anybody's: not even the whole magic number is there.
        Err(HeaderError::Truncated { found, .. }) if found < MAGIC.len() as u64 => {
            return Err(Trouble::Empty(found));
        }
        _ => {}
    }
    let Some(removal) = removal::remover(file).map_err(Trouble::Locks)? else {
        return Ok(false);
    };
    Ok(remove_name(at, &status, Names::Any, removal)? == RemoveOutcome::Removed)
}

/// How many names a file may have whose name is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    One,
    Any,
}

/// Unlinks the name if it still leads to this file, which is open and about to be closed, with the lock that keeps every
/// other remover of ours out.
fn remove_name(
    at: At<'_>,
    status: &Status,
    names: Names,
    removal: Removal<'_>,
) -> Result<RemoveOutcome, Trouble> {
    // While the file is open here, no other file can have its device and number.
    let named = match Status::at(at) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => None,
        found => Some(found.map_err(Trouble::Status)?),
    };
    let named = named.filter(|named| (named.device, named.inode) == (status.device, status.inode));
    let Some(now) = named else { return Ok(RemoveOutcome::Gone) };
    if names == Names::One && now.links > 1 {
        return Ok(RemoveOutcome::Linked(now.links));
    }
    let (directory, path) = at;
    match unlinkat(directory, path, UnlinkatFlags::NoRemoveDir) {
        Ok(()) => {
            if now.links == 1 {
                removal.end_with_file();
            }
            Ok(RemoveOutcome::Removed)
        }
        Err(Errno::ENOENT) => Ok(RemoveOutcome::Gone),
        Err(errno) => Err(Trouble::Unlink(errno)),
    }
}

/// What failed while forks were held off. Nothing allocates meanwhile, so it is told afterwards.
#[derive(Debug)]
pub(crate) enum Trouble {
    Open(Errno),
    Status(Errno),
    Read(Errno),
    Locks(std::io::Error),
    Unlink(Errno),
    Irregular,
    Foreign(HeaderError),
    /// Its size, in bytes.
    Empty(u64),
}

impl Trouble {
    pub(crate) fn tell(self, place: &Place) -> Failure {
        let path = place.path().display();
        match self {
            Self::Open(errno) => cannot_open(errno, place),
            Self::Status(errno) => Failure::os(errno, "fstat"),
            Self::Read(errno) => Failure::os(errno, "reading the header"),
            Self::Locks(error) => no_locks(&error),
            Self::Unlink(errno) => Failure::os(errno, format_args!("removing {path}")),
            Self::Irregular => inspect::not_regular(&path),
            Self::Foreign(defect) => defect.into(),
            Self::Empty(size) => Failure::new(
                ErrorKind::ForeignMagic,
                format!(
                    "{path} has {size} bytes and nothing that shows whose it is: if it was a \
                     segment that somebody has cut off, a sweep of what is damaged removes it \
                     (`shmkit gc --damaged`)"
                ),
            ),
        }
    }
}

/// For who must not allocate.
impl From<Trouble> for std::io::Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Open(errno)
            | Trouble::Status(errno)
            | Trouble::Read(errno)
            | Trouble::Unlink(errno) => errno.into(),
            Trouble::Locks(error) => error,
            Trouble::Irregular | Trouble::Foreign(_) | Trouble::Empty(_) => Errno::EINVAL.into(),
        }
    }
}

fn no_locks(error: &std::io::Error) -> Failure {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
    match errno {
        Errno::EINVAL => Failure::new(
            ErrorKind::Unsupported,
            "its file system has no record locks, so nobody can tell who is alive: choose a \
             directory on a tmpfs",
        )
        .caused_by(errno),
        errno => Failure::os(errno, "asking who is alive"),
    }
}
