//! Who sleeps on a condition variable, and who of them goes next.

use shmkit_atomic::Deadline;
use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::futex::{Op, Wake};
#[cfg(not(loom))]
use shmkit_layout::Shared;
use shmkit_roster::{Judge, OwnerId, Verdict, ask};

#[cfg(loom)]
use crate::crash;
use crate::seats::Seats;
use crate::watch::Watch;
use crate::word::{Word, Word64};

/// Faults are only seeded in models.
#[cfg(not(loom))]
mod crash {
    pub(super) const fn voids_grants() -> bool {
        false
    }
}

/// Of a cell: its sleeper has been chosen, and is awake or about to be.
const NOTIFIED: u32 = 1 << 31;

/// The words of a condition variable that are not its sleepers' cells. All zero bytes but the number of seats are one on
/// which nobody sleeps.
///
/// ```text
/// lock      (address of the lock as u64).wrapping_sub(address of this as u64), in bytes; 0 = nobody has waited yet
/// rows      a bit for each row of seats: whether somebody may sleep on one of them. Else they are nobody's, whatever
///           stands there
/// turn      how often anybody has begun to wait, modulo 2^32
/// told      up to which death of an owner of the lock all who slept then have been woken
/// watch     when one of those who sleep looks whether the others' notifications are lost
/// seats     for how many sleepers it was made: stored once, by who makes the condition variable
/// ```
///
/// Everything is changed *under the lock* of the condition variable. The bit goes before the cell when it is taken, so that
/// whoever sees no bits may believe it.
#[derive(Debug)]
#[repr(C)]
pub struct CondvarFrame {
    pub(super) lock: Word64,
    rows: Word64,
    turn: Word,
    told: Word,
    pub(super) watch: Watch,
    seats: Word,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<CondvarFrame>() == 32, "part of the segment format");

// SAFETY: `repr(C)`, atomic numbers only, of which any value is handled.
#[cfg(not(loom))]
unsafe impl Shared for CondvarFrame {}

impl CondvarFrame {
    /// Makes the frame of a condition variable for so many sleepers.
    pub fn new(seats: u32) -> Self {
        Self {
            lock: Word64::new(0),
            rows: Word64::new(0),
            turn: Word::new(0),
            told: Word::new(0),
            watch: Watch::new(),
            seats: Word::new(seats),
        }
    }

    /// Gives a frame of all zero bytes its number of seats. Before anybody else uses it.
    pub fn set_seats(&self, seats: u32) {
        // Relaxed: nobody else uses it yet; however it is handed to others orders this.
        self.seats.store(seats, Relaxed);
    }

    /// Returns for how many sleepers it was made.
    pub fn seats(&self) -> u32 {
        // Relaxed: never changes while the condition variable is used.
        self.seats.load(Relaxed)
    }
}

/// The seat of a thread that waits.
///
/// ```text
/// word  31 NOTIFIED | 30 always 0 | 29 .. 0 owner id of the process of a waiting thread, 0 = nobody. Its futex
/// turn  of a sleeper: the turn at which it came. Of one that is notified: the last turn that was before that, or before
///       the first of the dead was notified from whom this comes
/// ```
///
/// Turns are compared by how long ago they were. Who sleeps while others begin to wait 2^32 times passes for one that has
/// just come: it is notified later than it should be, and what the dead were given before that passes it over.
#[repr(C)]
pub struct SleeperCell {
    word: Word,
    turn: Word,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<SleeperCell>() == 8, "part of the segment format");

// SAFETY: `repr(C)`, two atomic words.
#[cfg(not(loom))]
unsafe impl Shared for SleeperCell {}

impl SleeperCell {
    /// Makes a cell of nobody. All zero bytes are one.
    pub fn new() -> Self {
        Self { word: Word::new(0), turn: Word::new(0) }
    }
}

impl Default for SleeperCell {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for SleeperCell {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?}", self.word)
    }
}

/// The sleepers of a condition variable, in the order in which they came.
#[derive(Clone, Copy)]
pub(crate) struct Sleepers<'a> {
    frame: &'a CondvarFrame,
    seats: Seats<'a, SleeperCell>,
}

/// What stands in a cell whose owner has just looked at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    Asleep,
    Notified,
    /// Somebody has written to it who must not.
    Corrupt(u32),
}

impl<'a> Sleepers<'a> {
    pub(crate) fn new(frame: &'a CondvarFrame, seats: Seats<'a, SleeperCell>) -> Self {
        Self { frame, seats }
    }

    /// Returns how many can sleep.
    pub(crate) fn seats(self) -> u32 {
        self.seats.count()
    }

    /// The words around the seats.
    pub(crate) fn frame(self) -> &'a CondvarFrame {
        self.frame
    }

    /// The word of a cell: of one that was claimed, or found.
    fn word(self, cell: usize) -> &'a Word {
        &self.cell(cell).word
    }

    fn cell(self, cell: usize) -> &'a SleeperCell {
        self.seats.get(cell).expect("cells are named by who has claimed or found them")
    }

    /// Returns the processes of the threads that slept a moment ago and were notified, or not yet; the dead included.
    pub(crate) fn owners(self, notified: bool) -> impl Iterator<Item = OwnerId> + use<'a> {
        let words = self.taken().map(|(_, cell)| cell.word.load(Relaxed));
        words.filter(move |word| (word & NOTIFIED != 0) == notified).filter_map(OwnerId::from_word)
    }

    /// Under the lock: whether certainly nobody sleeps.
    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        // Relaxed: written under the lock.
        self.frame.rows.load(Relaxed) == 0
    }

    /// Sleeps on the own cell until somebody notifies this thread, at most until `until`. May return for no reason.
    pub(crate) fn sleep(self, cell: usize, me: OwnerId, until: Deadline) -> Wake {
        self.word(cell).wait(me.get(), until)
    }

    /// Returns what stands in the own cell: for good under the lock.
    pub(crate) fn own(self, cell: usize, me: OwnerId) -> Own {
        // Relaxed: what it says is acted on under the lock.
        match self.word(cell).load(Relaxed) {
            word if word == me.get() => Own::Asleep,
            word if word == me.get() | NOTIFIED => Own::Notified,
            word => Own::Corrupt(word),
        }
    }

    /// Under the lock: takes a cell for this thread; `None` if living threads have them all.
    pub(crate) fn claim<J: Judge + ?Sized>(self, me: OwnerId, judge: &J) -> Option<usize> {
        let cell = self.free_cell().or_else(|| {
            self.pass_on(me, judge);
            self.bury(me, judge);
            self.free_cell()
        })?;
        // Relaxed, all but the last: read under the lock, or hints.
        self.frame.rows.store(self.frame.rows.load(Relaxed) | self.seats.row(cell), Relaxed);
        let turn = self.now().wrapping_add(1);
        self.frame.turn.store(turn, Relaxed);
        self.cell(cell).turn.store(turn, Relaxed);
        // Release: pairs with the Acquire in `is_grant_lost`: who finds our id there finds that we have joined.
        self.word(cell).swap(me.get(), Release);
        Some(cell)
    }

    /// The first that is nobody's: those who sleep have few rows.
    fn free_cell(self) -> Option<usize> {
        // Relaxed: written under the lock, which the caller holds.
        let rows = self.frame.rows.load(Relaxed);
        let first = self
            .seats
            .of(u64::MAX)
            .find(|&(at, cell)| rows & self.seats.row(at) == 0 || cell.word.load(Relaxed) == 0);
        first.map(|(at, _)| at)
    }

    /// Under the lock: nobody's from now on.
    pub(crate) fn free(self, cell: usize) {
        // Relaxed: written under the lock. In whichever order a kill finds them: without its bit the cell is nobody's, and
        // without an id as well.
        self.word(cell).swap(0, Relaxed);
        let row = self.seats.row(cell);
        if self.seats.rows(row).all(|(_, cells)| is_free(cells)) {
            self.frame.rows.store(self.frame.rows.load(Relaxed) & !row, Relaxed);
        }
    }

    /// Outside the lock, which cannot be had: leaves the own cell as the dead leave theirs. A notification that was given
    /// goes on, and one that comes finds nobody here.
    pub(crate) fn abandon(self, cell: usize, me: OwnerId) {
        for mark in [0, NOTIFIED] {
            let (own, gone) = (me.get() | mark, OwnerId::GONE.get() | mark);
            // Relaxed: what follows is done under the lock, by others. Refused if it was notified meanwhile; then the
            // second is not.
            let _ = self.word(cell).compare_exchange(own, gone, Relaxed, Relaxed);
        }
    }

    /// Whether somebody who was notified has died, and not taken the lock since. Outside the lock.
    pub(crate) fn is_grant_lost<J: Judge + ?Sized>(self, me: OwnerId, judge: &J) -> bool {
        self.taken().any(|(_, cell)| {
            // Acquire: pairs with the Release in `claim` and in `grant`: its owner had joined, so that the verdict is
            // about a participant whose lock the kernel has seen.
            let word = cell.word.load(Acquire);
            word & NOTIFIED != 0
                && OwnerId::from_word(word).is_none_or(|owner| is_dead(judge, me, owner))
        })
    }

    /// Under the lock: passes the notifications of the dead on to who slept when they were given.
    pub(crate) fn pass_on<J: Judge + ?Sized>(self, me: OwnerId, judge: &J) {
        // Each is asked about once: a question costs a system call, and everybody waits for the lock. The oldest first: fewer
        // may have it.
        let dead = |word| word & NOTIFIED != 0 && is_gone(judge, me, word);
        for cell in self.by_age(self.such(dead)) {
            self.hand_on(cell, me, judge);
            self.free(cell);
        }
    }

    /// Under the lock: gives the notification of this cell to whoever has slept longest of those who slept when it was
    /// given, and returns whether there was one. The caller frees the cell.
    pub(crate) fn hand_on<J: Judge + ?Sized>(self, cell: usize, me: OwnerId, judge: &J) -> bool {
        let heir = self.longest(me, judge, self.age(cell)).filter(|_| !crash::voids_grants());
        if let Some(heir) = heir {
            // Relaxed: written under the lock. Not the turn of now: the heir may die too, and who came between the two
            // deaths did not sleep when this was given.
            self.grant(heir, self.cell(cell).turn.load(Relaxed));
        }
        heir.is_some()
    }

    /// Under the lock, of which so many owners have died: wakes all who sleep, once for each of these deaths, for they have
    /// to look at their condition again and may be asleep for seconds. Killed in between, the next one to leave does it.
    pub(crate) fn tell(self, epoch: u32) {
        // Relaxed, both: written under the lock.
        if self.frame.told.load(Relaxed) == epoch {
            return;
        }
        for cell in self.such(|word| word & NOTIFIED == 0) {
            self.word(cell).wake(1);
        }
        self.frame.told.store(epoch, Relaxed);
    }

    /// Under the lock: notifies so many of those who have slept longest, and returns how many there were. The dead on the
    /// way are buried.
    pub(crate) fn notify<J: Judge + ?Sized>(self, me: OwnerId, judge: &J, n: u32) -> u32 {
        let notify = |cell| self.grant(cell, self.now());
        if n == 1
            && let Some(cell) = self.longest(me, judge, 0)
        {
            notify(cell);
            return 1;
        }
        let mut woken = 0;
        for cell in self.by_age(self.such(|word| word & NOTIFIED == 0)) {
            if woken == n {
                break;
            }
            if is_gone(judge, me, self.word(cell).load(Relaxed)) {
                self.free(cell);
            } else {
                notify(cell);
                woken += 1;
            }
        }
        if woken == 0 {
            self.tidy();
        }
        woken
    }

    /// Under the lock: takes the bits away to which nobody belongs: of who died between bit and cell.
    fn tidy(self) {
        // Relaxed: written under the lock.
        let rows = self.frame.rows.load(Relaxed);
        let used = self.seats.rows(rows).filter(|(_, cells)| !is_free(cells));
        let used = used.fold(0, |used, (row, _)| used | row);
        if used != rows {
            self.frame.rows.store(used, Relaxed);
        }
    }

    /// Under the lock: frees the cells of the dead who were not notified.
    fn bury<J: Judge + ?Sized>(self, me: OwnerId, judge: &J) {
        for cell in self.such(|word| word & NOTIFIED == 0 && is_gone(judge, me, word)) {
            self.free(cell);
        }
        self.tidy();
    }

    /// Under the lock: the cell of who has slept longest, and for `age` turns at least. The dead on the way are buried.
    pub(crate) fn longest<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
        age: u32,
    ) -> Option<usize> {
        loop {
            let asleep = self.such(|word| word & NOTIFIED == 0);
            let cell = asleep.max_by_key(|&cell| self.age(cell))?;
            if self.age(cell) < age {
                return None;
            }
            if !is_gone(judge, me, self.word(cell).load(Relaxed)) {
                return Some(cell);
            }
            self.free(cell);
        }
    }

    /// Under the lock: the cells that are somebody's, and in which such a word stands.
    fn such(self, such: impl Fn(u32) -> bool) -> impl Iterator<Item = usize> {
        self.taken().filter_map(move |(at, cell)| {
            // Relaxed, here and in `age` and `now`: written under the lock.
            let word = cell.word.load(Relaxed);
            (word != 0 && such(word)).then_some(at)
        })
    }

    /// Under the lock: these cells, the one whose turn is longest ago first.
    fn by_age(self, cells: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut cells: Vec<_> = cells.collect();
        cells.sort_by_key(|&cell| core::cmp::Reverse(self.age(cell)));
        cells
    }

    /// Returns the cells that may be somebody's: all that are, under the lock.
    fn taken(self) -> impl Iterator<Item = (usize, &'a SleeperCell)> + use<'a> {
        // Relaxed: written under the lock. Outside it, it is looked at again a slice later.
        self.seats.of(self.frame.rows.load(Relaxed))
    }

    /// Under the lock: how many turns ago that of `cell` was.
    fn age(self, cell: usize) -> u32 {
        self.now().wrapping_sub(self.cell(cell).turn.load(Relaxed))
    }

    /// Under the lock: the last turn that there was.
    pub(crate) fn now(self) -> u32 {
        self.frame.turn.load(Relaxed)
    }

    /// Under the lock: notifies who sleeps on `cell`, on behalf of those who slept at `turn`.
    pub(crate) fn grant(self, cell: usize, turn: u32) {
        // Relaxed: written under the lock.
        self.cell(cell).turn.store(turn, Relaxed);
        // One step: killed before it we have notified nobody, after it he is awake. Release, by the call: pairs with the
        // Acquire in `is_grant_lost`.
        self.word(cell).wake_op(Op::or(NOTIFIED), 1);
    }
}

/// Returns whether none of these cells is anybody's.
fn is_free(cells: &[SleeperCell]) -> bool {
    // Relaxed: written under the lock.
    cells.iter().all(|cell| cell.word.load(Relaxed) == 0)
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
