//! Python's `ShareableList`, byte for byte.
//!
//! ```text
//! at 0     how many items there are, n                            every number has 8 bytes
//! at 8     n + 1 offsets: where each item begins in the data, and where the last one ends
//! at 8n+16 the data, a slot for each item, a multiple of 8 bytes long
//! then     n formats of 8 bytes each, as Python's `struct` has them, filled up with NULs
//! then     n codes of 1 byte each: 0 number, 1 str, 2 bytes, 3 None
//! ```

mod error;
mod format;
mod item;
mod slot;
#[cfg(test)]
mod tests;

use core::fmt;

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::fence;
use shmkit_layout::Region;

use self::format::{Code, Format};
use self::slot::{Slot, data_start, slot_bytes, slot_text, word};

pub use self::error::ListError;
pub use self::item::{IntTooWide, ListItem};

/// Bytes of a number, a format, and the unit of a slot.
const WORD: u64 = 8;

/// The list of CPython's `multiprocessing.shared_memory.ShareableList`, in the bytes of a region: a fixed number of items, each
/// in a slot of fixed length. Python reads and changes what is made here, and the other way round.
///
/// ```
/// use shmkit_collections::{ListItem, ShareableList};
/// # use core::ptr::NonNull;
/// # use shmkit_layout::Region;
///
/// # fn main() -> Result<(), shmkit_collections::ListError> {
/// let items = [ListItem::from("howdy"), 100.into(), ListItem::None];
/// # let mut memory = vec![0_u64; ShareableList::bytes(&items)?.div_ceil(8) as usize];
/// # let base = NonNull::from(memory.as_mut_slice()).cast();
/// # // SAFETY: nobody else has the bytes.
/// # let region = unsafe { Region::from_raw_parts(base, 8 * memory.len()) };
/// // `region`: the `ShareableList::bytes(&items)?` bytes of a raw segment, as a rule.
/// let list = ShareableList::make(region, &items)?;
/// list.set(0, "hello")?;
/// list.set(-1, true)?;
/// assert_eq!(list.to_vec()?, [ListItem::from("hello"), 100.into(), true.into()]);
/// assert_eq!(list.format()?, "8sqxxxxxxx?");
/// # Ok(())
/// # }
/// ```
///
/// # What is better than in CPython
///
/// * A slot is as long as the *bytes* of its string, not its characters: CPython cuts off what is not ASCII, or cannot read it
///   ([gh-145261], [gh-88336]). What Python makes is as Python makes it.
/// * An index far below zero is [out of range](ListError::OutOfRange); CPython reads something else.
/// * A value that ends with a NUL is [refused](ListError::TrailingNul): both sides read it without its NULs ([gh-106939]).
/// * Who is killed in the middle of [`set`](Self::set) leaves an item that says so, [`Unfinished`](ListError::Unfinished), which
///   is None to Python; a number over a number is one store.
///
/// # What it is not
///
/// Nothing keeps two processes apart that write the same item, and nothing tells a reader that a long string is changed *while* it
/// is read and whole again in the end; who needs that guards the list with a [`Mutex`](shmkit_sync::Mutex). Its length and
/// its slots are what they were made with: for a list that grows, and that Python does not read, use the other collections.
///
/// # Every number is an input
///
/// Anybody may have written the bytes: whatever they are, an operation ends, reads and writes nothing outside of the region, and
/// what makes no sense is [`Corrupt`](ListError::Corrupt).
///
/// [gh-145261]: https://github.com/python/cpython/issues/145261
/// [gh-88336]: https://github.com/python/cpython/issues/88336
/// [gh-106939]: https://github.com/python/cpython/issues/106939
#[derive(Clone, Copy)]
pub struct ShareableList<'a> {
    region: Region<'a>,
    /// How many items there are, as was found when the list was opened, and what follows from it: all lies in the region.
    len: u64,
    /// Where the formats begin, in bytes from the base of the region; the data end there.
    formats: u64,
}

impl<'a> ShareableList<'a> {
    /// Returns how many bytes a list of these items takes.
    ///
    /// # Errors
    ///
    /// [`TrailingNul`](ListError::TrailingNul); [`TooLong`](ListError::TooLong): an item of 10 MB or more has no format.
    pub fn bytes(items: &[ListItem]) -> Result<u64, ListError> {
        let mut bytes = data_start(items.len() as u64);
        for (index, item) in items.iter().enumerate() {
            // A slot has at most 10^7 bytes, and there are less than 2^59 items in memory.
            bytes += slot_bytes(index as u64, item)? + WORD + 1;
        }
        Ok(bytes)
    }

    /// Makes a list of these items in a region, whatever was there before. Until it is whole, it is empty.
    ///
    /// # Errors
    ///
    /// Those of [`bytes`](Self::bytes), [`TooShort`](ListError::TooShort) if the region has less than that, and
    /// [`Misaligned`](ListError::Misaligned) if it does not begin at a multiple of 8 bytes.
    ///
    /// # If a peer dies
    ///
    /// while it does this, the list is empty.
    pub fn make(region: Region<'a>, items: &[ListItem]) -> Result<Self, ListError> {
        let (needed, found) = (Self::bytes(items)?, region.len() as u64);
        if needed > found {
            return Err(ListError::TooShort { found, needed });
        }
        let len = items.len() as u64;
        let slots = items.iter().enumerate().map(|(index, item)| slot_bytes(index as u64, item));
        let data_bytes = slots.sum::<Result<u64, _>>()?;
        let list = Self { region, len, formats: data_start(len) + data_bytes };
        let count = word(region, 0)?;
        count.store(0, Relaxed);
        // Release: pairs with the Acquire in `attach`: who finds a part of the new list finds it empty. The compiler keeps the
        // order, too, for whoever comes after a kill.
        fence(Release);
        let mut at = 0;
        word(region, WORD)?.store(0, Relaxed);
        for (index, item) in (0..).zip(items) {
            let slot = Slot { start: data_start(len) + at, bytes: slot_bytes(index, item)? };
            at += slot.bytes;
            word(region, (index + 2) * WORD)?.store(at, Relaxed);
            let format = Format::of(item, slot.bytes);
            list.write(slot, item)?;
            list.format_word(index)?.store(format.word(), Relaxed);
            list.code(index)?.store(Code::of(item) as u8, Relaxed);
        }
        // Release: pairs with the Acquire in `attach`: who sees the count sees the items.
        count.store(len, Release);
        Ok(list)
    }

    /// Opens the list in a region, which may be longer.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](ListError::Corrupt) if there is none, [`Misaligned`](ListError::Misaligned) if the region does not begin
    /// at a multiple of 8 bytes.
    pub fn attach(region: Region<'a>) -> Result<Self, ListError> {
        let bytes = region.len() as u64;
        if bytes < data_start(0) {
            return Err(ListError::TooShort { found: bytes, needed: data_start(0) });
        }
        // Acquire: pairs with the Release in `make`.
        let len = word(region, 0)?.load(Acquire);
        let corrupt = |field, found| ListError::Corrupt { field, index: 0, found };
        // Each item takes an offset, a word of data, a format and a code. This also bounds what is multiplied below.
        if len > (bytes - data_start(0)) / (3 * WORD + 1) {
            return Err(corrupt("number of items", len));
        }
        let data = word(region, (len + 1) * WORD)?.load(Relaxed);
        let rest = bytes - data_start(len) - len * (WORD + 1);
        if data > rest || !data.is_multiple_of(WORD) || data < len * WORD {
            return Err(corrupt("length of the data", data));
        }
        Ok(Self { region, len, formats: data_start(len) + data })
    }

    /// Returns how many items there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns a copy of an item. An index below zero counts from the end.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`](ListError::OutOfRange), [`Unfinished`](ListError::Unfinished), [`NotText`](ListError::NotText),
    /// [`Corrupt`](ListError::Corrupt).
    ///
    /// # If a peer dies
    ///
    /// while it writes the item, it is `Unfinished` until somebody writes it again, or it is what it was.
    pub fn get(&self, index: i64) -> Result<ListItem, ListError> {
        let index = self.at(index)?;
        let (format_word, code_byte) = (self.format_word(index)?, self.code(index)?);
        // Acquire: pairs with the Release in `set`: who sees the code of a value sees the value.
        let code = code_byte.load(Acquire);
        let found = format_word.load(Relaxed);
        let slot = self.slot(index)?;
        let format = Format::parse(found)
            .filter(|format| format.bytes() <= slot.bytes)
            .ok_or(ListError::Corrupt { field: "format", index, found })?;
        let item = self.read(index, slot, format, code)?;
        // Acquire: pairs with the Release fence in `set`: who has read a part of a new value sees its mark, or its format.
        fence(Acquire);
        if (code_byte.load(Relaxed), format_word.load(Relaxed)) != (code, found) {
            return Err(ListError::Unfinished { index });
        }
        Ok(item)
    }

    /// Changes an item, to another type, too. An index below zero counts from the end.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`](ListError::OutOfRange), [`TooLong`](ListError::TooLong) if the item's slot has less bytes,
    /// [`TrailingNul`](ListError::TrailingNul), [`Corrupt`](ListError::Corrupt); the item is what it was then.
    ///
    /// # If a peer dies
    ///
    /// while it does this, see [`get`](Self::get).
    pub fn set(&self, index: i64, item: impl Into<ListItem>) -> Result<(), ListError> {
        let item = item.into();
        let index = self.at(index)?;
        let slot = self.slot(index)?;
        let needed = slot_text(index, &item)?;
        if needed > slot.bytes {
            return Err(ListError::TooLong { index, bytes: needed, room: slot.bytes });
        }
        let (format, code) = (Format::of(&item, slot.bytes), Code::of(&item) as u8);
        let (format_word, code_byte) = (self.format_word(index)?, self.code(index)?);
        let is_same = format_word.load(Relaxed) == format.word() && code_byte.load(Relaxed) == code;
        if is_same && format.bytes() == WORD {
            // One store, whole at any time.
            return self.write(slot, &item);
        }
        // The mark: the code of None with another format, or with its own before that of what it is to be.
        code_byte.store(Code::None as u8, Relaxed);
        if code != Code::None as u8 && format_word.load(Relaxed) == Format::None.word() {
            format_word.store(format.word(), Relaxed);
        }
        // Release: pairs with the Acquire fence in `get`. The compiler keeps the order, too, for whoever comes after a kill.
        fence(Release);
        self.write(slot, &item)?;
        format_word.store(format.word(), Relaxed);
        // Release: pairs with the Acquire in `get`. The last store: now the item is whole.
        code_byte.store(code, Release);
        Ok(())
    }

    /// Returns copies of all items.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn to_vec(&self) -> Result<Vec<ListItem>, ListError> {
        self.iter().collect()
    }

    /// Returns copies of the items, one after the other.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Result<ListItem, ListError>> {
        // A region's length, and so the number of items, is below 2^63.
        (0..self.len as i64).map(|index| self.get(index))
    }

    /// Returns where the first item is that is equal to this one.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn index(&self, item: impl Into<ListItem>) -> Result<Option<u64>, ListError> {
        let item = item.into();
        for (index, found) in (0..).zip(self.iter()) {
            if found? == item {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Returns how many items are equal to this one.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn count(&self, item: impl Into<ListItem>) -> Result<u64, ListError> {
        let item = item.into();
        self.iter().try_fold(0, |count, found| Ok(count + u64::from(found? == item)))
    }

    /// Returns the formats of all items, one after the other, as Python's `struct` has them.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](ListError::Corrupt).
    pub fn format(&self) -> Result<String, ListError> {
        (0..self.len)
            .map(|index| {
                let found = self.format_word(index)?.load(Relaxed);
                let format = Format::parse(found);
                let format = format.ok_or(ListError::Corrupt { field: "format", index, found })?;
                Ok(format.to_string())
            })
            .collect()
    }

    /// Checks an index, and counts one below zero from the end.
    fn at(&self, index: i64) -> Result<u64, ListError> {
        let at = if index < 0 { index.checked_add_unsigned(self.len) } else { Some(index) };
        let at = at.and_then(|at| u64::try_from(at).ok()).filter(|&at| at < self.len);
        at.ok_or(ListError::OutOfRange { index, len: self.len })
    }
}

impl fmt::Debug for ShareableList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for item in self.iter() {
            match item {
                Ok(item) => list.entry(&item),
                Err(error) => list.entry(&error),
            };
        }
        list.finish()
    }
}
