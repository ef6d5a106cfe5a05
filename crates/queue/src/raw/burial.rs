//! Items whose takers die one after the other: how many have, and where such an item goes.

use shmkit_atomic::Deadline;
use shmkit_roster::{Judge, OwnerId};

use super::position::LAPS;
use super::span::Span;
use super::*;

/// The most deaths that a slot can count.
pub(crate) const MOST_DEATHS: u32 = 15;

/// Where the lap begins in a word of the tries, and where the owner does.
const LAP: u32 = 34;
const OWNER: u32 = 4;
/// Bits of a lap that stand there: all but one.
const LAP_BITS: u32 = (LAPS >> 1) - 1;
/// Says in an origin that there is one.
const BURIED: u64 = 1 << 63;

/// How a queue and its dead letters, which are a queue as well, know each other.
///
/// ```text
/// tries    a word for each slot     63 .. 34 lap, without its highest bit | 33 .. 4 who died last with its item | 3 .. 0 how many did
/// origins  a word for each letter   63 1 | 62 .. 32 lap | 31 .. 0 slot from which it comes; 0 before the first one
/// ```
#[derive(Clone, Copy)]
pub(super) enum Burial<'q> {
    /// It gives nothing up, and is nobody's dead letters.
    None,
    /// It gives an item up after so many deaths.
    From { deaths: u32, tries: Words<'q>, graves: Words<'q>, origins: Words<'q> },
    /// It is the dead letters of the queue of these slots.
    To { slots: Words<'q>, origins: Words<'q> },
}

/// What stands in the origin of a letter that comes from this slot.
fn origin(lap: u32, slot: u32) -> u64 {
    BURIED | Position { lap, slot }.bits()
}

impl<'q> Ring<'q> {
    /// Ties a queue to its dead letters: returns both. An item with which so many have died goes there: who takes it
    /// [is told](Self::is_given_up), and [buries](Self::bury) it.
    ///
    /// # Panics
    ///
    /// If there is not a word in `tries` for each slot, and one in `origins` for each letter.
    #[must_use]
    pub fn giving_up(
        self,
        deaths: u32,
        tries: Words<'q>,
        letters: Self,
        origins: Words<'q>,
    ) -> [Self; 2] {
        assert_eq!((tries.count(), origins.count()), (self.capacity(), letters.capacity()));
        let burial = Burial::From { deaths, tries, graves: letters.words, origins };
        let of = Burial::To { slots: self.words, origins };
        [Self { burial, ..self }, Self { burial: of, ..letters }]
    }

    /// Counts a death beside the slot whose item the dead one had, once whoever does it; returns what becomes of the item, or
    /// nothing if somebody else has decided that.
    pub(super) fn count_death(&self, slot: u32, word: Word) -> Option<State> {
        let Burial::From { deaths, tries, .. } = self.burial else { return Some(State::Returned) };
        let (lap, owner) = (word.lap() & LAP_BITS, word.owner().map_or(0, OwnerId::get));
        loop {
            // Acquire: pairs with the AcqRel below. Who has counted a later death has seen a later word of the slot, and so do
            // we, next.
            let seen = tries.at(slot).load(Acquire);
            if self.load(slot).ok()?.0 != word {
                return None;
            }
            let before = if (seen >> LAP) as u32 == lap { seen as u32 & MOST_DEATHS } else { 0 };
            let counted = before > 0 && (seen >> OWNER) as u32 & OwnerId::MASK == owner;
            let now = if counted { before } else { (before + 1).min(MOST_DEATHS) };
            let found = u64::from(lap) << LAP | u64::from(owner) << OWNER | u64::from(now);
            crash::step();
            // AcqRel: publishes the slot's word that was seen, and pairs with the Acquire above. Who takes the item sees it by way of
            // the slot's word.
            if counted || tries.at(slot).compare_exchange(seen, found, AcqRel, Relaxed).is_ok() {
                return Some(if now < deaths { State::Returned } else { State::GivenUp });
            }
        }
    }

    /// Returns whether so many have died with an item that it is to be [buried](Self::bury), and not worked on.
    #[inline]
    pub fn is_given_up(&self, held: &Held) -> bool {
        let Burial::From { deaths, tries, .. } = self.burial else { return false };
        let Held(Span { first, .. }) = held;
        // Relaxed: ordered by the slot's word.
        let seen = tries.at(first.slot).load(Relaxed);
        (seen >> LAP) as u32 == first.lap & LAP_BITS && seen as u32 & MOST_DEATHS >= deaths
    }

    /// Takes an item that was given up and that nobody has buried yet, if there is one.
    ///
    /// # Errors
    ///
    /// [`QueueError::NotJoined`], [`QueueError::Corrupt`].
    pub fn take_given_up<J: Judge + ?Sized>(&self, judge: &J) -> Result<Option<Held>, QueueError> {
        let me = judge.me().ok_or(QueueError::NotJoined)?;
        self.look_in_turn(judge, me)?;
        for slot in 0..self.capacity() {
            let (word, state) = self.load(slot)?;
            if state == State::GivenUp
                && let Some(held) = self.take_back(slot, word, me)
            {
                return Ok(Some(held));
            }
        }
        Ok(None)
    }

    /// Moves an item that was given up to the dead letters. `copy` copies it, to the letter of this number; `leave` gives back
    /// what it refers to where it was. Gives the item back, counted as lost, if there is no room for it, or `copy` says so.
    ///
    /// # Errors
    ///
    /// [`QueueError::NotMine`], as [`done`](Self::done).
    ///
    /// # If a peer dies
    ///
    /// *This* one: the next one who takes buries the item, or it is buried. It is there once.
    pub fn bury<J: Judge + ?Sized>(
        &self,
        judge: &J,
        letters: &Self,
        held: Held,
        copy: impl FnOnce(u32) -> bool,
        leave: impl FnOnce(),
    ) -> Result<Option<Held>, QueueError> {
        let Burial::From { origins, .. } = self.burial else { return Ok(Some(held)) };
        let Held(Span { first, me, .. }) = held;
        // The place that one had who died on its way there may be the last one.
        letters.look(judge, me)?;
        let room = letters.claim(judge, 1, Deadline::PASSED).ok();
        let Some(claim) = room else { return Ok(Some(self.lost(held))) };
        crash::step();
        // Release: pairs with the Acquire in `settle` and `is_buried`, as the exchange in `leave` does.
        origins.at(claim.first()).swap(origin(first.lap, first.slot), Release);
        if !copy(claim.first()) {
            letters.give_up(claim);
            return Ok(Some(self.lost(held)));
        }
        // From here on it is among the dead letters, whoever says so.
        if let Err(error) = self.leave(&held) {
            letters.give_up(claim);
            return Err(error);
        }
        letters.commit(claim)?;
        self.control().given_up.fetch_add(1, Relaxed);
        leave();
        self.left(held)?;
        Ok(None)
    }

    fn lost(&self, held: Held) -> Held {
        self.control().lost.fetch_add(1, Relaxed);
        held
    }

    /// Completes what one has begun who died as it left a slot: if it was burying the item, that is among the dead letters.
    pub(super) fn settle(&self, slot: u32, word: Word) {
        let Burial::From { graves, origins, .. } = self.burial else { return };
        for grave in 0..graves.count() {
            // Acquire: pairs with the Release of its claim, so that the origin is at least as new.
            let found = Word::found(graves.at(grave).load(Acquire));
            let same = found.state() == Some(State::Writing) && found.owner() == word.owner();
            // Acquire: pairs with the Release in `bury`.
            if same && origins.at(grave).load(Acquire) == origin(word.lap(), slot) {
                crash::step();
                let ready = Word::free(found.lap(), State::Ready);
                // AcqRel: as in `exchange`. Who fails finds that it was done.
                let _ =
                    graves.at(grave).compare_exchange(found.bits(), ready.bits(), AcqRel, Relaxed);
            }
        }
    }

    /// Returns whether a letter whose writer died is one all the same: it has left the slot from which it comes.
    pub(super) fn is_buried(&self, letter: u32, word: Word) -> bool {
        let Burial::To { slots, origins } = self.burial else { return false };
        // Acquire: pairs with the Release in `bury`.
        let from = origins.at(letter).load(Acquire);
        let (slot, lap) = (from as u32, ((from & !BURIED) >> 32) as u32);
        let (Some(owner), true) = (word.owner(), from & BURIED != 0 && slot < slots.count()) else {
            return false;
        };
        // Acquire: pairs with the Release in `exchange`. If somebody has settled and emptied the slot, this sees it, and fails to
        // change the letter.
        slots.at(slot).load(Acquire) == Word::of(lap, State::Leaving, owner).bits()
    }
}
