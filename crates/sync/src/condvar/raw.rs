//! The condition variable: exactly as many sleepers woken as there are notifications.
//!
//! One word for each sleeping thread, as in POSIX threads' older condition variables with a queue; a single sequence
//! number, as newer ones have, cannot tell whom a notification reached, and so not whether it died with him.

use core::any::Any;
use core::cell::Cell;
use core::fmt;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use shmkit_atomic::Ordering::Relaxed;
use shmkit_roster::{Judge, OwnerId, Verdict};

use crate::condvar::monitor::Monitor;
use crate::condvar::sleepers::{CondvarFrame, Own, SleeperCell, Sleepers, is_dead};
#[cfg(loom)]
use crate::crash;
use crate::outcome::Taken;
use crate::patience::GivenUp;
use crate::seats::Seats;
use crate::wait::Wait;
use crate::{
    LockFailure, NotifyError, Outcome, Patience, RawMutex, Seating, Unwaited, Wakeup, mutex,
};

/// Faults are only seeded in models.
#[cfg(not(loom))]
mod crash {
    pub(super) const fn ignores_deaths() -> bool {
        false
    }
}

/// A condition variable: threads sleep on it, having given up a lock, until others notify them under that lock.
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
#[derive(Clone, Copy)]
pub struct RawCondvar<'a> {
    sleepers: Sleepers<'a>,
}

/// One thread's stay among the sleepers.
struct Stay<'w, J: ?Sized> {
    me: OwnerId,
    judge: &'w J,
    mutex: &'w RawMutex,
    /// The thread's cell.
    cell: usize,
    /// How many owners of the lock had died when the wait began.
    epoch: u32,
    /// How the lock was found when it was taken again; `None` while it is given up.
    held: Cell<Option<Taken>>,
}

impl<J: Judge + ?Sized> Stay<'_, J> {
    /// Returns whether the roster has lost our place, as others of our threads may find out meanwhile, or the last verdict
    /// has. Then we are dead to the others: what we take is taken from us, and what we were given goes on.
    fn is_out_of_place(&self) -> bool {
        self.judge.me() != Some(self.me)
    }

    /// Returns whether an owner of the lock has died since, or this process has lost its place.
    fn is_unsettled(&self) -> bool {
        self.is_out_of_place() || self.mutex.epoch() != self.epoch
    }

    /// Returns whether nobody will ever release the lock: its owner is dead, or its word names nobody that could be.
    fn is_lock_lost(&self) -> bool {
        // Relaxed: a hint. Who takes the lock looks again, and says what is wrong with it.
        match mutex::raw::owner(self.mutex.word.load(Relaxed)) {
            Ok(owner) => owner.is_some_and(|owner| is_dead(self.judge, self.me, owner)),
            Err(_) => true,
        }
    }
}

/// What a look under the lock came to, after a sleep.
enum Settled {
    /// The sleep goes on.
    Asleep,
    /// It has ended, and the cell is free.
    Ended(Wakeup),
    /// It has ended, and nobody knows why: this stands in the cell.
    Corrupt(u32),
    /// The roster has lost our place.
    OutOfPlace,
}

/// A wait that is over, with the lock held again.
pub(crate) struct Over {
    /// Why it ended, or what stood in the cell instead of an answer.
    pub(crate) end: Result<Wakeup, u32>,
    /// How the lock was found. It may be told of nowhere else.
    pub(crate) taken: Taken,
}

impl Over {
    /// What the caller of a raw wait is told.
    fn told(self, monitor: Monitor<'_>) -> Result<(Wakeup, Outcome), Unwaited> {
        let outcome = monitor.outcome(self.taken);
        match self.end {
            Ok(wakeup) => Ok((wakeup, outcome)),
            Err(word) => Err(Unwaited::Corrupt { word, outcome }),
        }
    }
}

impl<'a> RawCondvar<'a> {
    /// Makes a condition variable of its words: a cell for every thread that may wait at a time.
    ///
    /// # Panics
    ///
    /// If there are fewer cells than a [`Seating`] (packed) of the frame's seats says.
    pub fn new(frame: &'a CondvarFrame, cells: &'a [SleeperCell]) -> Self {
        Self::seated(frame, Seats::new(cells, Seating::packed(frame.seats())))
    }

    pub(crate) fn seated(frame: &'a CondvarFrame, seats: Seats<'a, SleeperCell>) -> Self {
        Self { sleepers: Sleepers::new(frame, seats) }
    }

    /// Returns how many threads can wait at a time.
    pub fn seats(self) -> u32 {
        self.sleepers.seats()
    }

    /// Gives up `lock`, which the caller holds, sleeps until it is notified, for as long as the caller has `patience`, and
    /// takes `lock` again, for as long as that takes. Returns why it woke, and in which condition it found the lock: of a
    /// [`RawLock`](crate::RawLock), which remembers nothing, whether it was taken from somebody dead.
    ///
    /// Told to stop when it has been notified, it hands that on to whoever has slept longest of those who slept at the
    /// time; if there is nobody, it *is* notified.
    ///
    /// # Errors
    ///
    /// [`Unwaited`]; after [`Unwaited::Lost`] the lock is not held.
    ///
    /// # If a peer dies
    ///
    /// As the documentation of this type says.
    ///
    /// # Safety
    ///
    /// It is the calling thread that took the lock; nothing that the lock guards is borrowed, and nobody counts on
    /// its being held after an error.
    pub unsafe fn wait<'m, 'p, J: Judge + ?Sized>(
        self,
        lock: impl Into<Monitor<'m>>,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<(Wakeup, Outcome), Unwaited> {
        let monitor = lock.into();
        // SAFETY: the caller's promise.
        let over = unsafe { self.wait_with(monitor, judge, patience) };
        over?.told(monitor)
    }

    /// Wakes the `n` threads that have waited longest, or all if there are fewer, and returns how many that were.
    ///
    /// For the thread that took `lock`, of which a mutex knows only the *process* that holds it: were two threads of this process to
    /// notify at a time, they would count one sleeper twice, and another would sleep on. (Guards see to it.)
    ///
    /// # Errors
    ///
    /// [`NotifyError`]; nobody was woken.
    pub fn notify<'m, J: Judge + ?Sized>(
        self,
        lock: impl Into<Monitor<'m>>,
        judge: &J,
        n: u32,
    ) -> Result<u32, NotifyError> {
        self.notify_with(lock.into(), judge, n)
    }

    /// Returns how many threads slept a moment ago whom nobody had notified yet, the dead counting until somebody looks.
    pub fn waiters(self) -> u32 {
        self.sleepers.owners(false).count() as u32
    }

    /// Returns who sleeps.
    #[cfg(not(loom))]
    pub(crate) fn sleepers(self) -> Sleepers<'a> {
        self.sleepers
    }

    /// [`wait`](Self::wait), telling all that was found.
    ///
    /// # Safety
    ///
    /// As for [`wait`](Self::wait).
    pub(crate) unsafe fn wait_with<'p, J: Judge + ?Sized>(
        self,
        monitor: Monitor<'_>,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Over, Unwaited> {
        let me = judge.me().filter(|&me| monitor.is_held(me)).ok_or(Unwaited::NotOwner)?;
        let mutex = monitor.mutex();
        self.bind(mutex).map_err(|_| Unwaited::OtherLock)?;
        let cell = self.sleepers.claim(me, judge).ok_or(Unwaited::TooManyWaiters)?;
        let stay = Stay { me, judge, mutex, cell, epoch: mutex.epoch(), held: Cell::new(None) };
        let levels = monitor.levels();
        let patience = patience.into();
        // What the judge throws, or what patience asks, goes on with the lock held: the caller's guard is about to release it.
        let (over, thrown) = match contain(|| self.stay(&stay, monitor, patience)) {
            Ok(over) => (over?, None),
            Err(thrown) => {
                // Nobody is asked any more. If the lock is not to be had like that, the throw ends here: as an error.
                let Stay { epoch, held, .. } = stay;
                let stay = Stay { judge: &Blind(me), me, mutex, cell, epoch, held };
                (self.end(&stay)?, Some(thrown))
            }
        };
        monitor.retake(me, levels);
        match thrown {
            None => Ok(over),
            Some(thrown) => resume_unwind(thrown),
        }
    }

    /// Gives up the lock, and takes it again when the stay is over.
    fn stay<J: Judge + ?Sized>(
        self,
        stay: &Stay<'_, J>,
        monitor: Monitor<'_>,
        patience: Patience<'_>,
    ) -> Result<Over, Unwaited> {
        let mut wait =
            Wait::new(patience, stay.me, stay.judge).watched(&self.sleepers.frame().watch);
        loop {
            stay.held.set(None);
            // Refused only if it is a lock that somebody else has released: it is given up, then.
            let _ = monitor.let_go(stay.me);
            let slept = self.sleep(stay, &mut wait);
            if stay.is_out_of_place() {
                return Err(Unwaited::Lost(LockFailure::NotJoined));
            }
            let taken = self.take_again(stay)?;
            let end = match self.settle(stay, slept.and_then(|()| wait.check()).err()) {
                Settled::Asleep => continue,
                Settled::Ended(wakeup) => Ok(wakeup),
                Settled::Corrupt(word) => Err(word),
                // Nothing is released: to the others we are dead, and the lock is theirs to inherit. They may be at it.
                Settled::OutOfPlace => return Err(Unwaited::Lost(LockFailure::NotJoined)),
            };
            return Ok(Over { end, taken });
        }
    }

    /// Ends a stay out of which something was thrown, with the lock held.
    fn end(self, stay: &Stay<'_, Blind>) -> Result<Over, Unwaited> {
        let taken = match stay.held.get() {
            Some(taken) => taken,
            None => self.take_again(stay)?,
        };
        match self.settle(stay, Some(GivenUp::Interrupted)) {
            Settled::Corrupt(word) => Ok(Over { end: Err(word), taken }),
            // Whoever is told to stop does not sleep on, and the blind lose no place.
            _ => Ok(Over { end: Ok(Wakeup::Interrupted), taken }),
        }
    }

    fn take_again<J: Judge + ?Sized>(self, stay: &Stay<'_, J>) -> Result<Taken, Unwaited> {
        let taken = stay.mutex.take(stay.me, stay.judge, Patience::ENDLESS);
        let taken = taken.map_err(|failure| {
            // Who has no place any more is dead to the others, and its cell with it.
            if !stay.is_out_of_place() {
                self.sleepers.abandon(stay.cell, stay.me);
            }
            Unwaited::Lost(failure)
        })?;
        stay.held.set(Some(taken));
        Ok(taken)
    }

    /// [`notify`](Self::notify) with either kind of lock.
    pub(crate) fn notify_with<J: Judge + ?Sized>(
        self,
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
        Ok(self.sleepers.notify(me, judge, n))
    }

    /// Makes sure that it is *the* lock, from now on.
    pub(crate) fn bind(self, mutex: &RawMutex) -> Result<(), NotifyError> {
        let frame = self.sleepers.frame();
        let here = core::ptr::from_ref(frame).addr() as u64;
        // Never 0: they are two objects. The same in every process that has both in one mapping.
        let distance = (core::ptr::from_ref(mutex).addr() as u64).wrapping_sub(here);
        // Relaxed, both: about this number alone; two locks' holders may be at it.
        let bound = match frame.lock.load(Relaxed) {
            0 => frame.lock.compare_exchange(0, distance, Relaxed, Relaxed).err(),
            bound => Some(bound),
        };
        if bound.is_none_or(|bound| bound == distance) {
            Ok(())
        } else {
            Err(NotifyError::OtherLock)
        }
    }

    /// Outside the lock: until the thread is notified, its patience has ended, or a death is to be looked at.
    ///
    /// # Errors
    ///
    /// [`GivenUp::Interrupted`].
    fn sleep<J: Judge + ?Sized>(
        self,
        stay: &Stay<'_, J>,
        wait: &mut Wait<'_, J>,
    ) -> Result<(), GivenUp> {
        loop {
            let wake = self.sleepers.sleep(stay.cell, stay.me, wait.until());
            if self.sleepers.own(stay.cell, stay.me) != Own::Asleep {
                return Ok(());
            }
            let looks = wait.slept(wake)?;
            if wait.check().is_err() || self.has_somebody_died(stay, wait, looks) {
                return Ok(());
            }
        }
    }

    /// Whether a death is to be looked at under the lock, this process's own included: what is told by words at each end of
    /// a sleep, and what the judge is asked about when it is our turn to look.
    fn has_somebody_died<J: Judge + ?Sized>(
        self,
        stay: &Stay<'_, J>,
        wait: &mut Wait<'_, J>,
        looks: bool,
    ) -> bool {
        if crash::ignores_deaths() {
            return false;
        }
        let lost =
            looks && (stay.is_lock_lost() || self.sleepers.is_grant_lost(stay.me, stay.judge));
        if looks {
            wait.heard(true);
        }
        lost || stay.is_unsettled()
    }

    /// Under the lock, after a sleep: why it has ended, if it has. `why`: the caller gives up.
    fn settle<J: Judge + ?Sized>(self, stay: &Stay<'_, J>, why: Option<GivenUp>) -> Settled {
        let own = || self.sleepers.own(stay.cell, stay.me);
        if own() == Own::Asleep {
            // It may be us whom a dead one's notification goes on to.
            self.sleepers.pass_on(stay.me, stay.judge);
        }
        if stay.is_out_of_place() {
            // The cell stays as it is: a dead one's, from which the others pass on what it was given.
            return Settled::OutOfPlace;
        }
        let stopped = why == Some(GivenUp::Interrupted);
        let wakeup = match own() {
            Own::Corrupt(word) => return Settled::Corrupt(word),
            Own::Notified if stopped && self.sleepers.hand_on(stay.cell, stay.me, stay.judge) => {
                Wakeup::Interrupted
            }
            Own::Notified => Wakeup::Notified,
            Own::Asleep if stay.mutex.epoch() != stay.epoch => {
                self.sleepers.tell(stay.mutex.epoch());
                Wakeup::OwnerDied
            }
            Own::Asleep => match why {
                None => return Settled::Asleep,
                // Nobody is asked about but owners of the lock, which we hold, and a peer.
                Some(GivenUp::TimedOut | GivenUp::CannotJudge) => Wakeup::TimedOut,
                Some(GivenUp::Interrupted) => Wakeup::Interrupted,
                Some(GivenUp::PeerDied(peer)) => Wakeup::PeerDied(peer),
            },
        };
        self.sleepers.free(stay.cell);
        Settled::Ended(wakeup)
    }
}

/// A judge of whom nothing is asked any more: it knows who we are and nothing else.
struct Blind(OwnerId);

// SAFETY: it calls nobody dead, and gives the id only that the participant's own judge has given.
unsafe impl Judge for Blind {
    fn me(&self) -> Option<OwnerId> {
        Some(self.0)
    }

    fn verdict(&self, _: OwnerId) -> Verdict {
        Verdict::Unknown
    }
}

/// Catches what is thrown. Not in a model, in which a death unwinds, and the dead do nothing.
fn contain<R>(stay: impl FnOnce() -> R) -> Result<R, Box<dyn Any + Send>> {
    if cfg!(loom) { Ok(stay()) } else { catch_unwind(AssertUnwindSafe(stay)) }
}

impl fmt::Debug for RawCondvar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [waiting, notified] =
            [false, true].map(|it| self.sleepers.owners(it).collect::<Vec<_>>());
        let mut debug = f.debug_struct("RawCondvar");
        debug.field("waiting", &waiting).field("notified", &notified).finish()
    }
}
