//! Claiming slots, and committing them.

use super::span::Span;
use super::*;
use shmkit_roster::OwnerId;

impl Ring<'_> {
    /// Claims up to `most` slots, at least one; `None` if the queue is full.
    ///
    /// # Errors
    ///
    /// [`QueueError::Closed`], [`QueueError::Corrupt`].
    #[inline]
    pub(super) fn try_claim(&self, me: OwnerId, most: u32) -> Result<Option<Claim>, QueueError> {
        let mut odd = Odd::new();
        loop {
            let at = self.tail()?;
            let (word, state) = self.load(at.slot)?;
            if word == Word::free(at.lap, State::Empty) {
                // Its lines are still where somebody took what was in it: they are on the way while this one is written.
                self.words.fetch(at.next(self.capacity()).slot);
                if self.exchange(at.slot, word, Word::of(at.lap, State::Writing, me)) {
                    return self.claimed(at, me, most).map(Some);
                }
                continue;
            }
            match self.of_tail(at, word, state) {
                Hint::Here => return Ok(None),
                // Whoever was there has not moved the tail yet, or died before.
                Hint::Behind(next) => self.move_tail(at, next),
                Hint::Far(next) => {
                    odd.look(word)?;
                    self.move_tail(at, next);
                }
                Hint::Odd => odd.look(word)?,
            }
        }
    }

    /// Goes on with the claim of the slot at `first`: claims those after it, as far as they are free.
    #[inline]
    fn claimed(&self, first: Position, me: OwnerId, most: u32) -> Result<Claim, QueueError> {
        let mut claim = Span { first, count: 1, me };
        let mut next = first.next(self.capacity());
        while claim.count < most {
            let free = Word::free(next.lap, State::Empty);
            // Relaxed: only whether it is worth a try.
            let seen = self.words.at(next.slot).load(Relaxed);
            if seen != free.bits()
                || !self.exchange(next.slot, free, Word::of(next.lap, State::Writing, me))
            {
                break;
            }
            claim.count += 1;
            next = next.next(self.capacity());
        }
        // SeqCst: pairs with the fence of who finds the queue closed. Either this one is first: then that one sees the claim,
        // and waits for what comes; or that one's is first: then we see that it is closed.
        barrier::after_exchange();
        if self.queue.is_closed() {
            self.give_up(Claim(claim));
            return Err(QueueError::Closed);
        }
        self.move_tail(first, next);
        Ok(Claim(claim))
    }

    /// Empties claimed slots again, as if their items had been put and taken.
    #[cold]
    pub fn give_up(&self, claim: Claim) {
        let Claim(span) = claim;
        for at in span.positions(self) {
            self.exchange(
                at.slot,
                Word::of(at.lap, State::Writing, span.me),
                Word::emptied(at.lap),
            );
        }
        // Those who take may have waited for it; and whoever puts is no worse off than before.
        self.control().items.ring_all();
        self.control().space.ring_all();
        self.control().idle.ring_all();
    }

    /// Commits claimed slots, whose items are written: from now on others may take them. One after the other: who is
    /// killed in between has put the first of them.
    ///
    /// # Errors
    ///
    /// [`QueueError::NotMine`] if this participant has lost its place in the roster, and others have taken the slots.
    #[inline]
    pub fn commit(&self, claim: Claim) -> Result<(), QueueError> {
        let Claim(span) = claim;
        for at in span.positions(self) {
            let writing = Word::of(at.lap, State::Writing, span.me);
            if !self.exchange(at.slot, writing, Word::free(at.lap, State::Ready)) {
                return Err(QueueError::NotMine);
            }
        }
        self.control().items.ring_after_exchange(span.count);
        Ok(())
    }
}
