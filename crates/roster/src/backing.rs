//! The memory behind a participant's file, where not all of it is there from the beginning.

use std::os::fd::BorrowedFd;

use shmkit_layout::{Commit, CommitError, Region};

use crate::Participant;

/// Has the memory of a file: whoever maps it knows which bytes of the file a region is, and how they are had.
///
/// # Safety
///
/// As [`Commit`], of all regions of the mapping; of others nothing is asked for.
pub unsafe trait Backing: Send + Sync {
    /// Returns where in the file a region begins, if it lies in the mapping whole.
    fn start(&self, region: Region<'_>) -> Option<u64>;

    /// Has the memory behind the file's bytes from `from` to before `to`, as [`Commit::commit`].
    ///
    /// # Errors
    ///
    /// [`CommitError`].
    fn commit(&self, file: BorrowedFd<'_>, from: u64, to: u64) -> Result<(), CommitError>;

    /// Gives the memory behind these bytes back, as [`Commit::discard`].
    fn discard(&self, file: BorrowedFd<'_>, from: u64, to: u64) -> bool;
}

// SAFETY: what the backing promises for its mapping; any other region is memory of somebody's own, which is there.
unsafe impl Commit for Participant<'_> {
    fn commit(&self, region: Region<'_>, from: u64, to: u64) -> Result<(), CommitError> {
        let Some((backing, start)) = self.backing_of(region) else { return Ok(()) };
        let file = self.file().map_err(|_| CommitError::NoDescriptor)?;
        let to = to.min(region.len() as u64);
        if from < to { backing.commit(file, start + from, start + to) } else { Ok(()) }
    }

    fn discard(&self, region: Region<'_>, from: u64, to: u64) -> bool {
        let to = to.min(region.len() as u64);
        let Some((backing, start)) = self.backing_of(region).filter(|_| from < to) else {
            return false;
        };
        self.file().is_ok_and(|file| backing.discard(file, start + from, start + to))
    }
}

impl Participant<'_> {
    fn backing_of(&self, region: Region<'_>) -> Option<(&dyn Backing, u64)> {
        let backing = self.backing.as_deref()?;
        Some((backing, backing.start(region)?))
    }
}
