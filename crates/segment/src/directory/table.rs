//! Where the words of a directory lie.

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::{Acquire, Relaxed};
use shmkit_layout::{Offset, Shared};

use super::Directory;
use super::entry::{ENTRY, Record};
use super::error::Reason;
use crate::index::Words;
use crate::usage::BITS;

/// Where the lock is.
pub(super) const LOCK: u64 = 0;
/// Where the end of the bytes is that any maker may have written to, whether it came to an end or not. The lock before it
/// has its cache line to itself.
pub(super) const WRITTEN: u64 = 64;
/// Where the number of bytes is than which no gap between objects is larger, below what was ever written.
pub(super) const GAP: u64 = 72;
/// Where the number of the last object is that was made or begun.
pub(super) const MADE: u64 = 80;
/// Where it says how many entries were ever used, the first ones.
pub(super) const USED: u64 = 88;
/// Where 1 + the number of the first free one of those is; each leads to the next. 0 if there is none.
pub(super) const FREE: u64 = 92;
/// Where it says how many objects have lost their names and are there still.
pub(super) const UNLINKED: u64 = 96;
/// Where the version of the index is.
const VERSION: u64 = 128;
/// Where it says which table is the index: where its slots begin, in bytes from the base, and in the 6 lowest bits the
/// logarithm of their number; 0 for the first table.
const INDEX: u64 = 136;
/// Where it says where the later tables of entries begin, in bytes from the base; 0 where there is none yet.
const TABLES: u64 = 144;
/// How many later tables of entries there can be: each is as large as all before it.
const LATER: u32 = 30;
/// Bytes of all of these. The first table of entries follows, then its users, then the first table of the index.
pub(super) const HEAD: u64 = 384;
const _: () = assert!(TABLES + LATER as u64 * 8 == HEAD, "part of the segment format");

/// The alignment of a table: a cache line, which entries fill three of.
pub(super) const LINE: u64 = 64;

/// Returns the slots of an index that has room for so many entries: at least half of them stay free.
pub(super) const fn slots_for(entries: u64) -> u64 {
    (2 * entries).next_power_of_two()
}

/// Returns the bytes that a directory takes whose first table has so many entries, at least one, beside a roster of so many
/// places.
pub(super) const fn bytes(entries: u32, places: u32) -> u64 {
    let entries = if entries == 0 { 1 } else { entries as u64 };
    let table = Table { number: 0, first: 0, entries };
    // At most 2^32 * 192 + 2^14 * 2^30 + 2^33 * 8 and a little: no overflow.
    (HEAD + table.bytes(places) + slots_for(table.entries) * 8).next_multiple_of(Directory::ALIGN)
}

/// One of the tables of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// 0 for the first.
    pub(super) number: u32,
    /// The first of its entries.
    pub(super) first: u64,
    /// How many they are.
    pub(super) entries: u64,
}

impl Table {
    /// Returns the table that has an entry, where the first table has `first` entries.
    pub(super) fn of(entry: u32, first: u32) -> Self {
        let before = (u64::from(entry) / u64::from(first.max(1))) as u32;
        Self::numbered(before.checked_ilog2().map_or(0, |log| log + 1), first)
    }

    pub(super) fn numbered(number: u32, first: u32) -> Self {
        let all = u64::from(first.max(1));
        let before = number.checked_sub(1).map_or(0, |log| all << log);
        Self { number, first: before, entries: before.max(u64::from(number == 0) * all) }
    }

    /// The bytes of its entries, and of the words behind them that say who uses what they lead to.
    pub(super) const fn bytes(self, places: u32) -> u64 {
        // At most 2^62 entries would overflow; a table begins with an entry whose number has 32 bits.
        self.row_at(places)
    }

    /// Where the words of a place begin, in bytes from the table's first.
    pub(super) const fn row_at(self, place: u32) -> u64 {
        let row = self.row_words().saturating_mul(8).saturating_mul(place as u64);
        self.entries.saturating_mul(ENTRY).saturating_add(row)
    }

    /// How many words each place has.
    pub(super) const fn row_words(self) -> u64 {
        self.entries.div_ceil(BITS as u64)
    }

    /// Where it says where a later table begins, in bytes from the directory's first.
    pub(super) fn word(self) -> Option<u64> {
        let index = self.number.checked_sub(1).filter(|&index| index < LATER)?;
        Some(TABLES + u64::from(index) * 8)
    }

    /// Checks where a later table begins, in a segment of `len` bytes and `places` places whose objects begin at `start`.
    pub(super) fn check(self, at: u64, places: u32, start: u64, len: u64) -> Result<(), Reason> {
        let end = at.checked_add(self.bytes(places));
        if at >= start && at.is_multiple_of(LINE) && end.is_some_and(|end| end <= len) {
            return Ok(());
        }
        let field = "table";
        Err(Reason::Corrupt { field, index: self.first as u32, found: at })
    }
}

impl<'a> Directory<'a> {
    /// Borrows one of the words before the entries.
    pub(super) fn word<T: Shared>(self, at: u64) -> Result<&'a T, Reason> {
        self.table.get(Offset::new(at).map_err(Reason::Place)?).map_err(Reason::Place)
    }

    /// Returns where a table of entries begins, in bytes from the base; `None` if there is none yet, or can be none.
    pub(super) fn table_at(self, table: Table) -> Result<Option<u64>, Reason> {
        if table.number == 0 {
            return Ok(Some(self.at + HEAD));
        }
        let Some(word) = table.word() else { return Ok(None) };
        // Acquire: pairs with the Release in `grow`, so that its entries are seen free, or as they became later.
        match self.word::<AtomicU64>(word)?.load(Acquire) {
            0 => Ok(None),
            at => table.check(at, self.places, self.start, self.len()).map(|()| Some(at)),
        }
    }

    /// Returns where an entry is, in bytes from the base; `None` if no table has it yet.
    pub(super) fn entry_at(self, entry: u32) -> Result<Option<u64>, Reason> {
        let table = Table::of(entry, self.entries);
        let at = self.table_at(table)?;
        Ok(at.map(|at| at + (u64::from(entry) - table.first) * ENTRY))
    }

    /// Copies an entry out that has an object, and checks what can be checked of it alone.
    pub(super) fn record(self, entry: u32) -> Result<Record, Reason> {
        let gone = Reason::Corrupt { field: "table", index: entry, found: 0 };
        let at = self.entry_at(entry)?.ok_or(gone)?;
        let record = Record::read(self.region(), at).map_err(Reason::Place)?;
        record.check(entry, self.start, self.len())?;
        Ok(record)
    }

    /// The later tables of entries and the index, if it is a later one: where each begins, and one past its end.
    pub(super) fn tables(self) -> Result<Vec<(u64, u64)>, Reason> {
        let mut tables = Vec::new();
        for number in 1..=LATER {
            let table = Table::numbered(number, self.entries);
            let Some(at) = self.table_at(table)? else { break };
            tables.push((at, at + table.bytes(self.places)));
        }
        let index = self.table().load(Relaxed);
        if index != 0 {
            let (at, slots) = index_of(index);
            self.slots(index)?;
            tables.push((at, at + slots * 8));
        }
        Ok(tables)
    }
}

impl Words for Directory<'_> {
    type Error = Reason;

    fn version(&self) -> &AtomicU64 {
        self.version
    }

    fn table(&self) -> &AtomicU64 {
        self.index
    }

    fn slots(&self, table: u64) -> Result<&[AtomicU64], Reason> {
        let (at, slots) = match table {
            0 => {
                let table = Table::numbered(0, self.entries);
                (self.at + HEAD + table.bytes(self.places), slots_for(table.entries))
            }
            table => index_of(table),
        };
        let inside = table == 0 || at >= self.start;
        let slots = Offset::new(at).and_then(|at| self.region().slice(at, slots as usize));
        slots.ok().filter(|_| inside).ok_or_else(|| self.corrupt("index", 0, table))
    }

    fn state(&self, entry: u32) -> Result<Option<&AtomicU64>, Reason> {
        let Some(at) = self.entry_at(entry)? else { return Ok(None) };
        let at = Offset::new(at).map_err(Reason::Place)?;
        self.region().get(at).map(Some).map_err(Reason::Place)
    }

    fn hash(&self, entry: u32) -> Result<u32, Reason> {
        self.record(entry).map(|record| record.hash)
    }

    fn corrupt(&self, field: &'static str, entry: u32, found: u64) -> Reason {
        Reason::Corrupt { field, index: entry, found }
    }
}

/// Returns the two words of a directory's index, at the base of `table`.
pub(super) fn words(
    table: shmkit_layout::Region<'_>,
) -> Result<(&AtomicU64, &AtomicU64), shmkit_layout::OffsetError> {
    Ok((table.get(Offset::new(VERSION)?)?, table.get(Offset::new(INDEX)?)?))
}

/// The number of a table of the index.
pub(super) fn index_at(at: u64, slots: u64) -> u64 {
    at | u64::from(slots.trailing_zeros())
}

/// Where a table of the index begins, and how many slots it has.
fn index_of(table: u64) -> (u64, u64) {
    let log = (table % LINE) as u32;
    // Of 2^61 slots and more there are not the bytes: too many of them, so that `slots` refuses it.
    (table & !(LINE - 1), 1_u64.checked_shl(log.min(60)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_in_one_table() {
        for first in [1_u32, 3, 4, 64] {
            let mut tables = vec![Table::numbered(0, first)];
            for entry in 0..1000_u32 {
                let table = Table::of(entry, first);
                let (entry, last) = (u64::from(entry), tables[tables.len() - 1]);
                assert!((table.first..table.first + table.entries).contains(&entry));
                if table != last {
                    assert_eq!(
                        (table.first, table.number),
                        (last.first + last.entries, last.number + 1)
                    );
                    assert_eq!(table.entries, table.first, "as large as all before");
                    tables.push(table);
                }
            }
        }
        let table = Table::of(u32::MAX, 1);
        assert_eq!((table.number, table.word()), (32, None));
    }

    #[test]
    fn an_index_is_one_number() {
        for (at, slots) in [(64, 1), (128, 2), (1 << 40, 1 << 33)] {
            assert_eq!(index_of(index_at(at, slots)), (at, slots));
        }
    }
}
