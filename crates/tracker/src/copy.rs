//! Copies of a segment's roster and directory.
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

/// Most bytes that are copied: of a directory that has some 2,500,000 objects in it.
const LIMIT: u64 = 1 << 30;

/// A copy in private memory, aligned as a mapping is.
pub(crate) struct Copy {
    bytes: Vec<u8>,
    /// Where the copy begins in `bytes`, which has so many more.
    start: usize,
}

impl Copy {
    const ALIGN: usize = 4096;

    /// Copies `len` bytes of a file, from byte `at` on.
    pub(crate) fn take_at(file: &File, len: usize, at: u64) -> io::Result<Self> {
        let mut bytes = vec![0; len + Self::ALIGN];
        let start = bytes.as_ptr().addr().next_multiple_of(Self::ALIGN) - bytes.as_ptr().addr();
        if read_to(file, &mut bytes[start..start + len], at)? < len {
            return Err(cut_off());
        }
        Ok(Self { bytes, start })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.bytes.len() - (Self::ALIGN - self.start)]
    }

    pub(crate) fn region(&mut self) -> Region<'_> {
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
    let end = end(header).filter(|&end| end <= header.size);
    let end = end.ok_or_else(|| invalid("roster or directory lie outside of the segment"))?;
    let objects = match header.directory_entries {
        0 => Ok(Vec::new()),
        entries => objects(file, header, entries)?,
    };
    let mut copy = Copy::take_at(file, usize::try_from(end).map_err(invalid)?, 0)?;
    let region = copy.region();
    let at = region.sub(header.roster, Roster::bytes(header.roster_slots)).map_err(invalid)?;
    // SAFETY: a copy of bytes that `Roster::init` made, as the header says, and that are a roster only; if the header
    // is wrong, they are atomics nonetheless, for which every pattern is valid, in memory of our own.
    let view = unsafe { Roster::attach(at, header.roster_slots) }.map_err(invalid)?;
    Ok((roster(view), objects))
}

/// Lists the objects of a directory whose first table has so many entries.
fn objects(
    file: &File,
    header: &Header,
    entries: u32,
) -> io::Result<Result<Vec<Entry>, ObjectError>> {
    let mut copied = 0;
    Directory::list_from(
        header.directory,
        (entries, header.roster_slots),
        // It may have grown since its header was read.
        header.limit(),
        |at, bytes| {
            copied += bytes.len() as u64;
            if copied > LIMIT {
                return Err(too_large());
            }
            if read_to(file, bytes, at)? < bytes.len() {
                return Err(cut_off());
            }
            Ok(())
        },
    )
}

/// Returns one past the last byte of the roster, from the base; nothing if there can be no such roster or directory.
fn end(header: &Header) -> Option<u64> {
    let entries = header.directory_entries;
    let bytes = Directory::bytes(entries, header.roster_slots);
    header.directory.checked_add(bytes).filter(|&end| end <= header.size)?;
    header.roster.checked_add(Roster::bytes(header.roster_slots))
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut off at this moment")
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
