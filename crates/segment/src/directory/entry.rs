//! The entries of the directory, as they lie in memory and as people see them.

use std::fmt;

use shmkit_layout::{Offset, OffsetError, Region, Shape};

use super::error::Reason;
use super::{MAX_ALIGN, ObjectError};

/// Longest name of an object, in bytes.
const NAME: usize = 48;

/// Where the fields of an entry are, in bytes from its first. Its state is at 0, a u32; bytes 4 to 7 are 0.
const OFFSET_AT: u64 = 8;
const NAME_AT: u64 = 16;
const SHAPE_AT: u64 = 64;
const _: () =
    assert!(SHAPE_AT + size_of::<Shape>() as u64 == super::ENTRY, "part of the segment format");

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
        Ok(Self {
            name: Name(table.read(Offset::new(at + NAME_AT)?)?),
            offset: table.read(Offset::new(at + OFFSET_AT)?)?,
            shape: table.read(Offset::new(at + SHAPE_AT)?)?,
        })
    }

    /// Writes the entry at byte `at` of the table. To be used before it is published, under the lock.
    pub(super) fn write(self, table: Region<'_>, at: u64) -> Result<(), OffsetError> {
        table.write(Offset::new(at + NAME_AT)?, self.name.0)?;
        table.write(Offset::new(at + OFFSET_AT)?, self.offset)?;
        table.write(Offset::new(at + SHAPE_AT)?, self.shape)
    }

    /// Returns the field, and its value, that makes this entry one that no peer of this version writes into a segment
    /// of `len` bytes, where the objects before it end at `start`.
    pub(super) fn defect(&self, start: u64, len: u64) -> Option<(&'static str, u64)> {
        let Shape { bytes, align, .. } = self.shape;
        if self.name.text().is_none() {
            return Some(("first byte of the name", self.name.0[0].into()));
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

    pub(super) fn entry(&self) -> Entry {
        Entry { name: self.name.text().unwrap_or("?").to_owned(), shape: self.shape }
    }
}

#[cfg(test)]
mod tests {
    use shmkit_layout::{Kind, ShmSafe};

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
            shape: Shape { kind: Kind::new("value"), tag: u64::TAG, len: 1, bytes: 64, align: 64 },
        };
        assert_eq!(good.defect(1024, 1088), None);
        let with = |change: fn(&mut Record)| {
            let mut bad = good;
            change(&mut bad);
            bad.defect(1024, 1088).map(|(field, _)| field)
        };
        assert_eq!(with(|r| r.name.0[0] = 0), Some("first byte of the name"));
        assert_eq!(with(|r| r.name.0[0] = 0xff), Some("first byte of the name"));
        assert_eq!(with(|r| r.name.0[47] = 1), Some("first byte of the name"));
        assert_eq!(with(|r| r.shape.align = 0), Some("alignment"));
        assert_eq!(with(|r| r.shape.align = 3), Some("alignment"));
        assert_eq!(with(|r| r.shape.align = 1 << 13), Some("alignment"));
        assert_eq!(with(|r| r.offset = 960), Some("offset"));
        assert_eq!(with(|r| r.offset = 1025), Some("offset"));
        assert_eq!(with(|r| r.shape.bytes = 65), Some("size"));
        assert_eq!(with(|r| r.shape.bytes = u64::MAX), Some("size"));
    }
}
