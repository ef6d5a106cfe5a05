//! The robust mutex, with the data it guards.

use core::fmt;
use core::ptr::NonNull;
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::{InPlace, Kind, Object, Region, Schema, Shape, ShapeError, ShmSafe, TypeTag};
use shmkit_roster::{Judge, OwnerId, Seat};

use crate::beside::Beside;
use crate::outcome::Taken;
use crate::{LockError, LockFailure, MutexGuard, NotOwner, Patience, RawMutex};

/// A value that one process at a time may use, and that outlives every one of them.
///
/// It is `std`'s `Mutex`. Beside it, a [`Lock`](crate::Lock) guards nothing and is released by anybody, as Python's; a
/// [`ReentrantMutex`](crate::ReentrantMutex) may be locked again by the thread that has it.
///
/// It lies in a [`Region`]: make one with [`Object::init`], use it in other processes with [`Object::attach`]. The
/// handle is its place and a keeper `K`; threads may share it.
///
/// ```text
/// 0 RawMutex | 16, or the next multiple of T's alignment: T | padding to 128
/// ```
///
/// # If a peer dies
///
/// A process that is killed while it holds the lock leaves it to the next one that asks, which is told so by
/// [`LockError::OwnerDied`], with the guard inside: it repairs the data and calls
/// [`MutexGuard::make_consistent`]. If it does not, everybody after it is told [`LockError::NotRecoverable`].
/// Waiting takes at most about 40 ms longer than the death. A process that is merely stopped, slow or in a debugger
/// is alive and keeps the lock.
///
/// A *panic* while the lock is held is a separate fact, as with `std`: the lock is released, and
/// [`LockError::Poisoned`] tells the next one.
///
/// A forked child inherits neither the place in the roster nor the locks: its operations answer
/// [`LockFailure::NotJoined`] until it has joined, and a guard that it inherited does nothing when dropped. It must
/// not use the data through such a guard.
///
/// # Examples
///
/// ```
/// use std::io::Error;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use memmap2::MmapRaw;
/// use shmkit_layout::{Object, Region};
/// use shmkit_sync::{LockError, Mutex};
/// # use shmkit_roster::model::ModelJudge;
///
/// // Your own mapping; all zero. The roster of your participants lies elsewhere in it.
/// let file = tempfile::tempfile()?;
/// file.set_len(4096)?;
/// let map = MmapRaw::map_raw(&file)?;
/// let base = std::ptr::NonNull::new(map.as_mut_ptr()).ok_or(Error::last_os_error())?;
/// // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let total = unsafe { Mutex::init(region, 0_u64, participant) }?;
/// match total.lock() {
///     Ok(mut total) => *total += 1,
///     Err(LockError::OwnerDied(mut total)) => {
///         *total = 0; // Count again.
///         total.make_consistent();
///     }
///     Err(error) => return Err(error.into()),
/// }
/// # assert_eq!(*total.lock().unwrap(), 1);
/// # Ok(())
/// # }
/// ```
#[repr(C)]
pub struct Mutex<T, K: Judge = Seat> {
    /// Keeps mapped what the others lead to, which have no drop. First, so that its address is the handle's.
    keeper: K,
    raw: &'static RawMutex,
    /// Where the value lies; to be touched by the holder of `raw` only.
    data: NonNull<T>,
}

// SAFETY: the pointer is to bytes that are shared between processes anyway and that only the holder of the lock
// touches; `T: ShmSafe` is Send, and so is the keeper.
unsafe impl<T: ShmSafe, K: Judge + Send> Send for Mutex<T, K> {}
// SAFETY: as above; two threads of one process exclude each other by the lock as two processes do.
unsafe impl<T: ShmSafe, K: Judge> Sync for Mutex<T, K> {}

impl<T, K: Judge + Clone> Clone for Mutex<T, K> {
    fn clone(&self) -> Self {
        Self { raw: self.raw, data: self.data, keeper: self.keeper.clone() }
    }
}

impl<T, K: Judge + Copy> Copy for Mutex<T, K> {}

/// What taking a lock gives: the guard, or an error that may carry it.
pub type LockResult<'a, T, K = &'a Seat> =
    Result<MutexGuard<'a, T, K>, LockError<MutexGuard<'a, T, K>>>;

impl<T: ShmSafe, K: Judge> Mutex<T, K> {
    /// Takes the lock, sleeping while somebody else holds it, for as long as it takes.
    ///
    /// The owner is the process: a thread that takes a lock which its process holds waits for the thread that holds
    /// it, for ever if that is itself. In a
    /// process of one thread, where nobody else can release it, that is [`LockFailure::WouldDeadlock`] instead.
    ///
    /// # Errors
    ///
    /// [`LockError`]; in three of its four cases the lock is held.
    ///
    /// # If a peer dies
    ///
    /// [`LockError::OwnerDied`] within about 40 ms of the death.
    #[inline]
    pub fn lock(&self) -> LockResult<'_, T, &K> {
        self.lock_by(Deadline::NEVER)
    }

    /// Takes the lock, and makes good what a death, or a panic, has left: calls `repair` with the data then, and answers
    /// for them.
    ///
    /// It is what most programs do with the guard that a [`LockError`] carries. `repair` is called for data that an heir
    /// has given up as well: it makes them good, or new. If it panics, they are given up.
    ///
    /// # Errors
    ///
    /// [`LockFailure`]: the lock was not taken.
    ///
    /// # If a peer dies
    ///
    /// while it held the lock, `repair` is called, within about 40 ms of the death.
    pub fn lock_or_repair(
        &self,
        repair: impl FnOnce(&mut T),
    ) -> Result<MutexGuard<'_, T, &K>, LockFailure> {
        LockError::repaired(self.lock(), |guard| {
            repair(guard);
            guard.make_consistent();
            self.clear_poison();
        })
    }

    /// Takes the lock if nobody alive holds it.
    ///
    /// # Errors
    ///
    /// [`LockError`]; [`LockFailure::WouldBlock`] if somebody holds it.
    ///
    /// # If a peer dies
    ///
    /// [`LockError::OwnerDied`] at once: the kernel is asked about whoever holds the lock.
    #[inline]
    pub fn try_lock(&self) -> LockResult<'_, T, &K> {
        let me = self.me()?;
        let taken = self.raw.try_take(me, &self.keeper)?;
        self.guard(me, taken, &self.keeper)
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
    pub fn lock_timeout(&self, wait: Duration) -> LockResult<'_, T, &K> {
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
    pub fn lock_deadline<'p>(&self, deadline: impl Into<Patience<'p>>) -> LockResult<'_, T, &K> {
        self.lock_by(deadline)
    }

    /// Takes the lock as [`lock`](Self::lock) does, with a guard that borrows nothing: it has a clone of the handle's
    /// keeper, and may stand in a struct beside the handle, or outlive it.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    ///
    /// # If a peer dies
    ///
    /// As with [`lock`](Self::lock).
    pub fn lock_owned(&self) -> LockResult<'static, T, K>
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
    pub fn lock_owned_timeout(&self, wait: Duration) -> LockResult<'static, T, K>
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
    ) -> LockResult<'static, T, K>
    where
        K: Clone,
    {
        self.lock_owned_by(deadline)
    }

    /// As [`lock_owned`](Self::lock_owned), if nobody alive holds the lock.
    ///
    /// # Errors
    ///
    /// As [`try_lock`](Self::try_lock).
    ///
    /// # If a peer dies
    ///
    /// As with [`try_lock`](Self::try_lock).
    pub fn try_lock_owned(&self) -> LockResult<'static, T, K>
    where
        K: Clone,
    {
        let me = self.me()?;
        let taken = self.raw.try_take(me, &self.keeper)?;
        self.guard(me, taken, self.keeper.clone())
    }

    /// Frees the lock whose guard was forgotten, or went down with a thread that ended without dropping it: while this
    /// process lives, nobody else can.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if this process does not hold the lock: nothing was touched.
    ///
    /// # Safety
    ///
    /// No guard of this lock will be used or dropped that this process has, in any thread; and the data is whole.
    pub unsafe fn force_unlock(&self) -> Result<(), NotOwner> {
        self.raw.release(self.keeper.me().ok_or(NotOwner)?)
    }

    /// Returns whether a thread panicked while it held the lock, and nobody has cleared that.
    pub fn is_poisoned(&self) -> bool {
        self.raw.is_poisoned()
    }

    /// Forgets the panic: for who has looked at the data.
    pub fn clear_poison(&self) {
        self.raw.clear_poison();
    }

    /// Returns who held the lock a moment ago.
    pub fn owner(&self) -> Option<OwnerId> {
        self.raw.owner()
    }

    /// Returns how many owners have died holding the lock, as far as their heirs came to count them.
    pub fn deaths(&self) -> u32 {
        self.raw.epoch()
    }

    /// Returns the machine below.
    ///
    /// # Safety
    ///
    /// It may be taken and released only in the names of participants of the roster that all users of this lock share, and
    /// what is taken there is no right to the data.
    pub unsafe fn raw(&self) -> &RawMutex {
        self.raw
    }

    #[inline]
    fn me(&self) -> Result<OwnerId, LockFailure> {
        self.keeper.me().ok_or(LockFailure::NotJoined)
    }

    #[inline]
    fn lock_by<'p>(&self, patience: impl Into<Patience<'p>>) -> LockResult<'_, T, &K> {
        let me = self.me()?;
        // What is rare is out of line, so that the other way keeps all it needs in registers: after a locked
        // instruction every load from the stack is waited for.
        if !self.raw.take_free(me) {
            return self.wait(me, patience);
        }
        // SAFETY: `me` has just taken `raw`, which guards `data` (`place`).
        Ok(unsafe { MutexGuard::new(self.raw, self.data, &self.keeper, me, None) })
    }

    fn lock_owned_by<'p>(&self, patience: impl Into<Patience<'p>>) -> LockResult<'static, T, K>
    where
        K: Clone,
    {
        let me = self.me()?;
        let taken = self.raw.take(me, &self.keeper, patience)?;
        self.guard(me, taken, self.keeper.clone())
    }

    #[cold]
    fn wait<'p>(&self, me: OwnerId, patience: impl Into<Patience<'p>>) -> LockResult<'_, T, &K> {
        let dead = self.raw.wait(me, &self.keeper, patience)?;
        self.guard(me, self.raw.taken(dead), &self.keeper)
    }

    /// Turns a lock that was taken into a guard that has `keeper`, ours or a clone of it, and says what is wrong with the
    /// data.
    #[cold]
    fn guard<G: Judge>(&self, me: OwnerId, taken: Taken, keeper: G) -> LockResult<'static, T, G> {
        // SAFETY: `me` has just taken `raw`, which guards `data` (`place`); the guard has a keeper of both.
        let guard = unsafe { MutexGuard::new(self.raw, self.data, keeper, me, taken.dead) };
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
shmkit_roster::travels!([T: ShmSafe] Mutex<T>, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<T: ShmSafe, K: Judge> Object<K> for Mutex<T, K> {
    const KIND: Kind = Kind::new("mutex");
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
        Beside::<RawMutex, T>::write(region, spec)?;
        Ok(mutex)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        ShapeError::unless_one(len)?;
        // SAFETY: the caller's promises.
        unsafe { Self::place(region, keeper) }
    }
}

// SAFETY: zero bytes are a free lock, as in `init`, and the value lies where it puts it.
unsafe impl<T: ShmSafe, K: Judge> InPlace<K> for Mutex<T, K> {
    type Size = ();
    type Values = T;

    fn room((): &(), _: u32) -> Result<Shape, ShapeError> {
        Ok(Beside::<RawMutex, T>::shape(Self::KIND, RawMutex::NAMES.alone()))
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
        unsafe { Beside::<RawMutex, T>::fill(mutex.data, fill) };
        Ok(mutex)
    }
}

/// Shows who holds the lock and in which condition the data is, not the data.
impl<T, K: Judge> fmt::Debug for Mutex<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Mutex");
        self.raw.describe(&self.keeper, &mut debug);
        debug.finish()
    }
}
