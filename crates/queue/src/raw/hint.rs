//! The two positions, which are hints: what the slots say of them, and how they are moved on.

use super::position::LAPS;
use super::*;

/// How far a slot of the lap before is ahead.
const BEFORE: u32 = LAPS - 1;
/// From here on a slot is not ahead, but behind.
const HALF: u32 = LAPS / 2;

/// What its slot says of a position.
pub(super) enum Hint {
    /// There is where to put, or to take: if the slot says so.
    Here,
    /// It lags: everything before this one was claimed, or taken, too.
    Behind(Position),
    /// It lags by a lap or more: somebody was stopped while it moved it. Or the slot's word is corrupt.
    Far(Position),
    /// No peer leaves it so for long.
    Odd,
}

impl Ring<'_> {
    /// Says what a slot's word is to who found `tail` there.
    ///
    /// Slots are claimed in order: a claim is, whatever has become of it, one of everything before it, too.
    pub(super) fn of_tail(&self, at: Position, word: Word, state: State) -> Hint {
        match (word.ahead_of(at.lap), state) {
            (0, State::Empty) => Hint::Here,
            (0 | 1, _) => Hint::Behind(at.next(self.capacity())),
            (2..HALF, _) => Hint::Far(self.far(at, word, state, 0)),
            // Full.
            (BEFORE, state) if state != State::Empty => Hint::Here,
            _ => Hint::Odd,
        }
    }

    /// Says what a slot's word is to who found `head` there.
    ///
    /// What was emptied is one lap ahead. That says nothing of what is before it: a cut put is discarded before its turn. But who
    /// claims a slot has got it, and all that come before it in its lap, from who was done with them in the lap before.
    pub(super) fn of_head(&self, at: Position, word: Word, state: State) -> Hint {
        match (word.ahead_of(at.lap), state) {
            (0, State::Reading | State::Returned | State::GivenUp | State::Leaving)
            | (1, _)
            | (2, State::Empty) => Hint::Behind(at.next(self.capacity())),
            (2..HALF, _) => Hint::Far(self.far(at, word, state, 1)),
            (0, _)
            | (BEFORE, State::Reading | State::Returned | State::GivenUp | State::Leaving) => {
                Hint::Here
            }
            _ => Hint::Odd,
        }
    }

    /// Returns the position behind this slot's in the lap in which it was claimed last, or so many before that.
    #[cold]
    fn far(&self, at: Position, word: Word, state: State, before: u32) -> Position {
        // What was emptied was claimed in the lap before.
        let lap = word.lap().wrapping_sub(u32::from(state == State::Empty) + before) % LAPS;
        Position { lap, ..at }.next(self.capacity())
    }

    #[inline]
    fn position(&self, of: &AtomicU64, field: &'static str) -> Result<Position, QueueError> {
        // Acquire: pairs with the Release in `move_on`: the words of the slots that it has passed are as new as its mover
        // saw them.
        Position::found(of.load(Acquire), self.capacity(), field)
    }

    #[inline]
    pub(super) fn head(&self) -> Result<Position, QueueError> {
        self.position(&self.queue.head, "head")
    }

    #[inline]
    pub(super) fn tail(&self) -> Result<Position, QueueError> {
        self.position(&self.queue.tail, "tail")
    }

    #[inline]
    pub(super) fn move_head(&self, from: Position, to: Position) {
        self.move_on(&self.queue.head, from, to);
    }

    #[inline]
    pub(super) fn move_tail(&self, from: Position, to: Position) {
        self.move_on(&self.queue.tail, from, to);
    }

    /// Moves `head` or `tail` on from `from` to `to`, as far as others have not done so.
    ///
    /// By a store: a compare-exchange would be as dear as the claim. Who is stopped between the look and the store takes it
    /// back, to where it was then, and others move it on again, as they do for who dies there.
    #[inline]
    fn move_on(&self, word: &AtomicU64, from: Position, to: Position) {
        let now = word.load(Relaxed);
        if now == from.bits() || self.is_on_the_way(now, from, to) {
            crash::step();
            // Release: passes on what the movers before have seen; pairs with the Acquire in `position`.
            word.store(to.bits(), Release);
        }
    }

    /// Returns whether another has helped with a part of the way.
    #[cold]
    fn is_on_the_way(&self, now: u64, from: Position, to: Position) -> bool {
        let after = |position: Position| position.after(from, self.capacity());
        Position::found(now, self.capacity(), "position").is_ok_and(|now| after(now) < after(to))
    }

    /// Returns how many items there are to be taken, or about to be: a guess while the queue is in use.
    ///
    /// # Errors
    ///
    /// [`QueueError::Corrupt`].
    pub fn len(&self) -> Result<u32, QueueError> {
        let returned = self.control().returned.load(Relaxed) as u32;
        Ok(self.waiting()?.saturating_add(returned).min(self.capacity()))
    }

    /// Returns whether there is nothing to take, as [`len`](Self::len) does.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn is_empty(&self) -> Result<bool, QueueError> {
        Ok(self.len()? == 0)
    }

    /// Returns how many items stand in line: the same without those that came back.
    pub(super) fn waiting(&self) -> Result<u32, QueueError> {
        let (tail, _) = self.seek(self.tail()?, Self::of_tail)?;
        let (head, _) = self.seek(self.head()?, Self::of_head)?;
        let waiting = tail.after(head, self.capacity());
        // Both may have moved, the head beyond where the tail was.
        Ok(if waiting > u64::from(self.capacity()) { 0 } else { waiting as u32 })
    }

    /// Returns whether nothing can be put now, as of a moment that is over when this returns.
    ///
    /// # Errors
    ///
    /// [`QueueError::Corrupt`].
    pub fn is_full(&self) -> Result<bool, QueueError> {
        let (tail, word) = self.seek(self.tail()?, Self::of_tail)?;
        Ok(word != Word::free(tail.lap, State::Empty))
    }

    /// Goes on from a position that may lag to where it should be, and returns that slot's word, too. Nothing is stored: who only
    /// looks changes nothing.
    fn seek(
        &self,
        mut at: Position,
        says: impl Fn(&Self, Position, Word, State) -> Hint,
    ) -> Result<(Position, Word), QueueError> {
        // From the farthest lag it is two laps, in single steps, and one leap before them.
        let mut steps = 2 * self.capacity() + 2;
        loop {
            let (word, state) = self.load(at.slot)?;
            match says(self, at, word, state) {
                Hint::Behind(next) | Hint::Far(next) if steps > 0 => {
                    (at, steps) = (next, steps - 1)
                }
                _ => return Ok((at, word)),
            }
        }
    }
}
