//! The ordered queue as an object of a region.

use core::fmt;
use core::marker::PhantomData;

use shmkit_layout::{Kind, Object, Region, Schema, Shape, ShapeError, ShmSafe, TypeTag};
use shmkit_roster::{Judge, Seat};
use shmkit_wait::{Ready, Source};

use super::order::{ByPriority, NewestFirst, Order};
use super::places::{MAX_CAPACITY, Places, Plan};
use super::{OrderedRing, RawOrdered};
use crate::QueueError;

/// A queue that gives what was put last first: a stack. An [`OrderedQueue`] of [`NewestFirst`].
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/lifo.rs"));
/// # fn main() {
/// # example(8, |stack| {
/// stack.put_all(&[1, 2, 3])?; // in any process
/// assert_eq!((stack.get()?, stack.get()?), (3, 2)); // in any other
/// # Ok(())
/// # });
/// # }
/// ```
pub type LifoQueue<T, K = Seat> = OrderedQueue<T, NewestFirst, K>;

/// A queue of values with priorities, which gives what has the least one first, and of those what was put first. An
/// [`OrderedQueue`] of [`ByPriority`].
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/priority.rs"));
/// # fn main() {
/// # example(8, |jobs| {
/// jobs.put_all(&[(5, 1), (2, 2), (5, 3), (-1, 4)])?; // in any process
/// let mut all = [(0, 0); 4];
/// jobs.get_batch(&mut all)?; // in any other
/// assert_eq!(all, [(-1, 4), (2, 2), (5, 1), (5, 3)]);
/// # Ok(())
/// # });
/// # }
/// ```
pub type PriorityQueue<T, K = Seat> = OrderedQueue<T, ByPriority, K>;

/// A bounded queue of values of one type, which any number of processes put into and take from, in an [`Order`]: a [`LifoQueue`] or
/// a [`PriorityQueue`].
///
/// What `put` has accepted is there for everybody when it returns. Handles are clones of each other, in all threads and
/// processes. Where the order is that of putting, a [`Queue`](crate::Queue) is faster and knows leases.
///
/// # If a peer dies
///
/// | killed while it | the others find |
/// | --- | --- |
/// | put an item | the item, or nothing |
/// | got an item | the item, or none: it is taken by then, by the dead one |
/// | waited | nothing amiss |
///
/// One lock is held for each operation; whoever gets it from the dead puts in order what that one left, in a time that grows with
/// the capacity, within about 40 ms of the death. A process that is *stopped* in the middle of an operation (a few instructions)
/// holds up all others: it is alive.
///
/// # Implementation notes
///
/// An item comes and goes by one store to its slot. Which comes first is said by a heap of slot numbers, which the heir of a dead
/// owner makes anew from the slots; so no step of the dead has to be undone.
pub struct OrderedQueue<T, O, K = Seat> {
    pub(super) ring: OrderedRing<'static>,
    pub(super) places: Places<T>,
    _order: PhantomData<O>,
    /// Keeps mapped what the others lead to; so it is dropped last.
    pub(super) keeper: K,
}

impl<T: ShmSafe, O: Order, K: Judge> OrderedQueue<T, O, K> {
    /// Returns how many items it can hold.
    pub fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    /// Returns how many items are in it: at a moment that is over when this returns.
    pub fn len(&self) -> usize {
        (self.ring.raw().len() as usize).min(self.capacity())
    }

    /// Returns whether there is nothing to take, as [`len`](Self::len) does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether nothing can be put, as [`len`](Self::len) does.
    pub fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// Closes the queue, for all and for good: nothing can be put any more. What is in it can be taken; then, who takes is told
    /// [`QueueError::Closed`]. Closing it again does nothing.
    ///
    /// # Errors
    ///
    /// [`QueueError::NotJoined`].
    pub fn close(&self) -> Result<(), QueueError> {
        self.keeper.me().ok_or(QueueError::NotJoined)?;
        self.ring.raw().close();
        Ok(())
    }

    /// Returns whether somebody has closed it.
    pub fn is_closed(&self) -> bool {
        self.ring.raw().is_closed()
    }

    /// Returns its room, for who waits for several things: ready when something can be put. The queue itself is ready when
    /// something can be taken.
    pub fn room(&self) -> OrderedRoom<'_, T, O, K> {
        OrderedRoom { queue: self }
    }

    /// Finds the queue in `region`.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`].
    unsafe fn place(region: Region<'_>, count: u64, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let plan = checked::<T>(count)?;
        let (ring, places) = Places::find(region, plan, count as usize, O::NEWEST_FIRST)?;
        Ok(Self { ring, places, _order: PhantomData, keeper })
    }
}

impl<T, O, K: Clone> Clone for OrderedQueue<T, O, K> {
    fn clone(&self) -> Self {
        Self {
            ring: self.ring,
            places: self.places,
            _order: PhantomData,
            keeper: self.keeper.clone(),
        }
    }
}

impl<T, O, K: Copy> Copy for OrderedQueue<T, O, K> {}

impl<T: ShmSafe, O: Order, K: Judge> fmt::Debug for OrderedQueue<T, O, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedQueue")
            .field("order", &format_args!("{}", O::KIND))
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// Ready when there is something to take, or to be told instead.
impl<T: ShmSafe, O: Order, K: Judge> Ready for OrderedQueue<T, O, K> {
    fn source(&self) -> Source<'_> {
        Source::Word(self.ring.arm_items())
    }

    fn is_ready(&self, asked: bool) -> bool {
        self.ring.has_items(&self.keeper, asked).unwrap_or(true)
    }
}

/// The room in an ordered queue, as one of several things that are waited for: of [`OrderedQueue::room`].
#[derive(Debug)]
pub struct OrderedRoom<'q, T: ShmSafe, O: Order, K: Judge> {
    queue: &'q OrderedQueue<T, O, K>,
}

/// Ready when there is room, or something to be told instead.
impl<T: ShmSafe, O: Order, K: Judge> Ready for OrderedRoom<'_, T, O, K> {
    fn source(&self) -> Source<'_> {
        Source::Word(self.queue.ring.arm_room())
    }

    fn is_ready(&self, asked: bool) -> bool {
        self.queue.ring.has_room(&self.queue.keeper, asked).unwrap_or(true)
    }
}

fn checked<T>(capacity: u64) -> Result<Plan, ShapeError> {
    let wrong = ShapeError::Length { found: capacity, min: 1, max: MAX_CAPACITY };
    Plan::of::<T>(capacity).ok_or(wrong)
}

// SAFETY: kinds and tag are given to this layout alone: each order has a kind of its own. The lock's word is in its names.
unsafe impl<T: ShmSafe, O: Order, K: Judge> Object<K> for OrderedQueue<T, O, K> {
    const KIND: Kind = O::KIND;
    const TAG: TypeTag = TypeTag::checked::<T>();
    const SCHEMA: Option<&'static Schema> = Some(T::SCHEMA);

    /// How many items it can hold, 1 to 16,777,215.
    type Spec = u64;

    fn shape(capacity: &u64, _: u32) -> Result<Shape, ShapeError> {
        let plan = checked::<T>(*capacity)?;
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len: *capacity,
            bytes: plan.bytes,
            align: plan.align,
            names: RawOrdered::NAMES.alone(),
        })
    }

    unsafe fn init(region: Region<'_>, capacity: u64, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let queue = unsafe { Self::place(region, capacity, keeper) }?;
        // Zeros are a free lock and empty slots (caller).
        queue.ring.make();
        Ok(queue)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let queue = unsafe { Self::place(region, len, keeper) }?;
        match queue.ring.raw().capacity() {
            capacity if capacity == len => Ok(queue),
            found => Err(ShapeError::Corrupt { field: "capacity", found }),
        }
    }
}
