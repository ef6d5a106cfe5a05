//! One value that one participant writes and any number read without a lock.

mod error;
mod object;
mod writer;

use core::fmt;
use std::time::Duration;

use shmkit_layout::{Region, ShmSafe};
use shmkit_roster::{Judge, OwnerId, Seat};
use shmkit_sync::{LockFailure, Patience};

pub use self::error::SnapshotError;
pub use self::writer::SnapshotWriter;

use crate::halves::Halves;
use crate::held::Held;
use crate::raw::snapshot::RawSnapshot;

/// A value of any size that one [writer](SnapshotWriter) changes, and that any number of readers copy without a lock: never
/// half-written, however the writer ends.
///
/// It is for what one process finds out and many use: settings, positions, prices, statistics. A read takes no lock, waits for
/// nobody and stores nothing, so that readers do not slow each other down, and one that is stopped or killed is nothing to
/// anybody. A write waits for no reader, but for one that asks for it (below). Where several are to write by turns there is
/// [`Value`](crate::Value).
///
/// Handles are small and may be cloned. None of them is the writer: [`writer`](Self::writer) makes one. A read needs no place
/// in the roster, so that a forked child and whoever only looks at the memory may read.
///
/// # Implementation notes
///
/// There are two halves and a count of commits: the writer fills one half while the other is the value. A copy is thrown away
/// if its half was written meanwhile, for which the writer has to commit once and begin again: rare, unless copies take longer
/// than writes. A reader to which that happens twenty times asks the writer to stand still, by a word that this one looks at
/// before each write: it sleeps until the reader has its copy, for a millisecond at most (and a nanosecond for each byte), and
/// writes at least once between two such rests. So neither is kept from going on by the other for longer than that. To be
/// wait-free it would take as many slots as readers, and a word that each of them writes to.
///
/// # If a peer dies
///
/// A reader that dies is nothing to anybody. A writer that dies in the middle of a write leaves the old value, whole, and the
/// role to the next one: a [`writer`](Self::writer) that waits for it gets it within about 40 ms.
///
/// # Examples
///
/// ```
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// # let participant = ModelJudge::new(1).remove(0);
/// # let mut memory = [0_u128; 32];
/// # let base = core::ptr::NonNull::from(&mut memory).cast();
/// # // SAFETY: the array outlives the region, and nobody else sees it.
/// # let region = unsafe { Region::from_raw_parts(base, 512) };
/// use shmkit_cell::Snapshot;
///
/// // SAFETY: the bytes are zero, and nobody else uses them.
/// let position = unsafe { Snapshot::<[f64; 3], _>::init(region, [0.0; 3], &participant)? };
/// let mut ship = position.writer()?;
/// ship.store([1.0, 2.0, 3.0])?;
/// assert_eq!(position.load()?, [1.0, 2.0, 3.0]); // in any process
///
/// let seen = position.version();
/// ship.update(|[x, ..]| *x += 1.0)?;
/// assert_eq!(position.wait_changed(seen)?, seen + 1);
/// assert_eq!(ship[0], 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Snapshot<T, K = Seat> {
    raw: &'static RawSnapshot,
    halves: Halves<'static, T>,
    /// Keeps mapped what the others lead to; so it is dropped last.
    keeper: K,
}

impl<T, K: Clone> Clone for Snapshot<T, K> {
    fn clone(&self) -> Self {
        Self { raw: self.raw, halves: self.halves, keeper: self.keeper.clone() }
    }
}

impl<T, K: Copy> Copy for Snapshot<T, K> {}

impl<T: ShmSafe, K: Judge> Snapshot<T, K> {
    /// Returns a copy of the value: what it was at some moment of the call.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Overtaken`] if the value was written each time that it was looked at; to a participant that happens only
    /// while it is itself kept from running.
    #[inline]
    pub fn load(&self) -> Result<T, SnapshotError> {
        self.load_with_version().map(|(_, value)| value)
    }

    /// Returns a copy of the value and its [version](Self::version), which belong together.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    #[inline]
    pub fn load_with_version(&self) -> Result<(u64, T), SnapshotError> {
        let joined = || self.keeper.me().is_some();
        let (commits, copy) =
            self.raw.load(joined, |slot| self.halves.copy(slot)).ok_or(SnapshotError::Overtaken)?;
        // The slot lies inside the region (`place`).
        copy.map(|value| (commits, value)).ok_or(SnapshotError::Overtaken)
    }

    /// Returns how often the value was written. Whoever sees that a version is gone sees the value that came after it.
    #[inline]
    pub fn version(&self) -> u64 {
        self.raw.value.commits()
    }

    /// Waits until the [version](Self::version) is another than `seen`, and returns it.
    ///
    /// It takes a participant. Who has no place in the roster looks at [`version`](Self::version) from time to time.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::NotJoined`] in a forked child that has not joined.
    ///
    /// # If a peer dies
    ///
    /// Another writer may come: the wait goes on, unless it is to last [only while that one lives](Patience::while_alive).
    pub fn wait_changed(&self, seen: u64) -> Result<u64, SnapshotError> {
        self.wait_by(seen, Patience::ENDLESS)
    }

    /// Waits until the version is another than `seen`, by the end of `limit`.
    ///
    /// # Errors
    ///
    /// As [`wait_changed`](Self::wait_changed); [`SnapshotError::TimedOut`] after `limit`.
    pub fn wait_changed_timeout(&self, seen: u64, limit: Duration) -> Result<u64, SnapshotError> {
        self.wait_by(seen, limit.into())
    }

    /// Waits until the version is another than `seen`, by `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As [`wait_changed_timeout`](Self::wait_changed_timeout), and whatever else ends the patience.
    pub fn wait_changed_deadline<'p>(
        &self,
        seen: u64,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<u64, SnapshotError> {
        self.wait_by(seen, deadline.into())
    }

    fn wait_by(&self, seen: u64, patience: Patience<'_>) -> Result<u64, SnapshotError> {
        let me = self.keeper.me().ok_or(SnapshotError::NotJoined)?;
        Ok(self.raw.wait(seen, me, &self.keeper, patience)?)
    }

    /// Returns who is the writer, dead or alive, or `None` if nobody is.
    pub fn writing(&self) -> Option<OwnerId> {
        self.raw.value.mutex.owner()
    }

    /// Becomes the writer, once no other one lives: so a program may stand by for another. Other writers of this process
    /// count, too.
    ///
    /// # Errors
    ///
    /// [`LockFailure`]: this process has not joined, waits for itself, or cannot tell whether the writer lives.
    ///
    /// # If a peer dies
    ///
    /// the role is inherited, and the value is whole: nobody is told, since there is nothing to repair.
    pub fn writer(&self) -> Result<SnapshotWriter<T, K>, LockFailure>
    where
        K: Clone,
    {
        self.claim(Some(Patience::ENDLESS))
    }

    /// Becomes the writer if there is no other one that lives.
    ///
    /// # Errors
    ///
    /// As [`writer`](Self::writer); [`LockFailure::WouldBlock`] if there is one.
    pub fn try_writer(&self) -> Result<SnapshotWriter<T, K>, LockFailure>
    where
        K: Clone,
    {
        self.claim(None)
    }

    /// Becomes the writer, if there is no other one by the end of `limit`.
    ///
    /// # Errors
    ///
    /// As [`writer`](Self::writer); [`LockFailure::TimedOut`] after `limit`.
    pub fn writer_timeout(&self, limit: Duration) -> Result<SnapshotWriter<T, K>, LockFailure>
    where
        K: Clone,
    {
        self.claim(Some(limit.into()))
    }

    /// Becomes the writer, if there is no other one by `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As [`writer_timeout`](Self::writer_timeout), and whatever else ends the patience.
    pub fn writer_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<SnapshotWriter<T, K>, LockFailure>
    where
        K: Clone,
    {
        self.claim(Some(deadline.into()))
    }

    fn claim(&self, patience: Option<Patience<'_>>) -> Result<SnapshotWriter<T, K>, LockFailure>
    where
        K: Clone,
    {
        let held = Held::take(&self.raw.value.mutex, self.keeper.clone(), patience)?;
        Ok(SnapshotWriter::new(self.raw, self.halves, held))
    }

    /// Where the words and the halves lie.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`](shmkit_layout::Object::attach).
    unsafe fn place(region: Region<'_>, keeper: K) -> Result<Self, shmkit_layout::ShapeError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let raw: &RawSnapshot = region.get(shmkit_layout::Offset::ZERO)?;
        let halves = Halves::new(region, &raw.value, object::halves_at::<T>())?;
        Ok(Self { raw, halves, keeper })
    }
}

impl<T: ShmSafe, K: Judge> fmt::Debug for Snapshot<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("type", &format_args!("{}", T::TAG))
            .field("version", &self.version())
            .field("writing", &self.writing())
            .finish()
    }
}
