//! The owned semaphore in a region, and its permits.

use core::fmt;
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::{
    CachePadded, Kind, NameWords, Object, Offset, Region, Shape, ShapeError, TypeTag, align_up,
};
use shmkit_roster::{Judge, OwnerId, Seat};

use crate::seats::Seats;
use crate::who::Who;
use crate::{
    HolderCell, Patience, RawMutex, RawSemaphore, ReleaseError, Seated, Seating, SemaphoreError,
    SemaphoreFrame,
};

/// A number of permits, of which processes hold some.
///
/// It lies in a [`Region`]: make one with [`Object::init`], use it in other processes with [`Object::attach`]. The
/// handle is its place and a keeper `K`; threads may share it, and hold permits in common: the holder of
/// a permit is the *process*. It is not fair: whoever comes first when permits are free gets them. As many processes
/// can hold permits at a time as there are places in the roster, unless it is made with fewer [`Seated::seats`].
///
/// ```text
/// 0 SemaphoreFrame | padding to 128 | holders' cells, as Seating lays them out
/// ```
///
/// What it is *not*: a counter that anybody may raise. Only who holds a permit can release it.
///
/// # If a peer dies
///
/// The permits that it held return: whoever lacks permits asks about their holders, before it sleeps and at the end
/// of every slice of at most 32 ms.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use memmap2::MmapRaw;
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// use shmkit_sync::{Semaphore, SemaphoreError};
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(4096)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let doors = unsafe { Semaphore::init(region, 2.into(), participant) }?;
/// let first = doors.acquire()?;
/// let second = doors.acquire()?;
/// assert_eq!(doors.try_acquire().unwrap_err(), SemaphoreError::WouldBlock);
/// drop(first);
/// assert_eq!(doors.available(), 1);
/// # drop(second);
/// # Ok(())
/// # }
/// ```
pub struct Semaphore<K: Judge = Seat> {
    raw: RawSemaphore<'static>,
    /// Keeps mapped what the others lead to; so it is dropped last.
    keeper: K,
}

impl<K: Judge + Clone> Clone for Semaphore<K> {
    fn clone(&self) -> Self {
        Self { raw: self.raw, keeper: self.keeper.clone() }
    }
}

impl<K: Judge + Copy> Copy for Semaphore<K> {}

impl<K: Judge> Semaphore<K> {
    /// Takes a permit, sleeping while there is none.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError`], but never `TimedOut` or `WouldBlock`.
    ///
    /// # If a peer dies
    ///
    /// Its permits return within about 40 ms.
    pub fn acquire(&self) -> Result<Permit<'_, &K>, SemaphoreError> {
        self.acquire_by(1, Deadline::NEVER)
    }

    /// Takes a permit if there is one now.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError`]; `WouldBlock` if living processes hold them all.
    ///
    /// # If a peer dies
    ///
    /// Its permits return at once.
    pub fn try_acquire(&self) -> Result<Permit<'_, &K>, SemaphoreError> {
        self.try_acquire_many(1)
    }

    /// Takes a permit, waiting for at most `wait`, on the monotonic clock. A wait that overflows the clock is for
    /// ever.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError`]; `TimedOut` not before `wait` has passed.
    ///
    /// # If a peer dies
    ///
    /// As with [`acquire`](Self::acquire).
    pub fn acquire_timeout(&self, wait: Duration) -> Result<Permit<'_, &K>, SemaphoreError> {
        self.acquire_by(1, Deadline::after(wait))
    }

    /// Takes a permit, waiting until `deadline` at most, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError`]; `TimedOut` not before `deadline`.
    ///
    /// # If a peer dies
    ///
    /// As with [`acquire`](Self::acquire).
    pub fn acquire_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Permit<'_, &K>, SemaphoreError> {
        self.acquire_by(1, deadline)
    }

    /// Takes `count` permits together, sleeping while there are too few.
    ///
    /// Nothing is reserved meanwhile: others who want fewer may go first for as long as they come.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError`]; `TooMany` if there are not so many at all.
    ///
    /// # If a peer dies
    ///
    /// As with [`acquire`](Self::acquire).
    pub fn acquire_many(&self, count: u32) -> Result<Permit<'_, &K>, SemaphoreError> {
        self.acquire_by(count, Deadline::NEVER)
    }

    /// Takes `count` permits together if there are so many now.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError`]; `TooMany` if there are not so many at all.
    ///
    /// # If a peer dies
    ///
    /// As with [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_many(&self, count: u32) -> Result<Permit<'_, &K>, SemaphoreError> {
        self.permit(count, None, &self.keeper)
    }

    /// Takes `count` permits together, waiting for at most `wait`.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError`]; `TooMany` if there are not so many at all.
    ///
    /// # If a peer dies
    ///
    /// As with [`acquire`](Self::acquire).
    pub fn acquire_many_timeout(
        &self,
        count: u32,
        wait: Duration,
    ) -> Result<Permit<'_, &K>, SemaphoreError> {
        self.acquire_by(count, Deadline::after(wait))
    }

    /// Takes `count` permits together, waiting until `deadline` at most, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError`]; `TooMany` if there are not so many at all.
    ///
    /// # If a peer dies
    ///
    /// As with [`acquire`](Self::acquire).
    pub fn acquire_many_deadline<'p>(
        &self,
        count: u32,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Permit<'_, &K>, SemaphoreError> {
        self.acquire_by(count, deadline)
    }

    /// Takes `count` permits together, as [`acquire_many`](Self::acquire_many), into a permit that borrows nothing: it has
    /// a clone of the handle's keeper.
    ///
    /// # Errors
    ///
    /// As [`acquire_many`](Self::acquire_many).
    ///
    /// # If a peer dies
    ///
    /// As with [`acquire`](Self::acquire).
    pub fn acquire_owned(&self, count: u32) -> Result<OwnedPermit<K>, SemaphoreError>
    where
        K: Clone,
    {
        self.permit(count, Some(Patience::ENDLESS), self.keeper.clone())
    }

    /// As [`acquire_owned`](Self::acquire_owned), waiting for at most `wait`.
    ///
    /// # Errors
    ///
    /// As [`acquire_many_timeout`](Self::acquire_many_timeout).
    ///
    /// # If a peer dies
    ///
    /// As with [`acquire`](Self::acquire).
    pub fn acquire_owned_timeout(
        &self,
        count: u32,
        wait: Duration,
    ) -> Result<OwnedPermit<K>, SemaphoreError>
    where
        K: Clone,
    {
        self.permit(count, Some(wait.into()), self.keeper.clone())
    }

    /// As [`acquire_owned`](Self::acquire_owned), waiting until `deadline` at most, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`acquire_many_deadline`](Self::acquire_many_deadline).
    ///
    /// # If a peer dies
    ///
    /// As with [`acquire`](Self::acquire).
    pub fn acquire_owned_deadline<'p>(
        &self,
        count: u32,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<OwnedPermit<K>, SemaphoreError>
    where
        K: Clone,
    {
        self.permit(count, Some(deadline.into()), self.keeper.clone())
    }

    /// As [`acquire_owned`](Self::acquire_owned), if there are so many now.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_many`](Self::try_acquire_many).
    ///
    /// # If a peer dies
    ///
    /// As with [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_owned(&self, count: u32) -> Result<OwnedPermit<K>, SemaphoreError>
    where
        K: Clone,
    {
        self.permit(count, None, self.keeper.clone())
    }

    /// Gives back `count` permits that this process holds: those of which the [`Permit`] was
    /// [forgotten](Permit::forget).
    ///
    /// # Errors
    ///
    /// [`ReleaseError::NotHeld`] if this process holds fewer; none is given back then.
    ///
    /// # If a peer dies
    ///
    /// in the middle of its own change, this call finishes it first. A stopped one is waited for.
    pub fn release(&self, count: u32) -> Result<(), ReleaseError> {
        self.raw.release(count, &self.keeper)
    }

    /// Returns how many permits there are.
    pub fn permits(&self) -> u32 {
        self.raw.permits()
    }

    /// Returns how many permits nobody held a moment ago, the dead counting as holders until somebody looks.
    pub fn available(&self) -> u32 {
        self.raw.available()
    }

    /// Returns whether nobody could take a permit a moment ago: [`available`](Self::available) is 0.
    pub fn locked(&self) -> bool {
        self.available() == 0
    }

    /// Returns how many permits this process holds.
    pub fn held(&self) -> u32 {
        self.keeper.me().map_or(0, |me| self.raw.held_by(me))
    }

    /// Returns the machine below, to be shown or watched.
    pub fn raw(&self) -> RawSemaphore<'_> {
        self.raw
    }

    fn me(&self) -> Result<OwnerId, SemaphoreError> {
        self.keeper.me().ok_or(SemaphoreError::NotJoined)
    }

    fn acquire_by<'p>(
        &self,
        count: u32,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Permit<'_, &K>, SemaphoreError> {
        self.permit(count, Some(patience.into()), &self.keeper)
    }

    /// Takes `count` permits, at once if there is no patience, for a permit that has `keeper`: ours, or a clone of it.
    fn permit<G: Judge>(
        &self,
        count: u32,
        patience: Option<Patience<'_>>,
        keeper: G,
    ) -> Result<Permit<'static, G>, SemaphoreError> {
        let id = self.me()?;
        match patience {
            Some(patience) => self.raw.acquire(count, &keeper, patience)?,
            None => self.raw.try_acquire(count, &keeper)?,
        }
        Ok(Permit { raw: self.raw, id, count, keeper })
    }

    fn check(permits: u64) -> Result<u32, ShapeError> {
        let max = RawSemaphore::MAX_PERMITS;
        match u32::try_from(permits) {
            Ok(count) if (1..=max).contains(&count) => Ok(count),
            _ => Err(ShapeError::Length { found: permits, min: 1, max: max.into() }),
        }
    }

    /// Finds frame and cells in `region`.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`].
    unsafe fn place(region: Region<'_>, seating: Seating, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let frame = region.get::<SemaphoreFrame>(Offset::ZERO)?;
        let seats: Seats<'static, HolderCell> = Seats::place(region, CELLS, seating)?;
        Ok(Self { raw: RawSemaphore::seated(frame, seats), keeper })
    }
}

const ALIGN: u64 = align_of::<CachePadded<u8>>() as u64;
/// Where the cells begin, in bytes.
const CELLS: u64 = match align_up(size_of::<SemaphoreFrame>() as u64, ALIGN) {
    Some(bytes) => bytes,
    None => unreachable!(),
};

#[cfg(feature = "serde")]
shmkit_roster::travels!([] Semaphore, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone, and it names participants in the mutex and the cells.
unsafe impl<K: Judge> Object<K> for Semaphore<K> {
    const KIND: Kind = Kind::new("sema");
    const TAG: TypeTag = TypeTag::NONE;

    /// How many permits there are, 1 to 2^31-1, and how many can hold some.
    type Spec = Seated<u32>;

    fn shape(spec: &Seated<u32>, places: u32) -> Result<Shape, ShapeError> {
        let seating = Seating::spread(spec.or(places)?);
        let cells = NameWords::upper(CELLS as u32, 8, seating.cells() as u32);
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len: Self::check(spec.what.into())?.into(),
            bytes: CELLS + seating.bytes(),
            align: ALIGN,
            names: [RawMutex::NAMES, cells, NameWords::NONE, NameWords::NONE],
        })
    }

    unsafe fn init(region: Region<'_>, spec: Seated<u32>, keeper: K) -> Result<Self, ShapeError> {
        let permits = Self::check(spec.what.into())?;
        let seating = Seating::spread(spec.or(keeper.places())?);
        // SAFETY: the caller's promises.
        let semaphore = unsafe { Self::place(region, seating, keeper) }?;
        region.get::<SemaphoreFrame>(Offset::ZERO)?.set(permits, seating.seats());
        Ok(semaphore)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        let permits = Self::check(len)?;
        let frame = region.get::<SemaphoreFrame>(Offset::ZERO)?;
        let found = frame.permits();
        if found != permits {
            return Err(ShapeError::Corrupt { field: "number of permits", found: found.into() });
        }
        let seating = Seating::spread(Seating::check(frame.seats())?);
        // SAFETY: the caller's promises.
        unsafe { Self::place(region, seating, keeper) }
    }
}

/// Shows the permits and who holds how many.
impl<K: Judge> fmt::Debug for Semaphore<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holders: Vec<_> = self
            .raw
            .holders()
            .filter_map(|holding| Some((Who(&self.keeper, holding.owner()?), holding.count())))
            .collect();
        f.debug_struct("Semaphore")
            .field("permits", &self.raw.permits())
            .field("available", &self.raw.available())
            .field("holders", &holders)
            .finish()
    }
}

/// Permits that this process holds; dropping it gives them back.
///
/// In a forked child it does nothing: the parent holds the permits, not the child.
#[must_use = "dropping the permit gives it back"]
pub struct Permit<'a, K: Judge = &'a Seat> {
    raw: RawSemaphore<'a>,
    /// Who took them.
    id: OwnerId,
    /// How many they are; 0 when they were forgotten.
    count: u32,
    keeper: K,
}

/// A [`Permit`] that borrows nothing, of [`Semaphore::acquire_owned`].
pub type OwnedPermit<K = Seat> = Permit<'static, K>;

impl<K: Judge> Permit<'_, K> {
    /// Returns how many permits these are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Gives them back, as dropping does, and says how that went.
    ///
    /// # Errors
    ///
    /// [`ReleaseError`], if somebody has [released](Semaphore::release) them before, or in a forked child.
    pub fn release(self) -> Result<(), ReleaseError> {
        let result = self.give_back();
        self.forget();
        result
    }

    /// Keeps them for this process, to be given back by [`Semaphore::release`] or by its end.
    pub fn forget(mut self) {
        self.count = 0;
    }

    fn give_back(&self) -> Result<(), ReleaseError> {
        if self.keeper.me() != Some(self.id) {
            return Err(ReleaseError::NotHeld { asked: self.count, held: 0 });
        }
        self.raw.release(self.count, &self.keeper)
    }
}

impl<K: Judge> Drop for Permit<'_, K> {
    fn drop(&mut self) {
        if self.count == 0 {
            return;
        }
        // A forked child holds nothing, and a corrupt semaphore takes nothing back; nor does one whose words are just
        // being changed by somebody who cannot be judged, for a second. `release` tells who wants to know.
        let _ = self.give_back();
    }
}

impl<K: Judge> fmt::Debug for Permit<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permit({} of {})", self.count, self.raw.permits())
    }
}
