//! The ownerless counting semaphore in a region.

use core::fmt;
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::{
    CachePadded, Kind, NameWords, Object, Offset, Region, Shape, ShapeError, TypeTag, align_up,
};
use shmkit_roster::{Judge, Seat};

use crate::{CountingError, Patience, RawCountingSemaphore};

/// A number that anybody raises, and that anybody lowers by one, waiting while it is 0: Python's `Semaphore`, and with
/// a [bound](Count::bounded) its `BoundedSemaphore`.
///
/// It lies in a [`Region`]: make one with [`Object::init`], use it in other processes with [`Object::attach`]. The
/// handle is its place and a keeper `K`; threads may share it. What was done before a
/// [`release`](Self::release) is visible to who acquires afterwards.
///
/// What it does *not* know: who has acquired. One process may acquire and another release. It is not fair.
///
/// # If a peer dies
///
/// **What it had acquired is gone**: the value does not rise again by itself. Where those who acquire also release, use
/// a [`Semaphore`](crate::Semaphore), whose permits come back.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use memmap2::MmapRaw;
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// use shmkit_sync::{Count, CountingError, CountingSemaphore};
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(4096)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let slots = unsafe { CountingSemaphore::init(region, Count::bounded(2), participant) }?;
/// slots.acquire()?;
/// assert_eq!(slots.value(), 1);
/// slots.release(1)?; // here or in any other process
/// assert!(matches!(slots.release(1), Err(CountingError::PastBound { .. })));
///
/// # let memory = MmapRaw::from(memmap2::MmapMut::map_anon(4096)?);
/// # let base = std::ptr::NonNull::new(memory.as_mut_ptr()).unwrap();
/// # // SAFETY: as above.
/// # let region = unsafe { Region::from_raw_parts(base, memory.len()) };
/// // What is to be filled first begins below its bound.
/// let queued = Count::bounded(8).starting_at(0);
/// // SAFETY: as above.
/// let queued = unsafe { CountingSemaphore::init(region, queued, participant) }?;
/// assert_eq!((queued.value(), queued.bound()), (0, 8));
/// # Ok(())
/// # }
/// ```
pub struct CountingSemaphore<K: Judge = Seat> {
    raw: &'static RawCountingSemaphore,
    /// Keeps mapped what the others lead to; so it is dropped last.
    keeper: K,
}

/// The first value of a [`CountingSemaphore`], and its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    value: u32,
    bound: u32,
}

impl Count {
    /// A semaphore that can be released without limit (up to 2^31-1, the type's).
    pub const fn unbounded(value: u32) -> Self {
        Self { value, bound: RawCountingSemaphore::MAX_VALUE }
    }

    /// A semaphore that is never released above `bound`, which is its first value unless
    /// [another](Self::starting_at) is given.
    pub const fn bounded(bound: u32) -> Self {
        Self { value: bound, bound }
    }

    /// Begins with `value` instead: `Count::bounded(8).starting_at(0)` is eight places, none of them free yet.
    ///
    /// A value above the bound is refused where the semaphore is made, by [`ShapeError::Start`].
    #[must_use]
    pub const fn starting_at(self, value: u32) -> Self {
        Self { value, ..self }
    }

    /// Returns the first value and the bound, if such a semaphore can be.
    fn check(self) -> Result<(u32, u32), ShapeError> {
        let Self { value, bound } = self;
        check(bound.into())?;
        if value > bound {
            return Err(ShapeError::Start { value: value.into(), bound: bound.into() });
        }
        Ok((value, bound))
    }
}

/// A semaphore without a bound.
impl From<u32> for Count {
    fn from(value: u32) -> Self {
        Self::unbounded(value)
    }
}

impl<K: Judge + Clone> Clone for CountingSemaphore<K> {
    fn clone(&self) -> Self {
        Self { raw: self.raw, keeper: self.keeper.clone() }
    }
}

impl<K: Judge + Copy> Copy for CountingSemaphore<K> {}

impl<K: Judge> CountingSemaphore<K> {
    /// Lowers the value by one, sleeping while it is 0.
    ///
    /// # Errors
    ///
    /// [`CountingError::NotJoined`] in a forked child that has not joined.
    ///
    /// # If a peer dies
    ///
    /// What it had taken does not come back: the wait goes on until somebody releases.
    #[inline]
    pub fn acquire(&self) -> Result<(), CountingError> {
        self.raw.acquire(&self.keeper, Deadline::NEVER)
    }

    /// Lowers the value by one if it is not 0.
    ///
    /// # Errors
    ///
    /// [`CountingError::WouldBlock`] if it is 0; `NotJoined`.
    #[inline]
    pub fn try_acquire(&self) -> Result<(), CountingError> {
        self.raw.try_acquire(&self.keeper)
    }

    /// Lowers the value by one, waiting for at most `wait`, on the monotonic clock. A wait that overflows the clock is
    /// for ever.
    ///
    /// # Errors
    ///
    /// [`CountingError`]; `TimedOut` not before `wait` has passed.
    ///
    /// # If a peer dies
    ///
    /// As with [`acquire`](Self::acquire).
    pub fn acquire_timeout(&self, wait: Duration) -> Result<(), CountingError> {
        self.raw.acquire(&self.keeper, Deadline::after(wait))
    }

    /// Lowers the value by one, waiting until `deadline` at most, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// [`CountingError`]; `TimedOut` not before `deadline`.
    ///
    /// # If a peer dies
    ///
    /// As with [`acquire`](Self::acquire).
    pub fn acquire_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), CountingError> {
        self.raw.acquire(&self.keeper, deadline)
    }

    /// Raises the value by `count`, and wakes as many of those who wait. Whoever calls it need not have acquired.
    ///
    /// # Errors
    ///
    /// [`CountingError::PastBound`] if the value would pass its [bound](Self::bound), and `NotJoined`; it was not
    /// raised.
    #[inline]
    pub fn release(&self, count: u32) -> Result<(), CountingError> {
        self.raw.release(count, &self.keeper)
    }

    /// Returns the value of a moment ago.
    #[inline]
    pub fn value(&self) -> u32 {
        self.raw.value()
    }

    /// Returns whether the value was 0 a moment ago: who acquires would wait.
    #[inline]
    pub fn locked(&self) -> bool {
        self.value() == 0
    }

    /// Returns the highest value that it can have.
    pub fn bound(&self) -> u32 {
        self.raw.bound()
    }

    /// Returns the machine below, to be shown or watched.
    pub fn raw(&self) -> &RawCountingSemaphore {
        self.raw
    }
}

const ALIGN: u64 = align_of::<CachePadded<u8>>() as u64;
const BYTES: u64 = match align_up(size_of::<RawCountingSemaphore>() as u64, ALIGN) {
    Some(bytes) => bytes,
    None => unreachable!(),
};

/// Checks a bound.
fn check(found: u64) -> Result<u32, ShapeError> {
    let max = RawCountingSemaphore::MAX_VALUE;
    match u32::try_from(found) {
        Ok(bound) if bound <= max => Ok(bound),
        _ => Err(ShapeError::Length { found, min: 0, max: max.into() }),
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([] CountingSemaphore, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<K: Judge> Object<K> for CountingSemaphore<K> {
    const KIND: Kind = Kind::new("counting");
    const TAG: TypeTag = TypeTag::NONE;

    /// Its length is the bound.
    type Spec = Count;

    fn shape(count: &Count, _: u32) -> Result<Shape, ShapeError> {
        let len = count.check()?.1.into();
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len,
            bytes: BYTES,
            align: ALIGN,
            names: NameWords::NONE.alone(),
        })
    }

    unsafe fn init(region: Region<'_>, count: Count, keeper: K) -> Result<Self, ShapeError> {
        let (value, bound) = count.check()?;
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let raw = region.get::<RawCountingSemaphore>(Offset::ZERO)?;
        raw.set(value, bound);
        Ok(Self { raw, keeper })
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        let bound = check(len)?;
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let raw = region.get::<RawCountingSemaphore>(Offset::ZERO)?;
        let found = raw.bound();
        if found != bound {
            return Err(ShapeError::Corrupt { field: "bound", found: found.into() });
        }
        Ok(Self { raw, keeper })
    }
}

impl<K: Judge> fmt::Debug for CountingSemaphore<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CountingSemaphore").field(self.raw).finish()
    }
}
