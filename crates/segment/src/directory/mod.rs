//! The directory: named, typed objects inside a segment.
//!
//! ```text
//! at       lock | at+64: up to where objects were ever written, in bytes from the base
//! at+128   how many entries are indexed | the index | 30 later tables of entries
//! at+384   entry 0 | entry 1 | …      192 bytes each: state, creator, offset, name, shape
//!          the first index            8 bytes each: hash of a name | 1 + an entry's number
//! free     the objects, each at a multiple of its alignment, in the order of their entries; the rest of a long name
//!          before its object; later tables, each as large as all before it, and the indexes that go with them
//! ```
//!
//! Entries are taken in order, under the lock, and never given back. An entry is written while nobody looks at it and
//! *published* by one store to its state; from then on it never changes. The next free byte follows from the last
//! published entry and the last tables, so that a maker that is killed anywhere leaves an object that is whole or
//! absent, and an heir of the lock has nothing to repair but that the last entry may not be indexed yet (`index`). Finding
//! an object takes no lock.
//!
//! What this does *not* do: remove an object. It would have to know whether somebody alive uses it, and a handle leaves
//! nothing in the memory that says so. The memory of one is free again when the segment goes.

mod entry;
mod error;
mod grow;
mod make;
mod outside;
mod schema;
mod segment;
pub(crate) mod sweep;
mod table;
#[cfg(test)]
mod tests;

use std::time::Duration;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU32, AtomicU64};
use shmkit_layout::{Kind, Object, Offset, OffsetError, Region, TypeTag};
use shmkit_roster::Judge;

use self::entry::{Name, Record};
use self::error::Reason;
use crate::index;

pub use self::entry::Entry;
pub use self::error::{ObjectError, ObjectErrorKind};

/// The largest alignment of an object, in bytes: what a mapping's base is aligned to on every machine.
const MAX_ALIGN: u64 = 4096;

/// How long a peer may hold the directory, unless the user says otherwise.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(30);
/// How many objects are named to who asks for one that is not there.
const SHOWN: usize = 8;

/// A view of the directory in a region.
///
/// Every number in it is an input: it is loaded once, checked, then used.
#[derive(Clone, Copy, Debug)]
pub struct Directory<'a> {
    /// The whole segment; offsets of objects count from its base.
    region: Region<'a>,
    /// Where the directory begins, in bytes from the base of the segment.
    at: u64,
    /// Lock, first entries and first index.
    table: Region<'a>,
    /// How many entries are in the index.
    indexed: &'a AtomicU32,
    /// Which table is the index.
    index: &'a AtomicU64,
    /// How many entries the first table has.
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

    /// Returns the bytes that a directory takes whose first table has room for `entries` objects.
    pub const fn bytes(entries: u32) -> u64 {
        table::bytes(entries)
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
    /// as a directory of `entries` entries since, and those after it belong to its objects and to its later tables, and be
    /// reached through it only.
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
        let (indexed, index) = table::words(table)?;
        let time_limit = TIME_LIMIT;
        Ok(Self { region, at, table, indexed, index, entries, start, len, time_limit })
    }

    /// Sets how long whoever makes an object waits for a peer that makes one: by default 30 s, in which it zeroes
    /// gigabytes.
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
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
        let found = self.seek(Name::new(name)?).map_err(|reason| reason.of(name))?;
        let Some(record) = found else {
            return Err(self.not_found().unwrap_or_else(|reason| reason).of(name));
        };
        // SAFETY: the caller's promise.
        unsafe { self.use_found(record, keeper) }.map_err(|reason| reason.of(name))
    }

    /// Finds the entry called `name`, whoever makes others meanwhile.
    fn seek(self, name: Name<'_>) -> Result<Option<Record>, Reason> {
        index::seek(&self, name.hash, |entry| {
            let record = self.record(entry)?;
            if !name.is_of(&record, self.region).map_err(Reason::Place)? {
                return Ok(None);
            }
            self.behind(entry, record).map(Some)
        })
    }

    /// Says that no object has the name, and which there are, as far as anybody reads on.
    fn not_found(self) -> Result<Reason, Reason> {
        let mut there = Vec::new();
        let mut scan = self.scan();
        while there.len() < SHOWN
            && let Ok(Some((index, record))) = scan.next()
        {
            there.extend(self.entry(index, record));
        }
        // Relaxed: those that are not indexed yet are looked at.
        let mut count = self.indexed.load(Relaxed);
        while index::is_published(&self, count)? {
            count += 1;
        }
        Ok(Reason::NotFound { there, count })
    }

    /// Returns what there is, in the order in which it was made. What is made meanwhile may be there or not.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](ObjectErrorKind::Corrupt) if an entry holds what no peer of this version writes.
    pub fn entries(self) -> Result<Vec<Entry>, ObjectError> {
        let mut entries = Vec::new();
        let mut scan = self.scan();
        while let Some((index, record)) = scan.next().map_err(Reason::of_directory)? {
            entries.push(self.entry(index, record).map_err(Reason::of_directory)?);
        }
        Ok(entries)
    }

    /// Returns an entry as people see it.
    fn entry(self, index: u32, record: Record) -> Result<Entry, Reason> {
        let (at, bytes) = record.rest();
        let mut rest = Vec::new();
        for at in (at..at + bytes).step_by(8) {
            let word = Offset::new(at).and_then(|at| self.region.read::<u64>(at));
            rest.extend(word.map_err(Reason::Place)?.to_ne_bytes());
        }
        // Relaxed: visible with the entry; later it is swept.
        let creator = self.creator(index)?.load(Relaxed);
        record.entry(index, creator, &rest)
    }

    /// Borrows the word that says who made the object of an entry.
    fn creator(self, index: u32) -> Result<&'a AtomicU32, Reason> {
        let gone = Reason::Corrupt { field: "table", index, found: 0 };
        let at = Offset::new(self.entry_at(index)?.ok_or(gone)? + entry::CREATOR_AT);
        at.and_then(|at| self.region.get(at)).map_err(Reason::Place)
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
}

/// A walk through the published entries, which checks that each object lies behind the one before it.
struct Scan<'a> {
    directory: Directory<'a>,
    /// The next entry to look at.
    index: u32,
    /// One past the last byte of the objects seen, in bytes from the base of the segment.
    end: u64,
}

impl Scan<'_> {
    /// Copies the next entry out and checks it; `None` after the last one.
    fn next(&mut self) -> Result<Option<(u32, Record)>, Reason> {
        let Self { directory, index, end } = *self;
        // Entries are taken in order: after a free one all are.
        if !index::is_published(&directory, index)? {
            return Ok(None);
        }
        let record = directory.record(index)?;
        record.check(index, end, directory.len)?;
        self.index += 1;
        self.end = record.end();
        Ok(Some((index, record)))
    }
}

/// What is asked for, as an error shows it.
fn asked(kind: Kind, tag: TypeTag) -> String {
    if tag == TypeTag::NONE { kind.to_string() } else { format!("{kind} of {tag}") }
}
