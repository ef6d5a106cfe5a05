//! The robust mutex that its owner may take again, with the data it guards.

use core::fmt;
use core::ptr::NonNull;
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::{InPlace, Kind, Object, Region, Schema, Shape, ShapeError, ShmSafe, TypeTag};
use shmkit_roster::{Judge, OwnerId, Seat};

use crate::beside::Beside;
use crate::outcome::Taken;
use crate::{
    LockError, LockFailure, NotOwner, Patience, RawReentrantMutex, ReentrantMutexGuard, ThreadToken,
};

/// A value that one thread of one process at a time may use, and that a thread may lock again while it holds it.
///
/// For code that locks, and calls code that locks. The guard gives a [`Cell`](core::cell::Cell), not a `&mut T`: the
/// calls further out have guards, too. (Where no function calls another with the lock held, a [`Mutex`](crate::Mutex)
/// gives more for less.) An [`RLock`](crate::RLock) is the same without data, to be acquired and released by hand: Python's.
///
/// It lies in a [`Region`]: make one with [`Object::init`], use it in other processes with [`Object::attach`]. The
/// handle is its place and a keeper `K`; threads may share it, and exclude each other.
///
/// ```text
/// 0 RawReentrantMutex | 32, or the next multiple of T's alignment: T | padding to 128
/// ```
///
/// # If a peer dies
///
/// As with a [`Mutex`](crate::Mutex): the next thread that asks gets the lock, once, however often the dead one had
/// taken it, and is told so by [`LockError::OwnerDied`]. Until [`ReentrantMutexGuard::make_consistent`] is called, it is
/// told so again whenever it locks again.
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
/// use shmkit_sync::{ReentrantMutex, ReentrantMutexGuard};
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(4096)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let total = unsafe { ReentrantMutex::init(region, 0_u64, participant) }?;
/// let add = |n| total.lock().map(|total| total.set(total.get() + n));
///
/// let outer = total.lock()?;
/// add(1)?; // locks again
/// add(2)?;
/// assert_eq!(outer.get(), 3);
/// # Ok(())
/// # }
/// ```
pub struct ReentrantMutex<T, K: Judge = Seat> {
    raw: &'static RawReentrantMutex,
    /// Where the value lies; to be touched by the thread that holds `raw` only.
    data: NonNull<T>,
    /// Keeps mapped what the others lead to; so it is dropped last.
    keeper: K,
}

// SAFETY: the pointer is to bytes that are shared between processes anyway and that only the thread that holds the lock
// touches; `T: ShmSafe` is Send, and so is the keeper.
unsafe impl<T: ShmSafe, K: Judge + Send> Send for ReentrantMutex<T, K> {}
// SAFETY: as above; two threads of one process exclude each other by the lock as two processes do.
unsafe impl<T: ShmSafe, K: Judge> Sync for ReentrantMutex<T, K> {}

impl<T, K: Judge + Clone> Clone for ReentrantMutex<T, K> {
    fn clone(&self) -> Self {
        Self { raw: self.raw, data: self.data, keeper: self.keeper.clone() }
    }
}

impl<T, K: Judge + Copy> Copy for ReentrantMutex<T, K> {}

/// What taking a reentrant lock gives: the guard, or an error that may carry it.
pub type ReentrantLockResult<'a, T, K = &'a Seat> =
    Result<ReentrantMutexGuard<'a, T, K>, LockError<ReentrantMutexGuard<'a, T, K>>>;

impl<T: ShmSafe, K: Judge> ReentrantMutex<T, K> {
    /// Takes the lock, at once if this thread holds it, and otherwise sleeping while somebody else holds it, for as long
    /// as it takes.
    ///
    /// # Errors
    ///
    /// [`LockError`]; in three of its four cases the lock is held.
    ///
    /// # If a peer dies
    ///
    /// [`LockError::OwnerDied`] within about 40 ms of the death.
    #[inline]
    pub fn lock(&self) -> ReentrantLockResult<'_, T, &K> {
        self.lock_by(Deadline::NEVER)
    }

    /// Takes the lock if this thread or nobody alive holds it.
    ///
    /// # Errors
    ///
    /// [`LockError`]; [`LockFailure::WouldBlock`] if somebody else holds it.
    ///
    /// # If a peer dies
    ///
    /// [`LockError::OwnerDied`] at once.
    #[inline]
    pub fn try_lock(&self) -> ReentrantLockResult<'_, T, &K> {
        let (me, thread) = self.me()?;
        let taken = self.raw.try_take(me, thread, &self.keeper)?;
        self.guard(me, thread, taken, &self.keeper)
    }

    /// Takes the lock, waiting for at most `wait`, on the monotonic clock. A wait that overflows the clock is for
    /// ever.
    ///
    /// # Errors
    ///
    /// [`LockError`]; [`LockFailure::TimedOut`] not before `wait` has passed.
    ///
    /// # If a peer dies
    ///
    /// As with [`lock`](Self::lock).
    pub fn lock_timeout(&self, wait: Duration) -> ReentrantLockResult<'_, T, &K> {
        self.lock_by(Deadline::after(wait))
    }

    /// Takes the lock, waiting until `deadline` at most, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// [`LockError`]; [`LockFailure::TimedOut`] not before `deadline`.
    ///
    /// # If a peer dies
    ///
    /// As with [`lock`](Self::lock).
    pub fn lock_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> ReentrantLockResult<'_, T, &K> {
        self.lock_by(deadline)
    }

    /// Takes the lock as [`lock`](Self::lock) does, with a guard that borrows nothing: it has a clone of the handle's
    /// keeper.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    ///
    /// # If a peer dies
    ///
    /// As with [`lock`](Self::lock).
    pub fn lock_owned(&self) -> ReentrantLockResult<'static, T, K>
    where
        K: Clone,
    {
        self.lock_owned_by(Deadline::NEVER)
    }

    /// As [`lock_owned`](Self::lock_owned), waiting for at most `wait`.
    ///
    /// # Errors
    ///
    /// As [`lock_timeout`](Self::lock_timeout).
    ///
    /// # If a peer dies
    ///
    /// As with [`lock`](Self::lock).
    pub fn lock_owned_timeout(&self, wait: Duration) -> ReentrantLockResult<'static, T, K>
    where
        K: Clone,
    {
        self.lock_owned_by(Deadline::after(wait))
    }

    /// As [`lock_owned`](Self::lock_owned), waiting until `deadline` at most, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`lock_deadline`](Self::lock_deadline).
    ///
    /// # If a peer dies
    ///
    /// As with [`lock`](Self::lock).
    pub fn lock_owned_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> ReentrantLockResult<'static, T, K>
    where
        K: Clone,
    {
        self.lock_owned_by(deadline)
    }

    /// As [`lock_owned`](Self::lock_owned), if this thread or nobody alive holds the lock.
    ///
    /// # Errors
    ///
    /// As [`try_lock`](Self::try_lock).
    ///
    /// # If a peer dies
    ///
    /// As with [`try_lock`](Self::try_lock).
    pub fn try_lock_owned(&self) -> ReentrantLockResult<'static, T, K>
    where
        K: Clone,
    {
        let (me, thread) = self.me()?;
        let taken = self.raw.try_take(me, thread, &self.keeper)?;
        self.guard(me, thread, taken, self.keeper.clone())
    }

    /// Frees the lock whose guards were forgotten, or went down with a thread that ended without dropping them, however
    /// often it had taken it: while this process lives, nobody else can.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if this process does not hold the lock: nothing was touched.
    ///
    /// # Safety
    ///
    /// No guard of this lock will be used or dropped that this process has, in any thread; and the data is whole.
    pub unsafe fn force_unlock(&self) -> Result<(), NotOwner> {
        self.raw.break_up(self.keeper.me().ok_or(NotOwner)?)
    }

    /// Returns how often this thread has taken the lock, and not released it.
    pub fn depth(&self) -> u32 {
        self.raw.depth(&self.keeper)
    }

    /// Returns whether a thread panicked while it held the lock, and nobody has cleared that.
    pub fn is_poisoned(&self) -> bool {
        self.raw.mutex().is_poisoned()
    }

    /// Forgets the panic: for who has looked at the data.
    pub fn clear_poison(&self) {
        self.raw.mutex().clear_poison();
    }

    /// Returns which process held the lock a moment ago.
    pub fn owner(&self) -> Option<OwnerId> {
        self.raw.owner()
    }

    /// Returns how many owners have died holding the lock, as far as their heirs came to count them.
    pub fn deaths(&self) -> u32 {
        self.raw.mutex().epoch()
    }

    /// Returns the machine below.
    ///
    /// # Safety
    ///
    /// It may be taken and released only in the names of participants of the roster that all users of this lock share, and
    /// what is taken there is no right to the data.
    pub unsafe fn raw(&self) -> &RawReentrantMutex {
        self.raw
    }

    #[inline]
    fn lock_owned_by<'p>(
        &self,
        patience: impl Into<Patience<'p>>,
    ) -> ReentrantLockResult<'static, T, K>
    where
        K: Clone,
    {
        let (me, thread) = self.me()?;
        let taken = self.raw.take(me, thread, &self.keeper, patience)?;
        self.guard(me, thread, taken, self.keeper.clone())
    }

    fn me(&self) -> Result<(OwnerId, ThreadToken), LockFailure> {
        Ok((self.keeper.me().ok_or(LockFailure::NotJoined)?, ThreadToken::current()))
    }

    #[inline]
    fn lock_by<'p>(&self, patience: impl Into<Patience<'p>>) -> ReentrantLockResult<'_, T, &K> {
        let (me, thread) = self.me()?;
        let taken = self.raw.take(me, thread, &self.keeper, patience)?;
        self.guard(me, thread, taken, &self.keeper)
    }

    /// Turns a lock that was taken into a guard that has `keeper`, ours or a clone of it, and says what is wrong with the
    /// data.
    #[inline]
    fn guard<G: Judge>(
        &self,
        me: OwnerId,
        thread: ThreadToken,
        taken: Taken,
        keeper: G,
    ) -> ReentrantLockResult<'static, T, G> {
        // SAFETY: `thread` of `me`, which is this one (`me()`), has just taken `raw`, which guards `data` (`place`); the
        // guard has a keeper of both.
        let guard = unsafe {
            ReentrantMutexGuard::new(self.raw, self.data, keeper, (me, thread), taken.dead)
        };
        taken.tell(guard)
    }

    /// Finds lock and value in `region`.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`].
    unsafe fn place(region: Region<'_>, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let (raw, data) = Beside::find(region)?;
        Ok(Self { raw, data, keeper })
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([T: ShmSafe] ReentrantMutex<T>, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<T: ShmSafe, K: Judge> Object<K> for ReentrantMutex<T, K> {
    const KIND: Kind = Kind::new("remutex");
    const TAG: TypeTag = TypeTag::checked::<T>();
    const SCHEMA: Option<&'static Schema> = Some(T::SCHEMA);

    type Spec = T;

    fn shape(_: &T, places: u32) -> Result<Shape, ShapeError> {
        Self::room(&(), places)
    }

    unsafe fn init(region: Region<'_>, spec: T, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let mutex = unsafe { Self::place(region, keeper) }?;
        // Zero bytes are a free lock (caller).
        Beside::<RawReentrantMutex, T>::write(region, spec)?;
        Ok(mutex)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        ShapeError::unless_one(len)?;
        // SAFETY: the caller's promises.
        unsafe { Self::place(region, keeper) }
    }
}

// SAFETY: zero bytes are a free lock, as in `init`, and the value lies where it puts it.
unsafe impl<T: ShmSafe, K: Judge> InPlace<K> for ReentrantMutex<T, K> {
    type Size = ();
    type Values = T;

    fn room((): &(), _: u32) -> Result<Shape, ShapeError> {
        Ok(Beside::<RawReentrantMutex, T>::shape(Self::KIND, RawReentrantMutex::NAMES))
    }

    unsafe fn init_with(
        region: Region<'_>,
        (): (),
        fill: impl FnOnce(&mut T),
        keeper: K,
    ) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let mutex = unsafe { Self::place(region, keeper) }?;
        // SAFETY: found and kept (`place`), and nobody else uses it (caller).
        unsafe { Beside::<RawReentrantMutex, T>::fill(mutex.data, fill) };
        Ok(mutex)
    }
}

/// Shows who holds the lock how often and in which condition the data is, not the data.
impl<T, K: Judge> fmt::Debug for ReentrantMutex<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ReentrantMutex");
        self.raw.describe_holder(&self.keeper, &mut debug);
        self.raw.mutex().describe_state(&mut debug);
        debug.finish()
    }
}
