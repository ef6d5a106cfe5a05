//! The event in a region.

use core::fmt;
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_atomic::futex::Waiter;
use shmkit_layout::{
    CachePadded, Kind, NameWords, Object, Offset, Region, Shape, ShapeError, TypeTag, align_up,
};
use shmkit_roster::{Judge, Seat};

use crate::{EventError, Patience, RawEvent};

/// A flag that processes set, clear and wait for.
///
/// It lies in a [`Region`]: make one with [`Object::init`], use it in other processes with [`Object::attach`]. The
/// handle is its place and a keeper `K`; threads may share it. What was done before a [`set`](Self::set)
/// is visible to whoever sees it.
///
/// A wait that has begun when the event is set ends, even if the event is cleared at once: **no pulse is missed**.
///
/// What it does *not* do: it counts nothing, and belongs to nobody.
///
/// # If a peer dies
///
/// while it waits, sets or clears, the others do not notice. If it is the one who would have set the event, nobody is told
/// but who said so: [`wait_deadline`](Self::wait_deadline) with a patience that lasts [as long as it
/// lives](Patience::while_alive).
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use memmap2::MmapRaw;
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// use std::time::Duration;
/// use shmkit_sync::{Event, EventError};
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(4096)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let ready = unsafe { Event::init(region, (), participant) }?;
/// assert_eq!(ready.wait_timeout(Duration::from_millis(1)), Err(EventError::TimedOut));
/// ready.set()?; // in any other process
/// ready.wait()?;
/// # Ok(())
/// # }
/// ```
pub struct Event<K: Judge = Seat> {
    raw: &'static RawEvent,
    /// Keeps mapped what the others lead to; so it is dropped last.
    keeper: K,
}

impl<K: Judge + Clone> Clone for Event<K> {
    fn clone(&self) -> Self {
        Self { raw: self.raw, keeper: self.keeper.clone() }
    }
}

impl<K: Judge + Copy> Copy for Event<K> {}

impl<K: Judge> Event<K> {
    /// Sets the event, and wakes everybody who waits for it. If it is set already, it stays so.
    ///
    /// It may be called by a signal handler, whatever that has interrupted, this event's own operations included: it
    /// allocates nothing, takes no lock, and leaves `errno` as it was.
    ///
    /// # Errors
    ///
    /// [`EventError::NotJoined`] in a forked child that has not joined; the event was not touched.
    pub fn set(&self) -> Result<(), EventError> {
        self.raw.set(&self.keeper)
    }

    /// Clears the event. Who waited before and has yet to notice that it was set will do so nevertheless.
    ///
    /// May be called by a signal handler, as [`set`](Self::set).
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub fn clear(&self) -> Result<(), EventError> {
        self.raw.clear(&self.keeper)
    }

    /// Returns whether the event is set: the wait that does not wait.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.raw.is_set()
    }

    /// Marks that somebody is about to sleep, and returns where: see [`RawEvent::arm`].
    pub fn arm(&self) -> Waiter {
        self.raw.arm()
    }

    /// Waits until the event is set, or was set since this began.
    ///
    /// # Errors
    ///
    /// [`EventError::NotJoined`] in a forked child that has not joined.
    ///
    /// # If a peer dies
    ///
    /// The wait goes on: somebody else may set the event.
    pub fn wait(&self) -> Result<(), EventError> {
        self.raw.wait(&self.keeper, Deadline::NEVER)
    }

    /// Waits until the event is set, or was set since this began, for at most `wait`, on the monotonic clock. A wait
    /// that overflows the clock is for ever.
    ///
    /// # Errors
    ///
    /// [`EventError`]; `TimedOut` not before `wait` has passed.
    ///
    /// # If a peer dies
    ///
    /// As with [`wait`](Self::wait).
    pub fn wait_timeout(&self, wait: Duration) -> Result<(), EventError> {
        self.raw.wait(&self.keeper, Deadline::after(wait))
    }

    /// Waits until the event is set, or was set since this began, until `deadline` at most, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// [`EventError`]; `TimedOut` not before `deadline`.
    ///
    /// # If a peer dies
    ///
    /// As with [`wait`](Self::wait).
    pub fn wait_deadline<'p>(&self, deadline: impl Into<Patience<'p>>) -> Result<(), EventError> {
        self.raw.wait(&self.keeper, deadline)
    }

    /// Returns the machine below, to be shown or watched.
    pub fn raw(&self) -> &RawEvent {
        self.raw
    }
}

const ALIGN: u64 = align_of::<CachePadded<u8>>() as u64;
const BYTES: u64 = match align_up(size_of::<RawEvent>() as u64, ALIGN) {
    Some(bytes) => bytes,
    None => unreachable!(),
};

#[cfg(feature = "serde")]
shmkit_roster::travels!([] Event, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<K: Judge> Object<K> for Event<K> {
    const KIND: Kind = Kind::new("event");
    const TAG: TypeTag = TypeTag::NONE;

    /// Nothing: a new event is not set.
    type Spec = ();

    fn shape((): &(), _: u32) -> Result<Shape, ShapeError> {
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len: 1,
            bytes: BYTES,
            align: ALIGN,
            names: NameWords::NONE.alone(),
        })
    }

    unsafe fn init(region: Region<'_>, (): (), keeper: K) -> Result<Self, ShapeError> {
        // Zero bytes are an event that is not set (caller).
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

impl<K: Judge> fmt::Debug for Event<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Event").field(self.raw).finish()
    }
}
