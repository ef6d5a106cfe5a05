//! The index of a directory: the entry of a name, found without a lock. The machine; where its words lie is for the
//! directory to say.
//!
//! Entries are numbered in the order in which they are made. An entry is *published* by one store to its state, and that
//! is when its object is there. It is *indexed* after that: its number comes into a table, by its name's hash, and is
//! counted. So a maker may be killed anywhere, and the next one first indexes what is published.
//!
//! Whoever seeks a name loads the count first, then walks the table, then looks at the entries that were not counted yet,
//! one after the other: what was published before it began is in the one or among the others.
//!
//! A table never loses an entry. A larger one is filled with all that the last has before it takes its place, by one store.

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::crash::step;
use shmkit_atomic::{AtomicU32, AtomicU64};

#[cfg(all(test, loom))]
mod model;

/// The entry is free, and so are all after it.
pub(crate) const FREE: u32 = 0;
/// The entry is whole and never changes again.
pub(crate) const PUBLISHED: u32 = 1;

/// The words of an index, and the entries that it knows by number.
pub(crate) trait Words {
    /// Why something that a peer wrote cannot be right.
    type Error;

    /// How many entries are in the table, those with the lowest numbers.
    fn indexed(&self) -> &AtomicU32;

    /// Which table is in use: a number that [`slots`](Self::slots) knows.
    fn table(&self) -> &AtomicU64;

    /// The slots of a table, a power of two of them, of which at least half are 0: the upper half of each is the hash of
    /// a name, the lower one 1 + the number of its entry.
    fn slots(&self, table: u64) -> Result<&[AtomicU64], Self::Error>;

    /// The state of an entry: [`FREE`] or [`PUBLISHED`]; none if there are not so many entries.
    fn state(&self, entry: u32) -> Result<Option<&AtomicU32>, Self::Error>;

    /// The hash of a published entry's name.
    fn hash(&self, entry: u32) -> Result<u32, Self::Error>;

    /// What no peer writes was found in the `field` of an entry.
    fn corrupt(&self, field: &'static str, entry: u32, found: u64) -> Self::Error;
}

/// Returns whether an entry is whole: if so, it and its object are visible.
pub(crate) fn is_published<W: Words>(words: &W, entry: u32) -> Result<bool, W::Error> {
    // Acquire: pairs with the Release in `publish`.
    match words.state(entry)?.map_or(FREE, |state| state.load(Acquire)) {
        FREE => Ok(false),
        PUBLISHED => Ok(true),
        found => Err(words.corrupt("state", entry, found.into())),
    }
}

/// Finds the published entry of which `is` says something, among those of this hash.
pub(crate) fn seek<W: Words, R>(
    words: &W,
    hash: u32,
    mut is: impl FnMut(u32) -> Result<Option<R>, W::Error>,
) -> Result<Option<R>, W::Error> {
    // Acquire: pairs with the Release in `catch_up`. Before the walk: what is indexed and counted meanwhile may be in slots
    // that were passed already, or in a later table.
    let indexed = words.indexed().load(Acquire);
    // Acquire: pairs with the Release in `move_to`.
    let slots = words.slots(words.table().load(Acquire))?;
    for slot in probe(slots, hash) {
        // Acquire: pairs with the Release in `insert`, so that the entry is seen published.
        let found = slot.load(Acquire);
        if found == 0 {
            break;
        }
        let (entry, same) = parts(found);
        if same != hash {
            continue;
        }
        if !is_published(words, entry)? {
            return Err(words.corrupt("place in the index", entry, found));
        }
        if let Some(result) = is(entry)? {
            return Ok(Some(result));
        }
    }
    for entry in indexed.. {
        if !is_published(words, entry)? {
            break;
        }
        if let Some(result) = is(entry)? {
            return Ok(Some(result));
        }
    }
    Ok(None)
}

/// Makes an entry and its object, which are whole, visible. With the lock.
pub(crate) fn publish(state: &AtomicU32) {
    step();
    // Release: pairs with the Acquire in `is_published`, so that who sees the entry sees entry and object whole.
    state.store(PUBLISHED, Release);
}

/// Indexes what is published; returns how many entries are, which is the number of the next. With the lock.
pub(crate) fn catch_up<W: Words>(words: &W) -> Result<u32, W::Error> {
    // Relaxed: stored by the holder of the lock only.
    let mut entry = words.indexed().load(Relaxed);
    while is_published(words, entry)? {
        let table = words.table().load(Relaxed);
        insert(words, words.slots(table)?, entry)?;
        entry += 1;
        step();
        // Release: pairs with the Acquire in `seek`, so that who sees the count sees the slot, in this table or a later one.
        words.indexed().store(entry, Release);
    }
    Ok(entry)
}

/// Takes another table into use, of which all slots are 0. With the lock.
pub(crate) fn move_to<W: Words>(words: &W, table: u64) -> Result<(), W::Error> {
    let slots = words.slots(table)?;
    for entry in 0..words.indexed().load(Relaxed) {
        insert(words, slots, entry)?;
    }
    step();
    // Release: pairs with the Acquire in `seek`: the table has all that the last one has.
    words.table().store(table, Release);
    Ok(())
}

/// Puts an entry into a table, unless it is there.
fn insert<W: Words>(words: &W, slots: &[AtomicU64], entry: u32) -> Result<(), W::Error> {
    let hash = words.hash(entry)?;
    let new = u64::from(hash) << 32 | (u64::from(entry) + 1);
    for slot in probe(slots, hash) {
        let found = slot.load(Relaxed);
        // Who was killed before it counted the entry may have left it here.
        if found == new {
            return Ok(());
        }
        if found == 0 {
            step();
            // Release: pairs with the Acquire in `seek`.
            slot.store(new, Release);
            return Ok(());
        }
    }
    Err(words.corrupt("place in the index", entry, slots.len() as u64))
}

/// The slots in which an entry with this hash may be, in order: each once.
fn probe(slots: &[AtomicU64], hash: u32) -> impl Iterator<Item = &AtomicU64> {
    let mask = slots.len().wrapping_sub(1);
    (0..slots.len()).map(move |i| &slots[(hash as usize).wrapping_add(i) & mask])
}

/// The entry and the hash in a slot that is not 0. A slot with a hash alone names the last entry, which there never is.
fn parts(slot: u64) -> (u32, u32) {
    ((slot as u32).wrapping_sub(1), (slot >> 32) as u32)
}
