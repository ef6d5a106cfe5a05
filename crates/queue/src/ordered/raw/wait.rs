//! How those who put and take wait.

use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_sync::{Spin, Wait};

use super::*;
use crate::raw::{REST, given_up};

/// How long who does not wait for an item waits for who is in the middle of an operation: far longer than one takes.
const BUSY: Duration = Duration::from_millis(100);

/// Which of both is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Items,
    Room,
}

impl OrderedRing<'_> {
    /// Puts up to `most` items, at least one; waits for room for the first. Each is written by `write` to the slot of a number;
    /// it says its priority.
    ///
    /// # Errors
    ///
    /// [`QueueError::Closed`]; what ends `patience`: [`QueueError::TimedOut`] if it does not wait and the queue is full, or
    /// somebody is stopped in the middle of an operation.
    ///
    /// # If a peer dies
    ///
    /// Who held the lock is found within about 40 ms, and what it left is put right.
    pub fn put<'p, J: Judge + ?Sized>(
        &self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
        most: usize,
        mut write: impl FnMut(usize, u32) -> i64,
    ) -> Result<usize, QueueError> {
        self.wait(judge, patience.into(), For::Room, || {
            if self.raw.is_closed() {
                return Err(QueueError::Closed);
            }
            let mut put = 0;
            while put < most && self.put_one(|number| write(put, number))? {
                put += 1;
            }
            Ok(put)
        })
    }

    /// Takes up to `most` items, at least one; waits for the first. Each is read by `read` from the slot of a number, with its
    /// priority.
    ///
    /// # Errors
    ///
    /// [`QueueError::Closed`] if somebody has closed the queue and nothing is left in it; what ends `patience`, as with
    /// [`put`](Self::put).
    ///
    /// # If a peer dies
    ///
    /// As with [`put`](Self::put).
    pub fn take<'p, J: Judge + ?Sized>(
        &self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
        most: usize,
        mut read: impl FnMut(usize, u32, i64),
    ) -> Result<usize, QueueError> {
        self.wait(judge, patience.into(), For::Items, || {
            let mut taken = 0;
            while taken < most && self.take_one(|number, priority| read(taken, number, priority))? {
                taken += 1;
            }
            match taken {
                0 if self.raw.is_closed() => Err(QueueError::Closed),
                taken => Ok(taken),
            }
        })
    }

    /// Returns whether it may be worth the lock.
    fn seems_ready(&self, what: For) -> bool {
        let len = self.raw.len() as usize;
        self.raw.is_closed()
            || match what {
                For::Items => len > 0,
                For::Room => len < self.capacity(),
            }
    }

    /// Tries under the lock until something was done, sleeping in between.
    fn wait<J: Judge + ?Sized>(
        &self,
        judge: &J,
        patience: Patience<'_>,
        what: For,
        mut work: impl FnMut() -> Result<usize, QueueError>,
    ) -> Result<usize, QueueError> {
        let me = judge.me().ok_or(QueueError::NotJoined)?;
        let Control { items, space, watch, .. } = &*self.raw.control;
        let (mine, theirs) = match what {
            For::Items => (items, space),
            For::Room => (space, items),
        };
        let waits = patience.waits();
        let for_lock = if waits { patience } else { Deadline::after(BUSY).into() };
        let mut tries = |slept: bool| {
            let done = self.locked(judge, for_lock, &mut work)?;
            // Who waits for the other thing; and the next one who waits for this, for whom the ring may have been that woke us.
            theirs.ring(done as u32); // At most the capacity.
            if slept && done > 0 && self.seems_ready(what) {
                mine.ring(1);
            }
            Ok::<_, QueueError>(done)
        };
        match tries(false)? {
            0 if !waits => return Err(QueueError::TimedOut),
            0 => {}
            done => return Ok(done),
        }
        let mut spin = Spin::for_hand_over(REST);
        while spin.again() {
            if self.seems_ready(what) {
                match tries(false)? {
                    0 => {}
                    done => return Ok(done),
                }
            }
        }
        let mut wait = Wait::new(patience, me, judge).watched(watch);
        let (mut looks, mut slept) = (wait.looks_first(), false);
        loop {
            let armed = mine.arm();
            // Who looks takes the lock whatever the length says: somebody may have died before it said so.
            if looks || self.seems_ready(what) {
                let done = tries(slept)?;
                if looks {
                    wait.heard(true);
                }
                if done > 0 {
                    return Ok(done);
                }
            }
            wait.check().map_err(given_up)?;
            let wake = mine.sleep(armed, wait.until());
            slept = true;
            looks = wait.slept(wake).map_err(given_up)?;
            if judge.me() != Some(me) {
                return Err(QueueError::NotJoined);
            }
        }
    }

    /// Marks that somebody is about to sleep until there is something to take, and returns where.
    #[cfg(not(loom))]
    pub(crate) fn arm_items(&self) -> shmkit_atomic::futex::Waiter {
        let items = &self.raw.control.items;
        items.waiter(items.arm())
    }

    /// As [`arm_items`](Self::arm_items), of room.
    #[cfg(not(loom))]
    pub(crate) fn arm_room(&self) -> shmkit_atomic::futex::Waiter {
        let space = &self.raw.control.space;
        space.waiter(space.arm())
    }

    /// Returns whether taking would not wait. What the dead have left is only put right if they are to be `asked` about.
    ///
    /// # Errors
    ///
    /// What taking would be told.
    #[cfg(not(loom))]
    pub(crate) fn has_items<J: Judge + ?Sized>(
        &self,
        judge: &J,
        asked: bool,
    ) -> Result<bool, QueueError> {
        self.settle(judge, asked)?;
        Ok(self.seems_ready(For::Items))
    }

    /// Returns whether putting would not wait. As [`has_items`](Self::has_items).
    ///
    /// # Errors
    ///
    /// What putting would be told.
    #[cfg(not(loom))]
    pub(crate) fn has_room<J: Judge + ?Sized>(
        &self,
        judge: &J,
        asked: bool,
    ) -> Result<bool, QueueError> {
        self.settle(judge, asked)?;
        Ok(self.seems_ready(For::Room))
    }

    /// Takes the lock, if somebody has died over it.
    #[cfg(not(loom))]
    fn settle<J: Judge + ?Sized>(&self, judge: &J, asked: bool) -> Result<(), QueueError> {
        judge.me().ok_or(QueueError::NotJoined)?;
        if asked && self.raw.control.mutex.owner().is_some() {
            match self.locked(judge, Deadline::PASSED.into(), || Ok(())) {
                // Somebody lives who has it.
                Ok(()) | Err(QueueError::TimedOut) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
