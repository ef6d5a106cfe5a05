//! The index of a directory: the entry of a name, found without a lock. The machine; where its words lie is for the
//! directory to say.
//!
//! The *state* of an entry decides everything: an object is there from one store to it until another. Its number comes into
//! a table, by its name's hash, before the one, and out of it after the other; so who walks the table may meet entries that
//! are not there, or by now somebody else's, and believes the state and the name alone, both before and after it has read
//! them. Whoever makes or removes has the lock; one who takes it from the dead makes the table [anew](rebuild).
//!
//! To take a number out moves others, so that no chain has a hole. A *version* is odd meanwhile: who has found a name need not
//! care, and who has found none walks again if the version changed.
//!
//! A larger table is filled with all that the last has before it takes its place, by one store.

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::crash::{in_program_order, step};
use shmkit_atomic::{AtomicU64, fence};

#[cfg(all(test, loom))]
mod model;

/// What an entry is, and the how many-th object of its directory it is or was, in 61 bits: so that a look at a word before
/// and after tells whether what was read in between is of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State(u64);

impl State {
    /// There is no object.
    pub(crate) const FREE: u64 = 0;
    /// The object has its name.
    pub(crate) const NAMED: u64 = 1;
    /// The object has lost its name, and is there as long as somebody uses it.
    pub(crate) const UNLINKED: u64 = 2;
    /// As `NAMED`, and somebody who has the lock may be about to free it, unless it becomes `NAMED` again.
    pub(crate) const REMOVING: u64 = 3;
    /// As `UNLINKED`, and somebody who has the lock may be about to free it, unless it becomes `UNLINKED` again.
    pub(crate) const FREEING: u64 = 4;
    const BITS: u32 = 3;

    pub(crate) const fn new(phase: u64, generation: u64) -> Self {
        Self(generation << Self::BITS | phase)
    }

    /// What is in a word; `None` if no peer writes that.
    pub(crate) fn of(word: u64) -> Option<Self> {
        let state = Self(word);
        let is_new = state.generation() == 0;
        (state.phase() <= Self::FREEING && (is_new == (word == 0))).then_some(state)
    }

    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    pub(crate) const fn phase(self) -> u64 {
        self.0 & ((1 << Self::BITS) - 1)
    }

    pub(crate) const fn generation(self) -> u64 {
        self.0 >> Self::BITS
    }

    /// The same object in another phase.
    pub(crate) const fn to(self, phase: u64) -> Self {
        Self::new(phase, self.generation())
    }

    /// What it is when nobody is about to free it.
    pub(crate) const fn settled(self) -> Self {
        match self.phase() {
            Self::REMOVING => self.to(Self::NAMED),
            Self::FREEING => self.to(Self::UNLINKED),
            _ => self,
        }
    }

    /// What it is when somebody is about to free it.
    pub(crate) const fn in_doubt(self) -> Self {
        match self.phase() {
            Self::NAMED => self.to(Self::REMOVING),
            Self::UNLINKED => self.to(Self::FREEING),
            _ => self,
        }
    }
}

/// The words of an index, and the entries that it knows by number.
pub(crate) trait Words {
    /// Why something that a peer wrote cannot be right.
    type Error;

    /// Odd while numbers are moved in the table, and another one after that.
    fn version(&self) -> &AtomicU64;

    /// Which table is in use: a number that [`slots`](Self::slots) knows.
    fn table(&self) -> &AtomicU64;

    /// The slots of a table, a power of two of them, of which at least half are 0: the upper half of each is the hash of
    /// a name, the lower one 1 + the number of its entry.
    fn slots(&self, table: u64) -> Result<&[AtomicU64], Self::Error>;

    /// The [`State`] of an entry; none if there are not so many entries.
    fn state(&self, entry: u32) -> Result<Option<&AtomicU64>, Self::Error>;

    /// The hash of an entry's name. With the lock.
    fn hash(&self, entry: u32) -> Result<u32, Self::Error>;

    /// What no peer writes was found in the `field` of an entry.
    fn corrupt(&self, field: &'static str, entry: u32, found: u64) -> Self::Error;
}

/// What became of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sought<R> {
    Found(u32, State, R),
    None,
    /// Somebody has removed something meanwhile: look again.
    Disturbed,
}

/// Returns the state of an entry. If it has an object, that is visible.
pub(crate) fn state<W: Words>(words: &W, entry: u32) -> Result<State, W::Error> {
    let Some(state) = words.state(entry)? else {
        return Err(words.corrupt("place in the index", entry, 0));
    };
    // Acquire: pairs with the Release in `publish`.
    let found = state.load(Acquire);
    State::of(found).ok_or_else(|| words.corrupt("state", entry, found))
}

/// Finds the entry with a name of which `is` says something, among those of this hash. What `is` reads of an entry is of
/// one object, or does not count.
pub(crate) fn seek<W: Words, R>(
    words: &W,
    hash: u32,
    mut is: impl FnMut(u32) -> Result<Option<R>, W::Error>,
) -> Result<Sought<R>, W::Error> {
    // Acquire: pairs with the Release in `Moving`: what was moved before is seen where it is now.
    let version = words.version().load(Acquire);
    let sought = walk(words, hash, &mut is);
    if let Ok(Sought::Found(..)) = sought {
        return sought;
    }
    // Acquire: pairs with the Release fence in `Moving`: if a slot was seen that was moved meanwhile, so is the version.
    fence(Acquire);
    if version % 2 == 1 || words.version().load(Relaxed) != version {
        return Ok(Sought::Disturbed);
    }
    sought
}

fn walk<W: Words, R>(
    words: &W,
    hash: u32,
    is: &mut impl FnMut(u32) -> Result<Option<R>, W::Error>,
) -> Result<Sought<R>, W::Error> {
    let mut disturbed = false;
    // Acquire: pairs with the Release in `move_to`.
    let slots = words.slots(words.table().load(Acquire))?;
    for slot in probe(slots, hash) {
        // Acquire: pairs with the Release in `insert`.
        let found = slot.load(Acquire);
        if found == 0 {
            break;
        }
        let (entry, same) = parts(found);
        if same != hash {
            continue;
        }
        let before = state(words, entry)?.settled();
        if before.phase() != State::NAMED {
            continue;
        }
        let result = is(entry);
        // Acquire: pairs with the Release fence in `free`: if something was read that came later, so is the state.
        fence(Acquire);
        if state(words, entry)?.settled() != before {
            disturbed = true;
            continue;
        }
        if let Some(result) = result? {
            return Ok(Sought::Found(entry, before, result));
        }
    }
    Ok(if disturbed { Sought::Disturbed } else { Sought::None })
}

/// Makes an entry and its object, which are whole, visible. With the lock.
pub(crate) fn publish(state: &AtomicU64, generation: u64) {
    step();
    // Release: pairs with the Acquire in `state`, so that who sees the entry sees entry and object whole. A swap, because others
    // change states that are in doubt.
    state.swap(State::new(State::NAMED, generation).get(), Release);
    in_program_order();
}

/// Frees an entry that is in doubt, unless somebody says that it uses the object; returns whether it did. What is written to
/// it from here on is seen by nobody who does not see this. With the lock.
pub(crate) fn free(state: &AtomicU64, in_doubt: State) -> bool {
    step();
    let free = in_doubt.to(State::FREE);
    // Relaxed: the fence orders it.
    let freed = state.compare_exchange(in_doubt.get(), free.get(), Relaxed, Relaxed).is_ok();
    // Release: pairs with the Acquire fence in `walk`.
    fence(Release);
    in_program_order();
    freed
}

/// Takes another table into use, of which all slots are 0, with what the last one has of `used` entries. With the lock.
pub(crate) fn move_to<W: Words>(words: &W, table: u64, used: u32) -> Result<(), W::Error> {
    let slots = words.slots(table)?;
    insert_all(words, slots, used)?;
    // The last table may be anything from here on, while somebody walks it.
    let moving = Moving::begin(words);
    step();
    // Release: pairs with the Acquire in `walk`: the table has all that the last one has.
    words.table().store(table, Release);
    moving.end();
    Ok(())
}

/// Makes the table anew, of the first `used` entries: for who has taken the lock from the dead.
pub(crate) fn rebuild<W: Words>(words: &W, used: u32) -> Result<(), W::Error> {
    let slots = words.slots(words.table().load(Relaxed))?;
    let moving = Moving::begin(words);
    for slot in slots {
        if slot.load(Relaxed) != 0 {
            step();
            slot.store(0, Relaxed);
        }
    }
    insert_all(words, slots, used)?;
    moving.end();
    Ok(())
}

fn insert_all<W: Words>(words: &W, slots: &[AtomicU64], used: u32) -> Result<(), W::Error> {
    for entry in 0..used {
        if state(words, entry)?.settled().phase() == State::NAMED {
            insert_into(words, slots, entry)?;
        }
    }
    Ok(())
}

/// Puts an entry into the table, before it is published. With the lock.
pub(crate) fn insert<W: Words>(words: &W, entry: u32) -> Result<(), W::Error> {
    insert_into(words, words.slots(words.table().load(Relaxed))?, entry)
}

fn insert_into<W: Words>(words: &W, slots: &[AtomicU64], entry: u32) -> Result<(), W::Error> {
    let hash = words.hash(entry)?;
    for slot in probe(slots, hash) {
        if slot.load(Relaxed) == 0 {
            step();
            // Release: pairs with the Acquire in `walk`.
            slot.store(u64::from(hash) << 32 | (u64::from(entry) + 1), Release);
            in_program_order();
            return Ok(());
        }
    }
    Err(words.corrupt("place in the index", entry, slots.len() as u64))
}

/// Takes an entry out of the table, after its state says that it has lost its name. With the lock.
pub(crate) fn remove<W: Words>(words: &W, entry: u32) -> Result<(), W::Error> {
    let hash = words.hash(entry)?;
    let slots = words.slots(words.table().load(Relaxed))?;
    let mask = slots.len().wrapping_sub(1);
    let is_it = |&i: &usize| parts(slots[i & mask].load(Relaxed)) == (entry, hash);
    let first = hash as usize & mask;
    let Some(mut hole) = (first..first + slots.len()).find(is_it) else {
        return Err(words.corrupt("place in the index", entry, 0));
    };
    let moving = Moving::begin(words);
    // What stands behind the hole, and may stand there as well, comes there.
    for i in hole + 1..hole + slots.len() {
        let found = slots[i & mask].load(Relaxed);
        if found == 0 {
            break;
        }
        let (_, hash) = parts(found);
        let from_home = i.wrapping_sub(hash as usize) & mask;
        if from_home >= i - hole {
            step();
            // Release: as in `insert`.
            slots[hole & mask].store(found, Release);
            hole = i;
        }
    }
    step();
    slots[hole & mask].store(0, Relaxed);
    moving.end();
    Ok(())
}

/// The version is odd from the beginning of this to its end, or to that of whoever takes the lock from the dead.
struct Moving<'w, W: Words>(&'w W, u64);

impl<'w, W: Words> Moving<'w, W> {
    fn begin(words: &'w W) -> Self {
        // Relaxed: stored by the holder of the lock only.
        let odd = words.version().load(Relaxed) | 1;
        step();
        words.version().store(odd, Relaxed);
        // Release: pairs with the Acquire fence in `seek`: who sees what comes now sees that the version is odd.
        fence(Release);
        in_program_order();
        Self(words, odd)
    }

    fn end(self) {
        let Self(words, odd) = self;
        in_program_order();
        step();
        // Release: pairs with the Acquire in `seek`.
        words.version().store(odd.wrapping_add(1), Release);
        in_program_order();
    }
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
