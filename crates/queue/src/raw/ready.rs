//! Items and room as things that are waited for among others.

use shmkit_atomic::futex::Waiter;
use shmkit_roster::Judge;

use super::*;

impl Ring<'_> {
    /// Marks that somebody is about to sleep until there are items, before it looks whether there [are](Self::has_items) for
    /// the last time, and returns where.
    pub fn arm_items(&self) -> Waiter {
        let bell = &self.control().items;
        bell.waiter(bell.arm())
    }

    /// As [`arm_items`](Self::arm_items), of [room](Self::has_room).
    pub fn arm_room(&self) -> Waiter {
        let bell = &self.control().space;
        bell.waiter(bell.arm())
    }

    /// Returns whether taking would not wait. What the dead have is only looked for if that is to be `asked`, and nobody has
    /// done so a moment ago.
    ///
    /// # Errors
    ///
    /// What taking would be told.
    pub fn has_items<J: Judge + ?Sized>(&self, judge: &J, asked: bool) -> Result<bool, QueueError> {
        let me = judge.me().ok_or(QueueError::NotJoined)?;
        if asked {
            self.look_in_turn(judge, me)?;
        }
        if self.has_returned()? || self.first(&mut Odd::new())?.is_some() {
            return Ok(true);
        }
        self.check_end(me)?;
        Ok(false)
    }

    /// Returns whether putting would not wait. As [`has_items`](Self::has_items).
    ///
    /// # Errors
    ///
    /// What putting would be told.
    pub fn has_room<J: Judge + ?Sized>(&self, judge: &J, asked: bool) -> Result<bool, QueueError> {
        let me = judge.me().ok_or(QueueError::NotJoined)?;
        if asked {
            self.look_in_turn(judge, me)?;
        }
        if self.queue.is_closed() {
            return Err(QueueError::Closed);
        }
        Ok(!self.is_full()?)
    }
}
