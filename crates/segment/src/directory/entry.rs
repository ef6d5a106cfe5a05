//! The entries of the directory, as they lie in memory and as people see them.

use std::fmt;

use shmkit_layout::{Offset, OffsetError, Region, Shape};
use shmkit_roster::OwnerId;

use super::error::Reason;
use super::{MAX_ALIGN, ObjectError};
use crate::index::State;

/// Longest name of an object, in bytes.
pub(super) const NAME: usize = 255;
/// How many bytes of a name lie in the entry; the rest of it, padded with zeros to words, ends where the object begins.
const SHORT: usize = 48;

/// Bytes of an entry.
pub(super) const ENTRY: u64 = 192;
/// An entry behind its state and its creator: where the object is, what it is called, what it is. Read and written as words,
/// because the compiler may not join volatile accesses to single bytes.
const WORDS: usize = 22;
/// Where they begin, in bytes from the entry's first. The state is at 0, a u64.
const WORDS_AT: u64 = 16;
/// Who made it: an owner id, a u32.
pub(super) const CREATOR_AT: u64 = 8;
/// Where a free entry has 1 + the number of the next free one, a u64; 0 if it is the last.
pub(super) const NEXT_AT: u64 = WORDS_AT;
const NAME_WORDS: usize = SHORT / 8;
const SHAPE_WORDS: usize = size_of::<Shape>() / 8;
const _: () = assert!(2 + NAME_WORDS + SHAPE_WORDS == WORDS, "part of the segment format");
const _: () = assert!(WORDS_AT + WORDS as u64 * 8 == ENTRY, "part of the segment format");

/// An object in a directory: its name and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// What it is called.
    pub name: String,
    /// What it is, of which values, how many, and the bytes it takes.
    pub shape: Shape,
    /// Where it begins, in bytes from the segment's first, and so from its file's.
    pub offset: u64,
    /// The how many-th object of its directory it is, from 1. No other one of that directory ever has the same number.
    pub generation: u64,
    /// Who made it, for people; `None` when that participant's place has given out its names anew.
    pub creator: Option<OwnerId>,
    /// Who uses it: who has a handle to it. Those who died with one are in it, too, if whoever looks cannot judge that.
    pub users: Vec<OwnerId>,
    /// Whether it has lost its name, and is there only for those who use it still.
    pub is_unlinked: bool,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.name, self.shape)
    }
}

/// The name of an object: 1 to 255 bytes of UTF-8 without control characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'n> {
    text: &'n str,
    pub(super) hash: u32,
}

impl<'n> Name<'n> {
    pub(super) fn new(name: &'n str) -> Result<Self, ObjectError> {
        match defect(name) {
            None => Ok(Self { text: name, hash: hash(name.as_bytes()) }),
            Some(why) => Err(Reason::Name { why, len: name.len() }.of(name)),
        }
    }

    /// The bytes that lie in the entry, padded with zeros.
    fn short(self) -> [u8; SHORT] {
        let mut short = [0; SHORT];
        let len = self.text.len().min(SHORT);
        short[..len].copy_from_slice(&self.text.as_bytes()[..len]);
        short
    }

    /// The bytes that lie before the object, as words padded with zeros.
    fn rest(self) -> impl Iterator<Item = u64> {
        self.text.as_bytes().get(SHORT..).unwrap_or_default().chunks(8).map(word)
    }

    /// The bytes that the rest of the name takes.
    pub(super) fn rest_bytes(self) -> u64 {
        rest_bytes(self.text.len() as u32)
    }

    /// Writes the rest of the name at byte `at` of the segment. To be used before it is published, under the lock.
    pub(super) fn write_rest(self, segment: Region<'_>, at: u64) -> Result<(), OffsetError> {
        for (i, word) in self.rest().enumerate() {
            segment.write(Offset::new(at + i as u64 * 8)?, word)?;
        }
        Ok(())
    }

    /// Returns whether a record that was checked is of this name.
    pub(super) fn is_of(self, record: &Record, segment: Region<'_>) -> Result<bool, OffsetError> {
        if record.len as usize != self.text.len() || record.name != self.short() {
            return Ok(false);
        }
        let at = record.rest().0;
        for (i, word) in self.rest().enumerate() {
            if segment.read::<u64>(Offset::new(at + i as u64 * 8)?)? != word {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Says why a text is no name.
fn defect(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > NAME {
        Some("it is longer")
    } else if name.chars().any(char::is_control) {
        Some("it has a control character in it")
    } else {
        None
    }
}

/// Up to eight bytes, in memory order, padded with zeros.
fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_ne_bytes(word)
}

/// The hash of a name: part of the segment format. Eight bytes a step; the last bits of each spread over all.
pub(super) fn hash(name: &[u8]) -> u32 {
    let mut hash = name.len() as u64;
    for bytes in name.chunks(8) {
        hash = (hash ^ word(bytes)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 32;
    }
    hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    (hash >> 32) as u32
}

/// The bytes that the rest of a name of `len` bytes takes.
fn rest_bytes(len: u32) -> u64 {
    u64::from(len).saturating_sub(SHORT as u64).next_multiple_of(8)
}

/// A private copy of an entry, which no peer can change between a check and its use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// Where the object's first byte is, in bytes from the base of the segment.
    pub(super) offset: u64,
    /// Bytes of the name.
    len: u32,
    pub(super) hash: u32,
    /// The first bytes of the name, padded with zeros.
    name: [u8; SHORT],
    pub(super) shape: Shape,
}

impl Record {
    pub(super) fn new(name: Name<'_>, offset: u64, shape: Shape) -> Self {
        let len = name.text.len() as u32;
        Self { offset, len, hash: name.hash, name: name.short(), shape }
    }

    /// Copies the entry at byte `at` of the segment out.
    pub(super) fn read(segment: Region<'_>, at: u64) -> Result<Self, OffsetError> {
        segment.read(Offset::new(at + WORDS_AT)?).map(Self::of)
    }

    /// Returns the entry of which these are the bytes: what its state says, itself, and who made it.
    pub(super) fn parts(bytes: &[u8; ENTRY as usize]) -> (u64, Self, u32) {
        let words: [u64; 2 + WORDS] = bytemuck::pod_read_unaligned(bytes);
        let [creator, _]: [u32; 2] = bytemuck::cast(words[1]);
        let mut record = [0; WORDS];
        record.copy_from_slice(&words[2..]);
        (words[0], Self::of(record), creator)
    }

    fn of(words: [u64; WORDS]) -> Self {
        let (name, shape) = words[2..].split_at(NAME_WORDS);
        Self {
            offset: words[0],
            len: words[1] as u32,
            hash: (words[1] >> 32) as u32,
            name: bytemuck::pod_read_unaligned(bytemuck::cast_slice(name)),
            shape: bytemuck::pod_read_unaligned(bytemuck::cast_slice(shape)),
        }
    }

    /// Writes the entry at byte `at` of the segment. To be used before it is published, under the lock.
    pub(super) fn write(
        self,
        segment: Region<'_>,
        at: u64,
        creator: Option<OwnerId>,
    ) -> Result<(), OffsetError> {
        let mut words = [0; WORDS];
        words[0] = self.offset;
        words[1] = u64::from(self.hash) << 32 | u64::from(self.len);
        let (name, shape) = words[2..].split_at_mut(NAME_WORDS);
        bytemuck::cast_slice_mut(name).copy_from_slice(&self.name);
        bytemuck::cast_slice_mut(shape).copy_from_slice(bytemuck::bytes_of(&self.shape));
        segment.write(Offset::new(at + CREATOR_AT)?, creator.map_or(0, OwnerId::get))?;
        segment.write(Offset::new(at + WORDS_AT)?, words)
    }

    /// Fails if no peer of this version writes this as entry `index` of a segment of `len` bytes whose objects begin at
    /// `start`.
    pub(super) fn check(&self, index: u32, start: u64, len: u64) -> Result<(), Reason> {
        self.defect(start, len)
            .map_or(Ok(()), |(field, found)| Err(Reason::Corrupt { field, index, found }))
    }

    /// Returns the field that is wrong, and its value.
    fn defect(&self, start: u64, len: u64) -> Option<(&'static str, u64)> {
        let Shape { bytes, align, .. } = self.shape;
        if self.name[0] == 0 {
            return Some(("first byte of the name", 0));
        }
        if self.len == 0 || self.len as usize > NAME {
            return Some(("length of the name", self.len.into()));
        }
        if !align.is_power_of_two() || align > MAX_ALIGN {
            return Some(("alignment", align));
        }
        if self.offset < start || !self.offset.is_multiple_of(align) {
            return Some(("offset", self.offset));
        }
        let rest = rest_bytes(self.len);
        if rest > 0 && (self.offset - start < rest || !self.offset.is_multiple_of(8)) {
            return Some(("place of the name", self.offset));
        }
        match self.offset.checked_add(bytes) {
            Some(end) if end <= len => None,
            _ => Some(("size", bytes)),
        }
    }

    /// Returns where the rest of the name is, and how many bytes it has with its padding, for a record that was checked.
    pub(super) fn rest(&self) -> (u64, u64) {
        let bytes = rest_bytes(self.len);
        (self.offset.saturating_sub(bytes), bytes)
    }

    /// Returns one past the object's last byte, for a record that was checked.
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(self.shape.bytes)
    }

    /// Returns the entry as people see it, by its index and state, its creator and the rest of its name. To find an object,
    /// which has a name, nobody need look at the text of the others'.
    pub(super) fn entry(
        &self,
        index: u32,
        state: State,
        creator: u32,
        rest: &[u8],
    ) -> Result<Entry, Reason> {
        let mut bytes = self.name[..(self.len as usize).min(SHORT)].to_vec();
        bytes.extend(&rest[..(self.len as usize).saturating_sub(SHORT)]);
        let good = |name: &String| defect(name).is_none();
        match String::from_utf8(bytes).ok().filter(good) {
            Some(name) => Ok(Entry {
                name,
                shape: self.shape,
                generation: state.generation(),
                offset: self.offset,
                creator: OwnerId::new(creator),
                users: Vec::new(),
                is_unlinked: state.settled().phase() == State::UNLINKED,
            }),
            None => Err(Reason::Corrupt {
                field: "first byte of the name",
                index,
                found: self.name[0].into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use shmkit_layout::{Kind, NameWords, ShmSafe};

    use super::*;

    fn record(name: &str) -> Record {
        let names = NameWords::NONE.alone();
        let (kind, tag) = (Kind::new("value"), u64::TAG);
        let shape = Shape { kind, tag, len: 1, bytes: 64, align: 64, names };
        Record::new(Name::new(name).unwrap(), 1024, shape)
    }

    #[test]
    fn names_keep_their_bytes() {
        for name in ["a", "hits", "größe/2", &"x".repeat(48), &"xyz".repeat(85)] {
            let rest: Vec<u8> =
                Name::new(name).unwrap().rest().flat_map(u64::to_ne_bytes).collect();
            let state = State::new(State::NAMED, 5);
            let entry = record(name).entry(4, state, 7, &rest).unwrap();
            assert_eq!((entry.name.as_str(), entry.generation), (name, 5));
            assert_eq!(entry.creator, OwnerId::new(7));
        }
        for name in ["", "a\0b", "a\nb", &"x".repeat(256)] {
            assert!(Name::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn hashes_of_like_names_differ_in_their_last_bits() {
        let mut seen = std::collections::HashSet::new();
        for i in 0..4096 {
            seen.insert(hash(format!("object-{i}").as_bytes()) % 8192);
        }
        // As many as numbers that are drawn would give: 8192 * (1 - exp(-1/2)) = 3223.
        assert!((3100..3350).contains(&seen.len()), "{}", seen.len());
    }

    #[test]
    fn every_defect_is_named() {
        let good = record("hits");
        assert_eq!(good.defect(1024, 1088), None);
        let with = |change: fn(&mut Record)| {
            let mut bad = good;
            change(&mut bad);
            bad.defect(1024, 1088).map(|(field, _)| field)
        };
        assert_eq!(with(|r| r.name[0] = 0), Some("first byte of the name"));
        for at in [0, 3] {
            let mut bad = good;
            bad.name[at] = 0xff;
            assert!(bad.entry(0, State::new(State::NAMED, 1), 0, &[]).is_err());
        }
        assert_eq!(with(|r| r.len = 0), Some("length of the name"));
        assert_eq!(with(|r| r.len = 256), Some("length of the name"));
        assert_eq!(with(|r| r.len = 49), Some("place of the name"), "before the first object");
        assert_eq!(with(|r| r.shape.align = 0), Some("alignment"));
        assert_eq!(with(|r| r.shape.align = 3), Some("alignment"));
        assert_eq!(with(|r| r.shape.align = 1 << 13), Some("alignment"));
        assert_eq!(with(|r| r.offset = 960), Some("offset"));
        assert_eq!(with(|r| r.offset = 1025), Some("offset"));
        assert_eq!(with(|r| r.shape.bytes = 65), Some("size"));
        assert_eq!(with(|r| r.shape.bytes = u64::MAX), Some("size"));
        let long = Record { len: 49, ..good };
        assert_eq!(long.defect(1016, 1088), None);
        assert_eq!(long.rest(), (1016, 8));
        let mut odd = Record { offset: 1028, ..long };
        odd.shape.align = 4;
        assert_eq!(odd.defect(1000, 1100), Some(("place of the name", 1028)));
    }
}
