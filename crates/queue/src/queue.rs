//! The queue as an object of a region.

use core::fmt;

use shmkit_layout::{Kind, Object, Offset, Region, Schema, Shape, ShapeError, ShmSafe, TypeTag};
use shmkit_roster::{Judge, Seat};

use crate::letters::{self, Letters};
use crate::places::{Places, Plan, checked, words_at};
use crate::raw::{Held, RawQueue, Ring};
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
/// | had a [`Lease`](crate::Lease) | the item, before all others; or, [at most once](Delivery::AtMostOnce), none, and it is [counted](Stats::lost); or, if enough [have died](QueueSpec::give_up_after) with it, a [dead letter](Self::dead_letters) |
/// | was in the middle of `get` | the item, in its turn, or nothing; if it is large, the same as with a lease |
/// | was done with an item | nothing amiss |
/// | waited | nothing amiss |
///
/// Who waits finds it within about 40 ms. Who comes again and again without waiting does, too. A process that is *stopped* in the
/// middle of a put holds up all who take, since items are taken in order: it is alive.
pub struct Queue<T, K = Seat> {
    pub(crate) ring: Ring<'static>,
    pub(crate) places: Places<T>,
    /// Of a queue that gives items up.
    pub(crate) letters: Option<Letters<T>>,
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

    /// Looks for what the dead have in their hands, for whoever knows that somebody has died: others wake for it then, and who waits
    /// [calmly](shmkit_sync::Patience::calm) would find it late. Returns whether everybody who has something could be judged.
    ///
    /// It takes a load for each item that there is room for.
    ///
    /// # Errors
    ///
    /// [`QueueError::NotJoined`]; [`QueueError::Corrupt`].
    pub fn look_for_dead(&self) -> Result<bool, QueueError> {
        let me = self.keeper.me().ok_or(QueueError::NotJoined)?;
        self.ring.look(&self.keeper, me)
    }

    /// Moves all that was given up, and that nobody has moved yet, to the dead letters.
    pub(crate) fn bury_all(&self) -> Result<(), QueueError> {
        if self.letters.is_some() {
            while let Some(held) = self.ring.take_given_up(&self.keeper)? {
                self.bury(held)?;
            }
        }
        Ok(())
    }

    /// Returns what was lost, cut, brought back and given up so far.
    pub fn stats(&self) -> Stats {
        self.ring.queue().stats()
    }

    /// Returns the items that were given up, of a queue that was made to [give up](QueueSpec::give_up_after): a queue as well, of
    /// which they can be taken, to be looked at and given back, or to be done with.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/example.rs"));
    /// # fn main() {
    /// use shmkit_queue::QueueSpec;
    ///
    /// # example(QueueSpec::new(8).give_up_after(3), |jobs| {
    /// let letters = jobs.dead_letters().expect("it gives up after three deaths");
    /// while let Ok(job) = letters.try_take() {
    ///     eprintln!("three have died with {}", *job);
    ///     job.done()?;
    /// }
    /// # Ok(())
    /// # });
    /// # }
    /// ```
    ///
    /// An item is moved there by whoever takes next from this queue, or has joined it, or calls this: who waits for letters is
    /// woken then. It is there once, whoever is killed meanwhile.
    pub fn dead_letters(&self) -> Option<Self>
    where
        K: Clone,
    {
        let Letters { ring, places } = self.letters?;
        // What is wrong with the queue is told to who takes.
        let _ = self.bury_all();
        Some(Self { ring, places, letters: None, keeper: self.keeper.clone() })
    }

    /// Moves an item that was given up to the dead letters.
    #[cold]
    pub(crate) fn bury(&self, held: Held) -> Result<(), QueueError> {
        let Some(letters) = &self.letters else { return self.ring.done(held) };
        let from = held.first();
        let copy = |to| {
            let mut item = T::zeroed();
            self.places.read(from, &mut item);
            // SAFETY: the letter is claimed.
            unsafe { letters.places.write(to, &item) };
            true
        };
        match self.ring.bury(&self.keeper, &letters.ring, held, copy, || ())? {
            Some(held) => self.ring.done(held),
            None => Ok(()),
        }
    }

    /// Finds the queue in `region`, and its dead letters if it gives up after so many deaths.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`].
    unsafe fn place(
        region: Region<'_>,
        count: u32,
        deaths: u32,
        keeper: K,
    ) -> Result<Self, ShapeError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them, here and in leases.
        let region = unsafe { region.kept() };
        let raw = region.get::<RawQueue>(Offset::ZERO)?;
        let (words, places) = Places::find(region, count)?;
        let (mut ring, mut letters) = (Ring::new(raw, words), None);
        if deaths > 0 {
            let (tied, found) = letters::Plan::of::<T>(count)?.find(region, ring, deaths)?;
            (ring, letters) = (tied, Some(found));
        }
        Ok(Self { ring, places, letters, keeper })
    }
}

impl<T, K: Clone> Clone for Queue<T, K> {
    fn clone(&self) -> Self {
        let Self { ring, places, letters, ref keeper } = *self;
        Self { ring, places, letters, keeper: keeper.clone() }
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
        // The first one lies within the first page, and two are not more than a page apart.
        let mut names = RawQueue::names(words_at::<T>() as u32, plan.stride as u32, count).alone();
        let mut bytes = plan.bytes;
        if spec.deaths > 0 {
            let letters = letters::Plan::of::<T>(count)?;
            (names[1], bytes) = (letters.names::<T>(), letters.bytes);
        }
        let (kind, tag) = (Self::KIND, Self::TAG);
        Ok(Shape { kind, tag, len: count.into(), bytes, align: plan.align, names })
    }

    unsafe fn init(region: Region<'_>, spec: QueueSpec, keeper: K) -> Result<Self, ShapeError> {
        let count = checked::<T>(spec.capacity)?;
        // SAFETY: the caller's promises.
        let queue = unsafe { Self::place(region, count, spec.deaths, keeper) }?;
        // Zeros are empty slots of the first lap (caller).
        queue.ring.queue().make(count, spec.delivery, spec.deaths);
        queue.letters.iter().for_each(Letters::make);
        Ok(queue)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        let count = checked::<T>(len)?;
        let deaths = region.get::<RawQueue>(Offset::ZERO)?.deaths();
        // SAFETY: the caller's promises.
        let queue = unsafe { Self::place(region, count, deaths, keeper) }?;
        queue.letters.as_ref().map_or(Ok(()), Letters::check)?;
        match queue.ring.queue().capacity() {
            capacity if capacity == len => Ok(queue),
            found => Err(ShapeError::Corrupt { field: "capacity", found }),
        }
    }
}
