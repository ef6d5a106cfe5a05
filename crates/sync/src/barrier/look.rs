//! Asking about those who have a place at a barrier.

use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_roster::{Judge, OwnerId, Verdict, ask};

use crate::barrier::raw::{BROKEN, RawBarrier};
use crate::watch::SHARE;
use crate::{BarrierError, Slices};

/// How long it may go without being asked about everybody while all are seen to sleep.
const SEEN: Duration = Duration::from_secs(1);

/// Asks about one after the other. The threads of a process stand side by side, mostly: who was asked about last is not
/// asked about again.
pub(crate) struct Inquiry<'j, J: ?Sized> {
    me: OwnerId,
    judge: &'j J,
    last: Option<(OwnerId, Verdict)>,
    known: bool,
}

impl<'j, J: Judge + ?Sized> Inquiry<'j, J> {
    pub(crate) fn new(me: OwnerId, judge: &'j J) -> Self {
        Self { me, judge, last: None, known: true }
    }

    pub(crate) fn me(&self) -> OwnerId {
        self.me
    }

    pub(crate) fn verdict(&mut self, owner: OwnerId) -> Verdict {
        if let Some((last, verdict)) = self.last
            && last == owner
        {
            return verdict;
        }
        let verdict = ask(self.judge, self.me, owner);
        self.known &= verdict != Verdict::Unknown;
        self.last = Some((owner, verdict));
        verdict
    }

    /// Returns whether there was an answer about everybody.
    pub(crate) fn is_known(&self) -> bool {
        self.known
    }

    /// Returns whether this process is still who it was: no forked child, and not found by a verdict to have lost its
    /// place. Else others take for dead, or have not lost, what it would act for.
    pub(crate) fn is_ours(&self) -> bool {
        self.judge.me() == Some(self.me)
    }
}

impl RawBarrier<'_> {
    /// Looks, for all who wait for the pass of this word, whether one is missing; asks about everybody if so, and now and
    /// then in any case. Returns whether all are known to live; `None` if others have just asked.
    ///
    /// Who sleeps lives, and the kernel counts the sleepers in one call. To ask about a thousand one by one takes
    /// milliseconds, too long to be done ten times a second.
    pub(crate) fn miss<J: Judge + ?Sized>(
        self,
        inquiry: &mut Inquiry<'_, J>,
        word: u32,
    ) -> Result<Option<bool>, BarrierError> {
        let all_sleep = self.all_sleep(word);
        if !self.frame.muster.claim_after(if all_sleep { SEEN } else { Duration::ZERO }) {
            return Ok(all_sleep.then_some(true));
        }
        let began = Deadline::now();
        self.inspect(inquiry, word)?;
        self.frame.muster.settle(began, SHARE, Slices::longest());
        Ok(Some(inquiry.is_known()))
    }

    /// Returns whether all whom the pass of this word counts on are known to sleep, but the caller, who is one of them.
    fn all_sleep(self, word: u32) -> bool {
        let mut others = 0;
        for cell in self.cells {
            let place = cell.load();
            if place.has_arrived(word) {
                others += 1;
            } else if place.matters(word) {
                return false;
            }
        }
        self.frame.word.sleepers(word).is_some_and(|asleep| asleep + 1 >= others)
    }

    /// Looks for the dead among those whom the pass of this word counts on. If there is one, or somebody who cannot be,
    /// that is the error, and the pass is broken by it. No error if the pass was decided otherwise meanwhile.
    pub(crate) fn inspect<J: Judge + ?Sized>(
        self,
        inquiry: &mut Inquiry<'_, J>,
        word: u32,
    ) -> Result<(), BarrierError> {
        let looked = self.look(inquiry, word);
        if !inquiry.is_ours() {
            return Err(BarrierError::NotJoined);
        }
        let error = match looked {
            Ok(None) => return Ok(()),
            Ok(Some(dead)) => BarrierError::PartyDied(dead),
            Err(corrupt) => corrupt,
        };
        if word & BROKEN != 0 || self.break_up(word) { Err(error) } else { Ok(()) }
    }

    /// Says why the pass of this word was broken, as far as that can still be seen.
    #[cold]
    pub(crate) fn broken<J: Judge + ?Sized>(
        self,
        inquiry: &mut Inquiry<'_, J>,
        word: u32,
    ) -> BarrierError {
        match self.look(inquiry, word) {
            Ok(Some(dead)) => BarrierError::PartyDied(dead),
            _ => BarrierError::Broken,
        }
    }

    /// Returns a dead party that the pass of this word, broken or not, counts on.
    fn look<J: Judge + ?Sized>(
        self,
        inquiry: &mut Inquiry<'_, J>,
        word: u32,
    ) -> Result<Option<OwnerId>, BarrierError> {
        for cell in self.cells {
            let mut place = cell.load();
            while place.matters(word)
                && let Some(owner) = place.owner().map_err(|word| BarrierError::Corrupt { word })?
            {
                match inquiry.verdict(owner) {
                    Verdict::Alive | Verdict::Unknown => break,
                    Verdict::Nobody => {
                        return Err(BarrierError::Corrupt { word: owner.get().into() });
                    }
                    Verdict::Dead => {}
                }
                // It may have left its cell since we looked, and then the roster: that is no death. What a dead one has
                // not left by now, it never will.
                let now = cell.load();
                if now == place {
                    return Ok(Some(owner));
                }
                place = now;
            }
        }
        Ok(None)
    }
}
