//! Taking a place at a barrier.

use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_atomic::Ordering::Acquire;
use shmkit_roster::{Judge, OwnerId, Verdict};

use crate::barrier::cell::Place;
use crate::barrier::look::Inquiry;
use crate::barrier::raw::{BROKEN, RawBarrier};
use crate::wait::Wait;
use crate::{BarrierError, LockFailure, Outcome, Patience};

/// How long even who does not want to wait waits for somebody else's few instructions under the inner lock.
const GRACE: Duration = Duration::from_millis(10);

/// A party that has arrived.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    /// Its cell's number.
    pub(crate) at: usize,
    /// What stands in its cell.
    pub(crate) place: Place,
    /// The barrier's word at that moment.
    pub(crate) word: u32,
    /// How many arrived before.
    pub(crate) index: u32,
}

impl RawBarrier<'_> {
    /// Takes a place among those who have arrived.
    pub(crate) fn arrive<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        seat: Option<usize>,
        judge: &J,
        patience: Patience<'_>,
    ) -> Result<Arrival, BarrierError> {
        let mut wait = None;
        // Only if there is no place at first: who leaves rings an armed bell.
        let mut armed = None;
        // When a slice has run out: whether those who have the places live.
        let mut probe = false;
        loop {
            // Acquire: pairs with the Release of who moved it.
            let word = self.frame.word.load(Acquire);
            let mut inquiry = Inquiry::new(me, judge);
            if word & BROKEN != 0 {
                return Err(self.broken(&mut inquiry, word));
            }
            self.enter(me, judge, patience.deadline()).map_err(|error| self.give_up(error))?;
            let arrival = self.take_place(seat, &mut inquiry);
            self.exit(&inquiry)?;
            if let Some(arrival) = arrival.map_err(|error| self.give_up(error))? {
                return Ok(arrival);
            }
            // As many as there are parties, and we are one more: somebody has yet to leave. Or nobody can any more, and
            // there may be nobody but us to notice.
            // And at the first miss.
            let first = wait.is_none();
            let wait = wait
                .get_or_insert_with(|| Wait::new(patience, me, judge).watched(&self.frame.queue));
            if probe || first && wait.looks_first() {
                // Acquire: as above.
                self.inspect(&mut inquiry, self.frame.word.load(Acquire))?;
                wait.heard(inquiry.is_known());
            }
            if !inquiry.is_ours() {
                return Err(BarrierError::NotJoined);
            }
            wait.check().map_err(|why| self.give_up(why.into()))?;
            // In a model, where a thread hears of a death once, it may hear of it when it takes the mutex.
            probe = cfg!(loom);
            if let Some(armed) = armed {
                let slept = wait.slept(self.frame.bell.sleep(armed, wait.until()));
                probe |= slept.map_err(|why| self.give_up(why.into()))?;
            }
            armed = Some(self.frame.bell.arm());
        }
    }

    /// Breaks the next pass if that is what becomes of it when somebody gives up with this error.
    #[cold]
    fn give_up(self, error: BarrierError) -> BarrierError {
        // Late is late, whoever holds the others up. And where nonsense stands nobody ever arrives, but those who have
        // do not look.
        if matches!(
            error,
            BarrierError::TimedOut
                | BarrierError::CannotJudge
                | BarrierError::Interrupted
                | BarrierError::PeerDied(_)
                | BarrierError::Corrupt { .. }
        ) {
            self.break_now();
        }
        error
    }

    /// Under the mutex: takes a place, if there is one.
    fn take_place<J: Judge + ?Sized>(
        self,
        seat: Option<usize>,
        inquiry: &mut Inquiry<'_, J>,
    ) -> Result<Option<Arrival>, BarrierError> {
        let me = inquiry.me();
        loop {
            // Acquire: pairs with the Release of who moved it.
            let word = self.frame.word.load(Acquire);
            if word & BROKEN != 0 {
                return Err(self.broken(inquiry, word));
            }
            let taken = match seat {
                None => self.claim(inquiry, word, Place::FREE.arrived(me, word))?,
                Some(at) => self.retake(me, at, word)?,
            };
            let Some((at, before, place)) = taken else { return Ok(None) };
            // Acquire: as above. Again: the cell may be free because the pass of this word was decided since we looked,
            // and then we would have arrived in the past. Whoever left the cell knew the word that we see now. If it is
            // the same, our arrival is one of those that the pass needs: nobody passes without us, and nobody had
            // broken it before we arrived.
            if self.frame.word.reload(word, Acquire) == word {
                // Cells are taken under the mutex only: none of the others is overlooked.
                return Ok(Some(Arrival {
                    at,
                    place,
                    word,
                    index: self.count_arrived(word).saturating_sub(1),
                }));
            }
            // Cannot fail: a living party's cell is changed by nobody else.
            self.cells[at].replace(place, before);
        }
    }

    /// Under the mutex: arrives in a registered party's cell. Returns its number, what stood there, and what stands there.
    fn retake(
        self,
        me: OwnerId,
        at: usize,
        word: u32,
    ) -> Result<Option<(usize, Place, Place)>, BarrierError> {
        let not_ours = BarrierError::Corrupt { word: at as u64 };
        let cell = self.cells.get(at).ok_or(not_ours)?;
        let before = cell.load();
        let place = before.arrived(me, word);
        let ours = before.is_registered() && before.owner() == Ok(Some(me));
        if !ours || before.has_arrived(word) || !cell.replace(before, place) {
            return Err(not_ours);
        }
        Ok(Some((at, before, place)))
    }

    /// Under the mutex: puts `new` into a cell of nobody, or else of a dead party that had passed.
    pub(crate) fn claim<J: Judge + ?Sized>(
        self,
        inquiry: &mut Inquiry<'_, J>,
        word: u32,
        new: Place,
    ) -> Result<Option<(usize, Place, Place)>, BarrierError> {
        for look in [false, true] {
            for (at, cell) in self.cells.iter().enumerate() {
                let place = cell.load();
                let free = match place.owner().map_err(|word| BarrierError::Corrupt { word })? {
                    None => true,
                    Some(_) if !look || place.matters(word) => false,
                    Some(owner) => match inquiry.verdict(owner) {
                        // That, or another verdict, may have shown that we have no place to arrive with.
                        Verdict::Dead => inquiry.is_ours(),
                        Verdict::Alive | Verdict::Unknown => false,
                        Verdict::Nobody => {
                            return Err(BarrierError::Corrupt { word: owner.get().into() });
                        }
                    },
                };
                if free && cell.replace(place, new) {
                    return Ok(Some((at, Place::FREE, new)));
                }
            }
        }
        Ok(None)
    }

    /// Gives the cell back, unless it is registered.
    pub(crate) fn leave(self, arrival: Arrival) {
        // Refused only if a wrong peer wrote to it, or if the others took us for dead: then it is not ours to give back.
        if !arrival.place.is_registered()
            && self.cells[arrival.at].replace(arrival.place, Place::FREE)
        {
            self.frame.bell.ring(1);
        }
    }

    /// Gives the mutex back; but not if a verdict has shown that others take us for dead, and may be taking it over.
    pub(crate) fn exit<J: Judge + ?Sized>(
        self,
        inquiry: &Inquiry<'_, J>,
    ) -> Result<(), BarrierError> {
        if !inquiry.is_ours() {
            return Err(BarrierError::NotJoined);
        }
        // Cannot be refused: `enter` has taken it.
        let _ = self.frame.mutex.release(inquiry.me());
        Ok(())
    }

    /// Takes the mutex. There is nothing to repair after a dead holder of it: it had taken a place or not.
    pub(crate) fn enter<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
        deadline: Deadline,
    ) -> Result<(), BarrierError> {
        // Again, because a verdict may have shown that the roster has lost our place.
        if judge.me() != Some(me) {
            return Err(LockFailure::NotJoined.into());
        }
        let mutex = &self.frame.mutex;
        let dead = if mutex.take_free(me) {
            None
        } else {
            mutex.wait(me, judge, deadline.max(Deadline::after(GRACE)))?
        };
        if mutex.taken(dead).outcome() != Outcome::Clean {
            // Cannot be refused: we hold it.
            let _ = mutex.make_consistent(judge);
        }
        Ok(())
    }
}
