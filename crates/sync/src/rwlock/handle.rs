//! The robust readers-writer lock, with the data it guards.

use core::fmt;
use core::ptr::NonNull;
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, OwnerId, Seat};

use crate::outcome::Taken;
use crate::{
    LockError, LockFailure, Patience, RawRwLock, Reading, RwLockReadGuard, RwLockWriteGuard,
};

/// A value that many processes may look at together, or one change, and that outlives every one of them.
///
/// It is `std`'s `RwLock`. An [`RLock`](crate::RLock) is something else: Python's *recursive* lock, which one thread has.
///
/// It lies in a [`Region`](shmkit_layout::Region): make one with [`Object::init`](shmkit_layout::Object::init), use it in other
/// processes with [`Object::attach`](shmkit_layout::Object::attach). The
/// handle is its place and a keeper `K`; threads may share it.
///
/// A writer who waits keeps new readers out, so that readers who come and go never starve it; a stream of writers can
/// starve readers. A thread that reads must not ask to read or write again: it may wait for a writer who waits for it.
/// All *processes* of the roster can read together, each with as many threads as it likes, unless the lock is made with
/// fewer [`Seated::seats`](crate::Seated::seats).
///
/// To read costs the same however many read. To write costs a look at every seat in a row of seats where anybody *ever*
/// read: at one cache line for each of the first 64 participants that have, and at most at all of the lock's seats (8 bytes
/// each, as many as the roster has places). The rows are not forgotten when their readers go, for that would take a second
/// fence in every read.
///
/// ```text
/// 0 RwLockFrame | 40, or the next multiple of T's alignment: T | padding to 128 | readers' cells, as Seating lays them out
/// ```
///
/// # If a peer dies
///
/// A process that is killed while it reads keeps nobody out. One that is killed while it *writes* leaves the lock to
/// the next one that asks, reader or writer, and everybody is told by [`LockError::OwnerDied`], with the guard inside,
/// until a writer has repaired the data and said so ([`RwLockWriteGuard::make_consistent`]). If a writer ends without
/// it, everybody is told [`LockError::NotRecoverable`]. Waiting takes at most about 40 ms longer than the death. A
/// process that is merely stopped, slow or in a debugger is alive and keeps what it has.
///
/// A *panic* of a writer is a separate fact, as with `std`: the lock is released, and [`LockError::Poisoned`] tells
/// those who come. A reader's panic is nobody's business.
///
/// A forked child inherits neither the place in the roster nor the locks: its operations answer
/// [`LockFailure::NotJoined`] until it has joined, and a guard that it inherited does nothing when dropped.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use memmap2::MmapRaw;
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// use shmkit_sync::{LockError, RwLock, RwLockWriteGuard};
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(4096)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let table = unsafe { RwLock::init(region, [0_u64; 8].into(), participant) }?;
/// let mut writing = match table.write() {
///     Ok(writing) => writing,
///     Err(LockError::OwnerDied(mut writing)) => {
///         writing.fill(0); // As your program sees fit.
///         writing.make_consistent();
///         writing
///     }
///     Err(error) => return Err(error.into()),
/// };
/// writing[3] = 7;
/// let reading = RwLockWriteGuard::downgrade(writing);
/// assert_eq!(reading[3], table.read().unwrap()[3]);
/// # Ok(())
/// # }
/// ```
pub struct RwLock<T, K: Judge = Seat> {
    pub(super) raw: RawRwLock<'static>,
    /// Where the value lies; to be touched by who is in only.
    pub(super) data: NonNull<T>,
    /// Keeps mapped what the others lead to; so it is dropped last.
    pub(super) keeper: K,
}

// SAFETY: the pointer is to bytes that are shared between processes anyway and that only who is in touches;
// `T: ShmSafe` is Send, and so is the keeper.
unsafe impl<T: ShmSafe, K: Judge + Send> Send for RwLock<T, K> {}
// SAFETY: as above, and `T: ShmSafe` is Sync; two threads of one process exclude each other by the lock as two processes
// do.
unsafe impl<T: ShmSafe, K: Judge> Sync for RwLock<T, K> {}

impl<T, K: Judge + Clone> Clone for RwLock<T, K> {
    fn clone(&self) -> Self {
        Self { raw: self.raw, data: self.data, keeper: self.keeper.clone() }
    }
}

impl<T, K: Judge + Copy> Copy for RwLock<T, K> {}

/// What entering as a reader gives: the guard, or an error that may carry it.
pub type ReadResult<'a, T, K = &'a Seat> =
    Result<RwLockReadGuard<'a, T, K>, LockError<RwLockReadGuard<'a, T, K>>>;

/// What entering as the writer gives: the guard, or an error that may carry it.
pub type WriteResult<'a, T, K = &'a Seat> =
    Result<RwLockWriteGuard<'a, T, K>, LockError<RwLockWriteGuard<'a, T, K>>>;

impl<T: ShmSafe, K: Judge> RwLock<T, K> {
    /// Enters as a reader, sleeping while somebody writes or waits to write, for as long as it takes.
    ///
    /// # Errors
    ///
    /// [`LockError`]; in three of its four cases the lock is held.
    ///
    /// # If a peer dies
    ///
    /// [`LockError::OwnerDied`] within about 40 ms, if it was a writer in the middle; a dead reader keeps nobody out.
    pub fn read(&self) -> ReadResult<'_, T, &K> {
        self.read_by(Deadline::NEVER)
    }

    /// Enters as a reader if nobody alive writes or waits to write.
    ///
    /// # Errors
    ///
    /// [`LockError`]; [`LockFailure::WouldBlock`] if somebody does.
    ///
    /// # If a peer dies
    ///
    /// As with [`read`](Self::read), but at once.
    pub fn try_read(&self) -> ReadResult<'_, T, &K> {
        let me = self.me()?;
        let reading = self.raw.try_take_read(me, &self.keeper)?;
        self.admit_reader(me, reading, &self.keeper)
    }

    /// Enters as a reader, waiting for at most `wait`, on the monotonic clock. A wait that overflows the clock is for
    /// ever.
    ///
    /// # Errors
    ///
    /// [`LockError`]; [`LockFailure::TimedOut`] not before `wait` has passed.
    ///
    /// # If a peer dies
    ///
    /// As with [`read`](Self::read).
    pub fn read_timeout(&self, wait: Duration) -> ReadResult<'_, T, &K> {
        self.read_by(Deadline::after(wait))
    }

    /// Enters as a reader, waiting until `deadline` at most, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// [`LockError`]; [`LockFailure::TimedOut`] not before `deadline`.
    ///
    /// # If a peer dies
    ///
    /// As with [`read`](Self::read).
    pub fn read_deadline<'p>(&self, deadline: impl Into<Patience<'p>>) -> ReadResult<'_, T, &K> {
        self.read_by(deadline)
    }

    /// Enters as a reader beside a writer that waits, sleeping only while somebody writes, for as long as it takes: for who
    /// may be reading already.
    ///
    /// A thread that reads, and calls code that reads with [`read`](Self::read), sleeps when a writer has come in between,
    /// and the writer waits for it. (It is told [`LockFailure::WouldDeadlock`] if neither wait has an end and it is the only
    /// thread of its process; the lock does not know which thread of a process reads.) This one gets in. The price: readers
    /// of this kind who come and go without a gap keep a writer out for ever.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # If a peer dies
    ///
    /// As with [`read`](Self::read).
    pub fn read_recursive(&self) -> ReadResult<'_, T, &K> {
        self.read_recursive_by(Deadline::NEVER)
    }

    /// Enters as a reader as [`read_recursive`](Self::read_recursive) does, if nobody alive writes.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    ///
    /// # If a peer dies
    ///
    /// As with [`try_read`](Self::try_read).
    pub fn try_read_recursive(&self) -> ReadResult<'_, T, &K> {
        let me = self.me()?;
        let reading = self.raw.try_take_read_again(me, &self.keeper)?;
        self.admit_reader(me, reading, &self.keeper)
    }

    /// Enters as a reader as [`read_recursive`](Self::read_recursive) does, waiting for at most `wait`.
    ///
    /// # Errors
    ///
    /// As [`read_timeout`](Self::read_timeout).
    ///
    /// # If a peer dies
    ///
    /// As with [`read`](Self::read).
    pub fn read_recursive_timeout(&self, wait: Duration) -> ReadResult<'_, T, &K> {
        self.read_recursive_by(Deadline::after(wait))
    }

    /// Enters as a reader as [`read_recursive`](Self::read_recursive) does, waiting until `deadline` at most, or for as long
    /// as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`read_deadline`](Self::read_deadline).
    ///
    /// # If a peer dies
    ///
    /// As with [`read`](Self::read).
    pub fn read_recursive_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> ReadResult<'_, T, &K> {
        self.read_recursive_by(deadline)
    }

    /// Enters as the one writer, sleeping until everybody else has left, for as long as it takes.
    ///
    /// # Errors
    ///
    /// [`LockError`]; in three of its four cases the lock is held.
    ///
    /// # If a peer dies
    ///
    /// As with [`read`](Self::read).
    pub fn write(&self) -> WriteResult<'_, T, &K> {
        self.write_by(Deadline::NEVER)
    }

    /// Enters as the writer, and makes good what a death, or a panic, has left: calls `repair` with the data then, and answers
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
    pub fn write_or_repair(
        &self,
        repair: impl FnOnce(&mut T),
    ) -> Result<RwLockWriteGuard<'_, T, &K>, LockFailure> {
        LockError::repaired(self.write(), |guard| {
            repair(guard);
            guard.make_consistent();
            self.clear_poison();
        })
    }

    /// Enters as the one writer if nobody alive is in.
    ///
    /// May refuse while another's attempt is on its way that comes to nothing either.
    ///
    /// # Errors
    ///
    /// [`LockError`]; [`LockFailure::WouldBlock`] if somebody is in.
    ///
    /// # If a peer dies
    ///
    /// As with [`try_read`](Self::try_read).
    pub fn try_write(&self) -> WriteResult<'_, T, &K> {
        let me = self.me()?;
        let taken = self.raw.try_take_write(me, &self.keeper)?;
        self.admit_writer(me, taken, &self.keeper)
    }

    /// Enters as the one writer, waiting for at most `wait`, on the monotonic clock. A wait that overflows the clock is
    /// for ever.
    ///
    /// # Errors
    ///
    /// [`LockError`]; [`LockFailure::TimedOut`] not before `wait` has passed.
    ///
    /// # If a peer dies
    ///
    /// As with [`read`](Self::read).
    pub fn write_timeout(&self, wait: Duration) -> WriteResult<'_, T, &K> {
        self.write_by(Deadline::after(wait))
    }

    /// Enters as the one writer, waiting until `deadline` at most, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// [`LockError`]; [`LockFailure::TimedOut`] not before `deadline`.
    ///
    /// # If a peer dies
    ///
    /// As with [`read`](Self::read).
    pub fn write_deadline<'p>(&self, deadline: impl Into<Patience<'p>>) -> WriteResult<'_, T, &K> {
        self.write_by(deadline)
    }

    /// Returns whether a writer's thread panicked, and nobody has cleared that.
    pub fn is_poisoned(&self) -> bool {
        self.raw.is_poisoned()
    }

    /// Forgets the panic: for who has looked at the data.
    pub fn clear_poison(&self) {
        self.raw.clear_poison();
    }

    /// Returns how many writers have died holding the lock, as far as their heirs came to count them.
    pub fn deaths(&self) -> u32 {
        self.raw.epoch()
    }

    /// Returns who held the lock as its writer a moment ago, or was about to; or a reader that was a writer and found no seat.
    pub fn writer(&self) -> Option<OwnerId> {
        self.raw.writer()
    }

    /// Returns in how many seats somebody was counted as a reader a moment ago, the dead included: mostly one for each
    /// process that reads.
    pub fn readers(&self) -> usize {
        self.raw.readers()
    }

    /// Returns the machine below.
    ///
    /// # Safety
    ///
    /// It may be taken and released only in the names of participants of the roster that all users of this lock share, and
    /// what is taken there is no right to the data.
    pub unsafe fn raw(&self) -> RawRwLock<'_> {
        self.raw
    }

    pub(super) fn me(&self) -> Result<OwnerId, LockFailure> {
        self.keeper.me().ok_or(LockFailure::NotJoined)
    }

    fn read_by<'p>(&self, patience: impl Into<Patience<'p>>) -> ReadResult<'_, T, &K> {
        let me = self.me()?;
        let reading = self.raw.take_read(me, &self.keeper, patience)?;
        self.admit_reader(me, reading, &self.keeper)
    }

    fn read_recursive_by<'p>(&self, patience: impl Into<Patience<'p>>) -> ReadResult<'_, T, &K> {
        let me = self.me()?;
        let reading = self.raw.take_read_again(me, &self.keeper, patience)?;
        self.admit_reader(me, reading, &self.keeper)
    }

    fn write_by<'p>(&self, patience: impl Into<Patience<'p>>) -> WriteResult<'_, T, &K> {
        let me = self.me()?;
        let taken = self.raw.take_write(me, &self.keeper, patience)?;
        self.admit_writer(me, taken, &self.keeper)
    }

    /// Makes the guard of a reader that has `keeper`, ours or a clone of it, and says what is wrong with the data.
    pub(super) fn admit_reader<G: Judge>(
        &self,
        me: OwnerId,
        reading: Reading,
        keeper: G,
    ) -> ReadResult<'static, T, G> {
        let found = self.raw.found();
        // SAFETY: `me` has just got `reading` from `raw`, which guards `data` (`place`); the guard has
        // a keeper of both.
        let guard = unsafe { RwLockReadGuard::new(self.raw, reading, self.data, keeper, me) };
        found.tell(guard)
    }

    /// Makes the guard of a writer that has `keeper`, ours or a clone of it, and says what is wrong with the data.
    pub(super) fn admit_writer<G: Judge>(
        &self,
        me: OwnerId,
        taken: Taken,
        keeper: G,
    ) -> WriteResult<'static, T, G> {
        // SAFETY: `me` has just got into `raw` as the writer, which guards `data` (`place`); the guard has
        // a keeper of both.
        let guard = unsafe { RwLockWriteGuard::new(self.raw, self.data, keeper, me, taken.dead) };
        taken.tell(guard)
    }
}

/// Shows who is in and in which condition the data is, not the data.
impl<T, K: Judge> fmt::Debug for RwLock<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RwLock");
        self.raw.describe(&self.keeper, &mut debug);
        debug.finish()
    }
}
