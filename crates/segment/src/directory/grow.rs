//! Growth: tables of entries and indexes that are as large as all before them together.

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::{Relaxed, Release};
use shmkit_atomic::crash::in_program_order;
use shmkit_layout::{Commit, align_up};
use shmkit_roster::Judge;

use super::Directory;
use super::error::Reason;
use super::extent::Place;
use super::held::Held;
use super::remove::Next;
use super::room::Need;
use super::table::{LINE, Table, index_at, slots_for};
use crate::index::{self, Words};

impl Directory<'_> {
    /// Returns an entry that is free, after making a table for it if there is none. With the lock.
    pub(super) fn entry_for<J: Judge + Commit>(self, held: &Held<'_, J>) -> Result<Next, Reason> {
        let next = self.next()?;
        if self.entry_at(next.entry)?.is_some() {
            return Ok(next);
        }
        // Somebody may have left an object that has lost its name.
        self.collect(held)?;
        let next = self.next()?;
        if self.entry_at(next.entry)?.is_none() {
            self.grow(held, next.entry)?;
        }
        Ok(next)
    }

    /// Makes a table for entry `next` and those after it, as many as there are before it, and an index that has room for all
    /// of them. Each is there by one store; whoever is killed between the two leaves the index, which the next one finds.
    fn grow<J: Judge + Commit>(self, held: &Held<'_, J>, next: u32) -> Result<(), Reason> {
        let full = || Reason::Full { entries: next };
        let table = Table::of(next, self.entries);
        let word: &AtomicU64 = self.word(table.word().ok_or_else(full)?)?;
        let slots = slots_for(table.first + table.entries);
        let is_indexed = self.slots(self.table().load(Relaxed))?.len() as u64 >= slots;
        let index_bytes = if is_indexed { 0 } else { slots * 8 };

        let table_from = align_up(index_bytes, LINE).ok_or_else(full)?;
        let bytes = table_from.checked_add(table.bytes(self.places)).ok_or_else(full)?;
        let at = match self.place(held, Need::table(bytes, LINE)) {
            Err(Reason::NoRoom { .. }) => return Err(full()),
            at => at?,
        };
        let end = at + bytes;
        self.have(Place { start: at, committed: end, end }, held.judge)?;
        if !is_indexed {
            index::move_to(&self, index_at(at, slots), next)?;
            in_program_order();
        }
        // Release: pairs with the Acquire in `table_at`: its entries are free.
        word.store(at + table_from, Release);
        in_program_order();
        Ok(())
    }
}
