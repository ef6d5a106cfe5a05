//! Removing names: the only two ways in which shmkit ever unlinks a file.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use shmkit_atomic::Deadline;
use shmkit_layout::HeaderError;
use shmkit_roster::NoForks;
use shmkit_roster::removal::{self, Holder};

use crate::attach::{PATIENCE, pause};
use crate::error::{ErrorKind, Failure};
use crate::inspect::{self, Identity, Status, cannot_open, open_file};
use crate::name::Place;

/// What became of a name that was to be removed if nobody uses the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Nobody lived in it: the name was removed, and the memory with it.
    Removed,
    /// Nobody lives in it: a [survey](crate::sweep::survey) would have it removed.
    Dead,
    /// Somebody lives in it, is joining it, or is removing it.
    InUse,
    /// Nobody need live in it: it is persistent.
    Persistent,
    /// It is not a segment, or not this user's.
    Foreign,
    /// It begins like a segment, but is none of this version, or was cut off. [Unlink](crate::Segment::unlink) it if
    /// nobody wants it.
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

/// Removes a name if nobody lives in the segment and it is not persistent.
pub(crate) fn if_dead(place: &Place) -> Result<Outcome, Failure> {
    consider(place, None, Dead::Remove)
}

/// As [`if_dead`], and waits for other removers, who are done in microseconds.
pub(crate) fn if_dead_by(place: &Place, deadline: Deadline) -> Result<Outcome, Failure> {
    loop {
        if let Some(outcome) = attempt(place, None, Dead::Remove)? {
            return Ok(outcome);
        }
        pause(deadline, place)?;
    }
}

/// How often the last participant tries again when another remover is at work.
const LAST_RETRIES: u32 = 3;

/// As [`if_dead`], if the name leads to this segment. For the last participant out: another remover, who may have
/// found this one alive, is given a moment.
pub(crate) fn if_dead_and(place: &Place, only: Identity) -> Result<Outcome, Failure> {
    for _ in 0..LAST_RETRIES {
        if let Some(outcome) = attempt(place, Some(only), Dead::Remove)? {
            return Ok(outcome);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(attempt(place, Some(only), Dead::Remove)?.unwrap_or(Outcome::InUse))
}

/// Looks at the segment of a name, and removes it if it is dead and that is wanted.
pub(crate) fn consider(
    place: &Place,
    only: Option<Identity>,
    dead: Dead,
) -> Result<Outcome, Failure> {
    Ok(attempt(place, only, dead)?.unwrap_or(Outcome::InUse))
}

/// As [`consider`]; `None` if another remover is at work, or was a moment ago.
fn attempt(place: &Place, only: Option<Identity>, dead: Dead) -> Result<Option<Outcome>, Failure> {
    // To open a pipe would wake who waits at its other end.
    if Status::of_path(place.path()).is_ok_and(|status| !status.is_regular) {
        return Ok(Some(Outcome::Foreign));
    }
    let result = {
        // A child forked now would inherit the description that is about to hold the remover's lock.
        let _no_forks = NoForks::hold().ok();
        without_forks(place, only, dead)
    };
    result.map_err(|trouble| trouble.tell(place))
}

fn without_forks(
    place: &Place,
    only: Option<Identity>,
    dead: Dead,
) -> Result<Option<Outcome>, Trouble> {
    // To open a pipe would wake its writer: only what is a file is opened.
    if only.is_none() && Status::of_path(place.path()).is_ok_and(|status| !status.is_regular) {
        return Ok(Some(Outcome::Foreign));
    }
    let file = match open_file(place) {
        Ok(file) => file,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(Some(Outcome::Gone)),
        Err(Errno::ELOOP | Errno::EISDIR | Errno::ENXIO | Errno::ENODEV | Errno::EACCES) => {
            return Ok(Some(Outcome::Foreign));
        }
        Err(errno) => return Err(Trouble::Open(errno)),
    };
    let file = file.as_fd();
    let status = Status::of(file).map_err(Trouble::Status)?;
    // Who took part in it has met its owner; a visitor trusts no other user's file.
    let is_ours = only.is_some() || status.owner == geteuid().as_raw();
    if !status.is_regular || !is_ours {
        return Ok(Some(Outcome::Foreign));
    }
    let header = match inspect::try_read(file, status.size).map_err(Trouble::Read)? {
        Ok(header) => header,
        Err(HeaderError::Magic { .. }) => return Ok(Some(Outcome::Foreign)),
        Err(defect) => return Ok(Some(Outcome::Damaged(defect))),
    };
    if only.is_some_and(|only| only != Identity::new(&status, &header)) {
        return Ok(Some(Outcome::Gone));
    }
    if header.is_persistent() {
        return Ok(Some(Outcome::Persistent));
    }
    if dead == Dead::Report {
        return Ok(Some(match removal::in_use(file).map_err(Trouble::Locks)? {
            true => Outcome::InUse,
            false if status.links > 1 => Outcome::Linked(status.links),
            false => Outcome::Dead,
        }));
    }
    // Having it proves that nobody is alive, and keeps joiners out until the name is gone.
    let Some(_removal) = removal::nobody_alive(file).map_err(Trouble::Locks)? else {
        let holder = removal::holder(file).map_err(Trouble::Locks)?;
        return Ok((holder == Some(Holder::Participant)).then_some(Outcome::InUse));
    };
    remove_name(place, file, Names::One).map(Some)
}

/// Removes the name of a segment, whoever lives in it.
pub(crate) fn unlink(place: &Place) -> Result<(), Failure> {
    let deadline = Deadline::after(PATIENCE);
    loop {
        let result = {
            let _no_forks = NoForks::hold().ok();
            unlink_without_forks(place)
        };
        if result.map_err(|trouble| trouble.tell(place))? {
            return Ok(());
        }
        // Another remover is at work, or the name leads elsewhere by now.
        pause(deadline, place)?;
    }
}

fn unlink_without_forks(place: &Place) -> Result<bool, Trouble> {
    let file = open_file(place).map_err(Trouble::Open)?;
    let file = file.as_fd();
    let status = Status::of(file).map_err(Trouble::Status)?;
    if !status.is_regular {
        return Err(Trouble::Irregular);
    }
    // A damaged or foreign version is the user's to remove; another program's file is not ours.
    let header = inspect::try_read(file, status.size).map_err(Trouble::Read)?;
    if let Err(defect @ HeaderError::Magic { .. }) = header {
        return Err(Trouble::Foreign(defect));
    }
    let Some(_removal) = removal::remover(file).map_err(Trouble::Locks)? else {
        return Ok(false);
    };
    Ok(remove_name(place, file, Names::Any)? == Outcome::Removed)
}

/// How many names a file may have whose name is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    One,
    Any,
}

/// Unlinks the name if it still leads to this file, with the lock that keeps every other remover of ours out.
fn remove_name(place: &Place, file: BorrowedFd<'_>, names: Names) -> Result<Outcome, Trouble> {
    let now = Status::of(file).map_err(Trouble::Status)?;
    // While the file is open here, no other file can have its device and number.
    let named = Status::of_path(place.path())
        .is_ok_and(|named| (named.device, named.inode) == (now.device, now.inode));
    if now.links == 0 || !named {
        return Ok(Outcome::Gone);
    }
    if names == Names::One && now.links > 1 {
        return Ok(Outcome::Linked(now.links));
    }
    match unlinkat(AT_FDCWD, place.path(), UnlinkatFlags::NoRemoveDir) {
        Ok(()) => Ok(Outcome::Removed),
        Err(Errno::ENOENT) => Ok(Outcome::Gone),
        Err(errno) => Err(Trouble::Unlink(errno)),
    }
}

/// What failed while forks were held off. Nothing allocates meanwhile, so it is told afterwards.
#[derive(Debug)]
enum Trouble {
    Open(Errno),
    Status(Errno),
    Read(Errno),
    Locks(std::io::Error),
    Unlink(Errno),
    Irregular,
    Foreign(HeaderError),
}

impl Trouble {
    fn tell(self, place: &Place) -> Failure {
        let path = place.path().display();
        match self {
            Self::Open(errno) => cannot_open(errno, place),
            Self::Status(errno) => Failure::os(errno, "fstat"),
            Self::Read(errno) => Failure::os(errno, "reading the header"),
            Self::Locks(error) => no_locks(&error),
            Self::Unlink(errno) => Failure::os(errno, format_args!("removing {path}")),
            Self::Irregular => inspect::not_regular(&path),
            Self::Foreign(defect) => defect.into(),
        }
    }
}

fn no_locks(error: &std::io::Error) -> Failure {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
    match errno {
        Errno::EINVAL | Errno::ENOLCK => Failure::new(
            ErrorKind::Unsupported,
            "its file system has no record locks, so nobody can tell who is alive: choose a \
             directory on a tmpfs",
        )
        .caused_by(errno),
        errno => Failure::os(errno, "asking who is alive"),
    }
}
