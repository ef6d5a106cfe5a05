//! Python's `RLock` in a region: a lock without data that its owner may acquire again.

use core::fmt;
use core::mem;
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::{
    CachePadded, Kind, Object, Offset, Region, Shape, ShapeError, TypeTag, align_up,
};
use shmkit_roster::{Judge, OwnerId, Seat, Verdict, ask};

use crate::condvar::monitor::Monitor;
use crate::condvar::waitable;
use crate::outcome::Taken;
use crate::{
    Acquired, Guard, LockFailure, NotOwner, Outcome, Patience, RawReentrantMutex, ThreadToken,
};

/// A lock that guards no data of its own and that its owner, one thread of one process, may acquire again; to be
/// released as often.
///
/// Two ways of using it: [`acquire`](Self::acquire) and [`release`](Self::release), or [`lock`](Self::lock), whose guard
/// releases when dropped. They may be mixed.
///
/// It is Python's `RLock` (R as in *recursive*), and no readers-writer lock: that is [`RwLock`](crate::RwLock). Beside it, a
/// [`ReentrantMutex`](crate::ReentrantMutex) is the same with data, which remembers whether anybody put them right; a
/// [`Lock`](crate::Lock) is not recursive, and anybody may release it.
///
/// It lies in a [`Region`]: make one with [`Object::init`], use it in other processes with [`Object::attach`]. The
/// handle is its place and a keeper `K`; threads may share it, and exclude each other.
///
/// # If a peer dies
///
/// The lock of a killed owner, however often it had acquired it, is taken over by the next one that asks, which has then
/// acquired it once, and is told by [`Acquired::OwnerDied`] who died. It is told of once; this lock does not
/// remember, as a [`Mutex`](crate::Mutex) does, whether anybody put things right.
///
/// A forked child inherits neither lock nor count: it is another process, which waits for its parent.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use memmap2::MmapRaw;
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// use shmkit_sync::{Acquired, NotOwner, RLock};
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(4096)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let printer = unsafe { RLock::init(region, (), participant) }?;
/// if let Acquired::OwnerDied(dead) = printer.acquire()? {
///     println!("{dead} was killed in the middle of a page");
/// }
/// {
///     let _again = printer.lock()?;
///     assert_eq!(printer.depth(), 2);
/// }
/// printer.release()?;
/// assert_eq!(printer.release(), Err(NotOwner));
/// # Ok(())
/// # }
/// ```
pub struct RLock<K: Judge = Seat> {
    raw: &'static RawReentrantMutex,
    /// Keeps mapped what the others lead to; so it is dropped last.
    keeper: K,
}

impl<K: Judge + Clone> Clone for RLock<K> {
    fn clone(&self) -> Self {
        Self { raw: self.raw, keeper: self.keeper.clone() }
    }
}

impl<K: Judge + Copy> Copy for RLock<K> {}

impl<K: Judge> RLock<K> {
    /// Acquires the lock, at once if this thread has it, and otherwise sleeping while somebody else has it, for as long
    /// as it takes. To be [released](Self::release) once for each time.
    ///
    /// # Errors
    ///
    /// [`LockFailure`], but never `TimedOut` or `WouldBlock`; the lock was not acquired (again).
    ///
    /// # If a peer dies
    ///
    /// [`Acquired::OwnerDied`] within about 40 ms of the death.
    #[inline]
    pub fn acquire(&self) -> Result<Acquired, LockFailure> {
        self.lock().map(RLockGuard::keep)
    }

    /// Acquires the lock if this thread or nobody alive has it.
    ///
    /// # Errors
    ///
    /// [`LockFailure`]; `WouldBlock` if somebody else has it.
    ///
    /// # If a peer dies
    ///
    /// [`Acquired::OwnerDied`] at once.
    #[inline]
    pub fn try_acquire(&self) -> Result<Acquired, LockFailure> {
        self.try_lock().map(RLockGuard::keep)
    }

    /// Acquires the lock, waiting for at most `wait`, on the monotonic clock. A wait that overflows the clock is for
    /// ever.
    ///
    /// # Errors
    ///
    /// [`LockFailure`]; `TimedOut` not before `wait` has passed.
    ///
    /// # If a peer dies
    ///
    /// As with [`acquire`](Self::acquire).
    pub fn acquire_timeout(&self, wait: Duration) -> Result<Acquired, LockFailure> {
        self.lock_timeout(wait).map(RLockGuard::keep)
    }

    /// Acquires the lock, waiting until `deadline` at most, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// [`LockFailure`]; `TimedOut` not before `deadline`.
    ///
    /// # If a peer dies
    ///
    /// As with [`acquire`](Self::acquire).
    pub fn acquire_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Acquired, LockFailure> {
        self.lock_deadline(deadline).map(RLockGuard::keep)
    }

    /// Undoes one acquisition of this thread; the last one frees the lock.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if this thread does not have the lock: nothing was touched.
    #[inline]
    pub fn release(&self) -> Result<(), NotOwner> {
        let me = self.keeper.me().ok_or(NotOwner)?;
        self.raw.release(me, ThreadToken::current())
    }

    /// Frees the lock that a thread of this process has, however often it has acquired it: for a thread that has ended and
    /// left it. While this process lives, nobody else can.
    ///
    /// Who releases the lock of a thread that still runs lets others in beside it, and its own release, or that of who was let
    /// in, may find that there is nothing to release, or leave the lock to the next call of this.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if no thread of this process has the lock: nothing was touched.
    pub fn force_release(&self) -> Result<(), NotOwner> {
        self.raw.break_up(self.keeper.me().ok_or(NotOwner)?)
    }

    /// [`acquire`](Self::acquire) until the end of a scope: the guard releases when dropped.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # If a peer dies
    ///
    /// [`RLockGuard::acquired`] tells, within about 40 ms of the death.
    #[inline]
    pub fn lock(&self) -> Result<RLockGuard<'_, &K>, LockFailure> {
        self.lock_by(Deadline::NEVER)
    }

    /// [`try_acquire`](Self::try_acquire) until the end of a scope.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    ///
    /// # If a peer dies
    ///
    /// [`RLockGuard::acquired`] tells, at once.
    #[inline]
    pub fn try_lock(&self) -> Result<RLockGuard<'_, &K>, LockFailure> {
        let (me, thread) = self.me()?;
        self.raw.try_take(me, thread, &self.keeper).map(|taken| self.guard(me, thread, taken))
    }

    /// [`acquire_timeout`](Self::acquire_timeout) until the end of a scope.
    ///
    /// # Errors
    ///
    /// As [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # If a peer dies
    ///
    /// As with [`lock`](Self::lock).
    pub fn lock_timeout(&self, wait: Duration) -> Result<RLockGuard<'_, &K>, LockFailure> {
        self.lock_by(Deadline::after(wait))
    }

    /// [`acquire_deadline`](Self::acquire_deadline) until the end of a scope.
    ///
    /// # Errors
    ///
    /// As [`acquire_deadline`](Self::acquire_deadline).
    ///
    /// # If a peer dies
    ///
    /// As with [`lock`](Self::lock).
    pub fn lock_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<RLockGuard<'_, &K>, LockFailure> {
        self.lock_by(deadline)
    }

    /// Returns how often this thread has acquired the lock, and not released it.
    pub fn depth(&self) -> u32 {
        self.raw.depth(&self.keeper)
    }

    /// Returns whether a thread of a living process has the lock, this one included.
    ///
    /// # If a peer dies
    ///
    /// The kernel is asked about whoever has it: what a dead one had is free to be acquired.
    pub fn locked(&self) -> bool {
        is_alive(&self.keeper, self.owner())
    }

    /// Returns which process had the lock a moment ago.
    pub fn owner(&self) -> Option<OwnerId> {
        self.raw.owner()
    }

    /// Returns the machine below, to be shown or watched.
    pub fn raw(&self) -> &RawReentrantMutex {
        self.raw
    }

    #[inline]
    fn me(&self) -> Result<(OwnerId, ThreadToken), LockFailure> {
        Ok((self.keeper.me().ok_or(LockFailure::NotJoined)?, ThreadToken::current()))
    }

    #[inline]
    fn lock_by<'p>(
        &self,
        patience: impl Into<Patience<'p>>,
    ) -> Result<RLockGuard<'_, &K>, LockFailure> {
        let (me, thread) = self.me()?;
        let taken = self.raw.take(me, thread, &self.keeper, patience)?;
        Ok(self.guard(me, thread, taken))
    }

    /// Turns a lock that was taken into its guard.
    #[inline]
    fn guard(&self, id: OwnerId, thread: ThreadToken, taken: Taken) -> RLockGuard<'_, &K> {
        let acquired = acquired(self.raw, &self.keeper, taken);
        RLockGuard { raw: self.raw, id, thread, acquired, keeper: &self.keeper }
    }
}

/// What the caller is told, who has just taken the lock.
#[inline]
fn acquired<J: Judge + ?Sized>(raw: &RawReentrantMutex, judge: &J, taken: Taken) -> Acquired {
    if !taken.is_plain() {
        // There is no data to answer for: who is told does that for the program. Cannot be refused, we hold it.
        let _ = raw.make_consistent(judge);
    }
    taken.dead.into()
}

/// The lock itself, and a reference to it, which is as good: it is the thread that has acquired it, or has not.
macro_rules! waits {
    ($lock:ty) => {
        impl<K: Judge> waitable::sealed::Lock for $lock {
            type Judge = K;

            fn monitor(&self) -> Option<(OwnerId, Monitor<'_>)> {
                Some((self.keeper.me()?, Monitor::Reentrant(self.raw)))
            }

            fn judge(&self) -> &K {
                &self.keeper
            }

            fn retaken(&mut self, taken: Taken) -> waitable::Complaint {
                // Told here, and nowhere else: the lock does not remember it.
                acquired(self.raw, &self.keeper, taken).dead_owner().map(|_| Outcome::OwnerDied)
            }

            /// The handle releases nothing when it is dropped.
            fn lost(self) {}
        }
    };
}

waits!(RLock<K>);
waits!(&RLock<K>);

impl<K: Judge> Guard for RLock<K> {}

impl<K: Judge> Guard for &RLock<K> {}

/// Returns whether `owner` is somebody, and not known to be dead.
pub(crate) fn is_alive<J: Judge + ?Sized>(judge: &J, owner: Option<OwnerId>) -> bool {
    let dead = |me, owner| ask(judge, me, owner) == Verdict::Dead;
    owner.is_some_and(|owner| judge.me().is_none_or(|me| !dead(me, owner)))
}

const ALIGN: u64 = align_of::<CachePadded<u8>>() as u64;
const BYTES: u64 = match align_up(size_of::<RawReentrantMutex>() as u64, ALIGN) {
    Some(bytes) => bytes,
    None => unreachable!(),
};

#[cfg(feature = "serde")]
shmkit_roster::travels!([] RLock, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<K: Judge> Object<K> for RLock<K> {
    const KIND: Kind = Kind::new("rlock");
    const TAG: TypeTag = TypeTag::NONE;

    type Spec = ();

    fn shape(_: &(), _: u32) -> Result<Shape, ShapeError> {
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len: 1,
            bytes: BYTES,
            align: ALIGN,
            names: RawReentrantMutex::NAMES,
        })
    }

    unsafe fn init(region: Region<'_>, _: (), keeper: K) -> Result<Self, ShapeError> {
        // Zero bytes are a free lock (caller).
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        Ok(Self { raw: region.get(Offset::ZERO)?, keeper })
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        ShapeError::unless_one(len)?;
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        Ok(Self { raw: region.get(Offset::ZERO)?, keeper })
    }
}

/// Shows who has the lock, and how often.
impl<K: Judge> fmt::Debug for RLock<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RLock");
        self.raw.describe_holder(&self.keeper, &mut debug);
        debug.finish()
    }
}

/// One of the times that a thread has acquired an [`RLock`]; dropping it releases this one.
///
/// It stays with its thread, which is the lock's owner. In a forked child it does nothing when dropped: the parent has
/// the lock, not the child.
///
/// ```compile_fail
/// fn needs_send<T: Send>() {}
/// needs_send::<shmkit_sync::RLockGuard<'static>>();
/// ```
#[must_use = "dropping the guard releases the lock"]
pub struct RLockGuard<'a, K: Judge = &'a Seat> {
    raw: &'a RawReentrantMutex,
    /// Who acquired it.
    id: OwnerId,
    /// The thread that acquired it, and that a guard cannot leave: a token is not Send.
    thread: ThreadToken,
    acquired: Acquired,
    keeper: K,
}

impl<K: Judge> RLockGuard<'_, K> {
    /// Returns whether the lock was taken over from somebody who died.
    pub fn acquired(&self) -> Acquired {
        self.acquired
    }

    /// Keeps the lock beyond the scope, to be [released](RLock::release) by hand.
    pub fn keep(self) -> Acquired {
        let acquired = self.acquired;
        mem::forget(self);
        acquired
    }
}

impl<K: Judge> waitable::sealed::Lock for RLockGuard<'_, K> {
    type Judge = K;

    fn monitor(&self) -> Option<(OwnerId, Monitor<'_>)> {
        let ours = self.keeper.me() == Some(self.id);
        ours.then_some((self.id, Monitor::Reentrant(self.raw)))
    }

    fn judge(&self) -> &K {
        &self.keeper
    }

    fn retaken(&mut self, taken: Taken) -> waitable::Complaint {
        self.acquired = acquired(self.raw, &self.keeper, taken);
        self.acquired.dead_owner().map(|_| Outcome::OwnerDied)
    }

    fn lost(mut self) {
        self.id = OwnerId::GONE;
    }
}

impl<K: Judge> Guard for RLockGuard<'_, K> {}

impl<K: Judge> Drop for RLockGuard<'_, K> {
    #[inline]
    fn drop(&mut self) {
        if self.keeper.me() == Some(self.id) {
            // Refused only if somebody has released by hand what this guard was to release.
            let _ = self.raw.release(self.id, self.thread);
        }
    }
}

impl<K: Judge> fmt::Debug for RLockGuard<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RLockGuard({:?})", self.acquired)
    }
}
