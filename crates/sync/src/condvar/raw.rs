//! The condition variable: exactly as many sleepers woken as there are notifications.
//!
//! One word for each sleeping thread, as in POSIX threads' older condition variables with a queue; a single sequence
//! number, as newer ones have, cannot tell whom a notification reached, and so not whether it died with him.

use core::fmt;

use shmkit_atomic::Deadline;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::futex::Wake;
#[cfg(not(loom))]
use shmkit_layout::Shared;
use shmkit_roster::{Judge, OwnerId};

use crate::condvar::monitor::Monitor;
use crate::condvar::sleepers::{CELLS, Own, Sleepers, is_dead};
#[cfg(loom)]
use crate::crash;
use crate::outcome::Taken;
use crate::word::Word64;
use crate::{NotifyError, Outcome, RawMutex, RawReentrantMutex, Slices, Unwaited, Wakeup};

/// Faults are only seeded in models.
#[cfg(not(loom))]
mod crash {
    pub(super) const fn ignores_deaths() -> bool {
        false
    }
}

/// A condition variable: threads sleep on it, having given up a lock, until others notify them under that lock.
///
/// ```text
/// lock      where the lock lies, in bytes from here, modulo 2^64; 0 = nobody has waited yet
/// sleepers  a word, a place in the queue and a process for each sleeping thread
/// ```
///
/// Everything is changed *under the lock*, which is a robust one; a cell has an owner while its thread is between
/// beginning to wait and having the lock again.
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
    lock: Word64,
    sleepers: Sleepers,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawCondvar>() == 536, "part of the segment format");

// SAFETY: `repr(C)`, made of `Shared` types without a gap: 8 and 528 bytes.
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
        Self { lock: Word64::new(0), sleepers: Sleepers::new() }
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
        self.sleepers.owners(false).count() as u32
    }

    /// Returns who sleeps.
    #[cfg(not(loom))]
    pub(crate) fn sleepers(&self) -> &Sleepers {
        &self.sleepers
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
        let cell = self.sleepers.claim(me, judge).ok_or(Unwaited::TooManyWaiters)?;
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
        if self.sleepers.is_empty() {
            return Ok(0);
        }
        self.bind(monitor.mutex())?;
        self.sleepers.pass_on(me, judge);
        for woken in 0..n {
            let Some(cell) = self.sleepers.longest(me, judge, 0) else { return Ok(woken) };
            self.sleepers.grant(cell, self.sleepers.now());
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

    /// Outside the lock: until the thread is notified, its deadline has passed, or a death is to be looked at.
    fn sleep<J: Judge + ?Sized>(&self, wait: &Wait<'_, J>, slices: &mut Slices) {
        let mut slice = slices.next(wait.deadline);
        loop {
            let wake = self.sleepers.sleep(wait.cell, wait.me, slice);
            if self.sleepers.own(wait.cell, wait.me) != Own::Asleep {
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
            || self.sleepers.is_grant_lost(wait.me, wait.judge)
    }

    /// Under the lock, after a sleep: why it has ended, if it has; the cell is free then.
    fn settle<J: Judge + ?Sized>(&self, wait: &Wait<'_, J>) -> Result<Option<Wakeup>, Unwaited> {
        let own = || self.sleepers.own(wait.cell, wait.me);
        match own() {
            Own::Notified => {}
            // It may be us whom a dead one's notification goes on to.
            Own::Asleep => self.sleepers.pass_on(wait.me, wait.judge),
            Own::Corrupt(word) => return Err(Unwaited::Corrupt { word }),
        }
        let wakeup = if own() == Own::Notified {
            Wakeup::Notified
        } else if wait.mutex.epoch() != wait.epoch {
            Wakeup::OwnerDied
        } else if wait.deadline.has_passed() {
            Wakeup::TimedOut
        } else {
            return Ok(None);
        };
        self.sleepers.free(wait.cell);
        Ok(Some(wakeup))
    }
}

impl Default for RawCondvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawCondvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [waiting, notified] =
            [false, true].map(|it| self.sleepers.owners(it).collect::<Vec<_>>());
        let mut debug = f.debug_struct("RawCondvar");
        debug.field("waiting", &waiting).field("notified", &notified).finish()
    }
}
