//! A registration, as it lies in the register: one or more units of 256 bytes.
//!
//! ```text
//! first unit:  owner u32 | kind u8 | state u8 | units u16 | count u32 | lengths 2 x u16 | identity, mounts, hash, since | text
//! each other:  0     u32 | text
//! ```
//!
//! The owner's word decides: with 0 the unit is free, and all others of the record with it. So the text is written first and
//! the word last; and whoever walks from the first unit on meets every record at its beginning.

use crate::identity::Identity;
use crate::kind::{Kind, MAX_NAME};

/// Bytes of a unit. None lies in two pages, so that the kernel copies it whole or not at all: it looks for a kill between
/// pages only.
pub(crate) const UNIT: usize = 256;

/// Bytes of a record's head.
pub(crate) const HEAD: usize = 64;

/// Most units of a record.
pub(crate) const MAX_UNITS: usize = units(MAX_NAME);

/// Text in a unit after the first.
const REST: usize = UNIT - 4;

/// It was announced, and is not there yet as far as anybody knows.
pub(crate) const ANNOUNCED: u8 = 1;
/// Somebody is at work to release it.
pub(crate) const DOOMED: u8 = 2;

/// How many units a text of so many bytes takes.
pub(crate) const fn units(text: usize) -> usize {
    let beyond = text.saturating_sub(UNIT - HEAD);
    1 + beyond.div_ceil(REST)
}

/// The head of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Who registered it, as the register's roster calls it; 0: the unit is free.
    pub(crate) owner: u32,
    pub(crate) kind: u8,
    pub(crate) state: u8,
    pub(crate) units: u16,
    /// How often it is registered by its owner.
    pub(crate) count: u32,
    pub(crate) custom_len: u16,
    pub(crate) name_len: u16,
    pub(crate) identity: Identity,
    /// In which mount namespace its name means something; 0: in all.
    pub(crate) mounts: u64,
    pub(crate) hash: u64,
    /// When it was announced: what is there from before is not it.
    pub(crate) since: u64,
}

impl Head {
    /// What is registered; no owner yet.
    pub(crate) fn new(kind: Kind<'_>, name: &[u8]) -> Self {
        let text = kind.custom().len() + name.len();
        Self {
            kind: kind.code(),
            units: units(text) as u16,
            count: 1,
            custom_len: kind.custom().len() as u16,
            name_len: name.len() as u16,
            hash: hash(kind, name),
            ..Self::default()
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        let mut at = 0;
        let mut put = |part: &[u8]| {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        };
        put(&self.owner.to_ne_bytes());
        put(&[self.kind, self.state]);
        put(&self.units.to_ne_bytes());
        put(&self.count.to_ne_bytes());
        put(&self.custom_len.to_ne_bytes());
        put(&self.name_len.to_ne_bytes());
        let Identity { device, inode, born } = self.identity;
        for number in [device, inode, born, self.mounts, self.hash, self.since] {
            put(&number.to_ne_bytes());
        }
        bytes
    }

    pub(crate) fn parse(unit: &[u8; UNIT]) -> Self {
        let mut rest = &unit[..];
        let mut take = |len: usize| {
            let (part, left) = rest.split_at(len);
            rest = left;
            part
        };
        let u16_of = |part: &[u8]| part.try_into().map_or(0, u16::from_ne_bytes);
        let u32_of = |part: &[u8]| part.try_into().map_or(0, u32::from_ne_bytes);
        let u64_of = |part: &[u8]| part.try_into().map_or(0, u64::from_ne_bytes);
        Self {
            owner: u32_of(take(4)),
            kind: take(1)[0],
            state: take(1)[0],
            units: u16_of(take(2)),
            count: u32_of(take(4)),
            custom_len: u16_of(take(2)),
            name_len: u16_of(take(2)),
            identity: Identity {
                device: u64_of(take(8)),
                inode: u64_of(take(8)),
                born: u64_of(take(8)),
            },
            mounts: u64_of(take(8)),
            hash: u64_of(take(8)),
            since: u64_of(take(8)),
        }
    }

    /// How many units it takes, of so many that there are: a number read is an input.
    pub(crate) fn span(&self, left: usize) -> usize {
        usize::from(self.units).clamp(1, MAX_UNITS.min(left.max(1)))
    }
}

/// The text of a record: its kind's name, then its own.
pub(crate) struct Text {
    bytes: [u8; MAX_NAME],
    custom: usize,
    len: usize,
}

impl Text {
    /// Puts the text of a record's units together; what does not fit is cut off, which makes it another one.
    pub(crate) fn of(head: &Head, units: &[[u8; UNIT]]) -> Self {
        let custom = usize::from(head.custom_len).min(MAX_NAME);
        let len = custom + usize::from(head.name_len);
        let mut text = Self { bytes: [0; MAX_NAME], custom, len: 0 };
        for (n, unit) in units.iter().enumerate() {
            let part = if n == 0 { &unit[HEAD..] } else { &unit[4..] };
            let part = &part[..part.len().min(len.min(MAX_NAME) - text.len)];
            text.bytes[text.len..text.len + part.len()].copy_from_slice(part);
            text.len += part.len();
        }
        text.custom = custom.min(text.len);
        text
    }

    pub(crate) fn custom(&self) -> &[u8] {
        &self.bytes[..self.custom]
    }

    pub(crate) fn name(&self) -> &[u8] {
        &self.bytes[self.custom..self.len]
    }

    /// What it is; `None` if no version of this program wrote it.
    pub(crate) fn kind(&self, head: &Head) -> Option<Kind<'_>> {
        Kind::of(head.kind, self.custom())
    }
}

/// The units of a record, its owner's word 0.
pub(crate) struct Units {
    bytes: [[u8; UNIT]; MAX_UNITS],
    len: usize,
}

impl Units {
    /// Of a name that fits.
    pub(crate) fn new(head: Head, kind: Kind<'_>, name: &[u8]) -> Self {
        let mut bytes = [[0; UNIT]; MAX_UNITS];
        bytes[0][..HEAD].copy_from_slice(&Head { owner: 0, ..head }.to_bytes());
        let mut text = kind.custom().iter().chain(name);
        for (n, unit) in bytes.iter_mut().enumerate() {
            let start = if n == 0 { HEAD } else { 4 };
            for (place, byte) in unit[start..].iter_mut().zip(&mut text) {
                *place = *byte;
            }
        }
        Self { bytes, len: usize::from(head.units).min(MAX_UNITS) }
    }

    pub(crate) fn units(&self) -> &[[u8; UNIT]] {
        &self.bytes[..self.len]
    }
}

/// FNV-1a: to tell most names apart without looking at them.
fn hash(kind: Kind<'_>, name: &[u8]) -> u64 {
    let bytes = [kind.code()];
    let all = bytes.iter().chain(kind.custom()).chain(&[0]).chain(name);
    all.fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for len in [1, 100, 192, 193, 444, 445, MAX_NAME - 3] {
            let name: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            let kind = Kind::Custom("gpu");
            let mut head = Head::new(kind, &name);
            head.identity = Identity { device: 1, inode: u64::MAX, born: 3 };
            (head.mounts, head.since, head.state) = (4, 5, ANNOUNCED);
            let units = Units::new(head, kind, &name);
            assert_eq!(units.units().len(), usize::from(head.units), "{len}");
            assert_eq!(Head::parse(&units.units()[0]), head);
            assert!(units.units().iter().all(|unit| unit[..4] == [0; 4]), "nobody's yet");
            let text = Text::of(&head, units.units());
            assert_eq!((text.name(), text.kind(&head)), (&name[..], Some(kind)));
        }
    }

    #[test]
    fn whatever_a_unit_says_is_read_without_harm() {
        for byte in 0..=u8::MAX {
            let unit = [byte; UNIT];
            let head = Head::parse(&unit);
            assert!((1..=MAX_UNITS).contains(&head.span(1000)));
            assert_eq!(head.span(0), 1);
            let text = Text::of(&head, &[unit]);
            assert!(text.name().len() + text.custom().len() <= UNIT - HEAD);
        }
    }

    #[test]
    fn names_of_two_kinds_differ() {
        let hashes = [Kind::File, Kind::Socket, Kind::Custom("a"), Kind::Custom("ab")];
        let hashes: std::collections::HashSet<_> =
            hashes.iter().zip([&b"bc"[..], b"bc", b"bc", b"c"]).map(|(k, n)| hash(*k, n)).collect();
        assert_eq!(hashes.len(), 4);
    }
}
