//! The condition variable in a region.

use core::fmt;
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::{
    CachePadded, Kind, NameWords, Object, Offset, Region, Shape, ShapeError, TypeTag, align_up,
};
use shmkit_roster::{Judge, Seat};

use crate::condvar::monitor::Monitor;
use crate::condvar::raw::Over;
use crate::seats::Seats;
use crate::who::Who;
use crate::{
    CondvarFrame, NotifyError, Outcome, Patience, RawCondvar, Seated, Seating, SleeperCell,
    WaitError, Waitable, Wakeup,
};

/// Something to sleep on until somebody else has made a condition true.
///
/// The condition is about data under a lock, a [`Mutex`](crate::Mutex), [`ReentrantMutex`](crate::ReentrantMutex),
/// [`RLock`](crate::RLock) or [`Lock`](crate::Lock), which the waiting threads give up while they sleep. A condition
/// variable belongs to the lock that it is [made](Self::with_lock) or first waited with; both lie in the same segment (the
/// same mapping). A lock may have several condition variables.
///
/// It lies in a [`Region`]: make one with [`Object::init`], use it in other processes with [`Object::attach`]. The
/// handle is its place and a keeper `K`; threads may share it. As many threads can
/// wait at a time as there are places in the roster, and 1,024 more, unless it is made with other [`Seated::seats`].
///
/// ```text
/// 0 CondvarFrame | padding to 128 | sleepers' cells, as Seating lays them out
/// ```
///
/// A notification wakes exactly as many sleepers as it says, those that have waited longest, and none is stored for who
/// comes later: a thread whose deadline passes at that moment has either been counted and reports it, or has not.
///
/// Change the condition and notify while the lock is held *once*: whoever changes it, releases the lock, takes it again and
/// only then notifies, may be killed in between, when it holds nothing. Then nobody is told of the change.
///
/// # If a peer dies
///
/// * *asleep*, it is not counted, and harms nobody;
/// * *notified*, before it has its lock again: its notification goes on to the next one who slept at the time;
/// * *while it holds the lock*, notifying or not: one of the waiting threads, or whoever comes first, takes the lock over
///   and is told so; all others wake as well, with [`Wakeup::OwnerDied`], to look at the condition again.
///
/// All of this takes at most about 40 ms longer than the death. A process that is merely stopped is alive, and a
/// notification that it got stays with it.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use memmap2::MmapRaw;
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// use shmkit_sync::{Condvar, Mutex, Seated};
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(4096)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let letters = unsafe { Mutex::init(region.sub(0, 1024)?, 0_u32, participant) }?;
/// // SAFETY: as above.
/// let arrived = unsafe { Condvar::init(region.sub(1024, 1024)?, Seated::new(()).seats(64), participant) }?;
/// # std::thread::scope(|scope| -> Result<(), Box<dyn std::error::Error>> {
/// # scope.spawn(|| {
///
/// // One process:
/// let mut box_ = letters.lock().unwrap();
/// *box_ += 1;
/// arrived.notify_one(&box_).unwrap();
/// # drop(box_);
/// # });
///
/// // Another:
/// let box_ = letters.lock()?;
/// let mut box_ = arrived.wait_while(box_, |letters| *letters == 0)?;
/// *box_ -= 1;
/// # Ok(())
/// # })?;
/// # Ok(())
/// # }
/// ```
pub struct Condvar<K: Judge = Seat> {
    raw: RawCondvar<'static>,
    /// Keeps mapped what the others lead to; so it is dropped last.
    keeper: K,
}

impl<K: Judge + Clone> Clone for Condvar<K> {
    fn clone(&self) -> Self {
        Self { raw: self.raw, keeper: self.keeper.clone() }
    }
}

impl<K: Judge + Copy> Copy for Condvar<K> {}

/// What a wait with a limit gives: the lock, which is held again, and why or with what.
pub type WaitResult<G, W> = Result<(G, W), WaitError<G>>;

impl<K: Judge> Condvar<K> {
    /// Says which lock it belongs to, in all processes: Python's `Condition(lock)`. Without it the first one that is waited
    /// with is. An [`RLock`](crate::RLock) or a [`Lock`](crate::Lock) need not be held for this; of another lock it is the
    /// guard.
    ///
    /// So who makes the two learns at once that they do not go together, and not the first one who waits.
    ///
    /// # Errors
    ///
    /// [`NotifyError::OtherSegment`] if the lock lies in another segment, [`NotifyError::OtherLock`] if it belongs to
    /// another one already; `NotOwner` in a forked child that has not joined.
    pub fn with_lock<G: Waitable>(self, lock: &G) -> Result<Self, NotifyError> {
        self.monitor(lock).and_then(|monitor| self.raw.bind(monitor.mutex()))?;
        Ok(self)
    }

    /// Gives up the lock, sleeps until somebody notifies this thread, and takes the lock again.
    ///
    /// It also returns when an owner of the lock has died meanwhile ([`Wakeup::OwnerDied`], which this form does not
    /// tell from a notification): so look at the condition again, or let [`wait_while`](Self::wait_while) do so.
    ///
    /// # Errors
    ///
    /// [`WaitError`]. It carries the lock, which is held unless it is [`WaitError::NotOwner`], or was lost
    /// ([`WaitError::Lost`]).
    ///
    /// # If a peer dies
    ///
    /// [`WaitError::OwnerDied`] if this thread takes over from a dead owner of the lock. A notification that it had got by
    /// then is used up, and told with it.
    pub fn wait<G: Waitable>(&self, guard: G) -> Result<G, WaitError<G>> {
        self.wait_by(guard, Deadline::NEVER).map(|(guard, _)| guard)
    }

    /// [`wait`](Self::wait) for at most `wait`, on the monotonic clock, and says why it ended. A wait that overflows the
    /// clock is for ever.
    ///
    /// Taking the lock again is not limited.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # If a peer dies
    ///
    /// As with [`wait`](Self::wait).
    pub fn wait_timeout<G: Waitable>(&self, guard: G, wait: Duration) -> WaitResult<G, Wakeup> {
        self.wait_by(guard, Deadline::after(wait))
    }

    /// [`wait`](Self::wait) until `deadline` at most, or for as long as a [`Patience`] lasts, and says why it ended.
    ///
    /// Taking the lock again is not limited.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # If a peer dies
    ///
    /// As with [`wait`](Self::wait).
    pub fn wait_deadline<'p, G: Waitable>(
        &self,
        guard: G,
        deadline: impl Into<Patience<'p>>,
    ) -> WaitResult<G, Wakeup> {
        self.wait_by(guard, deadline)
    }

    /// Waits while `busy` returns true, as `std`'s does: not at all if it returns false at once. It looks at the data, with
    /// the lock held, after every [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # If a peer dies
    ///
    /// As with [`wait`](Self::wait); `busy` is asked after every death of an owner that another thread was told of.
    pub fn wait_while<G: Waitable>(
        &self,
        guard: G,
        busy: impl FnMut(&mut G::Data) -> bool,
    ) -> Result<G, WaitError<G>> {
        self.wait_while_by(guard, Patience::ENDLESS, busy).map(|(guard, _)| guard)
    }

    /// [`wait_while`](Self::wait_while) for at most `wait`; returns what `busy` returned last.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # If a peer dies
    ///
    /// As with [`wait_while`](Self::wait_while).
    pub fn wait_while_timeout<G: Waitable>(
        &self,
        guard: G,
        busy: impl FnMut(&mut G::Data) -> bool,
        wait: Duration,
    ) -> WaitResult<G, bool> {
        self.wait_while_by(guard, wait, busy)
    }

    /// [`wait_while`](Self::wait_while) until `deadline` at most, an `Instant` or any [`Patience`]; returns what `busy`
    /// returned last.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait); [`WaitError::Interrupted`] and [`WaitError::PeerDied`], with the lock, if `busy` still
    /// returned true then.
    ///
    /// # If a peer dies
    ///
    /// As with [`wait_while`](Self::wait_while).
    pub fn wait_while_deadline<'p, G: Waitable>(
        &self,
        guard: G,
        busy: impl FnMut(&mut G::Data) -> bool,
        deadline: impl Into<Patience<'p>>,
    ) -> WaitResult<G, bool> {
        self.wait_while_by(guard, deadline, busy)
    }

    /// Wakes the `n` threads that have waited longest, or all if there are fewer, and returns how many that were. They
    /// go on one after the other, when the lock is released.
    ///
    /// Costs next to nothing if nobody waits.
    ///
    /// # Errors
    ///
    /// [`NotifyError`] if the caller does not hold the lock, or it is not the lock of this condition variable.
    pub fn notify<G: Waitable>(&self, guard: &G, n: u32) -> Result<u32, NotifyError> {
        self.raw.notify_with(self.monitor(guard)?, guard.judge(), n)
    }

    /// Wakes the thread that has waited longest, if there is one, and returns how many that were.
    ///
    /// # Errors
    ///
    /// As [`notify`](Self::notify).
    pub fn notify_one<G: Waitable>(&self, guard: &G) -> Result<u32, NotifyError> {
        self.notify(guard, 1)
    }

    /// Wakes all threads that wait, and returns how many they were.
    ///
    /// # Errors
    ///
    /// As [`notify`](Self::notify).
    pub fn notify_all<G: Waitable>(&self, guard: &G) -> Result<u32, NotifyError> {
        self.notify(guard, u32::MAX)
    }

    /// Returns how many threads slept a moment ago whom nobody had notified yet, the dead counting until somebody looks.
    pub fn waiters(&self) -> u32 {
        self.raw.waiters()
    }

    /// Returns the machine below, to be shown or watched.
    pub fn raw(&self) -> RawCondvar<'_> {
        self.raw
    }

    /// The whole of all forms that look at a condition.
    fn wait_while_by<'p, G: Waitable>(
        &self,
        mut guard: G,
        patience: impl Into<Patience<'p>>,
        mut busy: impl FnMut(&mut G::Data) -> bool,
    ) -> WaitResult<G, bool> {
        let patience = patience.into();
        let mut wakeup = Wakeup::Notified;
        loop {
            if !self.is_held(&guard) {
                return Err(WaitError::NotOwner(guard));
            }
            if !busy(guard.data()) {
                return Ok((guard, false));
            }
            match wakeup {
                Wakeup::TimedOut => return Ok((guard, true)),
                Wakeup::Interrupted => return Err(WaitError::Interrupted(guard)),
                Wakeup::PeerDied(peer) => return Err(WaitError::PeerDied(guard, peer)),
                Wakeup::Notified | Wakeup::OwnerDied => {}
            }
            if patience.deadline().has_passed() {
                return Ok((guard, true));
            }
            (guard, wakeup) = self.wait_by(guard, patience)?;
        }
    }

    /// Returns whether this thread holds the lock, as this participant.
    fn is_held<G: Waitable>(&self, guard: &G) -> bool {
        let me = self.keeper.me();
        guard.monitor().is_some_and(|(id, monitor)| me == Some(id) && monitor.is_held(id))
    }

    /// Returns the lock, if it was taken in the name of the participant whose handle this is. If it is another's, it may be
    /// of another roster, whose ids mean nothing here, and in another mapping.
    fn monitor<'g, G: Waitable>(&self, guard: &'g G) -> Result<Monitor<'g>, NotifyError> {
        let ours = guard.monitor().filter(|&(id, _)| self.keeper.me() == Some(id));
        let (_, monitor) = ours.ok_or(NotifyError::NotOwner)?;
        if guard.judge().place() == self.keeper.place() {
            Ok(monitor)
        } else {
            Err(NotifyError::OtherSegment)
        }
    }

    /// The whole of all forms of waiting.
    fn wait_by<'p, G: Waitable>(
        &self,
        mut guard: G,
        patience: impl Into<Patience<'p>>,
    ) -> WaitResult<G, Wakeup> {
        let monitor = match self.monitor(&guard) {
            Ok(monitor) => monitor,
            Err(NotifyError::OtherSegment) => return Err(WaitError::OtherSegment(guard)),
            Err(NotifyError::NotOwner | NotifyError::OtherLock) => {
                return Err(WaitError::NotOwner(guard));
            }
        };
        if !guard.is_alone() {
            return Err(WaitError::NotAlone(guard));
        }
        // SAFETY: a guard, which stays with its thread, or an `RLock`, whose owner is a thread, is what this thread has
        // taken, in the name of the guard's judge, who is asked about its owners. The data is borrowed through the guard
        // only (a reentrant mutex has no other, `is_alone`), which we own, and which ends if its lock is lost
        // (`WaitError::new`). An `RLock` guards nothing, and neither does a `Lock`, whose owner
        // is any thread of this process.
        let end = unsafe { self.raw.wait_with(monitor, guard.judge(), patience) };
        let Over { end, taken } = match end {
            Ok(over) => over,
            Err(why) => return Err(WaitError::new(why, guard)),
        };
        match (end, guard.retaken(taken)) {
            (Ok(wakeup), None) => Ok((guard, wakeup)),
            (Ok(wakeup), Some(complaint)) => Err(WaitError::complain(complaint, guard, wakeup)),
            // The one complaint that is made once; the others are made again with the next lock.
            (Err(_), Some(Outcome::OwnerDied)) => {
                Err(WaitError::OwnerDied(guard, Wakeup::OwnerDied))
            }
            (Err(_), _) => Err(WaitError::Corrupt(guard)),
        }
    }

    /// Finds frame and cells in `region`.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`].
    unsafe fn place(region: Region<'_>, seating: Seating, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let frame = region.get::<CondvarFrame>(Offset::ZERO)?;
        let seats: Seats<'static, SleeperCell> = Seats::place(region, CELLS, seating)?;
        Ok(Self { raw: RawCondvar::seated(frame, seats), keeper })
    }
}

/// How many threads can wait at a time unless it is said: one of each participant, and as many besides as a program may
/// have of its own.
fn usual(places: u32) -> u32 {
    places.saturating_add(1024)
}

const ALIGN: u64 = align_of::<CachePadded<u8>>() as u64;
/// Where the cells begin, in bytes.
const CELLS: u64 = match align_up(size_of::<CondvarFrame>() as u64, ALIGN) {
    Some(bytes) => bytes,
    None => unreachable!(),
};

#[cfg(feature = "serde")]
shmkit_roster::travels!([] Condvar, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone, and it names participants in the cells.
unsafe impl<K: Judge> Object<K> for Condvar<K> {
    const KIND: Kind = Kind::new("condvar");
    const TAG: TypeTag = TypeTag::NONE;

    /// How many threads can wait at a time.
    type Spec = Seated<()>;

    fn shape(spec: &Seated<()>, places: u32) -> Result<Shape, ShapeError> {
        let seating = Seating::packed(spec.or(usual(places))?);
        let cells = NameWords::many(CELLS as u32, 8, seating.cells() as u32);
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len: 1,
            bytes: CELLS + seating.bytes(),
            align: ALIGN,
            names: cells.alone(),
        })
    }

    unsafe fn init(region: Region<'_>, spec: Seated<()>, keeper: K) -> Result<Self, ShapeError> {
        let seating = Seating::packed(spec.or(usual(keeper.places()))?);
        // SAFETY: the caller's promises.
        let condvar = unsafe { Self::place(region, seating, keeper) }?;
        // The other bytes are zero (caller): nobody sleeps.
        region.get::<CondvarFrame>(Offset::ZERO)?.set_seats(seating.seats());
        Ok(condvar)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        ShapeError::unless_one(len)?;
        let seating =
            Seating::packed(Seating::check(region.get::<CondvarFrame>(Offset::ZERO)?.seats())?);
        // SAFETY: the caller's promises.
        unsafe { Self::place(region, seating, keeper) }
    }
}

/// Shows whose threads sleep, and whose were notified and do not have the lock yet.
impl<K: Judge> fmt::Debug for Condvar<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sleepers = |notified| {
            let owners = self.raw.sleepers().owners(notified);
            owners.map(|owner| Who(&self.keeper, owner)).collect::<Vec<_>>()
        };
        let mut debug = f.debug_struct("Condvar");
        debug.field("waiting", &sleepers(false)).field("notified", &sleepers(true)).finish()
    }
}
