//! Looking through all slots: for what the dead have in their hands, and for whether anything is left.

use shmkit_roster::{Judge, OwnerId, Verdict, ask};

use super::*;

impl Ring<'_> {
    /// Looks through all slots: takes what the dead hold out of their hands, and counts what came back. Returns whether
    /// everybody who has a slot could be judged.
    ///
    /// It takes a load for each slot, and a question for each participant that has some.
    ///
    /// # Errors
    ///
    /// [`QueueError::Corrupt`].
    #[cold]
    pub(crate) fn look<J: Judge + ?Sized>(
        &self,
        judge: &J,
        me: OwnerId,
    ) -> Result<bool, QueueError> {
        let before = self.returned();
        let (mut known, mut changed, mut returned) = (true, false, 0);
        let mut last = None;
        for slot in 0..self.capacity() {
            let (word, state) = self.load(slot)?;
            match state {
                State::Empty | State::Ready => {}
                State::Returned | State::GivenUp => returned += 1,
                State::Writing | State::Reading | State::Leaving => {
                    let nobody = QueueError::Corrupt { field: "slot's owner", found: word.bits() };
                    let owner = word.owner().ok_or(nobody)?;
                    let verdict = match last {
                        Some((who, verdict)) if who == owner => verdict,
                        _ => ask(judge, me, owner),
                    };
                    last = Some((owner, verdict));
                    match verdict {
                        Verdict::Alive => {}
                        Verdict::Unknown => known = false,
                        Verdict::Nobody => return Err(nobody),
                        Verdict::Dead => changed |= self.recover(slot, word, state),
                    }
                }
            }
        }
        self.recount_returned(before, returned);
        if changed || returned > 0 {
            // Whoever waits for these, or for those behind them.
            self.control().items.ring_all();
            self.control().space.ring_all();
            self.control().idle.ring_all();
        }
        Ok(known)
    }

    /// Takes a slot out of the hands of the dead; returns whether this did it, and nobody else.
    fn recover(&self, slot: u32, word: Word, state: State) -> bool {
        let emptied = Word::emptied(word.lap());
        let Control { lost, discarded, redelivered, .. } = self.control();
        let in_lap = |state| Word::free(word.lap(), state);
        let (to, count) = match (state, self.queue.delivery()) {
            (State::Writing, _) if self.is_buried(slot, word) => (in_lap(State::Ready), None),
            (State::Writing, _) => (emptied, Some(discarded)),
            (State::Leaving, _) => {
                self.settle(slot, word);
                (emptied, None)
            }
            (_, Delivery::AtMostOnce) => (emptied, Some(lost)),
            (_, Delivery::AtLeastOnce) => match self.count_death(slot, word) {
                Some(State::Returned) => (in_lap(State::Returned), Some(redelivered)),
                Some(given_up) => (in_lap(given_up), None),
                None => return false,
            },
        };
        if !self.exchange(slot, word, to) {
            return false;
        }
        if let Some(count) = count {
            count.fetch_add(1, Relaxed);
        }
        if state == State::Reading && to != emptied {
            self.count_returned(1);
        }
        true
    }

    /// Reads what a slot's last item has left, for who has no claim of it; `None` if it is not empty, or was put to while this
    /// read.
    ///
    /// What is read must be stored with Release by who puts, and loaded with Acquire: then who has read what a later one has
    /// stored sees its claim.
    ///
    /// # Errors
    ///
    /// [`QueueError::Corrupt`].
    pub fn read_empty<R>(
        &self,
        slot: u32,
        read: impl FnOnce() -> R,
    ) -> Result<Option<R>, QueueError> {
        let (word, state) = self.load(slot)?;
        if state != State::Empty {
            return Ok(None);
        }
        let read = read();
        Ok((self.load(slot)?.0 == word).then_some(read))
    }

    /// Returns how many items were put, or are about to be, and nobody is done with yet: those of `but` do not count, nor do
    /// those that were given up.
    ///
    /// # Errors
    ///
    /// [`QueueError::Corrupt`].
    pub(super) fn unfinished(&self, but: Option<OwnerId>) -> Result<u32, QueueError> {
        let mut count = 0;
        for slot in 0..self.capacity() {
            let (word, state) = self.load(slot)?;
            let own = state == State::Reading && but.is_some() && word.owner() == but;
            count += u32::from(!matches!(state, State::Empty | State::GivenUp) && !own);
        }
        Ok(count)
    }
}
