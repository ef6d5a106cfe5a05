//! Where the items of a list lie, and how they are copied.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU8, AtomicU64};
use shmkit_layout::{Offset, Region};

use super::format::{Code, Format};
use super::{ListError, ListItem, ShareableList, WORD};

/// Where an item's value is, in bytes from the base of the region; both are multiples of a word, and it has at least one.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) start: u64,
    pub(super) bytes: u64,
}

impl<'a> ShareableList<'a> {
    pub(super) fn slot(&self, index: u64) -> Result<Slot, ListError> {
        let offset = |index| word(self.region, (index + 1) * WORD).map(|word| word.load(Relaxed));
        let (start, end) = (offset(index)?, offset(index + 1)?);
        let data = data_start(self.len);
        for (found, is_good) in [(start, start < end), (end, end <= self.formats - data)] {
            if !is_good || !found.is_multiple_of(WORD) {
                return Err(ListError::Corrupt { field: "offset", index, found });
            }
        }
        Ok(Slot { start: data + start, bytes: end - start })
    }

    pub(super) fn format_word(&self, index: u64) -> Result<&'a AtomicU64, ListError> {
        word(self.region, self.formats + index * WORD)
    }

    pub(super) fn code(&self, index: u64) -> Result<&'a AtomicU8, ListError> {
        let at = Offset::new(self.formats + self.len * WORD + index)?;
        Ok(self.region.get(at)?)
    }

    pub(super) fn read(
        &self,
        index: u64,
        slot: Slot,
        format: Format,
        code: u8,
    ) -> Result<ListItem, ListError> {
        let first = word(self.region, slot.start)?.load(Relaxed);
        let number = Code::Number as u8;
        let item = match format {
            Format::Int if code == number => ListItem::Int(first as i64),
            Format::Float if code == number => ListItem::Float(f64::from_bits(first)),
            Format::Bool if code == number => ListItem::Bool(first.to_ne_bytes()[7] != 0),
            Format::None if code == Code::None as u8 => ListItem::None,
            Format::Text(bytes) if code == Code::Str as u8 => {
                let text = String::from_utf8(self.text(slot, bytes)?);
                ListItem::Str(text.map_err(|_| ListError::NotText { index })?)
            }
            Format::Text(bytes) if code == Code::Bytes as u8 => {
                ListItem::Bytes(self.text(slot, bytes)?)
            }
            _ if code == Code::None as u8 => return Err(ListError::Unfinished { index }),
            _ => return Err(ListError::Corrupt { field: "code", index, found: code.into() }),
        };
        Ok(item)
    }

    /// Copies the first bytes of a slot out, which has them, and leaves the NULs at the end off.
    fn text(&self, slot: Slot, bytes: u64) -> Result<Vec<u8>, ListError> {
        let mut text = Vec::with_capacity(bytes.next_multiple_of(WORD) as usize);
        for at in (slot.start..slot.start + bytes).step_by(WORD as usize) {
            text.extend(word(self.region, at)?.load(Relaxed).to_ne_bytes());
        }
        text.truncate(bytes as usize);
        let len = text.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        text.truncate(len);
        Ok(text)
    }

    /// Writes a value into a slot that has room for it, and NULs after it.
    pub(super) fn write(&self, slot: Slot, item: &ListItem) -> Result<(), ListError> {
        let first = match item {
            ListItem::None => 0,
            ListItem::Bool(value) => u64::from_ne_bytes([0, 0, 0, 0, 0, 0, 0, u8::from(*value)]),
            ListItem::Int(value) => *value as u64,
            ListItem::Float(value) => value.to_bits(),
            ListItem::Str(_) | ListItem::Bytes(_) => {
                let text = item.text();
                for at in (0..slot.bytes).step_by(WORD as usize) {
                    let rest = text.get(at as usize..).unwrap_or_default();
                    let mut bytes = [0; WORD as usize];
                    bytes.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                    word(self.region, slot.start + at)?.store(u64::from_ne_bytes(bytes), Relaxed);
                }
                return Ok(());
            }
        };
        word(self.region, slot.start)?.store(first, Relaxed);
        Ok(())
    }
}

/// Where the data of a list of `len` items begin.
pub(super) fn data_start(len: u64) -> u64 {
    (len + 2) * WORD
}

pub(super) fn word(region: Region<'_>, at: u64) -> Result<&AtomicU64, ListError> {
    Ok(region.get(Offset::new(at)?)?)
}

/// How many bytes the slot of a new item has: of text always more than it needs, as CPython's.
pub(super) fn slot_bytes(index: u64, item: &ListItem) -> Result<u64, ListError> {
    let text = slot_text(index, item)?;
    match item {
        ListItem::Str(_) | ListItem::Bytes(_) => {
            let bytes = WORD * (text / WORD + 1);
            match bytes <= Format::LONGEST {
                true => Ok(bytes),
                false => Err(ListError::TooLong { index, bytes: text, room: Format::LONGEST }),
            }
        }
        _ => Ok(WORD),
    }
}

/// How many bytes an item's value has.
pub(super) fn slot_text(index: u64, item: &ListItem) -> Result<u64, ListError> {
    match item {
        ListItem::Str(_) | ListItem::Bytes(_) if item.text().last() == Some(&0) => {
            Err(ListError::TrailingNul { index })
        }
        ListItem::Str(_) | ListItem::Bytes(_) => Ok(item.text().len() as u64),
        _ => Ok(WORD),
    }
}
