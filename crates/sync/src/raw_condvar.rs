//! The condition variable: exactly as many sleepers woken as there are notifications.
//!
//! One word for each sleeping thread, as in POSIX threads' older condition variables with a queue; a single sequence
//! number, as newer ones have, cannot tell whom a notification reached, and so not whether it died with him.

use core::fmt;

use shmkit_atomic::Deadline;
use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::futex::{Op, Wake};
#[cfg(not(loom))]
use shmkit_layout::Shared;
use shmkit_roster::{Judge, OwnerId, Verdict, ask};

#[cfg(loom)]
use crate::crash;
use crate::monitor::Monitor;
use crate::outcome::Taken;
use crate::word::{Word, Word64};
use crate::{NotifyError, Outcome, RawMutex, RawReentrantMutex, Slices, Unwaited, Wakeup};

/// Faults are only seeded in models.
#[cfg(not(loom))]
mod crash {
    pub(super) const fn voids_grants() -> bool {
        false
    }

    pub(super) const fn ignores_deaths() -> bool {
        false
    }
}

/// How many threads can wait at a time.
const CELLS: usize = if cfg!(loom) { 3 } else { 64 };

/// Of a cell: its sleeper has been chosen, and is awake or about to be.
const NOTIFIED: u32 = 1 << 31;

/// A condition variable: threads sleep on it, having given up a lock, until others notify them under that lock.
///
/// ```text
/// turn      how often anybody has begun to wait, modulo 2^32
/// reserved  0
/// lock      where the lock lies, in bytes from here, modulo 2^64; 0 = nobody has waited yet
/// taken     bit i: cell i may be somebody's
/// cell[i]   31 NOTIFIED | 30 always 0 | 29 .. 0 owner id of the process of a waiting thread, 0 = nobody. The sleeper's futex
/// turn[i]   of a sleeper: the turn at which it came. Of one that is notified: the last turn that was before that
/// ```
///
/// Everything is changed *under the lock*, which is a robust one; a cell has an owner while its thread is between
/// beginning to wait and having the lock again. The bit goes before the cell when it is taken and after it when it is
/// freed, so that whoever sees no bits may believe it.
///
/// A notification goes to the sleeper that has waited longest. To notify is to set NOTIFIED and wake in one system call;
/// the sleeper finds it when it has the lock again, however long that takes, its deadline notwithstanding.
///
/// *If a peer dies*
///
/// * asleep: its cell is dead, is skipped and freed;
/// * notified, before it has the lock again: its notification goes on to the longest sleeper of those that slept when
///   it was given, or is void if there is none. The others find it at the end of a slice;
/// * under the lock, whatever it was doing: the lock's heir counts a death, and every sleeper leaves its sleep at the end
///   of a slice, to look at its condition again. So nothing that a death leaves here half-done is ever lost.
#[repr(C)]
pub struct RawCondvar {
    turn: Word,
    reserved: Word,
    lock: Word64,
    taken: Word64,
    cells: [Word; CELLS],
    turns: [Word; CELLS],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawCondvar>() == 536, "part of the segment format");

// SAFETY: `repr(C)`, atomic numbers only, of which any value is handled.
#[cfg(not(loom))]
unsafe impl Shared for RawCondvar {}

/// One thread's wait.
struct Wait<'w, J: ?Sized> {
    me: OwnerId,
    judge: &'w J,
    mutex: &'w RawMutex,
    /// The thread's cell.
    cell: usize,
    /// How many owners of the lock had died when the wait began.
    epoch: u32,
    deadline: Deadline,
}

impl RawCondvar {
    /// Most threads that can wait at a time.
    pub const MAX_WAITERS: usize = CELLS;

    /// Makes a condition variable on which nobody sleeps. All zero bytes are one.
    pub fn new() -> Self {
        Self {
            turn: Word::new(0),
            reserved: Word::new(0),
            lock: Word64::new(0),
            taken: Word64::new(0),
            cells: core::array::from_fn(|_| Word::new(0)),
            turns: core::array::from_fn(|_| Word::new(0)),
        }
    }

    /// Gives up `mutex`, which this process holds, sleeps until it is notified, at most until `deadline`, and takes
    /// `mutex` again, for as long as that takes. Returns why it woke, and in which condition it found the mutex.
    ///
    /// # Errors
    ///
    /// [`Unwaited`]; after [`Unwaited::Lost`] the mutex is not held.
    ///
    /// # If a peer dies
    ///
    /// As the documentation of this type says.
    ///
    /// # Safety
    ///
    /// It is the calling thread that took the mutex; nothing that the mutex guards is borrowed, and nobody counts on
    /// its being held after an error.
    pub unsafe fn wait<J: Judge + ?Sized>(
        &self,
        mutex: &RawMutex,
        judge: &J,
        deadline: Deadline,
    ) -> Result<(Wakeup, Outcome), Unwaited> {
        // SAFETY: the caller's promise.
        let end = unsafe { self.wait_with(Monitor::Mutex(mutex), judge, deadline) };
        let (wakeup, taken) = end?;
        Ok((wakeup, taken.outcome()))
    }

    /// [`wait`](Self::wait) with a mutex that this thread holds, however often: it is given up altogether, and then held
    /// as often again.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # If a peer dies
    ///
    /// As the documentation of this type says.
    ///
    /// # Safety
    ///
    /// As for [`wait`](Self::wait).
    pub unsafe fn wait_reentrant<J: Judge + ?Sized>(
        &self,
        mutex: &RawReentrantMutex,
        judge: &J,
        deadline: Deadline,
    ) -> Result<(Wakeup, Outcome), Unwaited> {
        // SAFETY: the caller's promise.
        let end = unsafe { self.wait_with(Monitor::Reentrant(mutex), judge, deadline) };
        let (wakeup, taken) = end?;
        Ok((wakeup, taken.outcome()))
    }

    /// Wakes the `n` threads that have waited longest, or all if there are fewer, and returns how many that were.
    ///
    /// # Errors
    ///
    /// [`NotifyError`]; nobody was woken.
    pub fn notify<J: Judge + ?Sized>(
        &self,
        mutex: &RawMutex,
        judge: &J,
        n: u32,
    ) -> Result<u32, NotifyError> {
        self.notify_with(Monitor::Mutex(mutex), judge, n)
    }

    /// [`notify`](Self::notify) with a mutex that this thread holds, however often.
    ///
    /// # Errors
    ///
    /// As [`notify`](Self::notify).
    pub fn notify_reentrant<J: Judge + ?Sized>(
        &self,
        mutex: &RawReentrantMutex,
        judge: &J,
        n: u32,
    ) -> Result<u32, NotifyError> {
        self.notify_with(Monitor::Reentrant(mutex), judge, n)
    }

    /// Returns how many threads slept a moment ago whom nobody had notified yet, the dead counting until somebody looks.
    pub fn waiters(&self) -> u32 {
        self.sleepers(false).count() as u32
    }

    /// Returns the processes of the threads that slept a moment ago and were notified, or not yet; the dead included.
    pub(crate) fn sleepers(&self, notified: bool) -> impl Iterator<Item = OwnerId> + '_ {
        let words = self.cells.iter().map(|cell| cell.load(Relaxed));
        words.filter(move |word| (word & NOTIFIED != 0) == notified).filter_map(OwnerId::from_word)
    }

    /// [`wait`](Self::wait) with either kind of lock.
    ///
    /// # Safety
    ///
    /// As for [`wait`](Self::wait).
    pub(crate) unsafe fn wait_with<J: Judge + ?Sized>(
        &self,
        monitor: Monitor<'_>,
        judge: &J,
        deadline: Deadline,
    ) -> Result<(Wakeup, Taken), Unwaited> {
        let me = judge.me().filter(|&me| monitor.is_held(me)).ok_or(Unwaited::NotOwner)?;
        let mutex = monitor.mutex();
        self.bind(mutex).map_err(|_| Unwaited::OtherLock)?;
        let cell = self.claim(me, judge).ok_or(Unwaited::TooManyWaiters)?;
        let wait = Wait { me, judge, mutex, cell, epoch: mutex.epoch(), deadline };
        let levels = monitor.levels();
        let mut slices = Slices::new();
        loop {
            // Cannot be refused: it is held.
            let _ = monitor.let_go(me);
            self.sleep(&wait, &mut slices);
            let taken = mutex.take(me, judge, Deadline::NEVER).map_err(Unwaited::Lost)?;
            let settled = self.settle(&wait);
            if let Some(end) = settled.transpose() {
                monitor.retake(me, levels);
                return end.map(|wakeup| (wakeup, taken));
            }
        }
    }

    /// [`notify`](Self::notify) with either kind of lock.
    pub(crate) fn notify_with<J: Judge + ?Sized>(
        &self,
        monitor: Monitor<'_>,
        judge: &J,
        n: u32,
    ) -> Result<u32, NotifyError> {
        let me = judge.me().filter(|&me| monitor.is_held(me)).ok_or(NotifyError::NotOwner)?;
        // Relaxed: written under the lock.
        if self.taken.load(Relaxed) == 0 {
            return Ok(0);
        }
        self.bind(monitor.mutex())?;
        self.pass_on(me, judge);
        for woken in 0..n {
            let Some(cell) = self.longest(me, judge, 0) else { return Ok(woken) };
            self.grant(cell);
        }
        Ok(n)
    }

    /// Under the lock: makes sure that it is *the* lock.
    fn bind(&self, mutex: &RawMutex) -> Result<(), NotifyError> {
        let here = core::ptr::from_ref(self).addr();
        // Never 0: they are two objects. The same in every process that has both in one mapping.
        let distance = core::ptr::from_ref(mutex).addr().wrapping_sub(here) as u64;
        // Relaxed, both: about this number alone; two locks' holders may be at it.
        let bound = match self.lock.load(Relaxed) {
            0 => self.lock.compare_exchange(0, distance, Relaxed, Relaxed).err(),
            bound => Some(bound),
        };
        if bound.is_none_or(|bound| bound == distance) {
            Ok(())
        } else {
            Err(NotifyError::OtherLock)
        }
    }

    /// Under the lock: takes a cell for this thread; `None` if living threads have them all.
    fn claim<J: Judge + ?Sized>(&self, me: OwnerId, judge: &J) -> Option<usize> {
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
    fn free(&self, cell: usize) {
        // Relaxed: written under the lock.
        self.cells[cell].swap(0, Relaxed);
        self.taken.store(self.taken.load(Relaxed) & !(1 << cell), Relaxed);
    }

    /// Outside the lock: until the thread is notified, its deadline has passed, or a death is to be looked at.
    fn sleep<J: Judge + ?Sized>(&self, wait: &Wait<'_, J>, slices: &mut Slices) {
        let me = wait.me.get();
        let mut slice = slices.next(wait.deadline);
        loop {
            let wake = self.cells[wait.cell].wait(me, slice);
            // Relaxed: what it says is acted on under the lock.
            if self.cells[wait.cell].load(Relaxed) != me {
                return;
            }
            // The clock as well as the sleep's end: signal handlers must not keep a slice from ever running out.
            if wake != Wake::TimedOut && !slice.has_passed() {
                continue;
            }
            if wait.deadline.has_passed() || self.has_somebody_died(wait) {
                return;
            }
            slice = slices.next(wait.deadline);
        }
    }

    /// At the end of a slice: whether a death is to be looked at under the lock, this process's own included.
    fn has_somebody_died<J: Judge + ?Sized>(&self, wait: &Wait<'_, J>) -> bool {
        if crash::ignores_deaths() {
            return false;
        }
        wait.judge.me() != Some(wait.me)
            || wait.mutex.epoch() != wait.epoch
            || wait.mutex.owner().is_some_and(|owner| is_dead(wait.judge, wait.me, owner))
            || self.is_grant_lost(wait)
    }

    /// Whether somebody who was notified has died, and not taken the lock since.
    fn is_grant_lost<J: Judge + ?Sized>(&self, wait: &Wait<'_, J>) -> bool {
        self.cells.iter().any(|cell| {
            // Acquire: pairs with the Release in `claim` and in `grant`: its owner had joined, so that the verdict is
            // about a participant whose lock the kernel has seen.
            let word = cell.load(Acquire);
            word & NOTIFIED != 0
                && OwnerId::from_word(word).is_none_or(|owner| is_dead(wait.judge, wait.me, owner))
        })
    }

    /// Under the lock, after a sleep: why it has ended, if it has; the cell is free then.
    fn settle<J: Judge + ?Sized>(&self, wait: &Wait<'_, J>) -> Result<Option<Wakeup>, Unwaited> {
        let word = || self.cells[wait.cell].load(Relaxed);
        if word() & !NOTIFIED != wait.me.get() {
            return Err(Unwaited::Corrupt { word: word() });
        }
        if word() & NOTIFIED == 0 {
            // It may be us whom it goes on to.
            self.pass_on(wait.me, wait.judge);
        }
        let wakeup = if word() & NOTIFIED != 0 {
            Wakeup::Notified
        } else if wait.mutex.epoch() != wait.epoch {
            Wakeup::OwnerDied
        } else if wait.deadline.has_passed() {
            Wakeup::TimedOut
        } else {
            return Ok(None);
        };
        self.free(wait.cell);
        Ok(Some(wakeup))
    }

    /// Under the lock: passes the notifications of the dead on to who slept when they were given.
    fn pass_on<J: Judge + ?Sized>(&self, me: OwnerId, judge: &J) {
        // The oldest first: fewer may have it.
        while let Some(dead) = self.oldest(|word| word & NOTIFIED != 0 && is_gone(judge, me, word))
        {
            if let Some(cell) = self.longest(me, judge, self.age(dead))
                && !crash::voids_grants()
            {
                self.grant(cell);
            }
            self.free(dead);
        }
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
    fn longest<J: Judge + ?Sized>(&self, me: OwnerId, judge: &J, age: u32) -> Option<usize> {
        loop {
            let cell = self.oldest(|word| word & NOTIFIED == 0)?;
            if self.age(cell) < age {
                return None;
            }
            if !is_gone(judge, me, self.cells[cell].load(Relaxed)) {
                return Some(cell);
            }
            self.free(cell);
        }
    }

    /// Under the lock: of the cells that are somebody's and such, the one whose turn is longest ago.
    fn oldest(&self, such: impl Fn(u32) -> bool) -> Option<usize> {
        // Relaxed, here and in `age` and `now`: written under the lock.
        let taken = self.taken.load(Relaxed);
        (0..CELLS)
            .filter(|cell| taken & 1 << cell != 0)
            .filter(|&cell| match self.cells[cell].load(Relaxed) {
                0 => false,
                word => such(word),
            })
            .max_by_key(|&cell| self.age(cell))
    }

    /// Under the lock: how many turns ago that of `cell` was.
    fn age(&self, cell: usize) -> u32 {
        self.now().wrapping_sub(self.turns[cell].load(Relaxed))
    }

    fn now(&self) -> u32 {
        self.turn.load(Relaxed)
    }

    /// Under the lock: notifies who sleeps on `cell`.
    fn grant(&self, cell: usize) {
        // Relaxed: written under the lock.
        self.turns[cell].store(self.now(), Relaxed);
        // One step: killed before it we have notified nobody, after it he is awake. Release, by the call: pairs with the
        // Acquire in `is_grant_lost`.
        self.cells[cell].wake_op(Op::or(NOTIFIED), 1);
    }
}

/// Returns whether nobody has this cell any more: its owner is dead, or could not be.
fn is_gone<J: Judge + ?Sized>(judge: &J, me: OwnerId, word: u32) -> bool {
    // Bit 30 is never set.
    let owner = OwnerId::from_word(word).filter(|owner| owner.get() == word & !NOTIFIED);
    owner.is_none_or(|owner| is_dead(judge, me, owner))
}

/// Returns whether `owner` is dead, or could not be alive.
fn is_dead<J: Judge + ?Sized>(judge: &J, me: OwnerId, owner: OwnerId) -> bool {
    matches!(ask(judge, me, owner), Verdict::Dead | Verdict::Nobody)
}

impl Default for RawCondvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawCondvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [waiting, notified] = [false, true].map(|it| self.sleepers(it).collect::<Vec<_>>());
        let mut debug = f.debug_struct("RawCondvar");
        debug.field("waiting", &waiting).field("notified", &notified).finish()
    }
}
