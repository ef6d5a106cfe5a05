//! The directory: named, typed objects inside a segment.
//!
//! ```text
//! at       lock | at+64: up to where objects were ever written, in bytes from the base | free entries and gaps
//! at+128   version of the index | which it is | 30 later tables of entries
//! at+384   entry 0 | entry 1 | …      192 bytes each: state, creator, offset, name, shape
//!          users                      for each place of the roster a bit for every entry
//!          the first index            8 bytes each: hash of a name | 1 + an entry's number
//! free     the objects, each at a multiple of its alignment; the rest of a long name right before its object; later tables,
//!          each as large as all before it, and the indexes that go with them
//! ```
//!
//! The state of an entry decides everything: an object is there from one store to it, and has its name until another, and its
//! bytes until a third (`index`). Until then the entry does not change. What is free, and how much, follows from the states: a
//! maker or remover that is killed anywhere leaves an object that is whole or absent, and an heir of the lock has the rest be
//! made anew. Finding an object takes no lock.
//!
//! Whoever has a handle to an object says so in its row of bits (`users`), and what somebody alive uses is not freed.

mod entry;
mod error;
pub(crate) mod extent;
mod grow;
mod held;
mod make;
mod outside;
mod remove;
mod room;
mod schema;
mod segment;
pub(crate) mod sweep;
mod table;
#[cfg(test)]
mod tests;
mod users;

use std::time::Duration;

use shmkit_atomic::Ordering::{Acquire, Relaxed};
use shmkit_atomic::{AtomicU32, AtomicU64, fence, hint};
use shmkit_layout::{Commit, Header, Kind, Object, Offset, OffsetError, Region, TypeTag};
use shmkit_roster::Judge;

use self::entry::{Name, Record};
use self::users::Borrowed;
use crate::index::{self, Sought, State};

pub(crate) use self::error::Reason;
pub(crate) use self::users::{Keeper, not_joined};

pub use self::entry::Entry;
pub use self::error::{ObjectError, ObjectErrorKind};

/// The largest alignment of an object, in bytes: what a mapping's base is aligned to on every machine.
const MAX_ALIGN: u64 = 4096;

/// How long a peer may hold the directory, unless the user says otherwise.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(30);
/// How often is looked for a name without the lock, while others remove objects.
const TRIES: u32 = 64;
/// How many objects are named to who asks for one that is not there.
const SHOWN: usize = 8;

/// A view of the directory in a region.
///
/// Every number in it is an input: it is loaded once, checked, then used.
#[derive(Clone, Copy, Debug)]
pub struct Directory<'a> {
    /// All bytes that the segment may ever have; offsets of objects count from its base.
    reserved: Region<'a>,
    /// The word that says up to where there are bytes, of a segment that grows; none if they are all there.
    length: Option<&'a AtomicU64>,
    /// Where the directory begins, in bytes from the base of the segment.
    at: u64,
    /// Lock, first entries and first index.
    table: Region<'a>,
    /// The version of the index.
    version: &'a AtomicU64,
    /// Which table is the index.
    index: &'a AtomicU64,
    /// How many entries the first table has.
    entries: u32,
    /// How many participants there can be.
    places: u32,
    /// Where the objects begin, in bytes from the base of the segment.
    start: u64,
    /// How long a maker waits for another one.
    time_limit: Duration,
}

impl<'a> Directory<'a> {
    /// The alignment of a directory's first byte.
    pub const ALIGN: u64 = 128;

    /// Returns the bytes that a directory takes whose first table has room for `entries` objects, at least one, beside a
    /// roster of so many places: each has a bit for every entry.
    pub const fn bytes(entries: u32, places: u32) -> u64 {
        table::bytes(entries, places)
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
    /// another's the living would be dead. It has `places` places, as its [judges](Judge::places) say.
    pub unsafe fn attach(
        region: Region<'a>,
        at: u64,
        entries: u32,
        places: u32,
    ) -> Result<Self, OffsetError> {
        let places = places.max(1);
        let bytes = Self::bytes(entries, places);
        let table = region.sub(at, bytes)?;
        if !at.is_multiple_of(Self::ALIGN) {
            return Err(OffsetError::Misaligned { bytes: at, align: Self::ALIGN });
        }
        // `sub` has checked that the sum lies inside the region.
        let (reserved, start) = (region, at + bytes);
        let (version, index) = table::words(table)?;
        let (length, time_limit) = (None, TIME_LIMIT);
        Ok(Self { reserved, length, at, table, version, index, entries, places, start, time_limit })
    }

    /// The directory of a segment with such a header, in all that is mapped of it.
    ///
    /// # Safety
    ///
    /// As [`attach`](Self::attach).
    pub(crate) unsafe fn of(region: Region<'a>, header: &Header) -> Result<Self, OffsetError> {
        let Header { directory, directory_entries, roster_slots, .. } = *header;
        // A file may be longer than its segment.
        let reserved = region.sub(0, header.limit())?;
        // SAFETY: the caller's promise.
        let this = unsafe { Self::attach(reserved, directory, directory_entries, roster_slots) }?;
        let length = Header::length(reserved).ok().filter(|_| header.grows());
        Ok(Self { length, ..this })
    }

    /// Sets how long whoever makes an object waits for a peer that makes one: by default 30 s, in which it zeroes
    /// gigabytes.
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// Finds the object called `name`.
    ///
    /// It takes no lock, unless others remove objects all the time, or one was killed in the middle of that. The participant
    /// uses the object from now on, until it is gone or [says otherwise](Self::disuse).
    ///
    /// # Errors
    ///
    /// [`NotFound`](ObjectErrorKind::NotFound), [`WrongShape`](ObjectErrorKind::WrongShape) if it is of another kind
    /// or type, [`InvalidName`](ObjectErrorKind::InvalidName), [`NotJoined`](ObjectErrorKind::NotJoined),
    /// [`Corrupt`](ObjectErrorKind::Corrupt).
    pub fn find<O, J>(self, name: &str, judge: &'a J) -> Result<O, ObjectError>
    where
        O: Object<&'a J>,
        J: Judge + Commit,
    {
        // SAFETY: the region lives as long as the borrow of the judge, and the handle no longer.
        unsafe { self.find_with(name, &Borrowed(judge)) }
    }

    /// [`find`](Self::find) with any keeper.
    ///
    /// # Safety
    ///
    /// The region must stay mapped where it is as long as `keeper`, or a clone of it, lives.
    pub(crate) unsafe fn find_with<O, K, U>(self, name: &str, keeper: &U) -> Result<O, ObjectError>
    where
        O: Object<K>,
        U: Keeper<K>,
    {
        let found = self.seek(Name::new(name)?, keeper).map_err(|reason| reason.of(name))?;
        let Some((record, kept)) = found else {
            return Err(self.not_found().unwrap_or_else(|reason| reason).of(name));
        };
        // SAFETY: the caller's promise.
        unsafe { self.use_found(record, kept, keeper) }.map_err(|reason| reason.of(name))
    }

    /// Finds the object of an entry, with its name or without, and returns its bytes, its length and what keeps them.
    #[cfg(feature = "serde")]
    pub(crate) fn find_at<K, U: Keeper<K>>(
        self,
        entry: u32,
        generation: u64,
        asked_for: (Kind, TypeTag),
        keeper: &U,
    ) -> Result<(Region<'a>, u64, K), Reason> {
        // Each round but the last one is lost to somebody who was about to free it, and has not.
        for _ in 0..TRIES {
            let gone = || Reason::NotFound { there: Vec::new(), count: 0 };
            if entry >= self.used()?.load(Relaxed) {
                return Err(gone());
            }
            let state = index::state(&self, entry)?.settled();
            if state.generation() != generation || state.phase() == State::FREE {
                return Err(gone());
            }
            let record = self.record(entry)?;
            let Some(kept) = keeper.begin(self, entry, state, true)? else { continue };
            let found = record.shape;
            if (found.kind, found.tag) != asked_for {
                let (kind, tag) = asked_for;
                let (found, asked) = (found.into(), asked(kind, tag));
                return Err(Reason::WrongType { found, asked, difference: None });
            }
            let region = self.region().sub(record.offset, found.bytes).map_err(Reason::Place)?;
            return Ok((region, found.len, kept));
        }
        Err(Reason::NotFound { there: Vec::new(), count: 0 })
    }

    /// Finds the entry called `name`, whoever makes and removes others meanwhile, and begins to use it.
    fn seek<K, U: Keeper<K>>(
        self,
        name: Name<'_>,
        keeper: &U,
    ) -> Result<Option<(Record, K)>, Reason> {
        for _ in 0..TRIES {
            match self.seek_once(name)? {
                Sought::Found(entry, state, record) => {
                    if let Some(kept) = keeper.begin(self, entry, state, true)? {
                        return Ok(Some((record, kept)));
                    }
                }
                Sought::None => return Ok(None),
                Sought::Disturbed => hint::spin_loop(),
            }
        }
        let _held = self.hold(keeper.judge())?;
        self.seek_held(name, keeper)
    }

    /// As [`seek`](Self::seek), with the lock.
    fn seek_held<K, U: Keeper<K>>(
        self,
        name: Name<'_>,
        keeper: &U,
    ) -> Result<Option<(Record, K)>, Reason> {
        let Sought::Found(entry, state, record) = self.seek_once(name)? else { return Ok(None) };
        let kept = keeper.begin(self, entry, state, true)?;
        Ok(kept.map(|kept| (record, kept)))
    }

    fn seek_once(self, name: Name<'_>) -> Result<Sought<Record>, Reason> {
        index::seek(&self, name.hash, |entry| {
            let record = self.record(entry)?;
            Ok(name.is_of(&record, self.region()).map_err(Reason::Place)?.then_some(record))
        })
    }

    /// Says that no object has the name, and which there are, as far as anybody reads on.
    fn not_found(self) -> Result<Reason, Reason> {
        let (mut there, mut count) = (Vec::new(), 0);
        for entry in 0..self.used()?.load(Relaxed) {
            if index::state(&self, entry)?.settled().phase() != State::NAMED {
                continue;
            }
            count += 1;
            if there.len() < SHOWN
                && let Ok(Some(entry)) = self.entry(entry)
            {
                there.push(entry);
            }
        }
        Ok(Reason::NotFound { there, count })
    }

    /// Returns what there is, in the order in which it was made, what has lost its name included. What is made or removed
    /// meanwhile may be there or not.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](ObjectErrorKind::Corrupt) if an entry holds what no peer of this version writes.
    pub fn entries(self) -> Result<Vec<Entry>, ObjectError> {
        let list = || {
            let mut entries = Vec::new();
            for entry in 0..self.used()?.load(Relaxed) {
                entries.extend(self.entry(entry)?);
            }
            entries.sort_unstable_by_key(|entry: &Entry| entry.generation);
            Ok(entries)
        };
        list().map_err(Reason::of_directory)
    }

    /// Returns an entry as people see it; nothing if it has no object, or another one all the time.
    fn entry(self, index: u32) -> Result<Option<Entry>, Reason> {
        for _ in 0..TRIES {
            let before = index::state(&self, index)?.settled();
            if before.phase() == State::FREE {
                return Ok(None);
            }
            let entry = self.read_entry(index, before);
            // Acquire: pairs with the Release fence in `index::free`: what was read is of one object, if it is that still.
            fence(Acquire);
            if index::state(&self, index)?.settled().generation() == before.generation()
                && index::state(&self, index)?.phase() != State::FREE
            {
                return entry.map(Some);
            }
        }
        Ok(None)
    }

    fn read_entry(self, index: u32, state: State) -> Result<Entry, Reason> {
        let record = self.record(index)?;
        let (at, bytes) = record.rest();
        let mut rest = Vec::new();
        for at in (at..at + bytes).step_by(8) {
            let word = Offset::new(at).and_then(|at| self.region().read::<u64>(at));
            rest.extend(word.map_err(Reason::Place)?.to_ne_bytes());
        }
        // Relaxed: visible with the entry; later it is swept.
        let creator = self.creator(index)?.load(Relaxed);
        let entry = record.entry(index, state, creator, &rest)?;
        Ok(Entry { users: self.said_users(index)?, ..entry })
    }

    /// Borrows the word that says who made the object of an entry.
    fn creator(self, index: u32) -> Result<&'a AtomicU32, Reason> {
        let gone = Reason::Corrupt { field: "table", index, found: 0 };
        let at = Offset::new(self.entry_at(index)?.ok_or(gone)? + entry::CREATOR_AT);
        at.and_then(|at| self.region().get(at)).map_err(Reason::Place)
    }

    /// Attaches to an object of a published entry, if it is what `O` can be attached to.
    ///
    /// # Safety
    ///
    /// As [`find_with`](Self::find_with).
    unsafe fn use_found<O, K, U>(self, found: Record, kept: K, keeper: &U) -> Result<O, Reason>
    where
        O: Object<K>,
        U: Keeper<K>,
    {
        if (found.shape.kind, found.shape.tag) != (O::KIND, O::TAG) {
            let difference = self.differs::<O, K, U>(&found.shape, keeper);
            let (found, asked) = (found.shape.into(), asked(O::KIND, O::TAG));
            return Err(Reason::WrongType { found, asked, difference });
        }
        let region = self.region().sub(found.offset, found.shape.bytes).map_err(Reason::Place)?;
        // SAFETY: the entry is published, so `init` of an object of this kind and tag has returned (`make`), and its
        // bytes are reached only as such an object since (`attach` of this type); the rest is the caller's promise.
        unsafe { O::attach(region, found.shape.len, kept) }.map_err(Reason::Attach)
    }
}

/// What is asked for, as an error shows it.
fn asked(kind: Kind, tag: TypeTag) -> String {
    if tag == TypeTag::NONE { kind.to_string() } else { format!("{kind} of {tag}") }
}
