//! How many handles this process has to each object of a segment.

use std::ptr;

use shmkit_atomic::AtomicPtr;
use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed};

use crate::usage::Handles;

/// How many entries the first table has; each later one has twice as many as the one before.
const FIRST: u64 = 64;
/// As many tables as there are entries for.
const TABLES: usize = 27;
const _: () = assert!(FIRST * ((1 << TABLES) - 1) > u32::MAX as u64, "an entry has 32 bits");

/// The counts of all entries, in tables that are made when they are needed, and without a lock that a forked child could
/// inherit.
#[derive(Debug, Default)]
pub(crate) struct Uses([AtomicPtr<Handles>; TABLES]);

impl Uses {
    /// The count of an entry.
    pub(crate) fn of(&self, entry: u32) -> &Handles {
        let (table, index) = place(entry);
        let word = &self.0[table];
        // Acquire: pairs with the Release below.
        let mut there = word.load(Acquire);
        if there.is_null() {
            let new: Box<[Handles]> = (0..len(table)).map(|_| Handles::default()).collect();
            let new = Box::into_raw(new).cast::<Handles>();
            // AcqRel: pairs with the Acquire above, here and in another thread.
            match word.compare_exchange(ptr::null_mut(), new, AcqRel, Acquire) {
                Ok(_) => there = new,
                Err(faster) => {
                    // SAFETY: made above of a slice of this length, and nobody else knows it.
                    drop(unsafe { slice(new, table) });
                    there = faster;
                }
            }
        }
        // SAFETY: a slice of `len(table)`, above `index`.
        let handles = unsafe { there.add(index) };
        // SAFETY: it lives as long as `self`, and consists of atomics.
        unsafe { &*handles }
    }

    /// The counts that there are, with their entries.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, &Handles)> {
        // Acquire: as in `of`.
        let is_there = move |&table: &usize| !self.0[table].load(Acquire).is_null();
        (0..TABLES).filter(is_there).flat_map(move |table| {
            let first = FIRST * ((1 << table) - 1);
            (0..len(table) as u64).map(move |n| ((first + n) as u32, self.of((first + n) as u32)))
        })
    }
}

impl Drop for Uses {
    fn drop(&mut self) {
        for (table, word) in self.0.iter_mut().enumerate() {
            let there = word.load(Relaxed);
            if !there.is_null() {
                // SAFETY: made of a slice of this length in `of`, and nobody borrows from what is dropped.
                drop(unsafe { slice(there, table) });
            }
        }
    }
}

/// # Safety
///
/// The pointer was made of such a slice, and is used no more.
unsafe fn slice(there: *mut Handles, table: usize) -> Box<[Handles]> {
    // SAFETY: the caller's promise.
    unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(there, len(table))) }
}

fn place(entry: u32) -> (usize, usize) {
    let entry = u64::from(entry);
    let table = (entry / FIRST + 1).ilog2() as usize;
    (table, (entry - FIRST * ((1 << table) - 1)) as usize)
}

fn len(table: usize) -> usize {
    (FIRST << table) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_a_count_of_its_own() {
        let uses = Uses::default();
        let mut seen = std::collections::HashSet::new();
        for entry in (0..2000).chain([1 << 20]) {
            assert!(seen.insert(ptr::from_ref(uses.of(entry)).addr()), "{entry}");
            let (table, index) = place(entry);
            assert!(index < len(table));
        }
        assert_eq!(place(u32::MAX).0, TABLES - 1);
        let all = uses.all().filter(|(entry, handles)| ptr::eq(uses.of(*entry), *handles));
        assert!(all.count() >= 2001);
    }
}
