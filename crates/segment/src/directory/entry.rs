//! The entries of the directory, as they lie in memory and as people see them.

use std::fmt;

use shmkit_layout::{Offset, OffsetError, Region, Shape};

use super::error::Reason;
use super::{MAX_ALIGN, ObjectError};

/// Longest name of an object, in bytes.
const NAME: usize = 48;

/// An entry behind its state: where the object is, what it is called, what it is. Read and written as words, because
/// the compiler may not join volatile accesses to single bytes.
const WORDS: usize = 21;
/// Where they begin, in bytes from the entry's first. The state is at 0, a u32; bytes 4 to 7 are 0.
const WORDS_AT: u64 = 8;
const NAME_WORDS: usize = NAME / 8;
const SHAPE_WORDS: usize = size_of::<Shape>() / 8;
const _: () = assert!(1 + NAME_WORDS + SHAPE_WORDS == WORDS, "part of the segment format");
const _: () = assert!(WORDS_AT + WORDS as u64 * 8 == super::ENTRY, "part of the segment format");

/// An object in a directory: its name and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// What it is called.
    pub name: String,
    /// What it is, of which values, how many, and the bytes it takes.
    pub shape: Shape,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.name, self.shape)
    }
}

/// The name of an object: 1 to 48 bytes of UTF-8 without control characters, padded with zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Name([u8; NAME]);

impl Name {
    pub(super) fn new(name: &str) -> Result<Self, ObjectError> {
        let why = if name.is_empty() {
            "it is empty"
        } else if name.len() > NAME {
            "it is longer"
        } else if name.chars().any(char::is_control) {
            "it has a control character in it"
        } else {
            let mut bytes = [0; NAME];
            bytes[..name.len()].copy_from_slice(name.as_bytes());
            return Ok(Self(bytes));
        };
        Err(Reason::Name { why, len: name.len() }.of(name))
    }

    /// Returns the name, if it is one that [`new`](Self::new) makes.
    fn text(&self) -> Option<&str> {
        let len = self.0.iter().position(|&b| b == 0).unwrap_or(NAME);
        let (text, padding) = self.0.split_at(len);
        let text = str::from_utf8(text).ok()?;
        let good =
            len > 0 && padding.iter().all(|&b| b == 0) && !text.chars().any(char::is_control);
        good.then_some(text)
    }
}

/// A private copy of an entry, which no peer can change between a check and its use.
#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) name: Name,
    /// Where the object's first byte is, in bytes from the base of the segment.
    pub(super) offset: u64,
    pub(super) shape: Shape,
}

impl Record {
    /// Copies the entry at byte `at` of the table out.
    pub(super) fn read(table: Region<'_>, at: u64) -> Result<Self, OffsetError> {
        let words: [u64; WORDS] = table.read(Offset::new(at + WORDS_AT)?)?;
        let (name, shape) = words[1..].split_at(NAME_WORDS);
        Ok(Self {
            name: Name(bytemuck::pod_read_unaligned(bytemuck::cast_slice(name))),
            offset: words[0],
            shape: bytemuck::pod_read_unaligned(bytemuck::cast_slice(shape)),
        })
    }

    /// Writes the entry at byte `at` of the table. To be used before it is published, under the lock.
    pub(super) fn write(self, table: Region<'_>, at: u64) -> Result<(), OffsetError> {
        let mut words = [self.offset; WORDS];
        let (name, shape) = words[1..].split_at_mut(NAME_WORDS);
        bytemuck::cast_slice_mut(name).copy_from_slice(&self.name.0);
        bytemuck::cast_slice_mut(shape).copy_from_slice(bytemuck::bytes_of(&self.shape));
        table.write(Offset::new(at + WORDS_AT)?, words)
    }

    /// Returns the field, and its value, that makes this entry one that no peer of this version writes into a segment
    /// of `len` bytes, where the objects before it end at `start`.
    pub(super) fn defect(&self, start: u64, len: u64) -> Option<(&'static str, u64)> {
        let Shape { bytes, align, .. } = self.shape;
        if self.name.0[0] == 0 {
            return Some(("first byte of the name", 0));
        }
        if !align.is_power_of_two() || align > MAX_ALIGN {
            return Some(("alignment", align));
        }
        if self.offset < start || !self.offset.is_multiple_of(align) {
            return Some(("offset", self.offset));
        }
        match self.offset.checked_add(bytes) {
            Some(end) if end <= len => None,
            _ => Some(("size", bytes)),
        }
    }

    /// Returns one past the object's last byte, for a record without a [`defect`](Self::defect).
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(self.shape.bytes)
    }

    /// Returns the entry as people see it; `None` if its name is no name. To find an object, which has one, nobody
    /// need look at the text of the others' names.
    pub(super) fn entry(&self) -> Option<Entry> {
        Some(Entry { name: self.name.text()?.to_owned(), shape: self.shape })
    }

    /// Returns the first byte of the name.
    pub(super) fn initial(&self) -> u8 {
        self.name.0[0]
    }
}

#[cfg(test)]
mod tests {
    use shmkit_layout::{Kind, NameWords, ShmSafe};

    use super::*;

    #[test]
    fn names_keep_their_bytes() {
        for name in ["a", "hits", "größe/2", &"x".repeat(48)] {
            assert_eq!(Name::new(name).unwrap().text(), Some(name));
        }
        for name in ["", "a\0b", "a\nb", &"x".repeat(49)] {
            assert!(Name::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn every_defect_is_named() {
        let good = Record {
            name: Name::new("hits").unwrap(),
            offset: 1024,
            shape: Shape {
                kind: Kind::new("value"),
                tag: u64::TAG,
                len: 1,
                bytes: 64,
                align: 64,
                names: NameWords::NONE.alone(),
            },
        };
        assert_eq!(good.defect(1024, 1088), None);
        let with = |change: fn(&mut Record)| {
            let mut bad = good;
            change(&mut bad);
            bad.defect(1024, 1088).map(|(field, _)| field)
        };
        assert_eq!(with(|r| r.name.0[0] = 0), Some("first byte of the name"));
        for at in [0, 47] {
            let mut bad = good;
            bad.name.0[at] = 0xff;
            assert_eq!(bad.entry(), None);
        }
        assert_eq!(with(|r| r.shape.align = 0), Some("alignment"));
        assert_eq!(with(|r| r.shape.align = 3), Some("alignment"));
        assert_eq!(with(|r| r.shape.align = 1 << 13), Some("alignment"));
        assert_eq!(with(|r| r.offset = 960), Some("offset"));
        assert_eq!(with(|r| r.offset = 1025), Some("offset"));
        assert_eq!(with(|r| r.shape.bytes = 65), Some("size"));
        assert_eq!(with(|r| r.shape.bytes = u64::MAX), Some("size"));
    }
}
