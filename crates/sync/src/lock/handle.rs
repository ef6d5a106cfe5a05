//! Python's `Lock` in a region: a lock without data that anybody may release.

use core::fmt;
use core::mem;
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::{
    CachePadded, Kind, Object, Offset, Region, Shape, ShapeError, TypeTag, align_up,
};
use shmkit_roster::{Judge, OwnerId, Seat};

use crate::condvar::monitor::Monitor;
use crate::condvar::waitable;
use crate::lock::rlock::is_alive;
use crate::outcome::Taken;
use crate::{Acquired, Guard, LockFailure, Outcome, Patience, RawLock, RawMutex, UnlockError};

/// A lock that guards no data of its own, that one process acquires and any process may release.
///
/// Two ways of using it: [`acquire`](Self::acquire) and [`release`](Self::release), or [`lock`](Self::lock), whose guard
/// releases when dropped. It is not recursive: who acquires it twice waits for somebody to release it.
///
/// It lies in a [`Region`]: make one with [`Object::init`], use it in other processes with [`Object::attach`]. The
/// handle is its place and a keeper `K`; threads may share it.
///
/// It is Python's `Lock`. Beside it, a [`Mutex`](crate::Mutex) is one that nobody but its owner releases, and that keeps the
/// data with it; an [`RLock`](crate::RLock) is one that its thread may acquire again.
///
/// # If a peer dies
///
/// The lock of a killed process is taken over by the next one that asks, which is told by [`Acquired::OwnerDied`] who
/// died. It is told of once; this lock does not remember, as a [`Mutex`](crate::Mutex) does, whether anybody put
/// things right.
///
/// Anybody may release it: so who means to release it for somebody that has died frees, if it comes too late, whoever
/// has taken it over meanwhile. And what a holder wrote is visible to the next one only if the one that released it had
/// heard of it.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use memmap2::MmapRaw;
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// use shmkit_sync::{Acquired, Lock, LockFailure, UnlockError};
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(4096)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let lock = unsafe { Lock::init(region, (), participant) }?;
/// if let Acquired::OwnerDied(dead) = lock.acquire()? {
///     println!("{dead} was killed in the middle");
/// }
/// assert_eq!(lock.try_acquire(), Err(LockFailure::WouldBlock));
/// lock.release()?; // by anybody
/// assert_eq!(lock.release(), Err(UnlockError::NotLocked));
///
/// let guard = lock.lock()?;
/// assert!(lock.locked());
/// drop(guard);
/// assert!(!lock.locked());
/// # Ok(())
/// # }
/// ```
pub struct Lock<K: Judge = Seat> {
    raw: &'static RawLock,
    /// Keeps mapped what the others lead to; so it is dropped last.
    keeper: K,
}

impl<K: Judge + Clone> Clone for Lock<K> {
    fn clone(&self) -> Self {
        Self { raw: self.raw, keeper: self.keeper.clone() }
    }
}

impl<K: Judge + Copy> Copy for Lock<K> {}

impl<K: Judge> Lock<K> {
    /// Acquires the lock, sleeping while somebody has it, for as long as it takes.
    ///
    /// # Errors
    ///
    /// [`LockFailure`], but never `TimedOut` or `WouldBlock`; the lock was not acquired.
    ///
    /// # If a peer dies
    ///
    /// [`Acquired::OwnerDied`] within about 40 ms of the death.
    #[inline]
    pub fn acquire(&self) -> Result<Acquired, LockFailure> {
        self.raw.acquire(&self.keeper, Deadline::NEVER)
    }

    /// Acquires the lock if nobody alive has it.
    ///
    /// # Errors
    ///
    /// [`LockFailure`]; `WouldBlock` if somebody has it.
    ///
    /// # If a peer dies
    ///
    /// [`Acquired::OwnerDied`] at once.
    #[inline]
    pub fn try_acquire(&self) -> Result<Acquired, LockFailure> {
        self.raw.try_acquire(&self.keeper)
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
        self.raw.acquire(&self.keeper, Deadline::after(wait))
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
        self.raw.acquire(&self.keeper, deadline)
    }

    /// Releases the lock, whoever has acquired it.
    ///
    /// # Errors
    ///
    /// [`UnlockError::NotLocked`] if nobody has it: it was released too many times.
    #[inline]
    pub fn release(&self) -> Result<(), UnlockError> {
        self.raw.release(&self.keeper)
    }

    /// [`acquire`](Self::acquire) until the end of a scope: the guard releases when dropped.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # If a peer dies
    ///
    /// [`LockGuard::acquired`] tells, within about 40 ms of the death.
    #[inline]
    pub fn lock(&self) -> Result<LockGuard<'_, &K>, LockFailure> {
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
    /// [`LockGuard::acquired`] tells, at once.
    #[inline]
    pub fn try_lock(&self) -> Result<LockGuard<'_, &K>, LockFailure> {
        let id = self.me()?;
        let acquired = self.raw.try_take(id, &self.keeper)?;
        Ok(LockGuard { raw: self.raw, id, acquired, keeper: &self.keeper })
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
    pub fn lock_timeout(&self, wait: Duration) -> Result<LockGuard<'_, &K>, LockFailure> {
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
    ) -> Result<LockGuard<'_, &K>, LockFailure> {
        self.lock_by(deadline)
    }

    /// Returns whether a living process has the lock, this one included.
    ///
    /// # If a peer dies
    ///
    /// The kernel is asked about whoever has it: what a dead one had is free to be acquired.
    pub fn locked(&self) -> bool {
        is_alive(&self.keeper, self.owner())
    }

    /// Returns which process had acquired the lock a moment ago.
    pub fn owner(&self) -> Option<OwnerId> {
        self.raw.owner()
    }

    /// Returns the machine below, to be shown or watched.
    pub fn raw(&self) -> &RawLock {
        self.raw
    }

    #[inline]
    fn me(&self) -> Result<OwnerId, LockFailure> {
        self.keeper.me().ok_or(LockFailure::NotJoined)
    }

    #[inline]
    fn lock_by<'p>(
        &self,
        patience: impl Into<Patience<'p>>,
    ) -> Result<LockGuard<'_, &K>, LockFailure> {
        let id = self.me()?;
        let acquired = self.raw.take(id, &self.keeper, patience)?;
        Ok(LockGuard { raw: self.raw, id, acquired, keeper: &self.keeper })
    }
}

/// The lock itself, and a reference to it, which is as good: it is the process that has acquired it, or has not.
macro_rules! waits {
    ($lock:ty) => {
        impl<K: Judge> waitable::sealed::Lock for $lock {
            type Judge = K;

            fn monitor(&self) -> Option<(OwnerId, Monitor<'_>)> {
                Some((self.keeper.me()?, Monitor::Lock(self.raw)))
            }

            fn judge(&self) -> &K {
                &self.keeper
            }

            fn retaken(&mut self, taken: Taken) -> waitable::Complaint {
                // Told here, and nowhere else: the lock does not remember it.
                taken.dead.map(|_| Outcome::OwnerDied)
            }

            /// The handle releases nothing when it is dropped.
            fn lost(self) {}
        }

        impl<K: Judge> Guard for $lock {}
    };
}

waits!(Lock<K>);
waits!(&Lock<K>);

const ALIGN: u64 = align_of::<CachePadded<u8>>() as u64;
const BYTES: u64 = match align_up(size_of::<RawLock>() as u64, ALIGN) {
    Some(bytes) => bytes,
    None => unreachable!(),
};

#[cfg(feature = "serde")]
shmkit_roster::travels!([] Lock, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<K: Judge> Object<K> for Lock<K> {
    const KIND: Kind = Kind::new("lock");
    const TAG: TypeTag = TypeTag::NONE;

    type Spec = ();

    fn shape(_: &(), _: u32) -> Result<Shape, ShapeError> {
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len: 1,
            bytes: BYTES,
            align: ALIGN,
            names: RawMutex::NAMES.alone(),
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

/// Shows who has acquired the lock.
impl<K: Judge> fmt::Debug for Lock<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Lock");
        self.raw.describe(&self.keeper, &mut debug);
        debug.finish()
    }
}

/// A [`Lock`] until the end of a scope; dropping it releases the lock, if this process still has it.
///
/// In a forked child it does nothing when dropped: the parent has the lock, not the child.
#[must_use = "dropping the guard releases the lock"]
pub struct LockGuard<'a, K: Judge = &'a Seat> {
    raw: &'a RawLock,
    /// Who acquired it.
    id: OwnerId,
    acquired: Acquired,
    keeper: K,
}

impl<K: Judge> LockGuard<'_, K> {
    /// Returns whether the lock was taken over from somebody who died.
    pub fn acquired(&self) -> Acquired {
        self.acquired
    }

    /// Keeps the lock beyond the scope, to be [released](Lock::release) by hand, by anybody.
    pub fn keep(self) -> Acquired {
        let acquired = self.acquired;
        mem::forget(self);
        acquired
    }
}

impl<K: Judge> waitable::sealed::Lock for LockGuard<'_, K> {
    type Judge = K;

    fn monitor(&self) -> Option<(OwnerId, Monitor<'_>)> {
        let ours = self.keeper.me() == Some(self.id);
        ours.then_some((self.id, Monitor::Lock(self.raw)))
    }

    fn judge(&self) -> &K {
        &self.keeper
    }

    fn retaken(&mut self, taken: Taken) -> waitable::Complaint {
        self.acquired = taken.dead.into();
        taken.dead.map(|_| Outcome::OwnerDied)
    }

    fn lost(mut self) {
        self.id = OwnerId::GONE;
    }
}

impl<K: Judge> Guard for LockGuard<'_, K> {}

impl<K: Judge> Drop for LockGuard<'_, K> {
    #[inline]
    fn drop(&mut self) {
        if self.keeper.me() == Some(self.id) {
            // Refused if somebody has released it before, and another process has acquired it since.
            let _ = self.raw.give_up(Some(self.id));
        }
    }
}

impl<K: Judge> fmt::Debug for LockGuard<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LockGuard({:?})", self.acquired)
    }
}
