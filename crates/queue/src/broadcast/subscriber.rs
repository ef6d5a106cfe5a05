//! Receiving.

use core::fmt;
use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, OwnerId, Seat};
use shmkit_sync::Patience;
use shmkit_wait::{Ready, Source};

use super::places::Places;
use super::{BroadcastError, Peeked, RawSubscriber};

/// One who receives what is published in a [`Broadcast`](crate::Broadcast): everything from when it came, at its own pace. Dropping
/// it leaves.
///
/// It may be sent to another thread. In a forked child an inherited one does nothing: the child subscribes itself.
pub struct Subscriber<T: ShmSafe, K: Judge = Seat> {
    pub(super) raw: RawSubscriber<'static>,
    pub(super) places: Places<T>,
    pub(super) waits: bool,
    /// Keeps mapped what the others lead to; so it is dropped last.
    pub(super) keeper: K,
}

impl<T: ShmSafe, K: Judge> Subscriber<T, K> {
    /// Receives a value; waits for one.
    ///
    /// # Errors
    ///
    /// When everything was received: [`BroadcastError::Closed`] or [`BroadcastError::PublisherDied`], each time, until somebody
    /// else [publishes](Self::wait_for_publisher). [`BroadcastError::Lagged`] if items were overwritten before: this goes on
    /// after them. [`BroadcastError::NotJoined`], [`BroadcastError::NotMine`], [`BroadcastError::Corrupt`].
    ///
    /// # If a peer dies
    ///
    /// That of the publisher is told within about 40 ms; other subscribers do not matter.
    #[inline]
    pub fn recv(&mut self) -> Result<T, BroadcastError> {
        self.recv_by(Deadline::NEVER)
    }

    /// Receives a value if there is one now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`BroadcastError::Empty`].
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, BroadcastError> {
        self.recv_by(Deadline::PASSED).map_err(now)
    }

    /// Receives a value; waits for one at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`BroadcastError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, wait: Duration) -> Result<T, BroadcastError> {
        self.recv_by(Deadline::after(wait))
    }

    /// Receives a value; waits for one until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`BroadcastError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`recv`](Self::recv).
    pub fn recv_deadline<'p>(
        &mut self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<T, BroadcastError> {
        self.recv_by(deadline)
    }

    /// Receives as many values as are there, up to as many as `values` has, to its beginning; waits for the first. Returns how
    /// many.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # If a peer dies
    ///
    /// As with [`recv`](Self::recv).
    pub fn recv_batch(&mut self, values: &mut [T]) -> Result<usize, BroadcastError> {
        self.recv_batch_by(values, Deadline::NEVER)
    }

    /// The same, of what is there now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`BroadcastError::Empty`].
    pub fn try_recv_batch(&mut self, values: &mut [T]) -> Result<usize, BroadcastError> {
        self.recv_batch_by(values, Deadline::PASSED).map_err(now)
    }

    /// The same, waiting for the first at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`BroadcastError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`recv`](Self::recv).
    pub fn recv_batch_timeout(
        &mut self,
        values: &mut [T],
        wait: Duration,
    ) -> Result<usize, BroadcastError> {
        self.recv_batch_by(values, Deadline::after(wait))
    }

    /// The same, waiting for the first until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`BroadcastError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`recv`](Self::recv).
    pub fn recv_batch_deadline<'p>(
        &mut self,
        values: &mut [T],
        deadline: impl Into<Patience<'p>>,
    ) -> Result<usize, BroadcastError> {
        self.recv_batch_by(values, deadline)
    }

    /// Borrows the next item where it lies, to be [released](Peeked::release) when it was used; waits for one. Dropped, it is
    /// the next one again. The publisher waits for who keeps one for long.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`BroadcastError::NotInPlace`] where items are [overwritten](crate::Overrun::Skip).
    ///
    /// # If a peer dies
    ///
    /// As with [`recv`](Self::recv).
    pub fn peek(&mut self) -> Result<Peeked<'_, T, K>, BroadcastError> {
        self.peek_by(Deadline::NEVER)
    }

    /// Borrows the next item if there is one now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`peek`](Self::peek), and [`BroadcastError::Empty`].
    pub fn try_peek(&mut self) -> Result<Peeked<'_, T, K>, BroadcastError> {
        self.peek_by(Deadline::PASSED).map_err(now)
    }

    /// Borrows the next item; waits for one at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`peek`](Self::peek), and [`BroadcastError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`recv`](Self::recv).
    pub fn peek_timeout(&mut self, wait: Duration) -> Result<Peeked<'_, T, K>, BroadcastError> {
        self.peek_by(Deadline::after(wait))
    }

    /// Borrows the next item; waits for one until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`peek`](Self::peek), and [`BroadcastError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`recv`](Self::recv).
    pub fn peek_deadline<'p>(
        &mut self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Peeked<'_, T, K>, BroadcastError> {
        self.peek_by(deadline)
    }

    /// Waits until a living participant is the publisher, and returns who: after [`BroadcastError::Closed`] or
    /// [`BroadcastError::PublisherDied`] this is how to wait for the next one.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::NotJoined`], [`BroadcastError::NotMine`], [`BroadcastError::Corrupt`].
    ///
    /// # If a peer dies
    ///
    /// It waits for a living one.
    pub fn wait_for_publisher(&mut self) -> Result<OwnerId, BroadcastError> {
        self.raw.wait_for_publisher(&self.keeper, Deadline::NEVER)
    }

    /// Returns who is the publisher now, if that is a living participant; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`wait_for_publisher`](Self::wait_for_publisher), and [`BroadcastError::TimedOut`] if there is none;
    /// [`BroadcastError::CannotJudge`] if nobody can tell.
    pub fn try_wait_for_publisher(&mut self) -> Result<OwnerId, BroadcastError> {
        self.raw.wait_for_publisher(&self.keeper, Deadline::PASSED)
    }

    /// Waits until a living participant is the publisher, at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`try_wait_for_publisher`](Self::try_wait_for_publisher).
    ///
    /// # If a peer dies
    ///
    /// It waits for a living one.
    pub fn wait_for_publisher_timeout(
        &mut self,
        wait: Duration,
    ) -> Result<OwnerId, BroadcastError> {
        self.raw.wait_for_publisher(&self.keeper, Deadline::after(wait))
    }

    /// Waits until a living participant is the publisher, until `deadline` at the latest, or for as long as a [`Patience`]
    /// lasts.
    ///
    /// # Errors
    ///
    /// As [`try_wait_for_publisher`](Self::try_wait_for_publisher).
    ///
    /// # If a peer dies
    ///
    /// It waits for a living one.
    pub fn wait_for_publisher_deadline<'p>(
        &mut self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<OwnerId, BroadcastError> {
        self.raw.wait_for_publisher(&self.keeper, deadline)
    }

    /// Returns how many items there are to be received: at a moment that is over when this returns.
    pub fn len(&self) -> usize {
        self.raw.len() as usize
    }

    /// Returns whether everything was received, as [`len`](Self::len) does.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Returns the position of the next item: how many were published before it.
    pub fn position(&self) -> u64 {
        self.raw.position()
    }

    /// Leaves, as dropping does.
    pub fn unsubscribe(self) {}

    /// Reads an item that is ready; where it may be overwritten meanwhile, that is found out afterwards.
    #[inline]
    fn read(&self, position: u64, value: &mut T) {
        if self.waits {
            // SAFETY: it is ready, so that nobody writes there before it is released (`RawSubscriber::ready`); aligned and
            // valid (`address`), and any bytes are a `T`.
            *value = unsafe { self.places.address(position).read() };
        } else {
            self.places.read(position, value);
        }
    }

    #[inline]
    fn recv_by<'p>(&mut self, patience: impl Into<Patience<'p>>) -> Result<T, BroadcastError> {
        self.raw.ready(&self.keeper, patience)?;
        let mut value = T::zeroed();
        self.read(self.raw.position(), &mut value);
        if !self.waits {
            self.raw.confirm()?;
        }
        self.raw.release(1);
        Ok(value)
    }

    fn recv_batch_by<'p>(
        &mut self,
        values: &mut [T],
        patience: impl Into<Patience<'p>>,
    ) -> Result<usize, BroadcastError> {
        if values.is_empty() {
            return Ok(0);
        }
        let ready = self.raw.ready(&self.keeper, patience)?.min(values.len() as u64);
        for (position, value) in (self.raw.position()..self.raw.position() + ready).zip(values) {
            self.read(position, value);
        }
        if !self.waits {
            self.raw.confirm()?;
        }
        self.raw.release(ready);
        Ok(ready as usize) // At most as many as there is room for.
    }

    fn peek_by<'p>(
        &mut self,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Peeked<'_, T, K>, BroadcastError> {
        if !self.waits {
            return Err(BroadcastError::NotInPlace);
        }
        self.raw.ready(&self.keeper, patience)?;
        let at = self.places.address(self.raw.position());
        Ok(Peeked { raw: &mut self.raw, keeper: &self.keeper, at })
    }
}

/// What the end of a time is to who does not wait.
fn now(error: BroadcastError) -> BroadcastError {
    if error.is_timeout() { BroadcastError::Empty } else { error }
}

/// Ready when there is something to receive, or to be told instead.
impl<T: ShmSafe, K: Judge> Ready for Subscriber<T, K> {
    fn source(&self) -> Source<'_> {
        Source::Word(self.raw.waiter())
    }

    fn is_ready(&self, asked: bool) -> bool {
        self.raw.has_items(&self.keeper, asked).unwrap_or(true)
    }
}

impl<T: ShmSafe, K: Judge> Drop for Subscriber<T, K> {
    fn drop(&mut self) {
        self.raw.leave(&self.keeper);
    }
}

impl<T: ShmSafe, K: Judge> fmt::Debug for Subscriber<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("position", &self.position())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
