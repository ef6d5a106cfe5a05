//! One wait: its sleeps, and what is done between them.

use core::fmt;
use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_atomic::futex::Wake;
use shmkit_roster::{Judge, OwnerId, PeerId, Verdict, is_alone};

use crate::patience::GivenUp;
use crate::watch::{SHARE, Watch};
use crate::{Patience, Slices};

/// How long to go on where nobody can tell whether those live for whom one waits. A wait has no other end then.
const BLIND: Duration = Duration::from_secs(1);
/// A sleep that nobody's death can make too long: to look at the word again, should a kernel wake nobody.
const REST: Duration = Duration::from_secs(30);

/// The progress of one wait: until when to sleep, when to look who has died, and when to give up. All sleeps of this crate's
/// machines but the inner ones go through it, and so do those of a machine that is built on a futex or a
/// [`Doorbell`](crate::Doorbell) elsewhere:
///
/// ```text
/// loop { try; check; sleep until `until`; `slept`: whether to look who has died at the next try, and `heard` what came of it }
/// ```
pub struct Wait<'w, J: ?Sized> {
    me: OwnerId,
    judge: &'w J,
    patience: Patience<'w>,
    /// What those say to each other who wait for the same.
    watch: Option<&'w Watch>,
    slices: Slices,
    slice: Deadline,
    /// A sleep of this slice has ended before.
    woken: bool,
    /// When the look began that was claimed.
    looking: Option<Deadline>,
    /// The last look told nothing: when to give up if no other one does.
    blind: Option<Deadline>,
    /// The same of somebody as long as whose life this is to last.
    unsure: Option<Deadline>,
    /// Who was found dead as long as whose life this was to last.
    bereft: Option<PeerId>,
    /// There is nobody to ask about.
    carefree: bool,
}

impl<'w, J: Judge + ?Sized> Wait<'w, J> {
    /// Begins a wait of somebody whom nobody else tells who has died.
    pub fn new(patience: Patience<'w>, me: OwnerId, judge: &'w J) -> Self {
        Self::in_slices(Slices::new(), patience, me, judge)
    }

    /// The same, of somebody whom a death is told after the longest slice, though it may have come at once.
    pub(crate) fn unhurried(patience: Patience<'w>, me: OwnerId, judge: &'w J) -> Self {
        Self::in_slices(Slices::long(), patience, me, judge)
    }

    fn in_slices(slices: Slices, patience: Patience<'w>, me: OwnerId, judge: &'w J) -> Self {
        let mut slices = if patience.is_calm() { slices.calm() } else { slices };
        let slice = slices.next(patience.deadline());
        Self {
            me,
            judge,
            patience,
            watch: None,
            slices,
            slice,
            woken: false,
            looking: None,
            blind: None,
            unsure: None,
            bereft: None,
            carefree: false,
        }
    }

    /// The same of one of many who wait for one thing: they look one for the others.
    #[must_use]
    pub fn watched(mut self, watch: &'w Watch) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Begins a wait that nobody's death matters to: who ends it does so in one step.
    pub(crate) fn carefree(patience: Patience<'w>, me: OwnerId, judge: &'w J) -> Self {
        let mut wait = Self::new(patience, me, judge);
        wait.carefree = true;
        if !patience.asks() {
            wait.slice = wait.rest();
        }
        wait
    }

    fn rest(&self) -> Deadline {
        Deadline::after(REST).min(self.patience.deadline())
    }

    /// Returns whether to look before the first sleep: others may have done so a moment ago. Who does not wait at all
    /// does.
    pub fn looks_first(&mut self) -> bool {
        self.patience.deadline().has_passed() || self.claims()
    }

    /// Returns whether to look now: it is time, and nobody else does. For who does not wait, and comes again and again.
    pub fn claims(&mut self) -> bool {
        let claims = self.watch.is_none_or(Watch::claim);
        if claims && self.watch.is_some() {
            self.looking = Some(Deadline::now());
        }
        claims
    }

    /// After a look: whether there was an answer about everybody; `None` if nobody was asked.
    pub fn heard(&mut self, known: impl Into<Option<bool>>) {
        let known = known.into();
        if let (Some(watch), Some(began)) = (self.watch, self.looking.take()) {
            match known {
                // It told nothing: whoever can tell more is to look as well.
                Some(false) => watch.postpone(Duration::ZERO),
                _ => watch.settle(began, SHARE, self.slices.present()),
            }
        }
        match known {
            Some(true) => self.blind = None,
            Some(false) if self.blind.is_none() => self.blind = Some(Deadline::after(BLIND)),
            _ => {}
        }
    }

    /// After a vain try, and only then: who was woken has tried first, so that no wake-up is lost to a deadline.
    ///
    /// # Errors
    ///
    /// Why the wait is over.
    pub fn check(&self) -> Result<(), GivenUp> {
        match self.bereft {
            Some(peer) => Err(GivenUp::PeerDied(peer)),
            _ if self.is_blind(Deadline::has_passed) => Err(GivenUp::CannotJudge),
            _ if !self.patience.deadline().has_passed() => Ok(()),
            _ if self.is_blind(|_| true) => Err(GivenUp::CannotJudge),
            _ => Err(GivenUp::TimedOut),
        }
    }

    /// Returns whether a wait for what `holder` is to give up is one for the waiting thread itself: it is this process, and
    /// there is no other thread in it. To be asked before a sleep.
    pub(crate) fn is_for_itself(&self, holder: Option<OwnerId>) -> bool {
        holder == Some(self.me) && self.patience.is_endless() && is_alone()
    }

    /// Whether nobody can tell of somebody that matters, and when to give that up is as asked.
    fn is_blind(&self, when: impl Fn(Deadline) -> bool) -> bool {
        [self.blind, self.unsure].into_iter().flatten().any(when)
    }

    /// Returns until when to sleep.
    pub fn until(&self) -> Deadline {
        self.slice
    }

    /// After a sleep that ended like this: returns whether to look who has died, with the next try.
    ///
    /// # Errors
    ///
    /// [`GivenUp::Interrupted`]: then the sleep was ended by a signal or by the clock, and nobody's wake-up is lost with it.
    pub fn slept(&mut self, wake: Wake) -> Result<bool, GivenUp> {
        // The clock as well as the sleep's end: signal handlers must not keep a slice from ever running out. But not for the
        // first one: who was woken most probably gets it, and need not know the time.
        let again = core::mem::replace(&mut self.woken, true);
        let over = wake == Wake::TimedOut || again && self.slice.has_passed();
        let asked = wake == Wake::Interrupted || wake == Wake::TimedOut;
        if asked && self.patience.says_stop() {
            return Err(GivenUp::Interrupted);
        }
        Ok(over && self.end_slice())
    }

    /// Begins the next slice.
    #[cold]
    fn end_slice(&mut self) -> bool {
        self.woken = false;
        if self.carefree && !self.patience.asks() {
            self.slice = self.rest();
            return false;
        }
        let deadline = self.patience.deadline();
        match self.patience.ask(self.judge, self.me) {
            None => self.unsure = None,
            Some((_, Verdict::Unknown)) => {
                self.unsure.get_or_insert_with(|| Deadline::after(BLIND));
            }
            // It may have done what we wait for before it died: one more try comes before this is told.
            Some((peer, _)) => self.bereft = Some(peer),
        }
        // The last one who can: what it finds is what it tells.
        let looks = deadline.has_passed() || self.claims();
        // Who depends on more lives than the others asks for himself.
        self.slice = if looks || self.patience.depends() {
            self.slices.again(deadline)
        } else {
            self.slices.next_watched(deadline)
        };
        looks
    }
}

impl<J: ?Sized> fmt::Debug for Wait<'_, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("me", &self.me)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
