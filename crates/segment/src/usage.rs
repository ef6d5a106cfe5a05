//! Who uses an object: the words that say so, and the steps by which it is freed when nobody does. The machine; where the
//! words lie is for the directory to say.
//!
//! Each participant has a row of words of its own, a bit for every entry; a word says in its upper half whose bits it has,
//! so that those of a dead one need not be cleared: the next participant of that place takes the word over with its first
//! bit.
//!
//! Whoever begins to use an object marks its bit, then looks at the state again; whoever frees it, with the lock, has the
//! state be *in doubt* first, then looks at the bits again. Between the two steps of either stands a fence, as in Dekker's
//! lock: one of them sees the other. A user that finds the state in doubt says that it is not, and the other one does not
//! free what is not in doubt. So nobody waits, also if the other one is dead.

use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use shmkit_atomic::crash::{in_program_order, step};
use shmkit_atomic::{AtomicU32, AtomicU64, fence, hint};
use shmkit_roster::OwnerId;

use crate::index::{self, State};

/// How many entries a word is for.
#[cfg(not(loom))]
pub(crate) const BITS: u32 = 32;

/// All bits of a place, for who sweeps the names of its dead, and has none yet by which to mark.
#[cfg(not(loom))]
pub(crate) const SWEEPING: u64 = (OwnerId::NOBODY as u64) << 32 | 0xffff_ffff;

/// Who says by a word that it uses the object of a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    Named(OwnerId),
    /// Somebody who is about to join, or has died of it: until the next one joins there.
    Sweeper,
}

/// Returns who says by a word that it uses the object of a bit. The number of a word that no peer writes is the error.
pub(crate) fn user(word: &AtomicU64, bit: u32) -> Result<Option<User>, u64> {
    // Acquire: pairs with the Release in `unmark`: what the user did with the object comes before.
    let found = word.load(Acquire);
    if found & (1 << bit) == 0 {
        return Ok(None);
    }
    match (found >> 32) as u32 {
        OwnerId::NOBODY => Ok(Some(User::Sweeper)),
        owner => match OwnerId::from_word(owner).filter(|_| owner <= OwnerId::MASK) {
            Some(owner) => Ok(Some(User::Named(owner))),
            None => Err(found),
        },
    }
}

/// Marks that we use the object of a bit.
pub(crate) fn mark(word: &AtomicU64, me: OwnerId, bit: u32) {
    let marked = |now: u64| {
        let bits = if is_of(now, me) { now as u32 } else { 0 };
        Some(u64::from(me.get()) << 32 | u64::from(bits | 1 << bit))
    };
    step();
    // AcqRel: what a thread of ours did with an object before it cleared its bit comes before the clearing of another's, too.
    let _ = word.fetch_update(AcqRel, Relaxed, marked);
    in_program_order();
}

/// Marks that we use it no more. In a forked child, which is called otherwise, nothing.
pub(crate) fn unmark(word: &AtomicU64, me: OwnerId, bit: u32) {
    let unmarked = |now: u64| is_of(now, me).then_some(now & !(1 << bit));
    step();
    // Release: pairs with the Acquire in `user`.
    let _ = word.fetch_update(AcqRel, Relaxed, unmarked);
    in_program_order();
}

fn is_of(word: u64, me: OwnerId) -> bool {
    (word >> 32) as u32 == me.get()
}

/// Between a mark and a look at the state, and between a state and a look at the marks.
pub(crate) fn dekker() {
    // SeqCst: its other half is the same fence of who does the opposite.
    fence(SeqCst);
}

/// Returns whether an object that we have marked is there still, of which this is the state when nobody is about to free it.
pub(crate) fn is_there(word: &AtomicU64, settled: State) -> bool {
    dekker();
    loop {
        // Acquire: as in `index::state`.
        let now = word.load(Acquire);
        if now == settled.get() {
            return true;
        }
        if now != settled.in_doubt().get() {
            return false;
        }
        step();
        // AcqRel: as the load above and as `index::publish`. If it fails, somebody went on.
        if word.compare_exchange(now, settled.get(), AcqRel, Relaxed).is_ok() {
            return true;
        }
    }
}

/// Frees an object unless somebody uses it; returns whether it did. With the lock.
///
/// # If a peer dies
///
/// in the middle, the object is there and in doubt, or it is freed.
pub(crate) fn free<E>(
    word: &AtomicU64,
    state: State,
    mut is_used: impl FnMut() -> Result<bool, E>,
) -> Result<bool, E> {
    // First without a trace.
    if is_used()? {
        return Ok(false);
    }
    let in_doubt = state.in_doubt();
    step();
    // Release: as in `index::publish`, for who reads of the object while it is in doubt.
    let _ = word.compare_exchange(state.get(), in_doubt.get(), Release, Relaxed);
    in_program_order();
    dekker();
    match is_used() {
        Ok(false) => Ok(index::free(word, in_doubt)),
        other => {
            step();
            // Release: as above. A user may have done it.
            let _ = word.compare_exchange(in_doubt.get(), state.get(), Release, Relaxed);
            in_program_order();
            other.map(|_| false)
        }
    }
}

/// How many handles of this process lead to an object, which it is marked for as long as there is one.
///
/// Whoever makes the first one or drops the last is *busy* with the mark until the count says so; others wait, which
/// takes them nanoseconds. A forked child inherits the counts with the handles, and may inherit a thread's that was busy,
/// and had no handle then.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    count: AtomicU32,
    generation: AtomicU64,
}

/// Some thread is busy with the mark.
const BUSY: u32 = u32::MAX;
/// How often a thread looks before it lets others run.
const SPINS: u32 = 64;

impl Handles {
    /// Counts another handle to the object of a generation; for the first one `mark` has to mark, and says whether the object
    /// is there still.
    pub(crate) fn begin<E>(
        &self,
        generation: u64,
        mark: impl FnOnce() -> Result<bool, E>,
    ) -> Result<bool, E> {
        loop {
            let now = self.at_rest();
            if now != 0 {
                // Acquire: pairs with the Release below, so that the mark is there before.
                if self.count.compare_exchange(now, now + 1, Acquire, Relaxed).is_ok() {
                    return Ok(true);
                }
            // Acquire: pairs with the Release in `end`: the mark was taken away before.
            } else if self.count.compare_exchange(0, BUSY, Acquire, Relaxed).is_ok() {
                self.generation.store(generation, Relaxed);
                let marked = mark();
                let count = u32::from(matches!(marked, Ok(true)));
                // Release: pairs with the Acquire above and in `at_rest`.
                self.count.swap(count, Release);
                return marked;
            }
        }
    }

    /// Counts a handle less; after the last one `unmark` has to take the mark away. Returns whether it was the last.
    pub(crate) fn end(&self, unmark: impl FnOnce()) -> bool {
        loop {
            let now = self.at_rest();
            let (next, last) = if now <= 1 { (BUSY, true) } else { (now - 1, false) };
            // AcqRel: what this thread did with the object comes before the mark is taken away, by whoever does that.
            if self.count.compare_exchange(now, next, AcqRel, Relaxed).is_ok() {
                if last {
                    unmark();
                    // Release: pairs with the Acquire in `begin`.
                    self.count.swap(0, Release);
                }
                return last;
            }
        }
    }

    /// The generation of the object to which a forked child, which has one thread, has inherited handles.
    #[cfg(not(loom))]
    pub(crate) fn inherited(&self) -> Option<u64> {
        // Relaxed: one thread. One that was busy stayed behind, and had no handle.
        let _ = self.count.compare_exchange(BUSY, 0, Relaxed, Relaxed);
        (self.count.load(Relaxed) != 0).then(|| self.generation.load(Relaxed))
    }

    /// Waits for who is busy: another thread of this process, between some instructions.
    fn at_rest(&self) -> u32 {
        let mut spins = 0;
        loop {
            // Acquire: pairs with the Release in `begin`.
            let now = self.count.load(Acquire);
            if now != BUSY {
                return now;
            }
            spins += 1;
            if spins < SPINS {
                hint::spin_loop();
            } else {
                // It does not run. Nothing but the end of the whole process keeps it from running again.
                #[cfg(not(loom))]
                std::thread::yield_now();
                #[cfg(loom)]
                loom::thread::yield_now();
            }
        }
    }
}
