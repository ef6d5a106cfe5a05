//! A party's way through a barrier, and what ends it for all.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use shmkit_atomic::Deadline;
use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shmkit_atomic::futex::{ALL, Wake};
use shmkit_roster::{Judge, OwnerId, Verdict};

use crate::barrier::arrival::Arrival;
use crate::barrier::cell::Place;
use crate::barrier::look::Inquiry;
use crate::barrier::raw::{BROKEN, PASS, RESET, RawBarrier};
use crate::patience::GivenUp;
use crate::spin::Spin;
use crate::wait::Wait;
use crate::{ActionError, BarrierError, Patience};

impl RawBarrier<'_> {
    /// Waits, for as long as the caller has `patience`, until all parties have arrived. The last one does `action` before
    /// anybody passes. Returns how many arrived before: the last one is number `parties - 1`.
    ///
    /// `seat` is the cell that the caller has [registered](Self::register).
    ///
    /// # Errors
    ///
    /// [`ActionError`]. The barrier is broken by an action that fails or panics and by a patience that ends.
    ///
    /// # If a peer dies
    ///
    /// [`BarrierError::PartyDied`], for all, if it had arrived or registered: within about 40 ms. Of others' deaths the
    /// barrier does not know.
    pub fn wait<'p, J: Judge + ?Sized, E>(
        self,
        seat: Option<usize>,
        judge: &J,
        patience: impl Into<Patience<'p>>,
        action: Option<impl FnOnce() -> Result<(), E>>,
    ) -> Result<u32, ActionError<E>> {
        let me = judge.me().ok_or(BarrierError::NotJoined)?;
        let patience = patience.into();
        let arrival = self.arrive(me, seat, judge, patience)?;
        let passed = if arrival.index + 1 == self.parties() {
            self.lead(me, judge, arrival, action)
        } else {
            self.follow(me, judge, arrival, patience).map_err(ActionError::Barrier)
        };
        // A child that was forked meanwhile has no place to give back: it is its parent's.
        if judge.me() == Some(me) {
            self.leave(arrival);
        }
        passed.map(|()| arrival.index)
    }

    /// Breaks the barrier: whoever waits, or comes later, is told, until it is [reset](Self::reset).
    ///
    /// # Errors
    ///
    /// [`BarrierError::NotJoined`]; it was not broken.
    pub fn abort<J: Judge + ?Sized>(self, judge: &J) -> Result<(), BarrierError> {
        judge.me().ok_or(BarrierError::NotJoined)?;
        self.break_now();
        Ok(())
    }

    /// Makes the barrier whole and empty: who waits now is told that it was broken, who comes later is not.
    ///
    /// # Errors
    ///
    /// [`BarrierError`]; it was not reset.
    ///
    /// # If a peer dies
    ///
    /// in the middle of its own change, this call takes over from it. A stopped one is waited for. The dead are forgotten.
    pub fn reset<J: Judge + ?Sized>(self, judge: &J) -> Result<(), BarrierError> {
        let me = judge.me().ok_or(BarrierError::NotJoined)?;
        self.enter(me, judge, Deadline::NEVER)?;
        let mut word = self.frame.word.load(Relaxed);
        // Release: pairs with the Acquire in `follow` and `arrive`.
        while let Err(now) = self.frame.word.compare_exchange(
            word,
            word.wrapping_add(RESET) & !BROKEN,
            Release,
            Relaxed,
        ) {
            word = now;
        }
        // Only now: killed before it, the dead are found again, and the barrier is broken again.
        let mut inquiry = Inquiry::new(me, judge);
        for cell in self.cells {
            let place = cell.load();
            let gone = match place.owner() {
                Ok(None) => false,
                Ok(Some(owner)) => {
                    matches!(inquiry.verdict(owner), Verdict::Dead | Verdict::Nobody)
                }
                // Nobody's: the next one's.
                Err(_) => true,
            };
            if gone {
                // Fails only if it had left the cell before it died.
                cell.replace(place, Place::FREE);
            }
        }
        self.exit(&inquiry)?;
        self.frame.word.wake(ALL);
        self.frame.bell.ring_all();
        Ok(())
    }

    /// Takes a cell for a party that is expected at every pass from now on; returns its number.
    ///
    /// # Errors
    ///
    /// [`BarrierError::Full`] if there is none; [`BarrierError`].
    ///
    /// # If a peer dies
    ///
    /// and there is none because it has one: [`BarrierError::PartyDied`], for all.
    pub fn register<J: Judge + ?Sized>(self, judge: &J) -> Result<usize, BarrierError> {
        let me = judge.me().ok_or(BarrierError::NotJoined)?;
        loop {
            self.enter(me, judge, Deadline::NEVER)?;
            let word = self.frame.word.load(Relaxed);
            let mut inquiry = Inquiry::new(me, judge);
            let claimed = self.claim(&mut inquiry, word, Place::registered(me));
            self.exit(&inquiry)?;
            if let Some((at, ..)) = claimed? {
                return Ok(at);
            }
            self.inspect(&mut inquiry, word)?;
            // Relaxed: a hint. The pass that the dead were counted on may be decided by now, and their places be free.
            if self.frame.word.load(Relaxed) == word {
                return Err(BarrierError::Full);
            }
        }
    }

    /// Gives the cell of a registered party back. It must not be waiting.
    pub fn unregister<J: Judge + ?Sized>(self, seat: usize, judge: &J) {
        let Some((me, cell)) = judge.me().zip(self.cells.get(seat)) else { return };
        let place = cell.load();
        if place.is_registered()
            && place.owner() == Ok(Some(me))
            && cell.replace(place, Place::FREE)
        {
            self.frame.bell.ring(1);
        }
    }

    /// The last one: does the action, and lets everybody pass.
    fn lead<J: Judge + ?Sized, E>(
        self,
        me: OwnerId,
        judge: &J,
        arrival: Arrival,
        action: Option<impl FnOnce() -> Result<(), E>>,
    ) -> Result<(), ActionError<E>> {
        self.check(me, judge, arrival)?;
        if let Some(action) = action {
            self.act(me, judge, arrival, action)?;
            // Again: whoever died while the action ran is not passed over.
            self.check(me, judge, arrival)?;
        }
        // AcqRel: Release pairs with the Acquire in `follow`: what all parties did before they arrived, which the mutex
        // has handed on to us, is visible to who passes.
        let next = arrival.word.wrapping_add(PASS);
        if self.frame.word.compare_exchange(arrival.word, next, AcqRel, Relaxed).is_err() {
            // Broken or reset meanwhile.
            return Err(self.broken(&mut Inquiry::new(me, judge), arrival.word).into());
        }
        // Killed here, the others find out at the end of their slice.
        if self.parties() > 1 {
            self.frame.word.wake(ALL);
        }
        Ok(())
    }

    /// Whether nothing keeps the pass from being made. It is broken if somebody who has arrived or registered is dead.
    fn check<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
        arrival: Arrival,
    ) -> Result<(), BarrierError> {
        let mut inquiry = Inquiry::new(me, judge);
        self.inspect(&mut inquiry, arrival.word)?;
        // Acquire: pairs with the Release in `break_up` and `reset`. No action is begun for a pass that was decided.
        if self.frame.word.load(Acquire) == arrival.word {
            Ok(())
        } else {
            Err(self.broken(&mut inquiry, arrival.word))
        }
    }

    /// Does the action. The pass is broken unless it succeeds.
    fn act<J: Judge + ?Sized, E>(
        self,
        me: OwnerId,
        judge: &J,
        arrival: Arrival,
        action: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), ActionError<E>> {
        // Caught, and not left to a guard: in a model a death unwinds, and the dead do nothing.
        let done = catch_unwind(AssertUnwindSafe(action));
        // If the action has forked, and this is the child, pass and place are its parent's.
        let ours = judge.me() == Some(me);
        if ours && !matches!(done, Ok(Ok(()))) {
            self.break_up(arrival.word);
        }
        match done {
            Err(panic) => {
                if ours {
                    self.leave(arrival);
                }
                resume_unwind(panic)
            }
            Ok(_) if !ours => Err(BarrierError::NotJoined.into()),
            Ok(result) => result.map_err(ActionError::Action),
        }
    }

    /// All others: sleep until the word moves.
    fn follow<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
        arrival: Arrival,
        patience: Patience<'_>,
    ) -> Result<(), BarrierError> {
        let mut wait = Wait::new(patience, me, judge).watched(&self.frame.watch);
        let mut wake = Wake::Changed;
        // Not before the first sleep, which is short: who arrives last asks about everybody anyway. In a model, where a
        // thread hears of a death once, it may have heard of it while it arrived.
        let mut probe = cfg!(loom);
        let mut end: Result<(), GivenUp> = Ok(());
        // Where all run at the same time, the last one comes before a sleep would have begun.
        let mut spin = Spin::for_meeting();
        // Relaxed, both: it is looked at again below.
        while patience.waits() && self.frame.word.load(Relaxed) == arrival.word && spin.again() {}
        if self.frame.word.load(Relaxed) != arrival.word {
            spin.paid();
        }
        loop {
            // A handler that interrupted the sleep may have forked, though it should not, and this is the child: the
            // arrival is its parent's.
            // Or the others take us for dead, or will, and find our cell.
            if judge.me() != Some(me) {
                return Err(BarrierError::NotJoined);
            }
            // Acquire: pairs with the Release in `lead`, `break_up` and `reset`.
            let word = self.frame.word.load(Acquire);
            if word != arrival.word {
                if wake == Wake::TimedOut {
                    // Who moved it may have been killed before it woke anybody.
                    self.frame.word.wake(ALL);
                }
                // As long as our cell is taken nobody passes twice, and resets leave the bit alone.
                let passed = (word ^ arrival.word) & PASS != 0;
                let mut inquiry = Inquiry::new(me, judge);
                return if passed { Ok(()) } else { Err(self.broken(&mut inquiry, arrival.word)) };
            }
            if probe {
                let mut inquiry = Inquiry::new(me, judge);
                wait.heard(self.miss(&mut inquiry, arrival.word)?);
            }
            if let Err(why) = end.and_then(|()| wait.check()) {
                if self.break_up(arrival.word) {
                    return Err(why.into());
                }
                // It was decided before.
                wake = Wake::Changed;
                continue;
            }
            wake = self.frame.word.wait(arrival.word, wait.until());
            match wait.slept(wake) {
                Ok(looks) => probe = looks,
                Err(why) => (probe, end) = (false, Err(why)),
            }
        }
    }
}
