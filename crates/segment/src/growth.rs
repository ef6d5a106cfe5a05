//! Growth: having the memory behind bytes that are mapped and not there yet.

use std::os::fd::BorrowedFd;

use memmap2::MmapRaw;
use nix::errno::Errno;
use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::{Acquire, Relaxed};
use shmkit_layout::{CommitError, Header, Region};
use shmkit_roster::{Backing, Participant};

use crate::directory::extent::STEP;
use crate::file;
use crate::mapping;
use crate::memory::{self, Memory};
use crate::status::Status;

/// Has a participant of a segment that grows commit what its objects ask for.
pub(crate) fn back(
    participant: &mut Participant<'static>,
    mapping: &MmapRaw,
    header: &Header,
    memory: Memory,
) {
    if header.grows() {
        // SAFETY: the mapping outlives all use of the participant (`Shared`), which is what has this.
        let whole = unsafe { mapping::whole(mapping) };
        participant.back_by(Box::new(File { whole, is_populated: memory.populated }));
    }
}

/// The file that a mapping is of.
struct File {
    whole: Region<'static>,
    /// Whether new pages are to be in the page table at once.
    is_populated: bool,
}

// SAFETY: a page of a file on a tmpfs that was allocated stays until the file is cut off or has holes punched, which the
// contract of a segment forbids (*Soundness* at `Segment`), and `discard` is told of bytes that nobody uses. A hole reads as
// zeros.
unsafe impl Backing for File {
    fn start(&self, region: Region<'_>) -> Option<u64> {
        let (base, first) = (self.whole.base().addr().get(), region.base().addr().get());
        let start = first.checked_sub(base)?;
        (start.checked_add(region.len())? <= self.whole.len()).then_some(start as u64)
    }

    fn commit(&self, file: BorrowedFd<'_>, from: u64, to: u64) -> Result<(), CommitError> {
        // Acquire: as in `Seen::look`.
        let expected = Header::length(self.whole).map_or(0, |length| length.load(Acquire));
        let status = Status::of(file).map_err(system)?;
        if status.size < expected {
            // To lengthen it would hide that the bytes between have gone.
            return Err(CommitError::Truncated { found: status.size, expected });
        }
        file::commit(file, from, to).map_err(|errno| match errno {
            Errno::ENOSPC | Errno::EDQUOT => {
                CommitError::NoRoom { needed: to - from, left: file::left(file) }
            }
            Errno::ENOMEM => CommitError::NoRoom { needed: to - from, left: None },
            Errno::EFBIG => CommitError::TooLong { needed: to },
            errno => system(errno),
        })?;
        if self.is_populated
            && let Ok(new) = self.whole.sub(from, to - from)
        {
            populate(new).map_err(system)?;
        }
        Ok(())
    }

    fn discard(&self, file: BorrowedFd<'_>, from: u64, to: u64) -> bool {
        file::punch(file, from, to).is_ok()
    }
}

/// Has the pages in the page table that some bytes lie in.
fn populate(bytes: Region<'_>) -> Result<(), Errno> {
    let base = bytes.base().as_ptr();
    let before = base.addr() % STEP as usize;
    memory::populate(base.wrapping_sub(before), before + bytes.len())
}

fn system(errno: Errno) -> CommitError {
    CommitError::System { errno: errno as i32 }
}

/// How long a process has found a segment's file to be.
#[derive(Debug)]
pub(crate) struct Seen(AtomicU64);

impl Seen {
    pub(crate) fn new(header: &Header) -> Self {
        Self(AtomicU64::new(header.size))
    }

    /// Looks at the file if the segment has grown since: the length is a number that anybody may have written.
    pub(crate) fn look(
        &self,
        length: &AtomicU64,
        participant: &Participant<'_>,
    ) -> Result<(), CommitError> {
        // Acquire: pairs with the Release of who grows: the file was as long before the length was.
        let expected = length.load(Acquire);
        // Relaxed, both: the file itself is asked, and nobody shortens it.
        if expected <= self.0.load(Relaxed) {
            return Ok(());
        }
        // Who has closed all descriptors goes on with what is mapped.
        let Ok(file) = participant.file() else { return Ok(()) };
        let found = Status::of(file).map_err(system)?.size;
        if found < expected {
            return Err(CommitError::Truncated { found, expected });
        }
        self.0.fetch_max(expected, Relaxed);
        Ok(())
    }
}
