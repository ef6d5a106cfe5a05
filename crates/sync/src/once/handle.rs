//! What is done once for all processes, in a region.

use core::fmt;
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::{
    CachePadded, Kind, Object, Offset, Region, Shape, ShapeError, TypeTag, align_up,
};
use shmkit_roster::{Judge, OwnerId, Seat};

use crate::once::raw::Turn;
use crate::who::Who;
use crate::{OnceError, Patience, RawOnce};

/// Something that is done once, by whichever process comes first, while the others wait.
///
/// It lies in a [`Region`]: make one with [`Object::init`], use it in other processes with [`Object::attach`]. The
/// handle is its place and a keeper `K`; threads may share it. What was done is visible to everybody who
/// finds it done. For a value that is made once there is [`OnceCell`](crate::OnceCell).
///
/// # If a peer dies
///
/// while it does it, whoever comes next, or waits to do it, does it from the beginning:
/// [`call_once_force`](Self::call_once_force) tells it that somebody has begun before. A panic, and an initialiser's
/// error, leave it to the next one in the same way.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use memmap2::MmapRaw;
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// use shmkit_sync::Once;
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(4096)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let migration = unsafe { Once::init(region, (), participant) }?;
/// migration.call_once(|| println!("migrating"))?; // in every process, but only one of them prints
/// assert!(migration.is_completed());
/// # Ok(())
/// # }
/// ```
pub struct Once<K: Judge = Seat> {
    raw: &'static RawOnce,
    /// Keeps mapped what the others lead to; so it is dropped last.
    keeper: K,
}

impl<K: Judge + Clone> Clone for Once<K> {
    fn clone(&self) -> Self {
        Self { raw: self.raw, keeper: self.keeper.clone() }
    }
}

impl<K: Judge + Copy> Copy for Once<K> {}

/// What has become of those who came before.
#[derive(Clone, Copy, Debug)]
pub struct OnceState {
    dead: Option<OwnerId>,
    failures: u32,
}

impl OnceState {
    /// Returns how many attempts have come to nothing before this one. Never 0 if somebody died half-way.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns the dead participant that it was taken from, if the one before this one died.
    pub fn dead_owner(&self) -> Option<OwnerId> {
        self.dead
    }
}

impl<K: Judge> Once<K> {
    /// Does it, unless it is done already; waits while somebody else is at it.
    ///
    /// If `f` panics, the panic goes on to the caller, and the next one may try.
    ///
    /// # Errors
    ///
    /// [`OnceError`], but never `TimedOut`, `WouldBlock` or `OwnerDied`. After `NotJoined` or `Corrupt` it may have run,
    /// in a process that has lost its place meanwhile, and somebody will do it again.
    ///
    /// # If a peer dies
    ///
    /// while it is at it, the caller does it, within about 40 ms.
    #[inline]
    pub fn call_once(&self, f: impl FnOnce()) -> Result<(), OnceError> {
        self.call_by(Deadline::NEVER, |_| f())
    }

    /// Does it, unless it is done already or somebody else is at it.
    ///
    /// # Errors
    ///
    /// [`OnceError`]; `WouldBlock` if somebody alive is at it.
    ///
    /// # If a peer dies
    ///
    /// while it is at it, the caller does it at once.
    pub fn try_call_once(&self, f: impl FnOnce()) -> Result<(), OnceError> {
        run(self.raw, &self.keeper, self.raw.try_begin(&self.keeper)?, |_| f())
    }

    /// Does it, unless it is done already; waits for at most `wait` while somebody else is at it. The time that `f`
    /// takes is not limited.
    ///
    /// # Errors
    ///
    /// [`OnceError`]; `TimedOut` not before `wait` has passed.
    ///
    /// # If a peer dies
    ///
    /// As with [`call_once`](Self::call_once).
    pub fn call_once_timeout(&self, wait: Duration, f: impl FnOnce()) -> Result<(), OnceError> {
        self.call_by(Deadline::after(wait), |_| f())
    }

    /// Does it, unless it is done already; waits until `deadline` at most, or for as long as a [`Patience`] lasts while somebody else is at it. The time that
    /// `f` takes is not limited.
    ///
    /// # Errors
    ///
    /// [`OnceError`]; `TimedOut` not before `deadline`.
    ///
    /// # If a peer dies
    ///
    /// As with [`call_once`](Self::call_once).
    pub fn call_once_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
        f: impl FnOnce(),
    ) -> Result<(), OnceError> {
        self.call_by(deadline, |_| f())
    }

    /// Does it as [`call_once`](Self::call_once), and is told what has become of those who tried before.
    ///
    /// # Errors
    ///
    /// As with [`call_once`](Self::call_once).
    ///
    /// # If a peer dies
    ///
    /// As with [`call_once`](Self::call_once).
    pub fn call_once_force(&self, f: impl FnOnce(&OnceState)) -> Result<(), OnceError> {
        self.call_by(Deadline::NEVER, f)
    }

    /// Returns whether it is done.
    #[inline]
    pub fn is_completed(&self) -> bool {
        self.raw.is_ready()
    }

    /// Waits until somebody has done it.
    ///
    /// # Errors
    ///
    /// [`OnceError`], but never `TimedOut` or `WouldBlock`.
    ///
    /// # If a peer dies
    ///
    /// while it is at it: [`OnceError::OwnerDied`], within about 40 ms. Of a death before anybody began, nobody can know.
    pub fn wait(&self) -> Result<(), OnceError> {
        self.raw.wait(&self.keeper, Deadline::NEVER)
    }

    /// Waits until somebody has done it, for at most `wait`.
    ///
    /// # Errors
    ///
    /// [`OnceError`]; `TimedOut` not before `wait` has passed.
    ///
    /// # If a peer dies
    ///
    /// As with [`wait`](Self::wait).
    pub fn wait_timeout(&self, wait: Duration) -> Result<(), OnceError> {
        self.raw.wait(&self.keeper, Deadline::after(wait))
    }

    /// Waits until somebody has done it, until `deadline` at most, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// [`OnceError`]; `TimedOut` not before `deadline`.
    ///
    /// # If a peer dies
    ///
    /// As with [`wait`](Self::wait).
    pub fn wait_deadline<'p>(&self, deadline: impl Into<Patience<'p>>) -> Result<(), OnceError> {
        self.raw.wait(&self.keeper, deadline)
    }

    /// Returns the machine below, to be shown or watched.
    pub fn raw(&self) -> &RawOnce {
        self.raw
    }

    #[inline]
    fn call_by<'p>(
        &self,
        patience: impl Into<Patience<'p>>,
        f: impl FnOnce(&OnceState),
    ) -> Result<(), OnceError> {
        run(self.raw, &self.keeper, self.raw.begin(&self.keeper, patience)?, f)
    }
}

/// Does it if it is ours to do.
fn run<J: Judge + ?Sized>(
    raw: &RawOnce,
    judge: &J,
    turn: Turn,
    f: impl FnOnce(&OnceState),
) -> Result<(), OnceError> {
    let Some((run, state)) = Run::new(raw, judge, turn) else { return Ok(()) };
    f(&state);
    // SAFETY: `f` has returned.
    unsafe { run.finish() }
}

/// The right and the duty to do it. Dropped, by an error or a panic, it leaves it to the next one.
///
/// In a forked child it does nothing: the parent is at it, not the child.
pub(crate) struct Run<'a, J: Judge + ?Sized> {
    raw: &'a RawOnce,
    judge: &'a J,
    /// Who is at it.
    id: Option<OwnerId>,
}

impl<'a, J: Judge + ?Sized> Run<'a, J> {
    /// Takes the turn, if it is ours.
    pub(crate) fn new(raw: &'a RawOnce, judge: &'a J, turn: Turn) -> Option<(Self, OnceState)> {
        match turn {
            Turn::Done => None,
            Turn::Yours { id, dead, failures } => {
                Some((Self { raw, judge, id: Some(id) }, OnceState { dead, failures }))
            }
        }
    }

    /// Returns whether this process is at it, and not a forked child of it.
    pub(crate) fn is_ours(&self) -> bool {
        let me = self.judge.me();
        me.is_some() && me == self.id
    }

    /// Says that it is done.
    ///
    /// # Safety
    ///
    /// It is, and what it left does not change any more.
    pub(crate) unsafe fn finish(mut self) -> Result<(), OnceError> {
        if !self.is_ours() {
            return Err(OnceError::NotJoined);
        }
        self.id = None;
        // SAFETY: `new` had the turn, and the caller vouches for the rest.
        let finished = unsafe { self.raw.finish(self.judge) };
        // Refused only if the word is not ours, because a wrong peer wrote to it.
        finished.map_err(|_| OnceError::Corrupt { word: self.raw.word() })
    }
}

impl<J: Judge + ?Sized> Drop for Run<'_, J> {
    fn drop(&mut self) {
        if self.is_ours() {
            // SAFETY: `new` had the turn, and whoever drops this has stopped.
            // Refused only if the word is not ours, because a wrong peer wrote to it: then there is nothing to leave.
            let _ = unsafe { self.raw.give_up(self.judge) };
        }
    }
}

/// Shows what stands in it, with who is at it in words, as fields of something.
pub(crate) fn show<J: Judge + ?Sized>(
    raw: &RawOnce,
    judge: &J,
    debug: &mut fmt::DebugStruct<'_, '_>,
) {
    debug
        .field("ready", &raw.is_ready())
        .field("owner", &raw.owner().map(|owner| Who(judge, owner)))
        .field("failures", &raw.failures());
}

const ALIGN: u64 = align_of::<CachePadded<u8>>() as u64;
const BYTES: u64 = match align_up(size_of::<RawOnce>() as u64, ALIGN) {
    Some(bytes) => bytes,
    None => unreachable!(),
};

#[cfg(feature = "serde")]
shmkit_roster::travels!([] Once, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<K: Judge> Object<K> for Once<K> {
    const KIND: Kind = Kind::new("once");
    const TAG: TypeTag = TypeTag::NONE;

    /// Nothing: a new one is not done.
    type Spec = ();

    fn shape((): &(), _: u32) -> Result<Shape, ShapeError> {
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len: 1,
            bytes: BYTES,
            align: ALIGN,
            names: RawOnce::NAMES,
        })
    }

    unsafe fn init(region: Region<'_>, (): (), keeper: K) -> Result<Self, ShapeError> {
        // Zero bytes are one that is not done (caller).
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

impl<K: Judge> fmt::Debug for Once<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Once");
        show(self.raw, &self.keeper, &mut debug);
        debug.finish()
    }
}
