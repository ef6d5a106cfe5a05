//! The barrier in a region.

use core::convert::Infallible;
use core::fmt;
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::{
    CachePadded, Kind, NameWords, Object, Offset, Region, Shape, ShapeError, TypeTag, align_up,
};
use shmkit_roster::{Judge, Seat};

use crate::who::Who;
use crate::{ActionError, BarrierCell, BarrierError, BarrierFrame, Patience, RawBarrier, RawMutex};

/// A point that nobody passes before as many threads have arrived as it has parties; then all pass, and it is ready for
/// the next time.
///
/// It lies in a [`Region`]: make one with [`Object::init`], use it in other processes with [`Object::attach`]. The
/// handle is its place and a keeper `K`. A party is a *thread*: several of one process may be parties. What
/// each did before it arrived is visible to all who pass.
///
/// A barrier is *broken* for all by a party whose deadline passes, whose action fails or who dies, and by
/// [`abort`](Self::abort). Then nobody passes, now or later, until somebody [resets](Self::reset) it.
///
/// # If a peer dies
///
/// after it arrived: [`BarrierError::PartyDied`] for all, within about 40 ms, and at once for who comes last or later. A
/// party that was to come and died before is missed in the same way if it had [registered](Self::party). Else nobody can
/// know of it, unless whoever waits names who is expected, participants and children that have yet to join
/// ([`Patience::while_all_alive`]): [`BarrierError::PeerDied`], also if it never came.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use memmap2::MmapRaw;
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// use shmkit_sync::Barrier;
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(4096)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let lap = unsafe { Barrier::init(region, 2.into(), participant) }?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| lap.wait().unwrap()); // or in any other process
///     lap.wait().unwrap();
/// });
/// # Ok(())
/// # }
/// ```
pub struct Barrier<K: Judge = Seat> {
    raw: RawBarrier<'static>,
    /// Keeps mapped what the others lead to; so it is dropped last.
    keeper: K,
}

impl<K: Judge + Clone> Clone for Barrier<K> {
    fn clone(&self) -> Self {
        Self { raw: self.raw, keeper: self.keeper.clone() }
    }
}

impl<K: Judge + Copy> Copy for Barrier<K> {}

/// Who meets at a [`Barrier`]: how many, and for how long they wait for each other.
///
/// A party that gives up breaks the barrier for all, so that the time-out is the barrier's, the same for whoever finds it:
/// it lies beside the number of parties, and not in a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parties {
    count: u32,
    timeout: Option<Duration>,
}

impl Parties {
    /// So many, 1 to 65,536, who wait for each other for ever unless they say for how long.
    pub const fn new(count: u32) -> Self {
        Self { count, timeout: None }
    }

    /// The same, but who does not say for how long it waits ([`Barrier::wait`], [`Barrier::wait_with`] and a party's) waits
    /// for at most `timeout`, to the nanosecond; for ever if that is more than 584 years.
    #[must_use]
    pub const fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }
}

impl From<u32> for Parties {
    fn from(count: u32) -> Self {
        Self::new(count)
    }
}

/// No action.
const NONE: Option<fn() -> Result<(), Infallible>> = None;

impl<K: Judge> Barrier<K> {
    /// Most parties of a barrier.
    pub const MAX_PARTIES: u32 = 1 << 16;

    /// Waits until all parties have arrived. Returns how many had arrived before this one: each number from 0 to
    /// `parties - 1` once.
    ///
    /// # Errors
    ///
    /// [`BarrierError`]; `TimedOut` only of a barrier that was made with a [time-out](Parties::timeout), not before that has
    /// passed, and the barrier is broken by it; `CannotJudge` after about a second in which nobody could tell whether the
    /// others live.
    ///
    /// # If a peer dies
    ///
    /// after it arrived, or having registered: [`BarrierError::PartyDied`].
    pub fn wait(&self) -> Result<u32, BarrierError> {
        self.meet(None, self.patience())
    }

    /// Waits until all parties have arrived, for at most `wait`. A wait that overflows the clock is for ever.
    ///
    /// # Errors
    ///
    /// [`BarrierError`]; `TimedOut` not before `wait` has passed, and the barrier is broken by it.
    ///
    /// # If a peer dies
    ///
    /// As with [`wait`](Self::wait).
    pub fn wait_timeout(&self, wait: Duration) -> Result<u32, BarrierError> {
        self.meet(None, Deadline::after(wait))
    }

    /// Waits until all parties have arrived, until `deadline` at most, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// [`BarrierError`]; `TimedOut` not before `deadline`, and the barrier is broken by it.
    ///
    /// # If a peer dies
    ///
    /// As with [`wait`](Self::wait).
    pub fn wait_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<u32, BarrierError> {
        self.meet(None, deadline)
    }

    /// Waits until all parties have arrived; the one that arrives last, number `parties - 1`, does its `action` before
    /// anybody passes.
    ///
    /// Other parties' deadlines go on meanwhile: an action that takes too long finds the barrier broken. An action that
    /// panics breaks it, and the panic goes on to the caller.
    ///
    /// # Errors
    ///
    /// [`ActionError::Action`] with the action's own error: the barrier is broken by it. Else a [`BarrierError`].
    ///
    /// # If a peer dies
    ///
    /// As with [`wait`](Self::wait).
    pub fn wait_with<E>(
        &self,
        action: impl FnOnce() -> Result<(), E>,
    ) -> Result<u32, ActionError<E>> {
        self.meet_with(None, self.patience(), action)
    }

    /// As [`wait_with`](Self::wait_with), for at most `wait`.
    ///
    /// # Errors
    ///
    /// [`ActionError`]; `TimedOut` not before `wait` has passed, and the barrier is broken by it.
    ///
    /// # If a peer dies
    ///
    /// As with [`wait`](Self::wait).
    pub fn wait_with_timeout<E>(
        &self,
        wait: Duration,
        action: impl FnOnce() -> Result<(), E>,
    ) -> Result<u32, ActionError<E>> {
        self.meet_with(None, Deadline::after(wait), action)
    }

    /// As [`wait_with`](Self::wait_with), until `deadline` at most, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// [`ActionError`]; `TimedOut` not before `deadline`, and the barrier is broken by it.
    ///
    /// # If a peer dies
    ///
    /// As with [`wait`](Self::wait).
    pub fn wait_with_deadline<'p, E>(
        &self,
        deadline: impl Into<Patience<'p>>,
        action: impl FnOnce() -> Result<(), E>,
    ) -> Result<u32, ActionError<E>> {
        self.meet_with(None, deadline, action)
    }

    /// Breaks the barrier: whoever waits, or comes later, gets [`BarrierError::Broken`].
    ///
    /// # Errors
    ///
    /// [`BarrierError::NotJoined`]; it was not broken.
    pub fn abort(&self) -> Result<(), BarrierError> {
        self.raw.abort(&self.keeper)
    }

    /// Makes the barrier whole and empty. Who waits now gets [`BarrierError::Broken`]; dead parties are forgotten.
    ///
    /// # Errors
    ///
    /// [`BarrierError::NotJoined`], or `Corrupt`; it was not reset.
    ///
    /// # If a peer dies
    ///
    /// in the middle of its own change, this call takes over from it. A stopped one is waited for.
    pub fn reset(&self) -> Result<(), BarrierError> {
        self.raw.reset(&self.keeper)
    }

    /// Returns whether the barrier is broken, as far as somebody has noticed.
    pub fn is_broken(&self) -> bool {
        self.raw.is_broken()
    }

    /// Returns how many parties were waiting a moment ago; 0 while they leave, and when it is broken.
    pub fn n_waiting(&self) -> u32 {
        self.raw.n_waiting()
    }

    /// Returns for how long a party waits that does not say for how long, if not for ever.
    pub fn timeout(&self) -> Option<Duration> {
        self.raw.frame.timeout()
    }

    /// Returns how many parties it has.
    pub fn parties(&self) -> u32 {
        self.raw.parties()
    }

    /// Returns the machine below, to be shown or watched.
    pub fn raw(&self) -> RawBarrier<'_> {
        self.raw
    }

    /// The patience of a party that does not say for how long.
    pub(crate) fn patience(&self) -> Patience<'static> {
        self.timeout().map_or(Patience::ENDLESS, Patience::from)
    }

    pub(crate) fn keeper(&self) -> &K {
        &self.keeper
    }

    pub(crate) fn meet<'p>(
        &self,
        seat: Option<usize>,
        patience: impl Into<Patience<'p>>,
    ) -> Result<u32, BarrierError> {
        self.raw.wait(seat, &self.keeper, patience, NONE).map_err(|error| match error {
            ActionError::Barrier(error) => error,
            ActionError::Action(never) => match never {},
        })
    }

    pub(crate) fn meet_with<'p, E>(
        &self,
        seat: Option<usize>,
        patience: impl Into<Patience<'p>>,
        action: impl FnOnce() -> Result<(), E>,
    ) -> Result<u32, ActionError<E>> {
        self.raw.wait(seat, &self.keeper, patience, Some(action))
    }

    fn check(parties: u64) -> Result<u32, ShapeError> {
        match u32::try_from(parties) {
            Ok(count) if (1..=Self::MAX_PARTIES).contains(&count) => Ok(count),
            _ => Err(ShapeError::Length { found: parties, min: 1, max: Self::MAX_PARTIES.into() }),
        }
    }

    /// Finds frame and cells in `region`.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`].
    unsafe fn place(
        region: Region<'_>,
        parties: u32,
        keeper: K,
    ) -> Result<(Self, &'static BarrierFrame), ShapeError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let frame = region.get::<BarrierFrame>(Offset::ZERO)?;
        let cells = Offset::new(size_of::<BarrierFrame>() as u64)?;
        let cells = region.slice::<BarrierCell>(cells, parties as usize)?;
        Ok((Self { raw: RawBarrier::new(frame, cells), keeper }, frame))
    }
}

const ALIGN: u64 = align_of::<CachePadded<u8>>() as u64;

#[cfg(feature = "serde")]
shmkit_roster::travels!([] Barrier, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<K: Judge> Object<K> for Barrier<K> {
    const KIND: Kind = Kind::new("barrier");
    const TAG: TypeTag = TypeTag::NONE;

    /// How many parties there are, 1 to 65,536, and their time-out. Whoever finds the barrier finds both.
    type Spec = Parties;

    fn shape(parties: &Parties, _: u32) -> Result<Shape, ShapeError> {
        let len = Self::check(parties.count.into())?.into();
        let cells = len * size_of::<BarrierCell>() as u64;
        let bytes = align_up(size_of::<BarrierFrame>() as u64 + cells, ALIGN)
            .expect("65,536 cells are half a mebibyte");
        let cells = NameWords::upper(size_of::<BarrierFrame>() as u32, 8, len as u32);
        let names = [RawMutex::NAMES, cells, NameWords::NONE, NameWords::NONE];
        Ok(Shape { kind: Self::KIND, tag: Self::TAG, len, bytes, align: ALIGN, names })
    }

    unsafe fn init(region: Region<'_>, spec: Parties, keeper: K) -> Result<Self, ShapeError> {
        let parties = Self::check(spec.count.into())?;
        // SAFETY: the caller's promises; the frame is used while the barrier is there.
        let (barrier, frame) = unsafe { Self::place(region, parties, keeper) }?;
        frame.set_parties(parties);
        if let Some(timeout) = spec.timeout {
            frame.set_time_limit(timeout);
        }
        Ok(barrier)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        let parties = Self::check(len)?;
        // SAFETY: the caller's promises; the frame is used while the barrier is there.
        let (barrier, frame) = unsafe { Self::place(region, parties, keeper) }?;
        let found = frame.parties();
        if found != parties {
            return Err(ShapeError::Corrupt { field: "number of parties", found: found.into() });
        }
        Ok(barrier)
    }
}

impl<K: Judge> fmt::Debug for Barrier<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrived: Vec<_> =
            self.raw.arrived().into_iter().map(|owner| Who(&self.keeper, owner)).collect();
        f.debug_struct("Barrier")
            .field("parties", &self.parties())
            .field("broken", &self.is_broken())
            .field("arrived", &arrived)
            .finish()
    }
}
