//! Growth: tables of entries and indexes that are as large as all before them together.

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::{Relaxed, Release};
use shmkit_atomic::crash::in_program_order;
use shmkit_layout::align_up;

use super::Directory;
use super::error::Reason;
use super::table::{LINE, Table, index_at, slots_for};
use crate::index::{self, Words};

impl Directory<'_> {
    /// Returns where entry `next` is, the first that is free, after making a table for it if there is none. With the lock.
    pub(super) fn entry_for(self, next: u32) -> Result<u64, Reason> {
        if let Some(at) = self.entry_at(next)? {
            return Ok(at);
        }
        self.grow(next)?;
        self.entry_at(next)?.ok_or(Reason::Full { entries: next })
    }

    /// Makes a table for entry `next` and those after it, as many as there are before it, and an index that has room for all
    /// of them. Each is there by one store; whoever is killed between the two leaves the index, which the next one finds.
    fn grow(self, next: u32) -> Result<(), Reason> {
        let full = || Reason::Full { entries: next };
        let table = Table::of(next, self.entries);
        let word: &AtomicU64 = self.word(table.word().ok_or_else(full)?)?;
        let slots = slots_for(table.first + table.entries);
        let is_indexed = self.slots(self.index.load(Relaxed))?.len() as u64 >= slots;
        let index_bytes = if is_indexed { 0 } else { slots * 8 };

        let index_at_byte = align_up(self.end(next)?, LINE).ok_or_else(full)?;
        let table_at = align_up(index_at_byte + index_bytes, LINE).ok_or_else(full)?;
        let end = table_at.checked_add(table.bytes()).ok_or_else(full)?;
        if end > self.len {
            return Err(full());
        }
        let region = self.region.sub(index_at_byte, end - index_at_byte).map_err(Reason::Place)?;
        self.zero(region, index_at_byte)?;
        if !is_indexed {
            index::move_to(&self, index_at(index_at_byte, slots))?;
            in_program_order();
        }
        // Release: pairs with the Acquire in `table_at`: its entries are free.
        word.store(table_at, Release);
        in_program_order();
        Ok(())
    }
}
