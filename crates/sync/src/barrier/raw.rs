//! The barrier, without a place to lie in.

use core::fmt;
use core::time::Duration;

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::futex::ALL;
#[cfg(not(loom))]
use shmkit_layout::Shared;
use shmkit_roster::OwnerId;

use crate::watch::Watch;
use crate::word::{Word, Word64};
use crate::{BarrierCell, Doorbell, RawMutex};

/// Of the word: the barrier is broken.
pub(crate) const BROKEN: u32 = 1;
/// What a pass adds to the word. Bit 1 changes with passes only.
pub(crate) const PASS: u32 = 2;
/// What a reset adds to the word.
pub(crate) const RESET: u32 = 4;

/// The words of a barrier that are not its parties' cells. All zero bytes but the number of parties are a fresh one.
#[repr(C)]
pub struct BarrierFrame {
    /// Held while a place is taken, and while it is counted how many have arrived. An heir has nothing to repair.
    pub(crate) mutex: RawMutex,
    /// 31 .. 1 passes, and twice the resets | 0 BROKEN. What the parties sleep on.
    pub(crate) word: Word,
    /// Rung when a place becomes free, and when nobody needs one any more: the barrier is broken.
    pub(crate) bell: Doorbell,
    /// How many parties there are. Stored once, by who makes the barrier.
    parties: Word,
    /// When one of those who wait looks whether the others do.
    pub(crate) watch: Watch,
    /// When one of them asks about every other.
    pub(crate) muster: Watch,
    /// When one of those who wait for a place looks: what they wait for, the others do not look at.
    pub(crate) queue: Watch,
    /// For how many nanoseconds a party waits that does not say for how long; 0 for ever. Stored once, by who makes the
    /// barrier.
    timeout: Word64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<BarrierFrame>() == 48, "part of the segment format");

// SAFETY: `repr(C)`, made of `Shared` types: 16, six times 4, and 8 bytes.
#[cfg(not(loom))]
unsafe impl Shared for BarrierFrame {}

impl BarrierFrame {
    /// Makes the frame of a barrier for so many parties.
    pub fn new(parties: u32) -> Self {
        let frame = Self {
            mutex: RawMutex::new(),
            word: Word::new(0),
            bell: Doorbell::new(),
            parties: Word::new(0),
            watch: Watch::new(),
            muster: Watch::new(),
            queue: Watch::new(),
            timeout: Word64::new(0),
        };
        frame.set_parties(parties);
        frame
    }

    /// Gives a frame of all zero bytes its number of parties. Before anybody else uses it.
    pub fn set_parties(&self, parties: u32) {
        // Relaxed: nobody else uses it yet; however it is handed to others orders this.
        self.parties.store(parties, Relaxed);
    }

    /// Gives a frame of all zero bytes the time that a party waits which does not say for how long, at least a nanosecond.
    /// Before anybody else uses it.
    pub fn set_time_limit(&self, timeout: Duration) {
        // One that overflows is for ever.
        let nanos = u64::try_from(timeout.as_nanos()).map_or(0, |nanos| nanos.max(1));
        // Relaxed: as above.
        self.timeout.store(nanos, Relaxed);
    }

    /// Returns for how long a party waits that does not say for how long, if not for ever.
    pub fn timeout(&self) -> Option<Duration> {
        // Relaxed: never changes while the barrier is used.
        match self.timeout.load(Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// Returns how many parties there are.
    pub fn parties(&self) -> u32 {
        // Relaxed: as above.
        self.parties.load(Relaxed)
    }
}

impl fmt::Debug for BarrierFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierFrame")
            .field("word", &self.word)
            .field("parties", &self.parties())
            .field("bell", &self.bell)
            .field("mutex", &self.mutex)
            .finish()
    }
}

/// A barrier: nobody passes before as many have arrived as it has parties.
///
/// A party is a *thread*: each takes a cell when it arrives and gives it back when it has passed, or keeps one that it
/// has [registered](Self::register). What has happened is decided by **one compare-exchange of the word**: it passes,
/// breaks or is reset, whichever comes first, and every party finds out which by comparing the word with that of its
/// arrival. As long as one of them has not, its cell is taken, and nobody can pass again. (A party that does not run
/// while the barrier is reset 2^30 times may take the pass that comes then for its own.)
///
/// *If a peer dies* after it arrived, or having registered, the barrier is broken for all: one of those who sleep looks for
/// the others, and who arrives last, or finds all places taken, asks about all others.
#[derive(Clone, Copy)]
pub struct RawBarrier<'a> {
    pub(crate) frame: &'a BarrierFrame,
    pub(crate) cells: &'a [BarrierCell],
}

impl<'a> RawBarrier<'a> {
    /// Makes a barrier of its words: a cell for every party.
    pub fn new(frame: &'a BarrierFrame, cells: &'a [BarrierCell]) -> Self {
        Self { frame, cells }
    }

    /// Returns how many parties there are.
    pub fn parties(self) -> u32 {
        // Made of a number of this type (`Barrier`), or of a model's few.
        self.cells.len() as u32
    }

    /// Returns whether somebody has broken the barrier since it was made or reset.
    pub fn is_broken(self) -> bool {
        // Acquire: pairs with the Release in `break_up`.
        self.frame.word.load(Acquire) & BROKEN != 0
    }

    /// Returns how many parties had arrived at the next pass a moment ago; 0 if it is broken.
    pub fn n_waiting(self) -> u32 {
        // Acquire: pairs with the Release in `commit`.
        let word = self.frame.word.load(Acquire);
        if word & BROKEN != 0 { 0 } else { self.count_arrived(word) }
    }

    /// Returns who had arrived at the next pass a moment ago, or at the one that was broken.
    pub fn arrived(self) -> Vec<OwnerId> {
        let word = self.frame.word.load(Relaxed);
        let places = self.cells.iter().map(BarrierCell::load);
        places.filter(|p| p.has_arrived(word)).filter_map(|p| p.owner().ok().flatten()).collect()
    }

    pub(crate) fn count_arrived(self, word: u32) -> u32 {
        self.cells.iter().filter(|cell| cell.load().has_arrived(word)).count() as u32
    }

    /// Breaks whatever pass is the next.
    pub(crate) fn break_now(self) {
        loop {
            let word = self.frame.word.load(Relaxed);
            if word & BROKEN != 0 || self.break_up(word) {
                return;
            }
        }
    }

    /// Breaks the pass of this word, unless it has been decided otherwise.
    pub(crate) fn break_up(self, word: u32) -> bool {
        // Release: pairs with the Acquire in `follow` and `is_broken`.
        let broken = word & BROKEN == 0
            && self.frame.word.compare_exchange(word, word | BROKEN, Release, Relaxed).is_ok();
        if broken {
            // Killed here, the others find out at the end of their slice. Who has no place yet sleeps on the bell.
            self.frame.word.wake(ALL);
            self.frame.bell.ring_all();
        }
        broken
    }
}

impl fmt::Debug for RawBarrier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawBarrier").field("frame", self.frame).field("cells", &self.cells).finish()
    }
}
