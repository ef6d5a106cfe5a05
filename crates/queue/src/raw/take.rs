//! Taking what is in slots, and being done with it.

use super::span::Span;
use super::*;
use shmkit_roster::OwnerId;

/// The bits of `returned` that count slots.
const COUNT: u64 = u32::MAX as u64;
/// One in its upper half.
const ONCE_MORE: u64 = 1 << 32;

impl Ring<'_> {
    /// Takes up to `most` items, at least one; `None` if there is none to be had now.
    ///
    /// # Errors
    ///
    /// [`QueueError::Corrupt`].
    #[inline]
    pub(super) fn try_take(&self, me: OwnerId, most: u32) -> Result<Option<Held>, QueueError> {
        // Relaxed: a hint.
        if self.control().returned.load(Relaxed) & COUNT != 0
            && let Some(held) = self.take_returned(me)?
        {
            return Ok(Some(held));
        }
        let mut odd = Odd::new();
        while let Some((at, word)) = self.first(&mut odd)? {
            if self.exchange(at.slot, word, Word::of(at.lap, State::Reading, me)) {
                return Ok(Some(self.taken(at, me, most)));
            }
        }
        Ok(None)
    }

    /// Takes an item and is done with it at once: `copy` is told its slot, maybe more than once, and may find it being written
    /// over; what counts is what it copied last. `None` if there is none to be had now. Not of a queue that gives items up.
    ///
    /// # Errors
    ///
    /// [`QueueError::Corrupt`].
    #[inline]
    pub(super) fn try_get(
        &self,
        me: OwnerId,
        copy: &mut impl FnMut(u32),
    ) -> Result<Option<()>, QueueError> {
        // Relaxed: a hint.
        if self.control().returned.load(Relaxed) & COUNT != 0
            && let Some(held) = self.take_returned(me)?
        {
            copy(held.first());
            return self.done(held).map(Some);
        }
        let mut odd = Odd::new();
        while let Some((at, ready)) = self.first(&mut odd)? {
            copy(at.slot);
            // If it is still there to be taken, nobody has written to it meanwhile.
            if self.exchange(at.slot, ready, Word::emptied(at.lap)) {
                self.move_head(at, at.next(self.capacity()));
                return self.freed(1).map(Some);
            }
        }
        Ok(None)
    }

    /// Finds the first item in line, and the word of its slot; moves the head on to it.
    #[inline]
    pub(super) fn first(&self, odd: &mut Odd) -> Result<Option<(Position, Word)>, QueueError> {
        loop {
            let at = self.head()?;
            let (word, state) = self.load(at.slot)?;
            if word == Word::free(at.lap, State::Ready) {
                return Ok(Some((at, word)));
            }
            match self.of_head(at, word, state) {
                Hint::Here => return Ok(None),
                Hint::Behind(next) => self.move_head(at, next),
                Hint::Far(next) => {
                    odd.look(word)?;
                    self.move_head(at, next);
                }
                Hint::Odd => odd.look(word)?,
            }
        }
    }

    /// Goes on with the lease of the slot at `first`: takes those after it, as far as they are ready.
    #[inline]
    fn taken(&self, first: Position, me: OwnerId, most: u32) -> Held {
        let mut held = Span { first, count: 1, me };
        let mut next = first.next(self.capacity());
        while held.count < most {
            let ready = Word::free(next.lap, State::Ready);
            // Relaxed: only whether it is worth a try.
            let seen = self.words.at(next.slot).load(Relaxed);
            if seen != ready.bits()
                || !self.exchange(next.slot, ready, Word::of(next.lap, State::Reading, me))
            {
                break;
            }
            held.count += 1;
            next = next.next(self.capacity());
        }
        self.move_head(first, next);
        Held(held)
    }

    /// Looks for an item that came back.
    #[cold]
    fn take_returned(&self, me: OwnerId) -> Result<Option<Held>, QueueError> {
        // Acquire: pairs with the Release in `count_returned`: who is counted there is found.
        let before = self.control().returned.load(Acquire);
        for slot in 0..self.capacity() {
            let (word, state) = self.load(slot)?;
            if matches!(state, State::Returned | State::GivenUp)
                && let Some(held) = self.take_back(slot, word, me)
            {
                return Ok(Some(held));
            }
        }
        // Nothing is there, and nothing was counted since: the number is that of somebody who died before it was lowered.
        crash::step();
        let none = before & !COUNT;
        let _ = self.control().returned.compare_exchange(before, none, Relaxed, Relaxed);
        Ok(None)
    }

    /// Takes an item that came back, or was given up, if the slot's word still says so.
    pub(super) fn take_back(&self, slot: u32, word: Word, me: OwnerId) -> Option<Held> {
        if !self.exchange(slot, word, Word::of(word.lap(), State::Reading, me)) {
            return None;
        }
        self.uncount_returned();
        let first = Position { lap: word.lap(), slot };
        Some(Held(Span { first, count: 1, me }))
    }

    /// Returns whether there is an item that has come back, or one that was given up: that has to be buried by who takes.
    #[cfg(not(loom))]
    pub(super) fn has_returned(&self) -> Result<bool, QueueError> {
        // The number may be that of somebody who died before it was lowered.
        for slot in 0..if self.returned() & COUNT != 0 { self.capacity() } else { 0 } {
            if matches!(self.load(slot)?.1, State::Returned | State::GivenUp) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Counts items that have come back, which their slots say already.
    pub(super) fn count_returned(&self, count: u32) {
        crash::step();
        // Release: pairs with the Acquire in `take_returned`.
        let more = |now: u64| {
            Some(
                (now & !COUNT).wrapping_add(ONCE_MORE)
                    | ((now & COUNT) + u64::from(count)).min(COUNT),
            )
        };
        let _ = self.control().returned.fetch_update(Release, Relaxed, more);
    }

    fn uncount_returned(&self) {
        crash::step();
        let fewer = |now: u64| (now & COUNT != 0).then(|| now - 1);
        let _ = self.control().returned.fetch_update(Relaxed, Relaxed, fewer);
    }

    /// Raises the number of items that came back to `found`, if it is as it was `before` they were looked for.
    pub(super) fn recount_returned(&self, before: u64, found: u32) {
        if before & COUNT < u64::from(found) {
            crash::step();
            let now = (before & !COUNT).wrapping_add(ONCE_MORE) | u64::from(found);
            // Release: as in `count_returned`. If others have counted meanwhile, the next look does.
            let _ = self.control().returned.compare_exchange(before, now, Release, Relaxed);
        }
    }

    /// Returns what `returned` says.
    pub(super) fn returned(&self) -> u64 {
        self.control().returned.load(Acquire) // Acquire: as in `take_returned`.
    }

    /// Is done with items: their slots are free, and nobody gets them any more. One after the other.
    ///
    /// # Errors
    ///
    /// [`QueueError::NotMine`] if this participant has lost its place in the roster, and others have got the items.
    #[inline]
    pub fn done(&self, held: Held) -> Result<(), QueueError> {
        self.empty(held, State::Reading)
    }

    /// Begins to be done with items that refer to something else, which the caller gives back between this and
    /// [`left`](Self::left): nobody gets them any more, and nobody puts anything in their place yet.
    ///
    /// *If a peer dies* in between, their slots are free like those of all dead; what they refer to is the business of who
    /// puts there next.
    ///
    /// # Errors
    ///
    /// As [`done`](Self::done): then nothing of it is the caller's.
    pub fn leave(&self, held: &Held) -> Result<(), QueueError> {
        let Held(span) = held;
        for at in span.positions(self) {
            let [reading, leaving] =
                [State::Reading, State::Leaving].map(|state| Word::of(at.lap, state, span.me));
            if !self.exchange(at.slot, reading, leaving) {
                return Err(QueueError::NotMine);
            }
        }
        Ok(())
    }

    /// Is done with items that it has [begun to leave](Self::leave).
    ///
    /// # Errors
    ///
    /// As [`done`](Self::done).
    pub fn left(&self, held: Held) -> Result<(), QueueError> {
        self.empty(held, State::Leaving)
    }

    #[inline]
    fn empty(&self, held: Held, from: State) -> Result<(), QueueError> {
        let Held(span) = held;
        let mut mine = true;
        for at in span.positions(self) {
            let now = Word::of(at.lap, from, span.me);
            mine &= self.exchange(at.slot, now, Word::emptied(at.lap));
        }
        self.freed(span.count)?;
        if mine { Ok(()) } else { Err(QueueError::NotMine) }
    }

    /// Tells who waits for room, or for the end, that so many slots were emptied: by the exchange before this.
    #[inline]
    fn freed(&self, count: u32) -> Result<(), QueueError> {
        // With a fence that stands for the next two looks as well.
        self.control().space.ring_after_exchange(count);
        if self.control().idle.is_armed() || self.queue.is_closed() {
            self.tell_idle()?;
        }
        Ok(())
    }

    /// Wakes those who wait until all is done, and those who wait for the last items of a closed queue, if this may have
    /// been the last.
    #[cold]
    fn tell_idle(&self) -> Result<(), QueueError> {
        if self.waiting()? == 0 {
            self.control().idle.ring_all();
            if self.queue.is_closed() {
                self.control().items.ring_all();
            }
        }
        Ok(())
    }

    /// Gives items back: whoever takes next gets them, before all others.
    ///
    /// # Errors
    ///
    /// As [`done`](Self::done).
    pub fn give_back(&self, held: Held) -> Result<(), QueueError> {
        let Held(span) = held;
        let mut mine = true;
        for at in span.positions(self) {
            let reading = Word::of(at.lap, State::Reading, span.me);
            mine &= self.exchange(at.slot, reading, Word::free(at.lap, State::Returned));
        }
        self.count_returned(span.count);
        self.control().redelivered.fetch_add(span.count.into(), Relaxed);
        self.control().items.ring(span.count);
        if mine { Ok(()) } else { Err(QueueError::NotMine) }
    }
}
