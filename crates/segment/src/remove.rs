//! Removing names: the only two ways in which shmkit ever unlinks a file.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use shmkit_atomic::Deadline;
use shmkit_layout::HeaderError;
use shmkit_roster::{NoForks, removal};

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

/// As [`if_dead`], if the name leads to this segment.
pub(crate) fn if_dead_and(place: &Place, only: Identity) -> Result<Outcome, Failure> {
    consider(place, Some(only), Dead::Remove)
}

/// Looks at the segment of a name, and removes it if it is dead and that is wanted.
pub(crate) fn consider(
    place: &Place,
    only: Option<Identity>,
    dead: Dead,
) -> Result<Outcome, Failure> {
    // A child forked now would inherit the description that is about to hold the remover's lock.
    let _no_forks = NoForks::hold().ok();
    // To open a pipe would wake its writer: only what is a file is opened.
    if only.is_none() && Status::of_path(place.path()).is_ok_and(|status| !status.is_regular) {
        return Ok(Outcome::Foreign);
    }
    let file = match open_file(place) {
        Ok(file) => file,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(Outcome::Gone),
        Err(Errno::ELOOP | Errno::EISDIR | Errno::ENXIO | Errno::ENODEV | Errno::EACCES) => {
            return Ok(Outcome::Foreign);
        }
        Err(errno) => return Err(cannot_open(errno, place)),
    };
    let status = status(file.as_fd())?;
    // Who took part in it has met its owner; a visitor trusts no other user's file.
    let is_ours = only.is_some() || status.owner == geteuid().as_raw();
    if !status.is_regular || !is_ours {
        return Ok(Outcome::Foreign);
    }
    let header = match inspect::try_read(file.as_fd(), status.size)? {
        Ok(header) => header,
        Err(HeaderError::Magic { .. }) => return Ok(Outcome::Foreign),
        Err(defect) => return Ok(Outcome::Damaged(defect)),
    };
    if only.is_some_and(|only| only != Identity::new(&status, &header)) {
        return Ok(Outcome::Gone);
    }
    if header.is_persistent() {
        return Ok(Outcome::Persistent);
    }
    if dead == Dead::Report {
        let in_use = removal::in_use(file.as_fd()).map_err(|error| no_locks(&error))?;
        return Ok(if in_use { Outcome::InUse } else { Outcome::Dead });
    }
    // Having it proves that nobody is alive, and keeps joiners out until the name is gone.
    let held = removal::nobody_alive(file.as_fd()).map_err(|error| no_locks(&error))?;
    let Some(_removal) = held else { return Ok(Outcome::InUse) };
    if remove_name(place, file.as_fd(), 1)? { Ok(Outcome::Removed) } else { Ok(Outcome::Gone) }
}

/// Removes the name of a segment, whoever lives in it.
pub(crate) fn unlink(place: &Place) -> Result<(), Failure> {
    let deadline = Deadline::after(PATIENCE);
    loop {
        let no_forks = NoForks::hold().ok();
        let file = open_file(place).map_err(|errno| cannot_open(errno, place))?;
        let status = status(file.as_fd())?;
        if !status.is_regular {
            return Err(inspect::not_regular(&place.path().display()));
        }
        // A damaged or foreign version is the user's to remove; another program's file is not ours.
        if let Err(defect @ HeaderError::Magic { .. }) =
            inspect::try_read(file.as_fd(), status.size)?
        {
            return Err(defect.into());
        }
        let held = removal::remover(file.as_fd()).map_err(|error| no_locks(&error))?;
        if held.is_some() && remove_name(place, file.as_fd(), 0)? {
            return Ok(());
        }
        drop(held);
        // Another remover is at work, or the name leads elsewhere by now.
        drop((file, no_forks));
        pause(deadline, place)?;
    }
}

/// Unlinks the name if it still leads to this file, with the lock that keeps every other remover of ours out. `most`
/// is how many names the file may have, if not any number.
fn remove_name(place: &Place, file: BorrowedFd<'_>, most: u64) -> Result<bool, Failure> {
    let now = status(file)?;
    if now.links == 0 || (most != 0 && now.links > most) {
        return Ok(false);
    }
    // While the file is open here, no other file can have its device and number.
    let named = Status::of_path(place.path())
        .is_ok_and(|named| (named.device, named.inode) == (now.device, now.inode));
    if !named {
        return Ok(false);
    }
    match unlinkat(AT_FDCWD, place.path(), UnlinkatFlags::NoRemoveDir) {
        Ok(()) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(Failure::os(errno, format_args!("removing {}", place.path().display()))),
    }
}

fn status(file: BorrowedFd<'_>) -> Result<Status, Failure> {
    Status::of(file).map_err(|errno| Failure::os(errno, "fstat"))
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
