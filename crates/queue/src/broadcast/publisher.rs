//! Publishing.

use core::fmt;
use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, Seat};
use shmkit_sync::Patience;
use shmkit_wait::{Ready, Source};

use super::places::Places;
use super::{BroadcastError, RawPublisher, Unpublished};
use crate::{BatchError, PutError};

/// The one who publishes in a [`Broadcast`](crate::Broadcast). Dropping it gives the role up, and tells the subscribers, when
/// they have received all.
///
/// It may be sent to another thread. In a forked child an inherited one does nothing.
pub struct Publisher<T: ShmSafe, K: Judge = Seat> {
    pub(super) raw: RawPublisher<'static>,
    pub(super) places: Places<T>,
    pub(super) waits: bool,
    /// Keeps mapped what the others lead to; so it is dropped last.
    pub(super) keeper: K,
}

impl<T: ShmSafe, K: Judge> Publisher<T, K> {
    /// Publishes a value; waits, if the broadcast was [made](crate::Overrun::Wait) so, for the slowest subscriber. A large one
    /// is better written [in place](Self::reserve), or sent by reference with [`send_all`](Self::send_all).
    ///
    /// # Errors
    ///
    /// [`PutError`], which gives the value back: if this process has not joined, or the role is another's.
    ///
    /// # If a peer dies
    ///
    /// A subscriber that is waited for is passed over within about 40 ms.
    #[inline]
    pub fn send(&mut self, value: T) -> Result<(), PutError<T, BroadcastError>> {
        self.send_by(value, Deadline::NEVER)
    }

    /// Publishes a value if there is room now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`BroadcastError::Full`].
    #[inline]
    pub fn try_send(&mut self, value: T) -> Result<(), PutError<T, BroadcastError>> {
        self.send_by(value, Deadline::PASSED)
            .map_err(|PutError { value, error }| PutError { value, error: now(error) })
    }

    /// Publishes a value; waits for the slowest subscriber at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`BroadcastError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`send`](Self::send).
    pub fn send_timeout(
        &mut self,
        value: T,
        wait: Duration,
    ) -> Result<(), PutError<T, BroadcastError>> {
        self.send_by(value, Deadline::after(wait))
    }

    /// Publishes a value; waits for the slowest subscriber until `deadline` at the latest, or for as long as a [`Patience`]
    /// lasts.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`BroadcastError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`send`](Self::send).
    pub fn send_deadline<'p>(
        &mut self,
        value: T,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), PutError<T, BroadcastError>> {
        self.send_by(value, deadline)
    }

    /// Publishes all `values`, up to a quarter of the ring at a time; waits for the slowest subscriber.
    ///
    /// # Errors
    ///
    /// [`BatchError`], which says how many were published: as [`send`](Self::send).
    ///
    /// # If a peer dies
    ///
    /// As with [`send`](Self::send). Who is killed here has published the first of them, and the others not.
    pub fn send_all(&mut self, values: &[T]) -> Result<(), BatchError<BroadcastError>> {
        self.send_all_by(values, Deadline::NEVER)
    }

    /// Publishes all `values`, waiting at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`send_all`](Self::send_all), and [`BroadcastError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`send_all`](Self::send_all).
    pub fn send_all_timeout(
        &mut self,
        values: &[T],
        wait: Duration,
    ) -> Result<(), BatchError<BroadcastError>> {
        self.send_all_by(values, Deadline::after(wait))
    }

    /// Publishes all `values`, waiting until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`send_all`](Self::send_all), and [`BroadcastError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`send_all`](Self::send_all).
    pub fn send_all_deadline<'p>(
        &mut self,
        values: &[T],
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), BatchError<BroadcastError>> {
        self.send_all_by(values, deadline)
    }

    /// Publishes as many of `values`, from the first on, as there is room for now; never sleeps. Returns how many.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`BroadcastError::Full`].
    pub fn try_send_batch(&mut self, values: &[T]) -> Result<usize, BroadcastError> {
        let mut sent = 0;
        while sent < values.len() {
            match self.send_some(&values[sent..], Deadline::PASSED) {
                Ok(count) => sent += count,
                Err(BroadcastError::TimedOut) if sent > 0 => break,
                Err(error) => return Err(now(error)),
            }
        }
        Ok(sent)
    }

    /// Lends the place of the next item, to be written there and then [published](Unpublished::publish); waits for the slowest
    /// subscriber. Dropped, it publishes nothing.
    ///
    /// It holds some former item, or a part of one.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`BroadcastError::NotInPlace`] where items are [overwritten](crate::Overrun::Skip).
    ///
    /// # If a peer dies
    ///
    /// As with [`send`](Self::send).
    pub fn reserve(&mut self) -> Result<Unpublished<'_, T, K>, BroadcastError> {
        self.reserve_by(Deadline::NEVER)
    }

    /// Lends the place of the next item if there is room now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve), and [`BroadcastError::Full`].
    pub fn try_reserve(&mut self) -> Result<Unpublished<'_, T, K>, BroadcastError> {
        self.reserve_by(Deadline::PASSED).map_err(now)
    }

    /// Lends the place of the next item, waiting at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve), and [`BroadcastError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`send`](Self::send).
    pub fn reserve_timeout(
        &mut self,
        wait: Duration,
    ) -> Result<Unpublished<'_, T, K>, BroadcastError> {
        self.reserve_by(Deadline::after(wait))
    }

    /// Lends the place of the next item, waiting until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve), and [`BroadcastError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// As with [`send`](Self::send).
    pub fn reserve_deadline<'p>(
        &mut self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Unpublished<'_, T, K>, BroadcastError> {
        self.reserve_by(deadline)
    }

    /// Returns how many items were ever published: the position of the next one.
    pub fn published(&self) -> u64 {
        self.raw.position()
    }

    /// Gives the role up, as dropping does.
    pub fn close(self) {}

    /// Writes an item to a place that is ours.
    #[inline]
    fn write(&self, position: u64, value: &T) {
        if self.waits {
            // SAFETY: there is room for it, so that nobody reads there, and nobody else writes (`RawPublisher::room`);
            // aligned and valid (`address`).
            unsafe { self.places.address(position).write(*value) };
        } else {
            self.places.write(position, value);
        }
    }

    #[inline]
    fn send_by<'p>(
        &mut self,
        value: T,
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), PutError<T, BroadcastError>> {
        match self.raw.room(&self.keeper, 1, patience) {
            Ok(_) => {
                self.write(self.raw.position(), &value);
                self.raw.publish(1);
                Ok(())
            }
            Err(error) => Err(PutError { value, error }),
        }
    }

    /// Publishes some of `values`, which are not none, and returns how many.
    fn send_some<'p>(
        &mut self,
        values: &[T],
        patience: impl Into<Patience<'p>>,
    ) -> Result<usize, BroadcastError> {
        let room = self.raw.room(&self.keeper, values.len() as u64, patience)?;
        for (position, value) in (self.raw.position()..).zip(&values[..room as usize]) {
            self.write(position, value);
        }
        self.raw.publish(room);
        Ok(room as usize) // At most as many as there are.
    }

    fn send_all_by<'p>(
        &mut self,
        values: &[T],
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), BatchError<BroadcastError>> {
        let (patience, mut sent) = (patience.into(), 0);
        while sent < values.len() {
            let some = self.send_some(&values[sent..], patience);
            sent += some.map_err(|error| BatchError { put: sent, error })?;
        }
        Ok(())
    }

    fn reserve_by<'p>(
        &mut self,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Unpublished<'_, T, K>, BroadcastError> {
        if !self.waits {
            return Err(BroadcastError::NotInPlace);
        }
        self.raw.room(&self.keeper, 1, patience)?;
        let at = self.places.address(self.raw.position());
        Ok(Unpublished { raw: &mut self.raw, keeper: &self.keeper, at })
    }
}

/// What the end of a time is to who does not wait.
fn now(error: BroadcastError) -> BroadcastError {
    if error.is_timeout() { BroadcastError::Full } else { error }
}

/// Ready when there is room, or something to be told instead.
impl<T: ShmSafe, K: Judge> Ready for Publisher<T, K> {
    fn source(&self) -> Source<'_> {
        Source::Word(self.raw.waiter())
    }

    fn is_ready(&self, asked: bool) -> bool {
        self.raw.has_room(&self.keeper, asked).unwrap_or(true)
    }
}

impl<T: ShmSafe, K: Judge> Drop for Publisher<T, K> {
    fn drop(&mut self) {
        self.raw.close(&self.keeper);
    }
}

impl<T: ShmSafe, K: Judge> fmt::Debug for Publisher<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("published", &self.published()).finish_non_exhaustive()
    }
}
