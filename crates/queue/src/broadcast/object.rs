//! The broadcast as an object of a region.

use core::fmt;

use shmkit_layout::{Kind, Object, Offset, Region, Schema, Shape, ShapeError, ShmSafe, TypeTag};
use shmkit_roster::{Judge, OwnerId, Seat};

use super::places::{CELLS, MAX_CAPACITY, MAX_CELLS, Places, plan};
use super::{
    BroadcastError, BroadcastSpec, Overrun, Publisher, RawBroadcast, RawPublisher, RawSubscriber,
    Start, Subscriber, SubscriberCell,
};

/// A ring of values of one type from one publisher to any number of subscribers, each of which receives everything at its own
/// pace.
///
/// It is for what one process makes and many need: the steps of a model to its workers, prices, frames. An item is written once,
/// however many receive it, and large ones are lent where they lie. Whether the publisher waits for the slowest or overwrites
/// what that one has missed is said when it is [made](BroadcastSpec::overrun).
///
/// This handle is neither side: [`publisher`](Self::publisher) and [`subscribe`](Self::subscribe) make one. The length in its
/// [`Shape`] is the capacity in items: what was asked for, rounded up to a power of two.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/broadcast.rs"));
/// # fn main() {
/// # example(8, |steps| {
/// use shmkit_queue::{BroadcastError, Start};
///
/// let mut publisher = steps.publisher()?; // in one process
/// let mut subscriber = steps.subscribe(Start::Newest)?; // in any others, as many as there are
///
/// publisher.send(1)?;
/// let mut draft = publisher.reserve()?; // in place
/// *draft += 2;
/// draft.publish()?;
/// drop(publisher);
///
/// assert_eq!(subscriber.recv()?, 1);
/// let step = subscriber.peek()?; // in place, too
/// assert_eq!(*step, 2);
/// step.release()?;
/// assert_eq!(subscriber.recv(), Err(BroadcastError::Closed));
/// # Ok(())
/// # });
/// # }
/// ```
///
/// # If a peer dies
///
/// | killed while it | the others find |
/// | --- | --- |
/// | published | the item, or nothing: no half of one |
/// | was the publisher | what it has published, and then [`PublisherDied`](BroadcastError::PublisherDied); a successor goes on at that place |
/// | was a subscriber | nothing: nobody waits for it, and its place is another's |
/// | came or left | nothing amiss |
///
/// A publisher that waits for a dead subscriber finds it within about 40 ms. One that is *stopped* is alive, and is waited for,
/// unless the broadcast overwrites.
///
/// # Implementation notes
///
/// An item is there from when the tail has passed it: one store. Before the publisher writes it says how far it is going to;
/// a subscriber that reads what may be overwritten looks at that after its copy, as at a sequence lock, so that no torn value is
/// handed out. Where the publisher waits, it looks at the positions of all subscribers once for an eighth of the ring, with a
/// fence against one that comes at the same time, as in Dekker's lock.
pub struct Broadcast<T, K = Seat> {
    raw: &'static RawBroadcast,
    cells: &'static [SubscriberCell],
    places: Places<T>,
    /// Keeps mapped what the others lead to; so it is dropped last.
    keeper: K,
}

impl<T: ShmSafe, K: Judge + Clone> Broadcast<T, K> {
    /// Becomes the publisher. Whoever comes after it goes on where it stopped.
    ///
    /// The first claim in a process that already has threads may take some 20 ms: the kernel has to see every one of
    /// them once (see [`barrier::register`](shmkit_atomic::barrier::register)).
    ///
    /// # Errors
    ///
    /// [`BroadcastError::Taken`] if a living participant is, this one included; [`BroadcastError::CannotJudge`],
    /// [`BroadcastError::NotJoined`], [`BroadcastError::Corrupt`].
    ///
    /// # If a peer dies
    ///
    /// What a dead predecessor had published stays; what it had not, never was there.
    pub fn publisher(&self) -> Result<Publisher<T, K>, BroadcastError> {
        let raw = RawPublisher::claim(self.raw, self.cells, self.places.count(), &self.keeper)?;
        Ok(Publisher { raw, places: self.places, waits: self.waits(), keeper: self.keeper.clone() })
    }

    /// Comes to receive what is published, from the newest or the oldest item on. A process may come more than once.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::TooManySubscribers`] if as many as the broadcast was made for are there, and alive;
    /// [`BroadcastError::CannotJudge`], [`BroadcastError::NotJoined`], [`BroadcastError::Corrupt`].
    ///
    /// # If a peer dies
    ///
    /// A dead one's place is taken.
    pub fn subscribe(&self, start: Start) -> Result<Subscriber<T, K>, BroadcastError> {
        let (cells, capacity) = (self.cells, self.places.count());
        let raw = RawSubscriber::subscribe(self.raw, cells, capacity, &self.keeper, start)?;
        Ok(Subscriber {
            raw,
            places: self.places,
            waits: self.waits(),
            keeper: self.keeper.clone(),
        })
    }
}

impl<T: ShmSafe, K: Judge> Broadcast<T, K> {
    /// Returns how many items it holds.
    pub fn capacity(&self) -> usize {
        self.places.count() as usize
    }

    /// Returns what becomes of items that somebody has not received when their places are needed.
    pub fn overrun(&self) -> Overrun {
        self.raw.overrun()
    }

    fn waits(&self) -> bool {
        self.overrun() == Overrun::Wait
    }

    /// Returns how many items were ever published: the position of the next one.
    pub fn published(&self) -> u64 {
        self.raw.tail()
    }

    /// Returns who is the publisher, dead or alive, if somebody is.
    pub fn publishing(&self) -> Option<OwnerId> {
        self.raw.publishing()
    }

    /// Returns how many subscribers there are; those count that have died, as long as nobody has found it.
    pub fn subscribers(&self) -> usize {
        self.raw.subscribers(self.cells)
    }

    /// Finds the broadcast in `region`.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`].
    unsafe fn place(
        region: Region<'_>,
        capacity: u64,
        cells: Option<u64>,
        keeper: K,
    ) -> Result<Self, ShapeError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them, here and in both sides.
        let region = unsafe { region.kept() };
        let raw = region.get::<RawBroadcast>(Offset::ZERO)?;
        let count = cells.unwrap_or_else(|| raw.cells().into());
        let corrupt = ShapeError::Corrupt { field: "number of cells", found: count };
        if count == 0 || count > MAX_CELLS {
            return Err(corrupt);
        }
        let (at, ..) = plan::<T>(capacity, count).ok_or(corrupt)?;
        let cells = region.slice(Offset::new(CELLS)?, count as usize)?;
        Ok(Self { raw, cells, places: Places::find(region, at, capacity)?, keeper })
    }
}

impl<T, K: Clone> Clone for Broadcast<T, K> {
    fn clone(&self) -> Self {
        Self { raw: self.raw, cells: self.cells, places: self.places, keeper: self.keeper.clone() }
    }
}

impl<T, K: Copy> Copy for Broadcast<T, K> {}

impl<T: ShmSafe, K: Judge> fmt::Debug for Broadcast<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast")
            .field("capacity", &self.capacity())
            .field("overrun", &self.overrun())
            .field("published", &self.published())
            .field("publishing", &self.publishing())
            .field("subscribers", &self.subscribers())
            .finish()
    }
}

/// Checks a spec beside a roster of so many places: returns how many items and cells it asks for.
fn checked<T>(spec: &BroadcastSpec, places: u32) -> Result<(u64, u64), ShapeError> {
    let max = MAX_CAPACITY;
    let wrong = ShapeError::Length { found: spec.capacity, min: 1, max };
    if spec.capacity == 0 || spec.capacity > max {
        return Err(wrong);
    }
    let cells = u64::from(spec.subscribers.unwrap_or(places.max(1)));
    if cells == 0 || cells > MAX_CELLS {
        return Err(ShapeError::Length { found: cells, min: 1, max: MAX_CELLS });
    }
    let capacity = spec.capacity.next_power_of_two();
    plan::<T>(capacity, cells).map(|_| (capacity, cells)).ok_or(wrong)
}

// SAFETY: kind and tag are given to this layout alone; the role and the cells' words are in its names.
unsafe impl<T: ShmSafe, K: Judge> Object<K> for Broadcast<T, K> {
    const KIND: Kind = Kind::new("bcast");
    const TAG: TypeTag = TypeTag::checked::<T>();
    const SCHEMA: Option<&'static Schema> = Some(T::SCHEMA);

    type Spec = BroadcastSpec;

    fn shape(spec: &BroadcastSpec, places: u32) -> Result<Shape, ShapeError> {
        let (len, cells) = checked::<T>(spec, places)?;
        let (_, bytes, align) = plan::<T>(len, cells).expect("as checked");
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len,
            bytes,
            align,
            names: RawBroadcast::names(CELLS as u32, cells as u32), // At most 2^16.
        })
    }

    unsafe fn init(region: Region<'_>, spec: BroadcastSpec, keeper: K) -> Result<Self, ShapeError> {
        let (capacity, cells) = checked::<T>(&spec, keeper.places())?;
        // SAFETY: the caller's promises.
        let this = unsafe { Self::place(region, capacity, Some(cells), keeper) }?;
        // Zeros are a broadcast of which nothing was published, and cells of nobody (caller).
        this.raw.make(capacity, cells as u32, spec.overrun);
        Ok(this)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        if len == 0 || len > MAX_CAPACITY || !len.is_power_of_two() {
            return Err(ShapeError::Length { found: len, min: 1, max: MAX_CAPACITY });
        }
        // SAFETY: the caller's promises.
        let this = unsafe { Self::place(region, len, None, keeper) }?;
        match this.raw.capacity() {
            capacity if capacity == len => Ok(this),
            found => Err(ShapeError::Corrupt { field: "capacity", found }),
        }
    }
}
