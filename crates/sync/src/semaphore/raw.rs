//! The owned semaphore: permits that come back when their holder dies.

use core::fmt;
use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::futex::Wake;
#[cfg(not(loom))]
use shmkit_layout::Shared;
use shmkit_roster::{Judge, OwnerId, Verdict, ask};

use crate::wait::Wait;
use crate::watch::Watch;
use crate::word::Word;
use crate::{
    Doorbell, HolderCell, Holding, LockFailure, Outcome, Patience, RawMutex, ReleaseError,
    SemaphoreError,
};

/// How many processes can hold permits at a time.
pub(crate) const CELLS: usize = if cfg!(loom) { 3 } else { 64 };

/// How long even who does not want to wait waits for somebody else's few instructions under the inner lock.
const GRACE: Duration = Duration::from_millis(10);

/// A semaphore whose every permit is held by a process.
///
/// `mutex` guards all that follows it; only the bell is used outside. The **cells are the truth**: each says with one
/// atomic who holds how many. `free` follows from them, and whoever inherits the mutex in the middle of a change
/// computes it anew: permits less what the living hold.
///
/// *If a peer dies*, its cell is found by whoever lacks permits next: one of those who sleep looks for the others.
#[repr(C)]
pub struct RawSemaphore {
    mutex: RawMutex,
    /// Rung with every release.
    bell: Doorbell,
    /// How many permits there are, 0 to 2^31-1. Stored once, by who makes the semaphore.
    permits: Word,
    /// How many of them nobody holds.
    free: Word,
    /// Not 0: somebody sleeps whom a single permit may not help, for he wants several, or lacks a cell. The next ring
    /// is for all.
    greedy: Word,
    /// When one of those who wait asks again whether the holders live.
    watch: Watch,
    reserved: Word,
    cells: [HolderCell; CELLS],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawSemaphore>() == 552, "part of the segment format");

// SAFETY: `repr(C)`, made of `Shared` types: 16, six times 4, and 64 times 8 bytes.
#[cfg(not(loom))]
unsafe impl Shared for RawSemaphore {}

/// What one look under the mutex came to.
enum Attempt {
    Taken {
        /// Whether there are more for others.
        more: bool,
    },
    NotNow,
}

/// What asking about the holders came to.
struct Roll {
    /// Those who are dead, or cannot be anybody.
    dead: Vec<OwnerId>,
    /// Whether there was an answer about every other.
    known: bool,
}

impl RawSemaphore {
    /// Most permits of a semaphore.
    pub const MAX_PERMITS: u32 = i32::MAX as u32;

    /// Makes a semaphore of `permits` permits.
    ///
    /// # Panics
    ///
    /// If they are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub fn new(permits: u32) -> Self {
        let semaphore = Self {
            mutex: RawMutex::new(),
            bell: Doorbell::new(),
            permits: Word::new(0),
            free: Word::new(0),
            greedy: Word::new(0),
            watch: Watch::new(),
            reserved: Word::new(0),
            cells: core::array::from_fn(|_| HolderCell::new()),
        };
        semaphore.set_permits(permits);
        semaphore
    }

    /// Gives a semaphore of all zero bytes, which has no permits, its permits. Before anybody else uses it.
    ///
    /// # Panics
    ///
    /// If they are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub fn set_permits(&self, permits: u32) {
        assert!(permits <= Self::MAX_PERMITS, "at most {} permits", Self::MAX_PERMITS);
        // Relaxed: nobody else uses it yet; however it is handed to others orders this.
        self.permits.store(permits, Relaxed);
        self.free.store(permits, Relaxed);
    }

    /// Returns how many permits there are.
    pub fn permits(&self) -> u32 {
        // Relaxed: never changes while the semaphore is used.
        self.permits.load(Relaxed)
    }

    /// Returns how many permits nobody held a moment ago, the dead counting as holders until somebody looks.
    pub fn available(&self) -> u32 {
        self.free.load(Relaxed).min(self.permits())
    }

    /// Returns how many permits `owner` held a moment ago.
    pub fn held_by(&self, owner: OwnerId) -> u32 {
        self.cells.iter().map(|cell| cell.load().count_of(owner)).max().unwrap_or(0)
    }

    /// Takes `count` permits, sleeping while there are too few, for as long as the caller has `patience`.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError`]; none was taken.
    ///
    /// # If a peer dies
    ///
    /// Its permits are taken over within about 40 ms of the death.
    pub fn acquire<'p, J: Judge + ?Sized>(
        &self,
        count: u32,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), SemaphoreError> {
        let me = self.begin(count, judge)?;
        let patience = patience.into();
        if let Attempt::Taken { .. } = self.attempt(me, judge, count, None, patience.deadline())? {
            return Ok(());
        }
        self.wait(me, count, judge, patience)
    }

    fn wait<J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        count: u32,
        judge: &J,
        patience: Patience<'_>,
    ) -> Result<(), SemaphoreError> {
        let mut wait = Wait::new(patience, me, judge).watched(&self.watch);
        // Before the first sleep, and when a slice has run out: whether the holders live.
        let mut looks = wait.looks_first();
        let mut woken = false;
        let mut slept = false;
        loop {
            let armed = self.bell.arm();
            // Before the mutex is taken: it takes a system call for every holder.
            let roll = looks.then(|| self.call_the_roll(me, judge));
            if let Some(roll) = &roll {
                wait.heard(roll.known);
            }
            let dead = roll.as_ref().map(|roll| &*roll.dead);
            match self.attempt(me, judge, count, dead, patience.deadline()) {
                Ok(Attempt::Taken { more }) => {
                    // It was not a ring that told us of them: whoever released them may have been killed before it rang.
                    if more && slept && !woken {
                        self.bell.ring_all();
                    }
                    return Ok(());
                }
                Ok(Attempt::NotNow) => {}
                Err(failure) => {
                    // The ring that woke us was for somebody who takes: pass it on.
                    if woken {
                        self.bell.ring(1);
                    }
                    return Err(failure.into());
                }
            }
            wait.check()?;
            let wake = self.bell.sleep(armed, wait.until());
            (slept, woken) = (true, wake == Wake::Woken);
            looks = wait.slept(wake)?;
        }
    }

    /// Takes `count` permits if there are so many now.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::WouldBlock`] and the others but `TimedOut`; none was taken.
    ///
    /// # If a peer dies
    ///
    /// Its permits are taken over at once.
    pub fn try_acquire<J: Judge + ?Sized>(
        &self,
        count: u32,
        judge: &J,
    ) -> Result<(), SemaphoreError> {
        let me = self.begin(count, judge)?;
        let mut roll: Option<Roll> = None;
        loop {
            let dead = roll.as_ref().map(|roll| &*roll.dead);
            match self.attempt(me, judge, count, dead, Deadline::PASSED) {
                Ok(Attempt::Taken { .. }) => return Ok(()),
                Ok(Attempt::NotNow) => {}
                Err(LockFailure::TimedOut) => return Err(SemaphoreError::WouldBlock),
                Err(failure) => return Err(failure.into()),
            }
            match roll {
                None => roll = Some(self.call_the_roll(me, judge)),
                Some(Roll { known: true, .. }) => return Err(SemaphoreError::WouldBlock),
                Some(Roll { known: false, .. }) => return Err(SemaphoreError::CannotJudge),
            }
        }
    }

    /// Gives `count` permits back, and wakes as many sleepers.
    ///
    /// # Errors
    ///
    /// [`ReleaseError`]; nothing was given back. [`ReleaseError::NotHeld`] if this process holds fewer.
    ///
    /// # If a peer dies
    ///
    /// in the middle of its own change, this call finishes it first. A stopped one is waited for.
    pub fn release<J: Judge + ?Sized>(&self, count: u32, judge: &J) -> Result<(), ReleaseError> {
        let failed = ReleaseError::Failed;
        let me = judge.me().ok_or(failed(LockFailure::NotJoined))?;
        let freed = self.enter(me, judge, Deadline::NEVER).map_err(failed)?;
        let given = self.give_back(me, count);
        // Cannot be refused: `enter` has taken it.
        let _ = self.mutex.release(me);
        self.ring(if given.is_ok() { count } else { 0 }, freed, given.unwrap_or(false));
        given.map(|_| ())
    }

    /// What every acquisition begins with.
    fn begin<J: Judge + ?Sized>(&self, count: u32, judge: &J) -> Result<OwnerId, SemaphoreError> {
        let me = judge.me().ok_or(SemaphoreError::NotJoined)?;
        let permits = self.permits();
        if count > permits {
            return Err(SemaphoreError::TooMany { asked: count, permits });
        }
        Ok(me)
    }

    /// Takes the permits if there are enough, or if there are when those of the `dead` are counted among them.
    fn attempt<J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        judge: &J,
        count: u32,
        dead: Option<&[OwnerId]>,
        deadline: Deadline,
    ) -> Result<Attempt, LockFailure> {
        let mut freed = self.enter(me, judge, deadline)?;
        let mut taken = self.take(me, count);
        if !taken && let Some(dead) = dead {
            freed |= self.count(|owner| !dead.contains(&owner));
            taken = self.take(me, count);
        }
        // Relaxed: only used under the mutex.
        let more = self.free.load(Relaxed) > 0;
        // A ring for one is not for us if one permit cannot help us, or if it is a cell that we lack.
        if !taken && (count > 1 || self.cell_of(me).is_none()) {
            self.greedy.store(1, Relaxed);
        }
        // Cannot be refused: `enter` has taken it.
        let _ = self.mutex.release(me);
        self.ring(0, freed, false);
        Ok(if taken { Attempt::Taken { more } } else { Attempt::NotNow })
    }

    /// Asks about all who hold permits. Without the mutex: nobody waits for it, and the dead stay so.
    fn call_the_roll<J: Judge + ?Sized>(&self, me: OwnerId, judge: &J) -> Roll {
        let mut roll = Roll { dead: Vec::new(), known: true };
        for owner in self.holders().filter_map(Holding::owner) {
            match ask(judge, me, owner) {
                // What nobody can hold, nobody holds.
                Verdict::Dead | Verdict::Nobody => roll.dead.push(owner),
                verdict => roll.known &= verdict == Verdict::Alive,
            }
        }
        roll
    }

    /// Takes the mutex, and finishes what a dead holder of it had begun. Returns whether that may have freed permits.
    fn enter<J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        judge: &J,
        deadline: Deadline,
    ) -> Result<bool, LockFailure> {
        // Again, because a verdict may have shown that the roster has lost our place.
        if judge.me() != Some(me) {
            return Err(LockFailure::NotJoined);
        }
        let dead = if self.mutex.take_free(me) {
            None
        } else {
            let deadline = deadline.max(Deadline::after(GRACE));
            self.mutex.wait(me, judge, deadline)?
        };
        if self.mutex.taken(dead).outcome() == Outcome::Clean {
            return Ok(false);
        }
        self.count(|owner| !matches!(ask(judge, me, owner), Verdict::Dead | Verdict::Nobody));
        // One of those verdicts may have shown that the roster has lost our place: the mutex is others' to inherit.
        if judge.me() != Some(me) {
            return Err(LockFailure::NotJoined);
        }
        // Cannot be refused: we hold it.
        let _ = self.mutex.make_consistent(judge);
        Ok(true)
    }

    /// Under the mutex: takes the permits if there are enough, and a cell to write it down in.
    fn take(&self, me: OwnerId, count: u32) -> bool {
        // Relaxed: only used under the mutex, which orders it.
        let free = self.free.load(Relaxed);
        // More than there are: nobody writes that, so let the cells be counted.
        if free < count || free > self.permits() {
            return false;
        }
        let Some((cell, holding)) = self.cell_of(me) else { return false };
        let Some(total) = holding.count_of(me).checked_add(count) else { return false };
        // Dead after the first step: the heir of the mutex counts the cells of the living.
        if cell.replace(holding, Holding::new(me, total)).is_err() {
            return false;
        }
        self.free.store(free - count, Relaxed);
        true
    }

    /// Under the mutex: gives permits back. Returns whether everybody must be woken.
    fn give_back(&self, me: OwnerId, count: u32) -> Result<bool, ReleaseError> {
        let (cell, holding) =
            self.cell_of(me).ok_or(ReleaseError::NotHeld { asked: count, held: 0 })?;
        let held = holding.count_of(me);
        let not_held = ReleaseError::NotHeld { asked: count, held };
        let rest = held.checked_sub(count).ok_or(not_held)?;
        cell.replace(holding, Holding::new(me, rest)).map_err(|_| not_held)?;
        let free = self.free.load(Relaxed).saturating_add(count).min(self.permits());
        self.free.store(free, Relaxed);
        let greedy = self.greedy.load(Relaxed) != 0;
        if greedy {
            // Who is still greedy when it has tried again says so again, before it sleeps.
            self.greedy.store(0, Relaxed);
        }
        Ok(greedy)
    }

    /// Under the mutex: the cell of `me`, or else one that holds nothing.
    fn cell_of(&self, me: OwnerId) -> Option<(&HolderCell, Holding)> {
        // Beginning where few others begin, so that the own cell is mostly the first.
        let start = me.home(CELLS);
        let mut empty = None;
        for i in 0..CELLS {
            let cell = &self.cells[(start + i) % CELLS];
            let holding = cell.load();
            if holding.owner() == Some(me) {
                return Some((cell, holding));
            }
            if holding.count() == 0 && empty.is_none() {
                empty = Some((cell, holding));
            }
        }
        empty
    }

    /// Under the mutex: empties the cells of those who do not live and computes how many permits are free. Returns whether
    /// that has freed some.
    fn count(&self, lives: impl Fn(OwnerId) -> bool) -> bool {
        let mut held = 0_u32;
        let mut freed = false;
        for cell in &self.cells {
            let holding = cell.load();
            let Some(owner) = holding.owner().filter(|_| holding.count() > 0) else { continue };
            if lives(owner) {
                held = held.saturating_add(holding.count());
            } else {
                freed = true;
                // Cannot fail: cells change under the mutex only.
                let _ = cell.replace(holding, Holding::NOTHING);
            }
        }
        let free = self.permits().saturating_sub(held);
        self.free.store(free, Relaxed);
        freed
    }

    /// After the mutex was released: wakes who can use what has become free.
    fn ring(&self, count: u32, freed: bool, greedy: bool) {
        if freed || greedy {
            self.bell.ring_all();
        } else {
            self.bell.ring(count);
        }
    }
}

impl RawSemaphore {
    /// Returns who holds how many, one after the other: true of each for itself, while others take and give back.
    pub fn holders(&self) -> impl Iterator<Item = Holding> + '_ {
        self.cells.iter().map(HolderCell::load).filter(|holding| holding.count() > 0)
    }
}

impl fmt::Debug for RawSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holders: Vec<_> = self.holders().collect();
        f.debug_struct("RawSemaphore")
            .field("permits", &self.permits())
            .field("available", &self.available())
            .field("holders", &holders)
            .field("mutex", &self.mutex)
            .field("bell", &self.bell)
            .finish()
    }
}
