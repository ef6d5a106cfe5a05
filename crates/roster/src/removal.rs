//! The record locks that whoever removes a file's name takes.
//!
//! * [`nobody_alive`] is the condition of every cleanup: having it proves that no participant is alive *and* keeps
//!   joiners out until it is dropped.
//! * [`remover`] is for removing a name whose participants may live: no other remover is at work in the meantime.
//! * [`in_use`] is the cheap first question: one call for the whole roster; [`holder`] says whose lock it is.
//!
//! What this does *not* do: it removes nothing. Having the lock, check that the name still leads to this very file.

use std::io;
use std::os::fd::BorrowedFd;

use crate::atfork::{NoForks, Process};
use crate::range::{self, Range};
use crate::{OwnerId, Participant, Roster};

/// The right to remove; given back by drop, and by the kernel at the latest when the descriptor is closed.
///
/// No other thread of this process forks or joins meanwhile. In a child that this thread forks it is inert: the right is
/// the parent's, and a child that drops it takes nothing away. (As long as such a child has the descriptor, the lock is
/// held.)
#[derive(Debug)]
#[must_use = "the right is given back at once"]
pub struct Removal<'f> {
    file: BorrowedFd<'f>,
    range: Range,
    process: Process,
    /// Whether it is given back before the descriptor is closed.
    is_given_back: bool,
    _no_forks: NoForks,
}

impl Removal<'_> {
    /// Ends the right without giving it back: that comes with the close of the descriptor. For who has taken the file's
    /// last name, so that nobody asks any more, and closes it now.
    pub fn end_with_file(mut self) {
        self.is_given_back = false;
    }
}

/// Proves that nobody alive takes part in `file`, and keeps it so: the write lock over all of R to the end.
///
/// `file` must be open for reading and writing, and be of a *fresh* description: one that no participant of this
/// process, and no other remover, has taken locks on. `None` if somebody is alive, is joining, or removes it too.
///
/// # Errors
///
/// The file system has no such locks, or the descriptor is not open for writing.
///
/// # If a peer dies
///
/// It never waits. What a dead remover held is free.
pub fn nobody_alive(file: BorrowedFd<'_>) -> io::Result<Option<Removal<'_>>> {
    take(file, Range::EVERYBODY)
}

/// Keeps other removers out, whoever is alive: the write lock on R.
///
/// # Errors
///
/// As [`nobody_alive`].
///
/// # If a peer dies
///
/// It never waits. What a dead remover held is free.
pub fn remover(file: BorrowedFd<'_>) -> io::Result<Option<Removal<'_>>> {
    take(file, Range::REMOVER)
}

/// As [`nobody_alive`], but for one participant of this process, which goes on: everybody else is dead, and nobody can
/// join until this is dropped. For a process that exits beside other threads, which may use what it holds to the end.
///
/// # Errors
///
/// As [`nobody_alive`], and if the participant has no place: another error, of the kind `NotConnected`.
///
/// # If a peer dies
///
/// It never waits. What a dead remover held is free.
pub fn nobody_but<'f>(
    me: &Participant<'_>,
    file: BorrowedFd<'f>,
) -> io::Result<Option<Removal<'f>>> {
    let id = me.id().ok_or(io::ErrorKind::NotConnected)?;
    let held = me.roster().held(id).ok_or(io::ErrorKind::NotConnected)?;
    let no_forks = NoForks::hold()?;
    let process = Process::current();
    let removal = Removal {
        file,
        range: Range::EVERYBODY,
        process,
        is_given_back: true,
        _no_forks: no_forks,
    };
    for part in Range::EVERYBODY.without(held) {
        // What was taken already is given back by the drop.
        if !range::try_lock(file, part)? {
            return Ok(None);
        }
    }
    Ok(Some(removal))
}

/// Returns whether the lock of a participant is held: by it, or, when it has left, by a child that was started while it
/// joined and has not been executed yet. `file` must be of a description that is not the participant's, and the roster
/// lie so many bytes from its start.
///
/// # Errors
///
/// The file system has no such locks, or the file cannot be read.
pub fn is_held(file: BorrowedFd<'_>, roster: u64, id: OwnerId) -> io::Result<bool> {
    let Some(mark) = Roster::mark_in(file, roster, id)? else { return Ok(false) };
    Ok(range::conflict(file, mark)?.is_some())
}

/// Returns whether somebody alive takes part in `file`, is joining, or removes it. It may have changed when this
/// returns.
///
/// # Errors
///
/// The file system has no such locks.
pub fn in_use(file: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(range::conflict(file, Range::EVERYBODY)?.is_some())
}

/// Whose lock keeps a remover out.
///
/// Closed: nobody else locks these bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Somebody who is alive, or is joining. There may be removers too.
    Participant,
    /// Another remover, who will be done in microseconds.
    Remover,
}

/// Returns whose lock kept this description from being a remover's; `None` if it is free by now.
///
/// # Errors
///
/// The file system has no such locks.
pub fn holder(file: BorrowedFd<'_>) -> io::Result<Option<Holder>> {
    let holder = |lock: Range| match lock.covers(Range::REMOVER) {
        true => Holder::Remover,
        false => Holder::Participant,
    };
    Ok(range::conflict(file, Range::EVERYBODY)?.map(holder))
}

fn take(file: BorrowedFd<'_>, range: Range) -> io::Result<Option<Removal<'_>>> {
    let no_forks = NoForks::hold()?;
    let taken = range::try_lock(file, range)?;
    let process = Process::current();
    let removal = Removal { file, range, process, is_given_back: taken, _no_forks: no_forks };
    Ok(taken.then_some(removal))
}

impl Drop for Removal<'_> {
    fn drop(&mut self) {
        if !self.is_given_back || self.process != Process::current() {
            return; // Inherited: the description, with its lock, is the parent's as well.
        }
        // Cannot fail for a range that is locked; if it did, the lock would go with the descriptor.
        let _ = range::unlock(self.file, self.range);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::testing::{in_child, memfd, reopen};

    #[test]
    fn an_inherited_removal_is_inert() {
        let file = memfd();
        let (mine, other) = (reopen(&file), reopen(&file));
        let removal = nobody_alive(mine.as_fd()).unwrap().unwrap();
        let mut inherited = Some(removal);
        in_child(|| drop(inherited.take()));
        assert!(
            nobody_alive(other.as_fd()).unwrap().is_none(),
            "a child gave the parent's right away"
        );
        drop(inherited);
        assert!(nobody_alive(other.as_fd()).unwrap().is_some());
    }
}
