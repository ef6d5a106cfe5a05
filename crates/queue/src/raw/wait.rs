//! How those who put, take and join wait.

use shmkit_atomic::Deadline;
use shmkit_roster::{Judge, OwnerId};
use shmkit_sync::{GivenUp, Patience, Spin, Wait};

use super::*;

/// Pauses between two looks before a sleep.
pub(crate) const REST: u32 = 10;

/// What a try came to.
pub(crate) enum Tried<R> {
    /// It is done.
    Got(R),
    /// There is something to wait for.
    Wait,
}

impl Ring<'_> {
    /// Claims up to `most` slots, at least one; waits for the first.
    ///
    /// # Errors
    ///
    /// [`QueueError::Closed`], and what ends `patience`: [`QueueError::TimedOut`] if it does not wait and the queue is full.
    ///
    /// # If a peer dies
    ///
    /// Its slots are free within about 40 ms.
    #[inline]
    pub fn claim<'p, J: Judge + ?Sized>(
        &self,
        judge: &J,
        most: u32,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Claim, QueueError> {
        let me = judge.me().ok_or(QueueError::NotJoined)?;
        if self.queue.is_closed() {
            return Err(QueueError::Closed);
        }
        match self.try_claim(me, most)? {
            Some(claim) => Ok(claim),
            None => self.wait_claim(judge, me, most, &patience.into()),
        }
    }

    #[cold]
    fn wait_claim<J: Judge + ?Sized>(
        &self,
        judge: &J,
        me: OwnerId,
        most: u32,
        patience: &Patience<'_>,
    ) -> Result<Claim, QueueError> {
        self.wait(judge, me, patience, &self.control().space, Some(REST), |slept| {
            Ok(match self.try_claim(me, most)? {
                Some(claim) => {
                    // Another may have been woken for what is left, and found this one before it, or nobody was.
                    if slept && !self.is_full()? {
                        self.control().space.ring(1);
                    }
                    Tried::Got(claim)
                }
                None if self.queue.is_closed() => return Err(QueueError::Closed),
                None => Tried::Wait,
            })
        })
    }

    /// Takes up to `most` items, at least one; waits for the first.
    ///
    /// # Errors
    ///
    /// [`QueueError::Closed`] if somebody has closed the queue and nothing is left in it, and what ends `patience`:
    /// [`QueueError::TimedOut`] if it does not wait and there is nothing.
    ///
    /// # If a peer dies
    ///
    /// What it held comes back, or is lost, as the queue was made, and what it was about to put is discarded, within about
    /// 40 ms.
    #[inline]
    pub fn take<'p, J: Judge + ?Sized>(
        &self,
        judge: &J,
        most: u32,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Held, QueueError> {
        let me = judge.me().ok_or(QueueError::NotJoined)?;
        match self.try_take(me, most)? {
            Some(held) => Ok(held),
            None => self.wait_take(judge, me, &patience.into(), || self.try_take(me, most)),
        }
    }

    #[cold]
    fn wait_take<J: Judge + ?Sized, R>(
        &self,
        judge: &J,
        me: OwnerId,
        patience: &Patience<'_>,
        mut tries: impl FnMut() -> Result<Option<R>, QueueError>,
    ) -> Result<R, QueueError> {
        self.wait(judge, me, patience, &self.control().items, Some(REST), |slept| {
            if let Some(got) = tries()? {
                // As above.
                if slept && self.waiting()? > 0 {
                    self.control().items.ring(1);
                }
                return Ok(Tried::Got(got));
            }
            self.check_end(me)?;
            Ok(Tried::Wait)
        })
    }

    /// Takes an item and is done with it at once; waits for one. `copy` is told its slot, maybe more than once, and may find it
    /// being written over, so that it copies word by word; what counts is what it copied last. Not of a queue that gives items
    /// up: it would get those as well.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    ///
    /// # If a peer dies
    ///
    /// As with [`take`](Self::take).
    #[inline]
    pub fn get<'p, J: Judge + ?Sized>(
        &self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
        mut copy: impl FnMut(u32),
    ) -> Result<(), QueueError> {
        let me = judge.me().ok_or(QueueError::NotJoined)?;
        match self.try_get(me, &mut copy)? {
            Some(()) => Ok(()),
            None => self.wait_take(judge, me, &patience.into(), || self.try_get(me, &mut copy)),
        }
    }

    /// Looks whether the queue is closed, and nothing is left in it that could be taken.
    ///
    /// # Errors
    ///
    /// [`QueueError::Closed`] if so; [`QueueError::Corrupt`].
    pub(super) fn check_end(&self, me: OwnerId) -> Result<(), QueueError> {
        if self.queue.is_closed() {
            // SeqCst: pairs with the one after a claim: we see the claim, or its maker that the queue is closed. And
            // with the one of who was done last: we see that it is, or it that the queue is closed, and rings.
            fence(shmkit_atomic::Ordering::SeqCst);
            if self.unfinished(Some(me))? == 0 {
                return Err(QueueError::Closed);
            }
        }
        Ok(())
    }

    /// Waits until everything that was put is done: taken, and its taker done with it.
    ///
    /// # Errors
    ///
    /// What ends `patience`.
    ///
    /// # If a peer dies
    ///
    /// What it held is lost, or goes to another one who takes; see [`Delivery`].
    pub fn join<'p, J: Judge + ?Sized>(
        &self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), QueueError> {
        let me = judge.me().ok_or(QueueError::NotJoined)?;
        let none_left =
            || Ok(if self.unfinished(None)? == 0 { Tried::Got(()) } else { Tried::Wait });
        if let Tried::Got(()) = none_left()? {
            return Ok(());
        }
        self.wait(judge, me, &patience.into(), &self.control().idle, Some(REST), |_| none_left())
    }

    /// Looks for what the dead have, for who does not sleep here: now and then only, one for all, since it takes a look at
    /// each slot.
    pub(super) fn look_in_turn<J: Judge + ?Sized>(
        &self,
        judge: &J,
        me: OwnerId,
    ) -> Result<(), QueueError> {
        let mut wait = Wait::new(Deadline::PASSED.into(), me, judge).watched(&self.control().watch);
        if wait.claims() {
            wait.heard(self.look(judge, me)?);
        }
        Ok(())
    }

    /// Tries until it is done, sleeping on `bell` in between, first of all with looks between which there are so many pauses.
    /// What is tried is told whether this has slept.
    pub(crate) fn wait<J: Judge + ?Sized, R>(
        &self,
        judge: &J,
        me: OwnerId,
        patience: &Patience<'_>,
        bell: &Doorbell,
        rest: Option<u32>,
        mut tries: impl FnMut(bool) -> Result<Tried<R>, QueueError>,
    ) -> Result<R, QueueError> {
        if !patience.waits() {
            self.look_in_turn(judge, me)?;
            return match tries(false)? {
                Tried::Got(got) => Ok(got),
                Tried::Wait => Err(QueueError::TimedOut),
            };
        }
        if let Some(mut spin) = rest.map(Spin::for_hand_over) {
            while spin.again() {
                if let Tried::Got(got) = tries(false)? {
                    return Ok(got);
                }
            }
        }
        let mut wait = Wait::new(*patience, me, judge).watched(&self.control().watch);
        let (mut looks, mut slept) = (wait.looks_first(), false);
        loop {
            if looks {
                wait.heard(self.look(judge, me)?);
            }
            let armed = bell.arm();
            // The mark stays on the bell if there is nothing to sleep for: at most one ring for nobody.
            if let Tried::Got(got) = tries(slept)? {
                return Ok(got);
            }
            wait.check().map_err(given_up)?;
            let wake = bell.sleep(armed, wait.until());
            slept = true;
            looks = wait.slept(wake).map_err(given_up)?;
            if judge.me() != Some(me) {
                return Err(QueueError::NotJoined);
            }
        }
    }
}

#[cold]
pub(crate) fn given_up(why: GivenUp) -> QueueError {
    match why {
        GivenUp::TimedOut => QueueError::TimedOut,
        GivenUp::Interrupted => QueueError::Interrupted,
        GivenUp::PeerDied(peer) => QueueError::PeerDied { peer },
        GivenUp::CannotJudge => QueueError::CannotJudge,
    }
}
