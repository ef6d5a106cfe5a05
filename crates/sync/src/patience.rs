//! How long to wait, and what else may end it.

use core::fmt;
use core::ops::ControlFlow;
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use shmkit_atomic::Deadline;
use shmkit_roster::{Expected, Judge, OwnerId, PeerId, Verdict, ask};

/// What a wait asks at each signal and at the end of each slice; `Break` ends it.
type Hook<'h> = &'h dyn Fn() -> ControlFlow<()>;

/// How long a wait goes on: to a deadline, as long as nobody says stop, and as long as some participant lives.
///
/// Every operation that waits stands in four forms: `x`, for ever; `try_x`, not at all; `x_timeout`, for a [`Duration`];
/// and `x_deadline`, which takes an [`Instant`] or whatever else is patience. So it is `x_deadline` that Ctrl-C can
/// [end](Self::interruptible), and the [death](Self::while_alive) of whoever was to set, release or notify. Then it fails
/// with *interrupted* or *peer died*, a value of its error type, unless it has got what it is for; nothing is taken, and
/// what it had been given (a condition's notification, a semaphore's ring) goes to somebody else.
///
/// A wait that has no end of its own, for what this process holds itself and has no other thread to give up, fails with
/// *would deadlock*. Whether a thread waits for itself beside others is not known: a lock names its process, and another
/// thread may be about to release it.
///
/// ```
/// use std::ops::ControlFlow;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::time::Duration;
///
/// use shmkit_sync::Patience;
///
/// # use shmkit_roster::model::ModelJudge;
/// # use shmkit_sync::{EventError, RawEvent};
/// static STOP: AtomicBool = AtomicBool::new(false); // set by a signal handler
///
/// let stop = || match STOP.load(Ordering::Relaxed) {
///     true => ControlFlow::Break(()),
///     false => ControlFlow::Continue(()),
/// };
/// let patience = Patience::from(Duration::from_secs(5)).interruptible(&stop);
/// # STOP.store(true, Ordering::Relaxed);
/// # let (event, judges) = (RawEvent::new(), ModelJudge::new(1));
/// # let me = &judges[0];
/// // A handle's `event.wait_deadline(patience)`:
/// assert_eq!(event.wait(me, patience), Err(EventError::Interrupted));
/// ```
#[derive(Clone, Copy)]
pub struct Patience<'h> {
    deadline: Deadline,
    hook: Option<Hook<'h>>,
    lives: Lives<'h>,
    /// Others than the holder may end what is waited for.
    anybody: bool,
    /// Deaths need not be noticed soon.
    calm: bool,
}

/// On whose lives a wait depends. One by value: who waits for one need not keep it somewhere.
#[derive(Clone, Copy)]
enum Lives<'h> {
    One(OwnerId),
    All(&'h [Expected]),
}

impl Lives<'_> {
    const NONE: Self = Self::All(&[]);
}

impl<'h> Patience<'h> {
    /// For ever.
    pub const ENDLESS: Self = Self {
        deadline: Deadline::NEVER,
        hook: None,
        lives: Lives::NONE,
        anybody: false,
        calm: false,
    };

    /// The same, but `hook` may end it: asked whenever a signal handler has run, and at the end of every slice. The wait
    /// ends in *interrupted* at once; what it had been given is kept, or goes to somebody else.
    ///
    /// A signal that comes in the few instructions before a sleep is noticed at the end of the slice. The hook is asked
    /// with no lock held but those that the caller holds, and not once the wait has got what it is for. It must not use
    /// what is waited for: a writer that waits for readers keeps others out meanwhile. One that panics says stop, and its
    /// panic goes no further.
    #[must_use]
    pub const fn interruptible<'n>(self, hook: &'n dyn Fn() -> ControlFlow<()>) -> Patience<'n>
    where
        'h: 'n,
    {
        Patience {
            deadline: self.deadline,
            hook: Some(hook),
            lives: self.lives,
            anybody: self.anybody,
            calm: self.calm,
        }
    }

    /// The same, but only as long as `peer` lives: who is to set the event, release the permit, notify. The wait ends in
    /// *peer died* within about 40 ms of its death, unless it has got what it is for.
    #[must_use]
    pub const fn while_alive(self, peer: OwnerId) -> Self {
        Self { lives: Lives::One(peer), ..self }
    }

    /// The same, but only as long as all of these live: participants, and processes that are expected to join. Whoever meets
    /// them at a barrier, or waits for what they are to do, is told of the end of one that never came as of a death. It
    /// ends as with [`while_alive`](Self::while_alive), whose peer these are told of instead of; all are asked about at the
    /// end of each slice.
    ///
    /// A process that ends has ended whether it left in good order or not: it is nobody to wait for any more.
    ///
    /// ```
    /// use std::process::Command;
    ///
    /// use shmkit_roster::{Expected, PeerId, Process};
    /// use shmkit_sync::Patience;
    ///
    /// # use shmkit_roster::model::ModelJudge;
    /// # use shmkit_sync::{EventError, RawEvent};
    /// let mut child = Command::new("true").spawn()?; // It never joins.
    /// let expected: [Expected; 1] = [Process::of_child(&mut child)?.into()];
    /// let patience = Patience::ENDLESS.while_all_alive(&expected);
    /// # let (event, judges) = (RawEvent::new(), ModelJudge::new(1));
    /// # let me = &judges[0];
    /// // A handle's `event.wait_deadline(patience)`:
    /// let error = event.wait(me, patience);
    /// assert_eq!(error, Err(EventError::PeerDied(PeerId::Process(child.id()))));
    /// # child.wait()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub const fn while_all_alive<'n>(self, peers: &'n [Expected]) -> Patience<'n>
    where
        'h: 'n,
    {
        Patience {
            deadline: self.deadline,
            hook: self.hook,
            lives: Lives::All(peers),
            anybody: self.anybody,
            calm: self.calm,
        }
    }

    /// The same, but it ends by `deadline` at the latest.
    #[must_use]
    pub fn until(self, deadline: Deadline) -> Self {
        Self { deadline: self.deadline.min(deadline), ..self }
    }

    /// The same, for who waits for long, mostly, and hears of deaths from somebody else, mostly: while nothing comes its slices
    /// grow to sixteen times the [longest](crate::Slices::longest) ones, within a second; so it wakes twice a second, and notices so
    /// much later what ends it and who has died. Others who wait for the same thing rely on its looks: where one is calm, all
    /// are to be, or somebody who knows of a death has the thing looked through.
    #[must_use]
    pub const fn calm(self) -> Self {
        Self { calm: true, ..self }
    }

    pub(crate) const fn is_calm(&self) -> bool {
        self.calm
    }

    /// Returns when it ends, whatever happens.
    pub const fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// The same, for what others than its holder may end as well.
    pub(crate) const fn ended_by_anybody(self) -> Self {
        Self { anybody: true, ..self }
    }

    /// Returns whether nothing ends it but the holder of what is waited for. (A hook may be a program's signal handler,
    /// which may do anything.)
    pub(crate) fn is_endless(&self) -> bool {
        self.deadline == Deadline::NEVER && self.hook.is_none() && !self.anybody
    }

    /// Returns whether to wait at all.
    pub fn waits(&self) -> bool {
        self.deadline != Deadline::PASSED
    }

    /// Returns on whose lives it depends.
    pub fn peers(&self) -> impl Iterator<Item = PeerId> {
        let (one, all) = match self.lives {
            Lives::One(peer) => (Some(peer.into()), &[][..]),
            Lives::All(peers) => (None, peers),
        };
        one.into_iter().chain(all.iter().map(Expected::id))
    }

    /// Asks about all on whose lives it depends: returns who is not alive, or that it is not known.
    pub(crate) fn ask<J: Judge + ?Sized>(
        &self,
        judge: &J,
        me: OwnerId,
    ) -> Option<(PeerId, Verdict)> {
        let mut unknown = None;
        let mut told = |peer, verdict| match verdict {
            Verdict::Alive => false,
            Verdict::Unknown => {
                unknown = Some((peer, verdict));
                false
            }
            Verdict::Dead | Verdict::Nobody => true,
        };
        let dead = match self.lives {
            Lives::One(peer) => told(peer.into(), ask(judge, me, peer)).then_some(peer.into()),
            Lives::All(peers) => {
                let dead = peers.iter().find(|peer| told(peer.id(), peer.verdict(judge, me)));
                dead.map(Expected::id)
            }
        };
        dead.map(|peer| (peer, Verdict::Dead)).or(unknown)
    }

    /// Returns whether there is anything to ask while waiting.
    pub fn asks(&self) -> bool {
        self.hook.is_some() || self.depends()
    }

    /// Asks what there is to [ask](Self::asks) while waiting for something of the kernel's, as a descriptor: to be asked whenever
    /// a signal handler has run, and at the end of every slice ([`Slices`](crate::Slices)).
    ///
    /// # Errors
    ///
    /// [`Interrupted`](GivenUp::Interrupted) and [`PeerDied`](GivenUp::PeerDied), as in every wait.
    /// [`CannotJudge`](GivenUp::CannotJudge) at once if it depends on a participant: whether that one is alive, only its
    /// roster knows. A [process](shmkit_roster::Process) is judged.
    pub fn ask_without_judge(&self) -> Result<(), GivenUp> {
        if self.says_stop() {
            return Err(GivenUp::Interrupted);
        }
        let peers = match self.lives {
            Lives::One(_) => return Err(GivenUp::CannotJudge),
            Lives::All(peers) => peers,
        };
        let mut known = true;
        for peer in peers {
            match peer {
                #[cfg(not(loom))]
                Expected::Process(process) => match process.verdict() {
                    Verdict::Alive => {}
                    Verdict::Unknown => known = false,
                    Verdict::Dead | Verdict::Nobody => return Err(GivenUp::PeerDied(peer.id())),
                },
                _ => known = false,
            }
        }
        if known { Ok(()) } else { Err(GivenUp::CannotJudge) }
    }

    /// Returns whether it depends on anybody's life.
    pub(crate) fn depends(&self) -> bool {
        !matches!(self.lives, Lives::All([]))
    }

    /// Returns whether it has a hook, so that whoever sleeps has to ask it now and then.
    pub fn has_hook(&self) -> bool {
        self.hook.is_some()
    }

    /// Asks the hook, if there is one, whether to stop. For waits that are no machine of this crate.
    pub fn says_stop(&self) -> bool {
        // Caught: what the wait has taken by now is given back on the way of *interrupted* only.
        self.hook.is_some_and(|hook| {
            catch_unwind(AssertUnwindSafe(hook)).map_or(true, |flow| flow.is_break())
        })
    }
}

impl Default for Patience<'_> {
    fn default() -> Self {
        Self::ENDLESS
    }
}

impl From<Deadline> for Patience<'_> {
    #[inline]
    fn from(deadline: Deadline) -> Self {
        Self { deadline, ..Self::ENDLESS }
    }
}

/// At most so long from now; one that overflows the clock is for ever.
impl From<Duration> for Patience<'_> {
    fn from(wait: Duration) -> Self {
        Deadline::after(wait).into()
    }
}

impl From<Instant> for Patience<'_> {
    fn from(at: Instant) -> Self {
        Deadline::at(at).into()
    }
}

impl fmt::Debug for Patience<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patience")
            .field("left", &self.deadline.remaining())
            .field("interruptible", &self.hook.is_some())
            .field("while_alive", &self.peers().collect::<Vec<_>>())
            .finish()
    }
}

/// Why a [`Wait`](crate::Wait) was given up.
///
/// Closed: a machine that waits turns each into an error of its own, and must not forget one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// The deadline passed.
    TimedOut,
    /// Nobody could tell whether those live on whom it depends, for a second or at the deadline.
    CannotJudge,
    /// The hook said stop.
    Interrupted,
    /// The peer died as long as whose life it was to last.
    PeerDied(PeerId),
}
