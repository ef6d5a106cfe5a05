//! Taking a place at a barrier, and asking about those who have one.

use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_atomic::Ordering::Acquire;
use shmkit_roster::{Judge, OwnerId, Verdict, ask};

use crate::barrier::cell::Place;
use crate::barrier::raw::BROKEN;
use crate::{BarrierError, LockFailure, Outcome, RawBarrier, Slices};

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

/// What came of asking about the parties that matter.
pub(crate) struct Look {
    pub(crate) dead: Option<OwnerId>,
    /// Whether all others are known to be alive.
    pub(crate) known: bool,
}

impl RawBarrier<'_> {
    /// Takes a place among those who have arrived.
    pub(crate) fn arrive<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        seat: Option<usize>,
        judge: &J,
        deadline: Deadline,
    ) -> Result<Arrival, BarrierError> {
        let mut slices = Slices::new();
        // Only if there is no place at first: who leaves rings an armed bell.
        let mut armed = None;
        loop {
            // Acquire: pairs with the Release of who moved it.
            let word = self.frame.word.load(Acquire);
            if word & BROKEN != 0 {
                return Err(self.broken(me, judge, word));
            }
            if let Err(error) = self.enter(me, judge, deadline) {
                // Late is late, whoever holds the others up.
                if matches!(error, BarrierError::TimedOut | BarrierError::CannotJudge) {
                    self.break_now();
                }
                return Err(error);
            }
            let arrival = self.take_place(me, seat, judge);
            // Cannot be refused: `enter` has taken it.
            let _ = self.frame.mutex.release(me);
            if let Some(arrival) = arrival? {
                return Ok(arrival);
            }
            // As many as there are parties, and we are one more: somebody has yet to leave.
            if deadline.has_passed() {
                self.break_now();
                return Err(BarrierError::TimedOut);
            }
            if let Some(armed) = armed {
                self.frame.bell.sleep(armed, slices.next(deadline));
            }
            armed = Some(self.frame.bell.arm());
        }
    }

    /// Under the mutex: takes a place, if there is one.
    fn take_place<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        seat: Option<usize>,
        judge: &J,
    ) -> Result<Option<Arrival>, BarrierError> {
        loop {
            // Acquire: pairs with the Release of who moved it.
            let word = self.frame.word.load(Acquire);
            if word & BROKEN != 0 {
                return Err(self.broken(me, judge, word));
            }
            let taken = match seat {
                None => self.claim(me, judge, word, Place::FREE.arrived(me, word))?,
                Some(at) => self.retake(me, at, word)?,
            };
            let Some((at, before, place)) = taken else { return Ok(None) };
            // Acquire: as above. Again: the cell may be free because the pass of this word was decided since we looked,
            // and then we would have arrived in the past. Whoever left the cell knew the word that we see now. If it is
            // the same, our arrival is one of those that the pass needs, and it cannot be decided without us.
            if self.frame.word.reload(word, Acquire) & !BROKEN == word {
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
        me: OwnerId,
        judge: &J,
        word: u32,
        new: Place,
    ) -> Result<Option<(usize, Place, Place)>, BarrierError> {
        for look in [false, true] {
            for (at, cell) in self.cells.iter().enumerate() {
                let place = cell.load();
                let free = match place.owner().map_err(|word| BarrierError::Corrupt { word })? {
                    None => true,
                    Some(_) if !look || place.matters(word) => false,
                    Some(owner) => ask(judge, me, owner) == Verdict::Dead,
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

    /// Asks about every party that this pass counts on.
    pub(crate) fn look<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
        word: u32,
    ) -> Result<Look, BarrierError> {
        let mut known = true;
        // The threads of a process stand side by side, mostly.
        let mut asked = None;
        for cell in self.cells {
            let place = cell.load();
            if !place.matters(word) {
                continue;
            }
            let owner = place.owner().map_err(|word| BarrierError::Corrupt { word })?;
            if owner == asked {
                continue;
            }
            asked = owner;
            let Some(owner) = owner else { continue };
            match ask(judge, me, owner) {
                Verdict::Alive => {}
                Verdict::Dead => return Ok(Look { dead: Some(owner), known }),
                Verdict::Unknown => known = false,
                Verdict::Nobody => {
                    return Err(BarrierError::Corrupt { word: owner.get().into() });
                }
            }
        }
        Ok(Look { dead: None, known })
    }

    /// Says why the pass of this word was broken, as far as that can still be seen.
    #[cold]
    pub(crate) fn broken<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
        word: u32,
    ) -> BarrierError {
        match self.look(me, judge, word & !BROKEN) {
            Ok(Look { dead: Some(dead), .. }) => BarrierError::PartyDied(dead),
            _ => BarrierError::Broken,
        }
    }

    pub(crate) fn count_arrived(self, word: u32) -> u32 {
        self.cells.iter().filter(|cell| cell.load().has_arrived(word)).count() as u32
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
