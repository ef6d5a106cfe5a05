//! What is done once, without what it is that is done.

use core::error::Error;
use core::fmt;

use shmkit_atomic::Deadline;
use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shmkit_atomic::futex::{ALL, Op, Wake};
#[cfg(not(loom))]
use shmkit_layout::{NameWords, Names, Shared};
use shmkit_roster::{Judge, OwnerId, PeerId, Verdict, ask};

use crate::patience::GivenUp;
use crate::wait::Wait;
use crate::watch::Watch;
use crate::word::{Word, Word64};
use crate::{LockFailure, NotOwner, Patience, ThreadToken};

/// Nobody has done it, nobody is at it.
const FRESH: u32 = 0;
/// It is done, for ever.
const READY: u32 = 1 << 30;
/// Somebody may sleep on the word: who is done, or gives up, must wake.
const WAITERS: u32 = 1 << 31;

/// Who runs what is to be done once, and whether it is done.
///
/// ```text
/// word      31 WAITERS | 30 READY | 29 .. 0 owner id of who is at it, 0 = nobody
/// failures  attempts that came to nothing: deaths, counted by the heirs, errors and panics
/// runner    63 .. 32 owner id | 31 .. 0 thread of who is at it: stored by it, 0 before it leaves
/// watch     when one of those who wait asks again whether who is at it lives
/// reserved  0
/// ```
///
/// *If a peer dies* while it is at it, whoever comes next begins anew; those who only wait are told.
#[repr(C)]
pub struct RawOnce {
    word: Word,
    failures: Word,
    runner: Word64,
    watch: Watch,
    reserved: Word,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawOnce>() == 24, "part of the segment format");

// SAFETY: `repr(C)`, five atomic words, of which any value is handled.
#[cfg(not(loom))]
unsafe impl Shared for RawOnce {}

/// What who came to do it found.
///
/// Closed: it is done, or it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "who has to do it holds everybody else up until it has"]
pub enum Turn {
    /// It is done.
    Done,
    /// It is for the caller to do: then [`finish`](RawOnce::finish) or [`give_up`](RawOnce::give_up).
    Yours {
        /// Who is at it now: the caller.
        id: OwnerId,
        /// The dead owner that it was taken from.
        dead: Option<OwnerId>,
        /// How many attempts have come to nothing. Never 0 after a death.
        failures: u32,
    },
}

/// What one look came to.
enum Attempt {
    Ready,
    Taken {
        dead: Option<OwnerId>,
    },
    /// The word changed under our hands.
    Again,
    /// Somebody is at it, or nobody and the caller only waits.
    NotNow {
        word: u32,
        /// Whether who is at it is known to be alive, or was not asked about.
        known: bool,
    },
}

/// What the caller came for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// To do it, unless it is done.
    Do,
    /// That it is done.
    Wait,
}

impl RawOnce {
    /// The words that name participants.
    #[cfg(not(loom))]
    pub const NAMES: Names =
        [NameWords::one(0), NameWords::upper(8, 8, 1), NameWords::NONE, NameWords::NONE];

    shmkit_atomic::const_unless_loom! {
        /// Makes one that is not done. All zero bytes are one.
        pub fn new() -> RawOnce {
            RawOnce {
                word: Word::new(FRESH),
                failures: Word::new(0),
                runner: Word64::new(0),
                watch: Watch::new(),
                reserved: Word::new(0),
            }
        }
    }

    /// Returns whether it is done.
    #[inline]
    pub fn is_ready(&self) -> bool {
        // Acquire: pairs with the Release in `finish`, so that what was done is visible.
        self.word.load(Acquire) & !WAITERS == READY
    }

    /// Waits while somebody alive is at it, for as long as the caller has `patience`; then it is done, or the caller's to
    /// do.
    ///
    /// # Errors
    ///
    /// [`OnceError`]; [`OnceError::Recursive`] if the calling thread is at it itself.
    ///
    /// # If a peer dies
    ///
    /// while it is at it, it is the caller's to do within about 40 ms ([`Slices`](crate::Slices)).
    pub fn begin<'p, J: Judge + ?Sized>(
        &self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Turn, OnceError> {
        if self.is_ready() {
            return Ok(Turn::Done);
        }
        self.come(judge, patience.into(), Wish::Do)
    }

    /// The same, but does not wait.
    ///
    /// # Errors
    ///
    /// [`OnceError::WouldBlock`] if somebody alive is at it, and the others but `TimedOut`.
    ///
    /// # If a peer dies
    ///
    /// while it is at it, it is the caller's to do at once.
    pub fn try_begin<J: Judge + ?Sized>(&self, judge: &J) -> Result<Turn, OnceError> {
        if self.is_ready() {
            return Ok(Turn::Done);
        }
        match self.come(judge, Deadline::PASSED.into(), Wish::Do) {
            Err(OnceError::TimedOut) => Err(OnceError::WouldBlock),
            other => other,
        }
    }

    /// Waits until it is done, whoever does it, for as long as the caller has `patience`.
    ///
    /// # Errors
    ///
    /// [`OnceError`].
    ///
    /// # If a peer dies
    ///
    /// while it is at it: [`OnceError::OwnerDied`], and the next one to [`begin`](Self::begin) does it.
    pub fn wait<'p, J: Judge + ?Sized>(
        &self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), OnceError> {
        if self.is_ready() {
            return Ok(());
        }
        self.come(judge, patience.into(), Wish::Wait).map(drop)
    }

    /// Says that it is done, and wakes everybody who waits for it.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if this process is not at it: nothing was touched.
    ///
    /// # Safety
    ///
    /// The caller's [`begin`](Self::begin) said that it is its to do; it is done, and what it left does not change any
    /// more.
    pub unsafe fn finish<J: Judge + ?Sized>(&self, judge: &J) -> Result<(), NotOwner> {
        self.leave(judge, READY)
    }

    /// Leaves it to the next one.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if this process is not at it: nothing was touched.
    ///
    /// # Safety
    ///
    /// The caller's [`begin`](Self::begin) said that it is its to do; it has stopped doing it.
    pub unsafe fn give_up<J: Judge + ?Sized>(&self, judge: &J) -> Result<(), NotOwner> {
        self.leave(judge, FRESH)
    }

    /// Returns the word of a moment ago, to be shown to people.
    #[cfg(not(loom))]
    pub(crate) fn word(&self) -> u32 {
        self.word.load(Relaxed)
    }

    /// Returns who was at it a moment ago.
    pub fn owner(&self) -> Option<OwnerId> {
        owner(self.word.load(Relaxed)).ok().flatten()
    }

    /// Returns how many attempts have come to nothing, as far as those who came after the dead have counted them.
    pub fn failures(&self) -> u32 {
        self.failures.load(Relaxed)
    }

    fn leave<J: Judge + ?Sized>(&self, judge: &J, to: u32) -> Result<(), NotOwner> {
        let me = judge.me().ok_or(NotOwner)?;
        // Relaxed: if it is our own id, it was this process that put it there.
        if self.word.load(Relaxed) & !WAITERS != me.get() {
            return Err(NotOwner);
        }
        if to == FRESH {
            self.count_failure();
        }
        // Relaxed: only this thread ever finds itself in it. Before we leave: another of our threads may come next.
        self.runner.store(0, Relaxed);
        // Release: pairs with the Acquire in `is_ready` and `attempt`.
        if self.word.compare_exchange(me.get(), to, Release, Relaxed).is_err() {
            // WAITERS is set, and only we could take it away. Leave and wake in one step: killed before it we are a
            // dead owner, after it everybody is awake.
            if to == READY {
                self.word.wake_op(Op::set(READY), ALL);
            } else {
                self.word.wake_op(Op::set(FRESH), ALL);
            }
        }
        Ok(())
    }

    #[cold]
    fn come<J: Judge + ?Sized>(
        &self,
        judge: &J,
        patience: Patience<'_>,
        wish: Wish,
    ) -> Result<Turn, OnceError> {
        let me = judge.me().ok_or(OnceError::NotJoined)?;
        let runner = u64::from(me.get()) << 32 | u64::from(ThreadToken::current().get());
        let mut wait = Wait::new(patience, me, judge).watched(&self.watch);
        // Before the first sleep, and when a slice has run out: whether who is at it lives.
        let mut probe = true;
        loop {
            let word = match self.attempt(me, runner, judge, probe, wish)? {
                Attempt::Ready => return Ok(Turn::Done),
                Attempt::Taken { dead } => {
                    if dead.is_some() {
                        self.count_failure();
                    }
                    // Relaxed, both: read by this thread, or changed by who is at it.
                    self.runner.store(runner, Relaxed);
                    let failures = self.failures.load(Relaxed);
                    return Ok(Turn::Yours { id: me, dead, failures });
                }
                Attempt::Again => continue,
                Attempt::NotNow { word, known } => {
                    if probe {
                        wait.heard(known);
                    }
                    word
                }
            };
            wait.check()?;
            probe = false;
            // Relaxed: a mark for who leaves, who reads it in the word that it changes.
            if word & WAITERS == 0
                && self.word.compare_exchange(word, word | WAITERS, Relaxed, Relaxed).is_err()
            {
                continue;
            }
            let wake = self.word.wait(word | WAITERS, wait.until());
            // Woken where nothing has changed: somebody has found a death.
            probe = wait.slept(wake)? | (wake == Wake::Woken);
        }
    }

    fn attempt<J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        runner: u64,
        judge: &J,
        probe: bool,
        wish: Wish,
    ) -> Result<Attempt, OnceError> {
        // Again, because a verdict may have shown that the roster has lost our place: what we began then, others would
        // take for a dead one's.
        if judge.me() != Some(me) {
            return Err(OnceError::NotJoined);
        }
        // Acquire: pairs with the Release of who is done, and of who put its id there: it had joined before.
        let word = self.word.load(Acquire);
        if word & !WAITERS == READY {
            return Ok(Attempt::Ready);
        }
        let mut dead = None;
        if let Some(owner) = owner(word).map_err(|word| OnceError::Corrupt { word })? {
            // Relaxed: if it is this thread's, this thread stored it.
            if owner == me && self.runner.load(Relaxed) == runner {
                return Err(OnceError::Recursive);
            }
            if !probe {
                return Ok(Attempt::NotNow { word, known: true });
            }
            match ask(judge, me, owner) {
                // It may have done it since we looked, or given up, and left: that is no death. Acquire: as above.
                Verdict::Dead
                    if wish == Wish::Wait && (self.word.load(Acquire) ^ word) & !WAITERS != 0 =>
                {
                    return Ok(Attempt::Again);
                }
                Verdict::Dead if wish == Wish::Wait => {
                    // The others' looks wait for this one: let them look for themselves.
                    self.word.wake(ALL);
                    return Err(OnceError::OwnerDied(owner));
                }
                Verdict::Dead => dead = Some(owner),
                Verdict::Nobody => return Err(OnceError::Corrupt { word }),
                verdict => {
                    return Ok(Attempt::NotNow { word, known: verdict == Verdict::Alive });
                }
            }
        } else if wish == Wish::Wait {
            return Ok(Attempt::NotNow { word, known: true });
        }
        // WAITERS stays: others may sleep. AcqRel: Acquire pairs with the Release of who gave up; Release with the
        // Acquire above: whoever reads our id finds that we have joined.
        let taken = me.get() | (word & WAITERS);
        match self.word.compare_exchange(word, taken, AcqRel, Relaxed) {
            Ok(_) => Ok(Attempt::Taken { dead }),
            Err(_) => Ok(Attempt::Again),
        }
    }

    /// By who is at it. Killed before it, a death is counted by the next heir.
    fn count_failure(&self) {
        // Relaxed: changed by who is at it, published by its leaving or by its death.
        self.failures.store(self.failures.load(Relaxed).saturating_add(1), Relaxed);
    }
}

/// Returns who is at it by this word, or the word itself if nobody can.
fn owner(word: u32) -> Result<Option<OwnerId>, u32> {
    match word & !WAITERS {
        FRESH | READY => Ok(None),
        id if id > OwnerId::MASK => Err(word),
        id => OwnerId::from_word(id).map(Some).ok_or(word),
    }
}

impl Default for RawOnce {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawOnce")
            .field("ready", &self.is_ready())
            .field("owner", &self.owner())
            .field("failures", &self.failures())
            .finish()
    }
}

/// Why what is done once was neither found done nor begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnceError {
    /// The deadline passed while somebody alive was at it, or while nobody had begun.
    TimedOut,
    /// Somebody alive is at it, and the caller did not want to wait.
    WouldBlock,
    /// The calling thread is at it: it would wait for itself.
    Recursive,
    /// Who was at it died. Told to those who only wait: the next one who comes to do it begins anew.
    OwnerDied(OwnerId),
    /// This process is not a participant: it was forked and has not joined, or has lost its place.
    NotJoined,
    /// Nobody could tell whether who is at it is alive, for a second or at the deadline.
    CannotJudge,
    /// The caller's [`Patience`](crate::Patience) was told to stop.
    Interrupted,
    /// The peer died for as long as whose life the caller's [`Patience`](crate::Patience) was to last.
    PeerDied(PeerId),
    /// The word names an owner that cannot exist.
    Corrupt {
        /// The word found.
        word: u32,
    },
}

impl fmt::Display for OnceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("it was still not done at the deadline"),
            Self::WouldBlock => f.write_str("a living process is doing it"),
            Self::Recursive => f.write_str(
                "this thread is doing it, and would wait for itself: what is done once must not ask for itself",
            ),
            Self::OwnerDied(owner) => write!(
                f,
                "participant {owner} died while it did it: call what does it, instead of waiting only"
            ),
            Self::NotJoined => LockFailure::NotJoined.fmt(f),
            Self::CannotJudge => LockFailure::CannotJudge.fmt(f),
            Self::Interrupted => LockFailure::Interrupted.fmt(f),
            Self::PeerDied(peer) => LockFailure::PeerDied(*peer).fmt(f),
            Self::Corrupt { word } => LockFailure::Corrupt { word: *word }.fmt(f),
        }
    }
}

impl Error for OnceError {}

impl From<GivenUp> for OnceError {
    fn from(why: GivenUp) -> Self {
        match why {
            GivenUp::TimedOut => Self::TimedOut,
            GivenUp::CannotJudge => Self::CannotJudge,
            GivenUp::Interrupted => Self::Interrupted,
            GivenUp::PeerDied(peer) => Self::PeerDied(peer),
        }
    }
}
