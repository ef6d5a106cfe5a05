//! The directory: named, typed objects inside a segment.
//!
//! ```text
//! at      lock | at+64: up to where objects were ever written, in bytes from the base; 128 bytes in all
//! at+128  entry 0 | entry 1 | …      176 bytes each: state, offset, name, shape
//! free    the objects, each at a multiple of its alignment, in the order of their entries
//! ```
//!
//! Entries are taken in order, under the lock, and never given back. An entry is written while nobody looks at it and
//! *published* by one store to its state; from then on it never changes. Nothing else is kept: the next free byte is
//! recomputed from the published entries, so that a maker that is killed anywhere leaves an object that is whole or
//! absent, and an heir of the lock has nothing to repair. Finding an object takes no lock.
//!
//! What this does *not* do: remove an object. The memory of one is free again when the segment goes.

mod entry;
mod error;
mod make;
mod schema;
mod segment;
pub(crate) mod sweep;
#[cfg(test)]
mod tests;

use std::time::Duration;

use shmkit_atomic::AtomicU32;
use shmkit_atomic::Ordering::Acquire;
use shmkit_layout::{Kind, Object, Offset, OffsetError, Region, Shape, TypeTag, align_up};
use shmkit_roster::Judge;

pub use self::entry::Entry;
use self::entry::{Name, Record};
use self::error::Reason;
pub use self::error::{ObjectError, ObjectErrorKind};

/// Bytes of the lock, which has its cache lines to itself but for `WRITTEN`, which only its holder touches.
const LOCK: u64 = 128;
/// Where the end of the bytes is that any maker may have written to, whether it came to an end or not.
const WRITTEN: u64 = 64;
/// Bytes of an entry.
const ENTRY: u64 = 176;
/// The largest alignment of an object, in bytes: what a mapping's base is aligned to on every machine.
const MAX_ALIGN: u64 = 4096;

/// How long a peer may hold the directory, unless the user says otherwise.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(30);
/// How many objects are named to who asks for one that is not there.
const SHOWN: usize = 8;

/// Returns the bytes that a directory with room for `entries` objects takes.
pub(crate) const fn bytes(entries: u32) -> u64 {
    // At most 2^32 * 176 + 128: no overflow.
    (LOCK + entries as u64 * ENTRY).next_multiple_of(Directory::ALIGN)
}

/// The entry is free, and so are all after it.
const FREE: u32 = 0;
/// The entry is whole and never changes again.
const PUBLISHED: u32 = 1;

/// A view of the directory in a region.
///
/// Every number in it is an input: it is loaded once, checked, then used.
#[derive(Clone, Copy, Debug)]
pub struct Directory<'a> {
    /// The whole segment; offsets of objects count from its base.
    region: Region<'a>,
    /// Lock and entries.
    table: Region<'a>,
    /// How many entries there are.
    entries: u32,
    /// Where the objects begin, in bytes from the base of the segment.
    start: u64,
    /// Size of the segment, in bytes.
    len: u64,
    /// How long a maker waits for another one.
    time_limit: Duration,
}

impl<'a> Directory<'a> {
    /// The alignment of a directory's first byte.
    pub const ALIGN: u64 = 128;

    /// Returns the bytes that a directory with room for `entries` objects takes.
    pub const fn bytes(entries: u32) -> u64 {
        bytes(entries)
    }

    /// Uses the directory at byte `at` of a region. All zero bytes, up to the region's end, are an empty one.
    ///
    /// # Errors
    ///
    /// [`OffsetError`] if the directory does not lie inside the region or is not aligned there.
    ///
    /// # Safety
    ///
    /// The directory's bytes, and all bytes of the region after it, must have been zero at first. They must have been used
    /// as a directory of `entries` entries since, and those after it belong to its objects, and be reached through it only.
    /// Every judge that it is ever used with, here and by others, must be a participant of one and the same roster: to
    /// another's the living would be dead.
    pub unsafe fn attach(region: Region<'a>, at: u64, entries: u32) -> Result<Self, OffsetError> {
        let bytes = Self::bytes(entries);
        let table = region.sub(at, bytes)?;
        if !at.is_multiple_of(Self::ALIGN) {
            return Err(OffsetError::Misaligned { bytes: at, align: Self::ALIGN });
        }
        // `sub` has checked that the sum lies inside the region.
        let (start, len) = (at + bytes, region.len() as u64);
        Ok(Self { region, table, entries, start, len, time_limit: TIME_LIMIT })
    }

    /// Sets how long whoever makes an object waits for a peer that makes one: by default 30 s, in which it zeroes
    /// gigabytes.
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// Lists the objects of a segment of `len` bytes by a copy of its first bytes, in which the directory is at byte
    /// `at`. For who only looks at a segment, and does not map it.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](ObjectErrorKind::Corrupt) as [`entries`](Self::entries), or if the directory is not in the copy.
    pub fn list_copy(
        copy: Region<'a>,
        at: u64,
        entries: u32,
        len: u64,
    ) -> Result<Vec<Entry>, ObjectError> {
        let table =
            copy.sub(at, bytes(entries)).map_err(|error| Reason::Place(error).of_directory())?;
        // `sub` has checked that the sum lies inside the copy.
        let start = at + bytes(entries);
        Self { region: copy, table, entries, start, len, time_limit: TIME_LIMIT }.entries()
    }

    /// Finds the object called `name`.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ObjectErrorKind::NotFound), [`WrongShape`](ObjectErrorKind::WrongShape) if it is of another kind
    /// or type, [`InvalidName`](ObjectErrorKind::InvalidName), [`Corrupt`](ObjectErrorKind::Corrupt).
    pub fn find<O, J>(self, name: &str, judge: &'a J) -> Result<O, ObjectError>
    where
        O: Object<&'a J>,
        J: Judge,
    {
        // SAFETY: the region lives as long as the borrow of the judge, and the handle no longer.
        unsafe { self.find_with(name, judge) }
    }

    /// [`find`](Self::find) with any keeper.
    ///
    /// # Safety
    ///
    /// The region must stay mapped where it is as long as `keeper`, or a clone of it, lives.
    pub(crate) unsafe fn find_with<O, K>(self, name: &str, keeper: K) -> Result<O, ObjectError>
    where
        O: Object<K>,
    {
        let mut scan = self.scan();
        let found = scan.seek(Name::new(name)?).map_err(|reason| reason.of(name))?;
        let Some(record) = found else {
            return Err(self.not_found(scan.index).of(name));
        };
        // SAFETY: the caller's promise.
        unsafe { self.use_found(record, keeper) }.map_err(|reason| reason.of(name))
    }

    /// Says that of so many objects none has the name, and which there are, as far as anybody reads on.
    fn not_found(self, count: u32) -> Reason {
        let mut there = Vec::new();
        let mut scan = self.scan();
        while there.len() < SHOWN
            && let Ok(Some(record)) = scan.next()
        {
            there.extend(record.entry());
        }
        Reason::NotFound { there, count }
    }

    /// Returns what there is, in the order in which it was made.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](ObjectErrorKind::Corrupt) if an entry holds what no peer of this version writes.
    pub fn entries(self) -> Result<Vec<Entry>, ObjectError> {
        let mut entries = Vec::new();
        let mut scan = self.scan();
        while let Some(record) = scan.next().map_err(Reason::of_directory)? {
            let index = scan.index - 1;
            entries.push(record.entry().ok_or_else(|| {
                let found = record.initial().into();
                Reason::Corrupt { field: "first byte of the name", index, found }.of_directory()
            })?);
        }
        Ok(entries)
    }

    /// Begins a walk through the published entries.
    fn scan(self) -> Scan<'a> {
        Scan { directory: self, index: 0, end: self.start }
    }

    /// Attaches to an object of a published entry, if it is what `O` can be attached to.
    ///
    /// # Safety
    ///
    /// As [`find_with`](Self::find_with).
    unsafe fn use_found<O: Object<K>, K>(self, found: Record, keeper: K) -> Result<O, Reason> {
        if (found.shape.kind, found.shape.tag) != (O::KIND, O::TAG) {
            let difference = self.differs::<O, K>(&found.shape, keeper);
            let (found, asked) = (found.shape.into(), asked(O::KIND, O::TAG));
            return Err(Reason::WrongType { found, asked, difference });
        }
        let region = self.region.sub(found.offset, found.shape.bytes).map_err(Reason::Place)?;
        // SAFETY: the entry is published, so `init` of an object of this kind and tag has returned (`make`), and its
        // bytes are reached only as such an object since (`attach` of this type); the rest is the caller's promise.
        unsafe { O::attach(region, found.shape.len, keeper) }.map_err(Reason::Attach)
    }

    /// Borrows the state of entry `index`.
    fn state(self, index: u32) -> Result<&'a AtomicU32, Reason> {
        let at = Offset::new(entry_at(index)).map_err(Reason::Place)?;
        self.table.get(at).map_err(Reason::Place)
    }
}

/// A walk through the published entries, which checks that each object lies behind the one before it.
struct Scan<'a> {
    directory: Directory<'a>,
    /// The next entry to look at; after the walk, the first free one or the number of entries.
    index: u32,
    /// One past the last byte of the objects seen, in bytes from the base of the segment.
    end: u64,
}

impl Scan<'_> {
    /// Walks on to the entry called `name`, or past the last one that is published.
    fn seek(&mut self, name: Name) -> Result<Option<Record>, Reason> {
        while let Some(record) = self.next()? {
            if record.name == name {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Copies the next entry out and checks it; `None` after the last one.
    fn next(&mut self) -> Result<Option<Record>, Reason> {
        let Self { directory, index, end } = *self;
        if index == directory.entries {
            return Ok(None);
        }
        let corrupt = |field, found| Err(Reason::Corrupt { field, index, found });
        // Acquire: pairs with the Release in `build`, so that the entry and its object are visible.
        match directory.state(index)?.load(Acquire) {
            FREE => return Ok(None), // Entries are taken in order: so are all after it.
            PUBLISHED => {}
            found => return corrupt("state", found.into()),
        }
        let record = Record::read(directory.table, entry_at(index)).map_err(Reason::Place)?;
        match record.defect(end, directory.len) {
            Some((field, found)) => corrupt(field, found),
            None => {
                self.index += 1;
                self.end = record.end();
                Ok(Some(record))
            }
        }
    }
}

/// Returns where entry `index` is, in bytes from the directory's first.
const fn entry_at(index: u32) -> u64 {
    LOCK + index as u64 * ENTRY
}

/// What is asked for, as an error shows it.
fn asked(kind: Kind, tag: TypeTag) -> String {
    if tag == TypeTag::NONE { kind.to_string() } else { format!("{kind} of {tag}") }
}

/// Returns the least place at or after `end` for an object of this shape, if the region has one.
fn place(end: u64, shape: &Shape, len: u64) -> Option<u64> {
    let start = align_up(end, shape.align)?;
    (start.checked_add(shape.bytes)? <= len).then_some(start)
}
