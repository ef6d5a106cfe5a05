//! The queue as an object of a region.

use core::fmt;

use shmkit_layout::{Kind, Object, Offset, Region, Schema, Shape, ShapeError, ShmSafe, TypeTag};
use shmkit_roster::{Judge, Seat};

use crate::places::{Places, Plan, checked, words_at};
use crate::raw::{RawQueue, Ring};
use crate::{Delivery, QueueError, QueueSpec, Stats};

/// A queue of values of one type, which any number of processes put into, and any number take from.
///
/// It holds as many items as its capacity says and no more: who puts into a full one waits. What `put` has accepted is there
/// for everybody when it returns. Items of one producer are taken in the order in which it has put them. Handles are
/// clones of each other, in all threads and processes, and have no ends to be claimed.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/example.rs"));
/// # fn main() {
/// # example(8, |jobs| {
/// jobs.put(1)?; // in any process
/// jobs.put(2)?;
/// assert_eq!(jobs.get()?, 1); // in any other
///
/// let job = jobs.take()?; // killed from here on: another process gets it
/// assert_eq!(*job, 2);
/// job.done()?;
/// jobs.join()?; // nothing is left undone
/// # Ok(())
/// # });
/// # }
/// ```
///
/// # If a peer dies
///
/// | killed while it | the others find |
/// | --- | --- |
/// | put an item | the item, or nothing; a cut put is [counted](Stats::discarded) |
/// | had a [`Lease`](crate::Lease) | the item, before all others; or, [at most once](Delivery::AtMostOnce), none, and it is [counted](Stats::lost) |
/// | was in the middle of `get` | the item, in its turn, or nothing; if it is large, the same as with a lease |
/// | was done with an item | nothing amiss |
/// | waited | nothing amiss |
///
/// Who waits finds it within about 40 ms. Who comes again and again without waiting does, too. A process that is *stopped* in the
/// middle of a put holds up all who take, since items are taken in order: it is alive.
pub struct Queue<T, K = Seat> {
    pub(crate) ring: Ring<'static>,
    pub(crate) places: Places<T>,
    /// Keeps mapped what the others lead to; so it is dropped last.
    pub(crate) keeper: K,
}

impl<T: ShmSafe, K: Judge> Queue<T, K> {
    /// Returns how many items it can hold.
    pub fn capacity(&self) -> usize {
        self.ring.capacity() as usize
    }

    /// Returns how many items are in it to be taken: at a moment that is over when this returns. Those that somebody has
    /// taken and is not done with do not count; those that are about to be put do.
    ///
    /// # Errors
    ///
    /// [`QueueError::Corrupt`].
    pub fn len(&self) -> Result<usize, QueueError> {
        Ok(self.ring.len()? as usize)
    }

    /// Returns whether there is nothing to take, as [`len`](Self::len) does.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn is_empty(&self) -> Result<bool, QueueError> {
        self.ring.is_empty()
    }

    /// Returns whether nothing can be put, as [`len`](Self::len) does. An item that somebody has taken and is not done with
    /// takes its place until then.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn is_full(&self) -> Result<bool, QueueError> {
        self.ring.is_full()
    }

    /// Closes the queue, for all and for good: nothing can be put any more. What is in it can be taken; then, when nothing is
    /// left and nobody has a lease that could come back, who takes is told [`QueueError::Closed`]. (Leases of one's own
    /// process do not count there.) Closing it again does nothing.
    ///
    /// # Errors
    ///
    /// [`QueueError::NotJoined`].
    pub fn close(&self) -> Result<(), QueueError> {
        self.keeper.me().ok_or(QueueError::NotJoined)?;
        self.ring.queue().close();
        Ok(())
    }

    /// Returns whether somebody has closed it.
    pub fn is_closed(&self) -> bool {
        self.ring.queue().is_closed()
    }

    /// Returns what becomes of the item of a taker that died.
    pub fn delivery(&self) -> Delivery {
        self.ring.queue().delivery()
    }

    /// Returns what was lost, cut and brought back so far.
    pub fn stats(&self) -> Stats {
        self.ring.queue().stats()
    }

    /// Finds the queue in `region`.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`].
    unsafe fn place(region: Region<'_>, count: u32, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them, here and in leases.
        let region = unsafe { region.kept() };
        let raw = region.get::<RawQueue>(Offset::ZERO)?;
        let (words, places) = Places::find(region, count)?;
        Ok(Self { ring: Ring::new(raw, words), places, keeper })
    }
}

impl<T, K: Clone> Clone for Queue<T, K> {
    fn clone(&self) -> Self {
        Self { ring: self.ring, places: self.places, keeper: self.keeper.clone() }
    }
}

impl<T, K: Copy> Copy for Queue<T, K> {}

impl<T: ShmSafe, K: Judge> fmt::Debug for Queue<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .field("closed", &self.is_closed())
            .field("delivery", &self.delivery())
            .field("stats", &self.stats())
            .finish()
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([T: ShmSafe] Queue<T>, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone; the slots' words are in its names.
unsafe impl<T: ShmSafe, K: Judge> Object<K> for Queue<T, K> {
    const KIND: Kind = Kind::new("queue");
    const TAG: TypeTag = TypeTag::checked::<T>();
    const SCHEMA: Option<&'static Schema> = Some(T::SCHEMA);

    type Spec = QueueSpec;

    fn shape(spec: &QueueSpec, _: u32) -> Result<Shape, ShapeError> {
        let count = checked::<T>(spec.capacity)?;
        let plan = Plan::of::<T>(count.into());
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len: count.into(),
            bytes: plan.bytes,
            align: plan.align,
            // The first one lies within the first page, and two are not more than a page apart.
            names: RawQueue::names(words_at::<T>() as u32, plan.stride as u32, count).alone(),
        })
    }

    unsafe fn init(region: Region<'_>, spec: QueueSpec, keeper: K) -> Result<Self, ShapeError> {
        let count = checked::<T>(spec.capacity)?;
        // SAFETY: the caller's promises.
        let queue = unsafe { Self::place(region, count, keeper) }?;
        // Zeros are empty slots of the first lap (caller).
        queue.ring.queue().make(count, spec.delivery);
        Ok(queue)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        let count = checked::<T>(len)?;
        // SAFETY: the caller's promises.
        let queue = unsafe { Self::place(region, count, keeper) }?;
        match queue.ring.queue().capacity() {
            capacity if capacity == len => Ok(queue),
            found => Err(ShapeError::Corrupt { field: "capacity", found }),
        }
    }
}
