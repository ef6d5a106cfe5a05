//! Who sleeps on a condition variable, and who of them goes next.

use shmkit_atomic::Deadline;
use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::futex::{Op, Wake};
#[cfg(not(loom))]
use shmkit_layout::Shared;
use shmkit_roster::{Judge, OwnerId, Verdict, ask};

#[cfg(loom)]
use crate::crash;
use crate::watch::Watch;
use crate::word::{Word, Word64};

/// Faults are only seeded in models.
#[cfg(not(loom))]
mod crash {
    pub(super) const fn voids_grants() -> bool {
        false
    }
}

/// How many threads can sleep at a time.
pub(crate) const CELLS: usize = if cfg!(loom) { 3 } else { 64 };

/// Of a cell: its sleeper has been chosen, and is awake or about to be.
const NOTIFIED: u32 = 1 << 31;

/// The sleepers of a condition variable, in the order in which they came.
///
/// ```text
/// taken     bit i: cell i may be somebody's. Else it is nobody's, whatever stands there
/// turn      how often anybody has begun to wait, modulo 2^32
/// told      up to which death of an owner of the lock all who slept then have been woken
/// watch     when one of those who sleep looks whether the others' notifications are lost
/// reserved  0
/// cell[i]   31 NOTIFIED | 30 always 0 | 29 .. 0 owner id of the process of a waiting thread, 0 = nobody. Its futex
/// turn[i]   of a sleeper: the turn at which it came. Of one that is notified: the last turn that was before that, or
///           before the first of the dead was notified from whom this comes
/// ```
///
/// Everything is changed *under the lock* of the condition variable. The bit goes before the cell when it is taken, so that
/// whoever sees no bits may believe it.
///
/// Turns are compared by how long ago they were. Who sleeps while others begin to wait 2^32 times passes for one that has
/// just come: it is notified later than it should be, and what the dead were given before that passes it over.
#[repr(C)]
pub(crate) struct Sleepers {
    taken: Word64,
    turn: Word,
    told: Word,
    pub(crate) watch: Watch,
    reserved: Word,
    cells: [Word; CELLS],
    turns: [Word; CELLS],
}

// SAFETY: `repr(C)`, atomic numbers only, of which any value is handled.
#[cfg(not(loom))]
unsafe impl Shared for Sleepers {}

/// What stands in a cell whose owner has just looked at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    Asleep,
    Notified,
    /// Somebody has written to it who must not.
    Corrupt(u32),
}

impl Sleepers {
    pub(crate) fn new() -> Self {
        Self {
            taken: Word64::new(0),
            turn: Word::new(0),
            told: Word::new(0),
            watch: Watch::new(),
            reserved: Word::new(0),
            cells: core::array::from_fn(|_| Word::new(0)),
            turns: core::array::from_fn(|_| Word::new(0)),
        }
    }

    /// Returns the processes of the threads that slept a moment ago and were notified, or not yet; the dead included.
    pub(crate) fn owners(&self, notified: bool) -> impl Iterator<Item = OwnerId> + '_ {
        let words = self.taken().map(|cell| self.cells[cell].load(Relaxed));
        words.filter(move |word| (word & NOTIFIED != 0) == notified).filter_map(OwnerId::from_word)
    }

    /// Under the lock: whether certainly nobody sleeps.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // Relaxed: written under the lock.
        self.taken.load(Relaxed) == 0
    }

    /// Sleeps on the own cell until somebody notifies this thread, at most until `until`. May return for no reason.
    pub(crate) fn sleep(&self, cell: usize, me: OwnerId, until: Deadline) -> Wake {
        self.cells[cell].wait(me.get(), until)
    }

    /// Returns what stands in the own cell: for good under the lock.
    pub(crate) fn own(&self, cell: usize, me: OwnerId) -> Own {
        // Relaxed: what it says is acted on under the lock.
        match self.cells[cell].load(Relaxed) {
            word if word == me.get() => Own::Asleep,
            word if word == me.get() | NOTIFIED => Own::Notified,
            word => Own::Corrupt(word),
        }
    }

    /// Under the lock: takes a cell for this thread; `None` if living threads have them all.
    pub(crate) fn claim<J: Judge + ?Sized>(&self, me: OwnerId, judge: &J) -> Option<usize> {
        let cell = self.free_cell().or_else(|| {
            self.pass_on(me, judge);
            self.bury(me, judge);
            self.free_cell()
        })?;
        // Relaxed, all but the last: read under the lock, or hints.
        self.taken.store(self.taken.load(Relaxed) | 1 << cell, Relaxed);
        let turn = self.now().wrapping_add(1);
        self.turn.store(turn, Relaxed);
        self.turns[cell].store(turn, Relaxed);
        // Release: pairs with the Acquire in `is_grant_lost`: who finds our id there finds that we have joined.
        self.cells[cell].swap(me.get(), Release);
        Some(cell)
    }

    fn free_cell(&self) -> Option<usize> {
        // Relaxed: written under the lock, which the caller holds.
        let cell = self.taken.load(Relaxed).trailing_ones() as usize;
        (cell < CELLS).then_some(cell)
    }

    /// Under the lock: nobody's from now on.
    pub(crate) fn free(&self, cell: usize) {
        // Relaxed: written under the lock. In whichever order a kill finds them: without its bit the cell is nobody's, and
        // without an id as well.
        self.cells[cell].swap(0, Relaxed);
        self.taken.store(self.taken.load(Relaxed) & !(1 << cell), Relaxed);
    }

    /// Whether somebody who was notified has died, and not taken the lock since. Outside the lock.
    pub(crate) fn is_grant_lost<J: Judge + ?Sized>(&self, me: OwnerId, judge: &J) -> bool {
        self.taken().any(|cell| {
            // Acquire: pairs with the Release in `claim` and in `grant`: its owner had joined, so that the verdict is
            // about a participant whose lock the kernel has seen.
            let word = self.cells[cell].load(Acquire);
            word & NOTIFIED != 0
                && OwnerId::from_word(word).is_none_or(|owner| is_dead(judge, me, owner))
        })
    }

    /// Under the lock: passes the notifications of the dead on to who slept when they were given.
    pub(crate) fn pass_on<J: Judge + ?Sized>(&self, me: OwnerId, judge: &J) {
        // Each is asked about once: a question costs a system call, and everybody waits for the lock.
        let mut dead = 0;
        for cell in self.such(|word| word & NOTIFIED != 0 && is_gone(judge, me, word)) {
            dead |= 1 << cell;
        }
        // The oldest first: fewer may have it.
        while let Some(cell) = self.oldest(bits(dead)) {
            dead &= !(1 << cell);
            self.hand_on(cell, me, judge);
            self.free(cell);
        }
    }

    /// Under the lock: gives the notification of this cell to whoever has slept longest of those who slept when it was
    /// given, and returns whether there was one. The caller frees the cell.
    pub(crate) fn hand_on<J: Judge + ?Sized>(&self, cell: usize, me: OwnerId, judge: &J) -> bool {
        let heir = self.longest(me, judge, self.age(cell)).filter(|_| !crash::voids_grants());
        if let Some(heir) = heir {
            // Relaxed: written under the lock. Not the turn of now: the heir may die too, and who came between the two
            // deaths did not sleep when this was given.
            self.grant(heir, self.turns[cell].load(Relaxed));
        }
        heir.is_some()
    }

    /// Under the lock, of which so many owners have died: wakes all who sleep, once for each of these deaths, for they have
    /// to look at their condition again and may be asleep for seconds. Killed in between, the next one to leave does it.
    pub(crate) fn tell(&self, epoch: u32) {
        // Relaxed, both: written under the lock.
        if self.told.load(Relaxed) == epoch {
            return;
        }
        for cell in self.such(|word| word & NOTIFIED == 0) {
            self.cells[cell].wake(1);
        }
        self.told.store(epoch, Relaxed);
    }

    /// Under the lock: frees the cells of the dead who were not notified, and what no cell belongs to.
    fn bury<J: Judge + ?Sized>(&self, me: OwnerId, judge: &J) {
        for cell in 0..CELLS {
            let word = self.cells[cell].load(Relaxed);
            if word == 0 || word & NOTIFIED == 0 && is_gone(judge, me, word) {
                self.free(cell);
            }
        }
    }

    /// Under the lock: the cell of who has slept longest, and for `age` turns at least. The dead on the way are buried.
    pub(crate) fn longest<J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        judge: &J,
        age: u32,
    ) -> Option<usize> {
        loop {
            let cell = self.oldest(self.such(|word| word & NOTIFIED == 0))?;
            if self.age(cell) < age {
                return None;
            }
            if !is_gone(judge, me, self.cells[cell].load(Relaxed)) {
                return Some(cell);
            }
            self.free(cell);
        }
    }

    /// Under the lock: the cells that are somebody's, and in which such a word stands.
    fn such(&self, such: impl Fn(u32) -> bool) -> impl Iterator<Item = usize> {
        // Relaxed, here and in `age` and `now`: written under the lock.
        let word = |cell: usize| self.cells[cell].load(Relaxed);
        self.taken().filter(move |&cell| word(cell) != 0 && such(word(cell)))
    }

    /// Under the lock: of these cells, the one whose turn is longest ago.
    fn oldest(&self, cells: impl Iterator<Item = usize>) -> Option<usize> {
        cells.max_by_key(|&cell| self.age(cell))
    }

    /// Returns the cells that may be somebody's: all that are, under the lock.
    fn taken(&self) -> impl Iterator<Item = usize> + use<> {
        // Relaxed: written under the lock. Outside it, it is looked at again a slice later.
        bits(self.taken.load(Relaxed)).take_while(|&cell| cell < CELLS)
    }

    /// Under the lock: how many turns ago that of `cell` was.
    fn age(&self, cell: usize) -> u32 {
        self.now().wrapping_sub(self.turns[cell].load(Relaxed))
    }

    /// Under the lock: the last turn that there was.
    pub(crate) fn now(&self) -> u32 {
        self.turn.load(Relaxed)
    }

    /// Under the lock: notifies who sleeps on `cell`, on behalf of those who slept at `turn`.
    pub(crate) fn grant(&self, cell: usize, turn: u32) {
        // Relaxed: written under the lock.
        self.turns[cell].store(turn, Relaxed);
        // One step: killed before it we have notified nobody, after it he is awake. Release, by the call: pairs with the
        // Acquire in `is_grant_lost`.
        self.cells[cell].wake_op(Op::or(NOTIFIED), 1);
    }
}

/// Returns the numbers of the bits that are set.
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (bit < 64).then_some(bit)
    })
}

/// Returns whether nobody has this cell any more: its owner is dead, or could not be.
fn is_gone<J: Judge + ?Sized>(judge: &J, me: OwnerId, word: u32) -> bool {
    // Bit 30 is never set.
    let owner = OwnerId::from_word(word).filter(|owner| owner.get() == word & !NOTIFIED);
    owner.is_none_or(|owner| is_dead(judge, me, owner))
}

/// Returns whether `owner` is dead, or could not be alive.
pub(crate) fn is_dead<J: Judge + ?Sized>(judge: &J, me: OwnerId, owner: OwnerId) -> bool {
    matches!(ask(judge, me, owner), Verdict::Dead | Verdict::Nobody)
}
