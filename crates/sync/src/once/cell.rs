//! A value that is made once for all processes, in a region.

use core::error::Error;
use core::fmt;
use core::ptr::NonNull;
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::{Kind, Object, Region, Schema, Shape, ShapeError, ShmSafe, TypeTag};
use shmkit_roster::{Judge, OwnerId, Seat};

use crate::beside::Beside;
use crate::once::handle::{Run, show};
use crate::once::raw::Turn;
use crate::{OnceError, Patience, RawOnce};

/// A value that whichever process comes first makes, and that never changes afterwards.
///
/// It lies in a [`Region`]: make one with [`Object::init`], use it in other processes with [`Object::attach`]. The
/// handle is its place and a keeper `K`; threads may share it. Reading takes no lock.
///
/// ```text
/// 0 RawOnce | the next multiple of T's alignment: T | padding to 128
/// ```
///
/// # If a peer dies
///
/// while it makes the value, nobody sees what it wrote of it: whoever comes next, or waits to make it, makes it from the
/// beginning. An initialiser that panics or fails leaves it to the next one in the same way.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use memmap2::MmapRaw;
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// use shmkit_sync::OnceCell;
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(4096)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let seed = unsafe { OnceCell::<[u64; 2], _>::init(region, (), participant) }?;
/// assert_eq!(seed.get(), None);
/// assert_eq!(seed.get_or_init(|| [4, 2])?, &[4, 2]); // in every process; one of them makes it
/// assert_eq!(seed.get(), Some(&[4, 2]));
/// # Ok(())
/// # }
/// ```
pub struct OnceCell<T, K: Judge = Seat> {
    raw: &'static RawOnce,
    /// Where the value lies; written by who is at it only, and not any more when `raw` is ready.
    data: NonNull<T>,
    /// Where all of it lies, to write the value.
    region: Region<'static>,
    /// Keeps mapped what the others lead to; so it is dropped last.
    keeper: K,
}

// SAFETY: the pointer is to bytes that are shared between processes anyway, and that `raw` gives to one writer or to
// any number of readers; `T: ShmSafe` is Send and Sync, and so is the keeper.
unsafe impl<T: ShmSafe, K: Judge + Send> Send for OnceCell<T, K> {}
// SAFETY: as above.
unsafe impl<T: ShmSafe, K: Judge> Sync for OnceCell<T, K> {}

impl<T, K: Judge + Clone> Clone for OnceCell<T, K> {
    fn clone(&self) -> Self {
        Self { raw: self.raw, data: self.data, region: self.region, keeper: self.keeper.clone() }
    }
}

impl<T, K: Judge + Copy> Copy for OnceCell<T, K> {}

impl<T: ShmSafe, K: Judge> OnceCell<T, K> {
    /// Returns the value, if it has been made.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        if !self.raw.is_ready() {
            return None;
        }
        // SAFETY: `data` is valid (`place`), and nobody writes to it any more: it is ready. Any bytes are a
        // `T: ShmSafe`.
        Some(unsafe { self.data.as_ref() })
    }

    /// Returns the value; makes it with `f` if nobody has, and waits while somebody else is at it.
    ///
    /// If `f` panics, the panic goes on to the caller, and the next one may try.
    ///
    /// # Errors
    ///
    /// [`OnceError`], but never `TimedOut`, `WouldBlock` or `OwnerDied`.
    ///
    /// # If a peer dies
    ///
    /// while it makes the value, the caller makes it, within about 40 ms.
    #[inline]
    pub fn get_or_init(&self, f: impl FnOnce() -> T) -> Result<&T, OnceError> {
        self.init_by(Deadline::NEVER, f)
    }

    /// Returns the value; makes it with `f` if nobody has and nobody is at it.
    ///
    /// # Errors
    ///
    /// [`OnceError`]; `WouldBlock` if somebody alive is at it.
    ///
    /// # If a peer dies
    ///
    /// while it makes the value, the caller makes it at once.
    pub fn try_get_or_init(&self, f: impl FnOnce() -> T) -> Result<&T, OnceError> {
        self.init(self.raw.try_begin(&self.keeper)?, f)
    }

    /// Returns the value; makes it with `f` if nobody has, and waits for at most `wait` while somebody else is at it.
    /// The time that `f` takes is not limited.
    ///
    /// # Errors
    ///
    /// [`OnceError`]; `TimedOut` not before `wait` has passed.
    ///
    /// # If a peer dies
    ///
    /// As with [`get_or_init`](Self::get_or_init).
    pub fn get_or_init_timeout(
        &self,
        wait: Duration,
        f: impl FnOnce() -> T,
    ) -> Result<&T, OnceError> {
        self.init_by(Deadline::after(wait), f)
    }

    /// Returns the value; makes it with `f` if nobody has, and waits until `deadline` at most, or for as long as a [`Patience`] lasts while somebody else is at
    /// it. The time that `f` takes is not limited.
    ///
    /// # Errors
    ///
    /// [`OnceError`]; `TimedOut` not before `deadline`.
    ///
    /// # If a peer dies
    ///
    /// As with [`get_or_init`](Self::get_or_init).
    pub fn get_or_init_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
        f: impl FnOnce() -> T,
    ) -> Result<&T, OnceError> {
        self.init_by(deadline, f)
    }

    /// Returns the value; makes it with `f` if nobody has, and waits while somebody else is at it. If `f` fails, the next
    /// one may try.
    ///
    /// # Errors
    ///
    /// [`InitError`]: that of `f`, or a [`OnceError`].
    ///
    /// # If a peer dies
    ///
    /// As with [`get_or_init`](Self::get_or_init).
    pub fn get_or_try_init<E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<&T, InitError<E>> {
        let turn = self.raw.begin(&self.keeper, Deadline::NEVER)?;
        self.try_init(turn, f)
    }

    /// Returns the value; has `fill` make it where it lies if nobody has, and waits while somebody else is at it. So it is
    /// never on the stack, however big it is.
    ///
    /// `fill` gets zeros. If it panics, the panic goes on to the caller, and the next one may try, with zeros again. It
    /// must not fork a child that goes on in it, which would write where its parent does.
    ///
    /// # Errors
    ///
    /// As [`get_or_init`](Self::get_or_init).
    ///
    /// # If a peer dies
    ///
    /// As with [`get_or_init`](Self::get_or_init).
    pub fn get_or_init_with(&self, fill: impl FnOnce(&mut T)) -> Result<&T, OnceError> {
        match self.get() {
            Some(value) => Ok(value),
            None => self.fill(self.raw.begin(&self.keeper, Deadline::NEVER)?, fill),
        }
    }

    /// Waits until somebody has made the value.
    ///
    /// # Errors
    ///
    /// [`OnceError`], but never `TimedOut` or `WouldBlock`.
    ///
    /// # If a peer dies
    ///
    /// while it makes the value: [`OnceError::OwnerDied`], within about 40 ms. Of a death before anybody began, nobody can
    /// know.
    pub fn wait(&self) -> Result<&T, OnceError> {
        self.wait_by(Deadline::NEVER)
    }

    /// Waits until somebody has made the value, for at most `wait`.
    ///
    /// # Errors
    ///
    /// [`OnceError`]; `TimedOut` not before `wait` has passed.
    ///
    /// # If a peer dies
    ///
    /// As with [`wait`](Self::wait).
    pub fn wait_timeout(&self, wait: Duration) -> Result<&T, OnceError> {
        self.wait_by(Deadline::after(wait))
    }

    /// Waits until somebody has made the value, until `deadline` at most, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// [`OnceError`]; `TimedOut` not before `deadline`.
    ///
    /// # If a peer dies
    ///
    /// As with [`wait`](Self::wait).
    pub fn wait_deadline<'p>(&self, deadline: impl Into<Patience<'p>>) -> Result<&T, OnceError> {
        self.wait_by(deadline)
    }

    /// Returns who was making the value a moment ago.
    pub fn owner(&self) -> Option<OwnerId> {
        self.raw.owner()
    }

    /// Returns how many attempts to make the value have come to nothing, as far as those who came after the dead have
    /// counted them.
    pub fn failures(&self) -> u32 {
        self.raw.failures()
    }

    /// Returns the machine below.
    ///
    /// # Safety
    ///
    /// It may be taken and released only in the names of participants of the roster that all users of this cell share, and
    /// what is taken there is no right to the data.
    pub unsafe fn raw(&self) -> &RawOnce {
        self.raw
    }

    fn wait_by<'p>(&self, patience: impl Into<Patience<'p>>) -> Result<&T, OnceError> {
        self.raw.wait(&self.keeper, patience)?;
        self.made()
    }

    #[inline]
    fn init_by<'p>(
        &self,
        patience: impl Into<Patience<'p>>,
        f: impl FnOnce() -> T,
    ) -> Result<&T, OnceError> {
        match self.get() {
            Some(value) => Ok(value),
            None => self.init(self.raw.begin(&self.keeper, patience)?, f),
        }
    }

    fn init(&self, turn: Turn, f: impl FnOnce() -> T) -> Result<&T, OnceError> {
        match self.try_init::<core::convert::Infallible>(turn, || Ok(f())) {
            Ok(value) => Ok(value),
            Err(InitError::Once(error)) => Err(error),
            Err(InitError::Failed(never)) => match never {},
        }
    }

    fn try_init<E>(
        &self,
        turn: Turn,
        f: impl FnOnce() -> Result<T, E>,
    ) -> Result<&T, InitError<E>> {
        let Some((run, _)) = Run::new(self.raw, &self.keeper, turn) else {
            return Ok(self.made()?);
        };
        let value = f().map_err(InitError::Failed)?;
        if !run.is_ours() {
            // A forked child, which must not write where its parent is about to.
            return Err(OnceError::NotJoined.into());
        }
        // Killed in the middle, nobody ever reads it.
        Beside::<RawOnce, T>::write(self.region, value)
            .expect("`place` has found room for the value");
        // SAFETY: the value is written, and only who is at it writes.
        unsafe { run.finish() }?;
        Ok(self.made()?)
    }

    /// Has `fill` make the value where it lies, from zeros, if it is our turn.
    fn fill(&self, turn: Turn, fill: impl FnOnce(&mut T)) -> Result<&T, OnceError> {
        let Some((run, state)) = Run::new(self.raw, &self.keeper, turn) else {
            return self.made();
        };
        let data = self.data;
        if state.failures() != 0 {
            // What somebody has left who did not come to its end. Without one the bytes are zero, as they were made.
            // SAFETY: mapped and aligned (`place`); only who is at it writes, which we are, and nobody reads yet.
            unsafe { data.write_bytes(0, 1) };
        }
        // Killed in the middle, nobody ever reads it.
        // SAFETY: as above.
        unsafe { Beside::<RawOnce, T>::fill(data, fill) };
        // SAFETY: the value is written, and only who is at it writes. Refused in a child that `fill` has forked.
        unsafe { run.finish() }?;
        self.made()
    }

    /// The value, which has been made.
    fn made(&self) -> Result<&T, OnceError> {
        // It was ready a moment ago, and stays so, unless a wrong peer writes to the word.
        self.get().ok_or(OnceError::Corrupt { word: 0 })
    }

    /// Finds word and value in `region`.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`].
    unsafe fn place(region: Region<'_>, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let (raw, data) = Beside::find(region)?;
        Ok(Self { raw, data, region, keeper })
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([T: ShmSafe] OnceCell<T>, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<T: ShmSafe, K: Judge> Object<K> for OnceCell<T, K> {
    const KIND: Kind = Kind::new("oncecell");
    const TAG: TypeTag = TypeTag::checked::<T>();
    const SCHEMA: Option<&'static Schema> = Some(T::SCHEMA);

    /// Nothing: a new one is empty.
    type Spec = ();

    fn shape((): &(), _: u32) -> Result<Shape, ShapeError> {
        Ok(Beside::<RawOnce, T>::shape(Self::KIND, RawOnce::NAMES))
    }

    unsafe fn init(region: Region<'_>, (): (), keeper: K) -> Result<Self, ShapeError> {
        // Zero bytes are one that is empty (caller).
        // SAFETY: the caller's promises.
        unsafe { Self::place(region, keeper) }
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        ShapeError::unless_one(len)?;
        // SAFETY: the caller's promises.
        unsafe { Self::place(region, keeper) }
    }
}

impl<T: ShmSafe + fmt::Debug, K: Judge> fmt::Debug for OnceCell<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("OnceCell");
        debug.field("value", &self.get());
        show(self.raw, &self.keeper, &mut debug);
        debug.finish()
    }
}

/// Why [`OnceCell::get_or_try_init`] has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitError<E> {
    /// The initialiser failed, with this. The next one may try.
    Failed(E),
    /// Nothing was made: as a rule the initialiser was not called, but it was if this process lost its place meanwhile.
    Once(OnceError),
}

impl<E> From<OnceError> for InitError<E> {
    fn from(error: OnceError) -> Self {
        Self::Once(error)
    }
}

impl<E> fmt::Display for InitError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed(_) => "the initialiser failed",
            Self::Once(_) => "the value was not made",
        })
    }
}

impl<E: Error + 'static> Error for InitError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Once(error) => Some(error),
        }
    }
}
