//! The pipe as an object of a region.

use core::fmt;

use shmkit_layout::{
    Kind, Object, Offset, OffsetError, Region, Schema, Shape, ShapeError, ShmSafe, TypeTag,
    align_up,
};
use shmkit_roster::{Judge, OwnerId, Seat};

use crate::places::Places;
use crate::{ClaimError, RawEnd, RawRing, Receiver, Sender};

/// Most items that a pipe may hold.
const MAX_CAPACITY: u64 = 1 << 32;
/// Most bytes that a pipe may take.
const MAX_BYTES: u64 = 1 << 46;

/// A pipe of values of one type, from one sender to one receiver.
///
/// This handle claims the two ends; it is not an end itself, and any number of participants may have one. Each end has
/// one holder at a time. Whoever comes after it was closed, or after its holder died, goes on where its predecessor
/// stopped: items that were sent and not received stay in the pipe.
///
/// The length in its [`Shape`] is the capacity in items: what was asked for, rounded up to a power of two.
pub struct Pipe<T, K = Seat> {
    ring: &'static RawRing,
    places: Places<'static, T>,
    /// Keeps mapped what the others lead to; so it is dropped last.
    keeper: K,
}

impl<T, K> Pipe<T, K> {
    pub(crate) fn of(ring: &'static RawRing, places: Places<'static, T>, keeper: K) -> Self {
        Self { ring, places, keeper }
    }
}

impl<T: ShmSafe, K: Judge + Clone> Pipe<T, K> {
    /// Claims the sender's end.
    ///
    /// The first claim in a process that already has threads may take some 20 ms: the kernel has to see every one of
    /// them once (see [`barrier::register`](shmkit_atomic::barrier::register)).
    ///
    /// # Errors
    ///
    /// [`ClaimError`] if a living participant holds it, this one included; if that cannot be told; if this process has
    /// not joined; or if the pipe is corrupt.
    ///
    /// # If a peer dies
    ///
    /// What a dead predecessor committed stays in the pipe, what it had not committed never was there.
    pub fn sender(&self) -> Result<Sender<T, K>, ClaimError> {
        let end = RawEnd::claim(self.ring, self.places.count() as u64, &self.keeper, false)?;
        Ok(Sender::new(end, self.places, self.keeper.clone()))
    }

    /// Claims the receiver's end.
    ///
    /// The first claim in a process that already has threads may take some 20 ms, as with [`sender`](Self::sender).
    ///
    /// # Errors
    ///
    /// As [`sender`](Self::sender).
    ///
    /// # If a peer dies
    ///
    /// The successor of a dead receiver gets the first item that its predecessor had not released. If that one died
    /// between copying an item and releasing it, the item comes again.
    pub fn receiver(&self) -> Result<Receiver<T, K>, ClaimError> {
        let end = RawEnd::claim(self.ring, self.places.count() as u64, &self.keeper, false)?;
        Ok(Receiver::new(end, self.places, self.keeper.clone()))
    }

    /// Claims the sender's end from this very participant, which has it and has forgotten it
    /// ([`mem::forget`](core::mem::forget)); otherwise as [`sender`](Self::sender).
    ///
    /// # Errors
    ///
    /// As [`sender`](Self::sender), except that this participant does not count.
    ///
    /// # Safety
    ///
    /// No sender of this pipe that this process has claimed may be used, or dropped, from now on: two would write to the
    /// same places.
    pub unsafe fn reclaim_sender(&self) -> Result<Sender<T, K>, ClaimError> {
        let end = RawEnd::claim(self.ring, self.places.count() as u64, &self.keeper, true)?;
        Ok(Sender::new(end, self.places, self.keeper.clone()))
    }

    /// Claims the receiver's end from this very participant, as [`reclaim_sender`](Self::reclaim_sender) does the other.
    ///
    /// # Errors
    ///
    /// As [`receiver`](Self::receiver), except that this participant does not count.
    ///
    /// # Safety
    ///
    /// No receiver of this pipe that this process has claimed may be used, or dropped, from now on.
    pub unsafe fn reclaim_receiver(&self) -> Result<Receiver<T, K>, ClaimError> {
        let end = RawEnd::claim(self.ring, self.places.count() as u64, &self.keeper, true)?;
        Ok(Receiver::new(end, self.places, self.keeper.clone()))
    }

    /// Returns the capacity in items, a power of two.
    pub fn capacity(&self) -> usize {
        self.places.count()
    }

    /// Returns how many items lie in the pipe: at a moment that is over when this returns.
    pub fn len(&self) -> usize {
        // `RawRing::len` is bounded by a word of shared memory, which may be wrong.
        (self.ring.len() as usize).min(self.capacity())
    }

    /// Returns whether no item lies in the pipe, as [`len`](Self::len) does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns who holds the sender's end, dead or alive, or `None` if nobody does or it was closed.
    pub fn sending(&self) -> Option<OwnerId> {
        self.ring.sender()
    }

    /// Returns who holds the receiver's end, dead or alive, or `None` if nobody does or it was closed.
    pub fn receiving(&self) -> Option<OwnerId> {
        self.ring.receiver()
    }

    /// Returns the handle of a ring of `capacity` items in `region`.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`], and the capacity is a power of two.
    unsafe fn place(region: Region<'_>, capacity: u64, keeper: K) -> Result<Self, OffsetError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them, here and in the ends.
        let region = unsafe { region.kept() };
        let ring = region.get::<RawRing>(Offset::ZERO)?;
        let too_many = OffsetError::OutOfBounds { end: u64::MAX, len: region.len() as u64 };
        let count = usize::try_from(capacity).map_err(|_| too_many)?;
        let first = region.place(Offset::<T>::new(items_at::<T>())?, count)?;
        // SAFETY: `place` has checked bounds and alignment of `count` values; the bytes live as long as `keeper`; the
        // capacity is a power of two (caller).
        let places = unsafe { Places::new(first, count) };
        Ok(Self { ring, places, keeper })
    }
}

impl<T, K: Clone> Clone for Pipe<T, K> {
    fn clone(&self) -> Self {
        Self { ring: self.ring, places: self.places, keeper: self.keeper.clone() }
    }
}

impl<T, K: Copy> Copy for Pipe<T, K> {}

impl<T: ShmSafe, K: Judge + Clone> fmt::Debug for Pipe<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .field("sending", &self.sending())
            .field("receiving", &self.receiving())
            .finish()
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([T: ShmSafe] Pipe<T>, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<T: ShmSafe, K: Judge + Clone> Object<K> for Pipe<T, K> {
    const KIND: Kind = Kind::new("pipe");
    const TAG: TypeTag = TypeTag::checked::<T>();
    const SCHEMA: Option<&'static Schema> = Some(T::SCHEMA);

    /// The least number of items that it must be able to hold.
    type Spec = u64;

    fn shape(&spec: &u64, _: u32) -> Result<Shape, ShapeError> {
        let max = max_capacity::<T>();
        if spec == 0 || spec > max {
            return Err(ShapeError::Length { found: spec, min: 1, max });
        }
        // `max` is a power of two, so that rounding up does not pass it.
        let len = spec.next_power_of_two();
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len,
            bytes: items_at::<T>() + len * size_of::<T>() as u64,
            align: align_of::<RawRing>().max(align_of::<T>()) as u64,
            names: RawRing::NAMES,
        })
    }

    unsafe fn init(region: Region<'_>, spec: u64, keeper: K) -> Result<Self, ShapeError> {
        let shape = Self::shape(&spec, keeper.places())?;
        // SAFETY: the caller's promises, and `shape`.
        let pipe = unsafe { Self::place(region, shape.len, keeper) }?;
        pipe.ring.set_capacity(shape.len);
        Ok(pipe)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        let max = max_capacity::<T>();
        if !len.is_power_of_two() || len > max {
            return Err(ShapeError::Length { found: len, min: 1, max });
        }
        // SAFETY: the caller's promises, and the look above.
        let pipe = unsafe { Self::place(region, len, keeper) }?;
        match pipe.ring.capacity() {
            capacity if capacity == len => Ok(pipe),
            found => Err(ShapeError::Corrupt { field: "capacity", found }),
        }
    }
}

/// Returns where the items of a ring begin, in bytes.
const fn items_at<T>() -> u64 {
    match align_up(size_of::<RawRing>() as u64, align_of::<T>() as u64) {
        Some(bytes) => bytes,
        None => unreachable!(),
    }
}

/// Returns the most items of a type that a pipe may hold, a power of two.
fn max_capacity<T>() -> u64 {
    let fit = MAX_BYTES / (size_of::<T>() as u64).max(1);
    MAX_CAPACITY.min(1 << fit.max(1).ilog2())
}
