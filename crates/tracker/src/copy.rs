//! A copy of the first bytes of a segment: header, roster and directory.
//!
//! To look at a segment one could map it, but then whoever cuts the file off would kill whoever looks at it.

use std::fmt;
use std::fs::File;
use std::io;
use std::ptr::NonNull;

use shmkit_layout::{Header, Region};
use shmkit_roster::Roster;
use shmkit_segment::{Directory, Entry, ObjectError};

use crate::examine::read_to;

/// Most bytes that are copied: a directory that has some 7,000,000 objects in it.
const LIMIT: u64 = 1 << 30;

/// How many entries are copied first; then eight times as many, until there is a free one among them. A directory may
/// have room for many more objects than it has.
const ENTRIES: u32 = 512;

/// How often a directory is copied again because a peer is making an object in it at that moment.
const TRIES: u32 = 100;

/// A copy in private memory, aligned as a mapping is.
pub(crate) struct Copy {
    bytes: Vec<u8>,
    /// Where the copy begins in `bytes`, which has so many more.
    start: usize,
}

impl Copy {
    const ALIGN: usize = 4096;

    /// Copies the first `len` bytes of a file.
    fn take(file: &File, len: usize) -> io::Result<Self> {
        let mut bytes = vec![0; len + Self::ALIGN];
        let start = bytes.as_ptr().addr().next_multiple_of(Self::ALIGN) - bytes.as_ptr().addr();
        if read_to(file, &mut bytes[start..start + len], 0)? < len {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file was cut off at this moment",
            ));
        }
        Ok(Self { bytes, start })
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.bytes.len() - (Self::ALIGN - self.start)]
    }

    fn region(&mut self) -> Region<'_> {
        let len = self.bytes().len();
        let base = NonNull::from(&mut self.bytes[self.start..][..len]).cast();
        // SAFETY: the slice of `len` bytes is borrowed mutably for as long as the region.
        unsafe { Region::from_raw_parts(base, len) }
    }
}

/// Copies a segment's first bytes and reads the directory and the roster in them.
pub(crate) fn read<R>(
    file: &File,
    header: &Header,
    roster: impl FnOnce(Roster<'_>) -> R,
) -> io::Result<(R, Result<Vec<Entry>, ObjectError>)> {
    end(header, header.directory_entries)
        .filter(|&end| end <= header.size)
        .ok_or_else(|| invalid("roster or directory lie outside of the segment"))?;
    let mut entries = header.directory_entries.min(ENTRIES);
    let (mut copy, objects) = loop {
        // Less than the segment, as was seen above.
        let end = end(header, entries).filter(|&end| end <= LIMIT).ok_or_else(too_large)?;
        let mut copy = settled(file, header, end as usize)?;
        let objects = match entries {
            0 => Ok(Vec::new()),
            entries => Directory::list_copy(copy.region(), header.directory, entries, header.size),
        };
        let is_full = objects.as_ref().is_ok_and(|objects| objects.len() == entries as usize);
        if !is_full || entries == header.directory_entries {
            break (copy, objects);
        }
        entries = entries.saturating_mul(8).min(header.directory_entries);
    };
    let region = copy.region();
    let at = region.sub(header.roster, Roster::bytes(header.roster_slots)).map_err(invalid)?;
    // SAFETY: a copy of bytes that `Roster::init` made, as the header says, and that are a roster only; if the header
    // is wrong, they are atomics nonetheless, for which every pattern is valid, in memory of our own.
    let view = unsafe { Roster::attach(at, header.roster_slots) }.map_err(invalid)?;
    Ok((roster(view), objects))
}

/// Copies until the directory did not change from one copy to the next: then no entry was published while it was
/// copied, and every entry is whole.
fn settled(file: &File, header: &Header, end: usize) -> io::Result<Copy> {
    let mut last = Copy::take(file, end)?;
    for _ in 0..TRIES {
        let next = Copy::take(file, end)?;
        // Inside the copy: `end`.
        let from = header.directory as usize;
        if header.directory_entries == 0 || last.bytes()[from..] == next.bytes()[from..] {
            return Ok(next);
        }
        last = next;
    }
    Err(invalid("its directory changes all the time"))
}

/// Returns one past the last byte of the roster and of so many of the directory's entries, from the base.
fn end(header: &Header, entries: u32) -> Option<u64> {
    let roster = header.roster.checked_add(Roster::bytes(header.roster_slots))?;
    let directory = match entries {
        0 => 0,
        entries => header.directory.checked_add(Directory::bytes(entries))?,
    };
    Some(roster.max(directory))
}

fn too_large() -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("its objects' names alone take more than the {LIMIT} bytes that this looks at"),
    )
}

fn invalid(why: impl fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the segment is corrupt: {why}"))
}
