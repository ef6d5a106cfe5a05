//! The end that writes.

use core::fmt;
use core::slice;
use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, Seat};
use shmkit_sync::Patience;

use crate::places::Places;
use crate::{BatchError, PipeError, RawEnd, SendError, Slots, small};

/// The sending end of a [`Pipe`](crate::Pipe). Dropping it closes it: the receiver gets what was sent, then the end of
/// file.
///
/// An end belongs to the participant that claimed it. A copy that a forked child has of it refuses everything, and its
/// drop does nothing.
///
/// # If a peer dies
///
/// A sender that waits for room learns of it within some 30 ms ([`PipeError::PeerDied`]). One that finds room goes on
/// sending, for a successor; [`PipeError::Closed`] comes at once.
pub struct Sender<T, K: Judge = Seat> {
    pub(crate) end: RawEnd<'static, true>,
    pub(crate) places: Places<'static, T>,
    /// Keeps mapped what the others lead to; so it is dropped last.
    pub(crate) keeper: K,
}

impl<T: ShmSafe, K: Judge> Sender<T, K> {
    pub(crate) fn new(end: RawEnd<'static, true>, places: Places<'static, T>, keeper: K) -> Self {
        Self { end, places, keeper }
    }

    /// Sends a value; waits for room.
    ///
    /// # Errors
    ///
    /// [`SendError`], which gives the value back, if the receiver has closed its end, or died with the pipe full; or
    /// if this end is not (any more) this participant's.
    ///
    /// # If a peer dies
    ///
    /// See [`Sender`].
    #[inline]
    pub fn send(&mut self, value: T) -> Result<(), SendError<T>> {
        self.send_by(value, Deadline::NEVER)
    }

    /// Sends a value if there is room now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`PipeError::Full`].
    #[inline]
    pub fn try_send(&mut self, value: T) -> Result<(), SendError<T>> {
        self.send_by(value, Deadline::PASSED)
            .map_err(|SendError { value, error }| SendError { value, error: now(error) })
    }

    /// Sends a value; waits for room at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`Sender`].
    pub fn send_timeout(&mut self, value: T, wait: Duration) -> Result<(), SendError<T>> {
        self.send_by(value, Deadline::after(wait))
    }

    /// Sends a value; waits for room until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`Sender`].
    pub fn send_deadline<'p>(
        &mut self,
        value: T,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), SendError<T>> {
        self.send_by(value, deadline)
    }

    /// Sends a copy of the value that `value` leads to; waits for room. A large value is copied once, straight to its
    /// place, where [`send`](Self::send) moves it over the stack first.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/example.rs"));
    /// # fn main() {
    /// # example(8, |pipe| {
    /// let (mut sender, mut receiver) = (pipe.sender()?, pipe.receiver()?);
    /// let mut value = 7;
    /// sender.send_from(&value)?;
    /// value = 0;
    /// receiver.recv_into(&mut value)?;
    /// assert_eq!(value, 7);
    /// # Ok(())
    /// # });
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), without the value.
    ///
    /// # If a peer dies
    ///
    /// See [`Sender`].
    #[inline]
    pub fn send_from(&mut self, value: &T) -> Result<(), PipeError> {
        self.send_from_by(value, Deadline::NEVER)
    }

    /// Sends a copy of a value if there is room now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`send_from`](Self::send_from), and [`PipeError::Full`].
    #[inline]
    pub fn try_send_from(&mut self, value: &T) -> Result<(), PipeError> {
        self.send_from_by(value, Deadline::PASSED).map_err(now)
    }

    /// Sends a copy of a value; waits for room at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`send_from`](Self::send_from), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`Sender`].
    pub fn send_from_timeout(&mut self, value: &T, wait: Duration) -> Result<(), PipeError> {
        self.send_from_by(value, Deadline::after(wait))
    }

    /// Sends a copy of a value; waits for room until `deadline` at the latest, or for as long as a
    /// [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`send_from`](Self::send_from), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`Sender`].
    pub fn send_from_deadline<'p>(
        &mut self,
        value: &T,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), PipeError> {
        self.send_from_by(value, deadline)
    }

    /// Sends all `values`, as much at a time as there is room for; waits for room.
    ///
    /// Each part is published, and the receiver woken, once.
    ///
    /// # Errors
    ///
    /// [`BatchError`], which says how many were sent: as [`send`](Self::send).
    ///
    /// # If a peer dies
    ///
    /// See [`Sender`].
    pub fn send_all(&mut self, values: &[T]) -> Result<(), BatchError> {
        self.send_all_by(values, Deadline::NEVER)
    }

    /// Sends all `values`, waiting at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`send_all`](Self::send_all), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`Sender`].
    pub fn send_all_timeout(&mut self, values: &[T], wait: Duration) -> Result<(), BatchError> {
        self.send_all_by(values, Deadline::after(wait))
    }

    /// Sends all `values`, waiting until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`send_all`](Self::send_all), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`Sender`].
    pub fn send_all_deadline<'p>(
        &mut self,
        values: &[T],
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), BatchError> {
        self.send_all_by(values, deadline)
    }

    /// Sends as many of `values` as there is room for now, from the first; returns how many. Never sleeps.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Self::try_send); [`PipeError::Full`] only if there is room for none.
    pub fn try_send_batch(&mut self, values: &[T]) -> Result<usize, PipeError> {
        self.send_part(values, Deadline::PASSED).map_err(now)
    }

    /// Reserves the next `count` places, to be written in place; waits until they are all free.
    ///
    /// Nothing is visible to the receiver until [`Slots::commit`], not even if this process is killed before it; then
    /// all of it at once.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/example.rs"));
    /// # fn main() {
    /// # example(8, |pipe| {
    /// let (mut sender, mut receiver) = (pipe.sender()?, pipe.receiver()?);
    /// let mut slots = sender.reserve(3)?;
    /// for i in 0..3 {
    ///     slots.write(i, 10 * i as u64);
    /// }
    /// slots.commit(2)?; // The third was not needed.
    /// assert_eq!((receiver.recv()?, receiver.recv()?), (0, 10));
    /// # Ok(())
    /// # });
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`PipeError::TooMany`] if `count` is more than the capacity.
    ///
    /// # If a peer dies
    ///
    /// See [`Sender`].
    pub fn reserve(&mut self, count: usize) -> Result<Slots<'_, T, K>, PipeError> {
        self.reserve_by(count, Deadline::NEVER)
    }

    /// Reserves the next `count` places if they are free now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve), and [`PipeError::Full`].
    pub fn try_reserve(&mut self, count: usize) -> Result<Slots<'_, T, K>, PipeError> {
        self.reserve_by(count, Deadline::PASSED).map_err(now)
    }

    /// Reserves the next `count` places, waiting for them at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`Sender`].
    pub fn reserve_timeout(
        &mut self,
        count: usize,
        wait: Duration,
    ) -> Result<Slots<'_, T, K>, PipeError> {
        self.reserve_by(count, Deadline::after(wait))
    }

    /// Reserves the next `count` places, waiting for them until `deadline` at the latest, or for as long as a
    /// [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`Sender`].
    pub fn reserve_deadline<'p>(
        &mut self,
        count: usize,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Slots<'_, T, K>, PipeError> {
        self.reserve_by(count, deadline)
    }

    /// Reserves as many places as are free, up to `count`; waits for the first. To be written in place, as with
    /// [`reserve`](Self::reserve).
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/example.rs"));
    /// # fn main() {
    /// # example(8, |pipe| {
    /// let (mut sender, mut receiver) = (pipe.sender()?, pipe.receiver()?);
    /// let mut squares = (0..20).map(|n| n * n);
    /// let sent = sender.reserve_up_to(20)?.fill(&mut squares)?;
    /// assert_eq!(sent, 8); // As many as the pipe holds.
    /// assert_eq!(receiver.peek()?.into_iter().take(4).collect::<Vec<_>>(), [0, 1, 4, 9]);
    /// assert_eq!(receiver.recv()?, 16);
    /// # Ok(())
    /// # });
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # If a peer dies
    ///
    /// See [`Sender`].
    pub fn reserve_up_to(&mut self, count: usize) -> Result<Slots<'_, T, K>, PipeError> {
        self.reserve_up_to_by(count, Deadline::NEVER)
    }

    /// Reserves as many places as are free now, up to `count`; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`reserve_up_to`](Self::reserve_up_to), and [`PipeError::Full`] if there is none.
    pub fn try_reserve_up_to(&mut self, count: usize) -> Result<Slots<'_, T, K>, PipeError> {
        self.reserve_up_to_by(count, Deadline::PASSED).map_err(now)
    }

    /// Reserves as many places as are free, up to `count`, waiting for the first at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`reserve_up_to`](Self::reserve_up_to), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`Sender`].
    pub fn reserve_up_to_timeout(
        &mut self,
        count: usize,
        wait: Duration,
    ) -> Result<Slots<'_, T, K>, PipeError> {
        self.reserve_up_to_by(count, Deadline::after(wait))
    }

    /// Reserves as many places as are free, up to `count`, waiting for the first until `deadline` at the latest, or for as long as a
    /// [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`reserve_up_to`](Self::reserve_up_to), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`Sender`].
    pub fn reserve_up_to_deadline<'p>(
        &mut self,
        count: usize,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Slots<'_, T, K>, PipeError> {
        self.reserve_up_to_by(count, deadline)
    }

    /// Closes this end, as a drop does: the receiver gets what was sent, then the end of file. The end can be claimed
    /// again.
    pub fn close(self) {}

    #[inline]
    fn send_by<'p>(
        &mut self,
        value: T,
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), SendError<T>> {
        let next = match self.end.next(&self.keeper, patience) {
            Ok(next) => next,
            Err(error) => return Err(SendError { value, error }),
        };
        // SAFETY: the place at `next` is free, and free places are the sender's alone.
        unsafe { self.places.write(next, value) };
        self.places.take_ahead(next, self.end.ready());
        small::copy(&self.end, &value);
        self.end.publish_next(next);
        Ok(())
    }

    #[inline]
    fn send_from_by<'p>(
        &mut self,
        value: &T,
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), PipeError> {
        let next = self.end.next(&self.keeper, patience)?;
        // SAFETY: the place at `next` is free, and free places are the sender's alone; it is one, and so at most all.
        unsafe { self.places.copy_in(next, slice::from_ref(value)) };
        small::copy(&self.end, value);
        self.end.publish_next(next);
        Ok(())
    }

    /// Sends as many of `values` as there is room for, waiting for room for the first.
    pub(crate) fn send_some(&mut self, values: &[T]) -> Result<usize, PipeError> {
        self.send_part(values, Deadline::NEVER)
    }

    fn send_all_by<'p>(
        &mut self,
        values: &[T],
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), BatchError> {
        let (patience, mut sent) = (patience.into(), 0);
        while sent < values.len() {
            match self.send_part(&values[sent..], patience) {
                Ok(part) => sent += part,
                Err(error) => return Err(BatchError { sent, error }),
            }
        }
        Ok(())
    }

    /// Sends what there is room for, at least one if there are any.
    fn send_part<'p>(
        &mut self,
        values: &[T],
        patience: impl Into<Patience<'p>>,
    ) -> Result<usize, PipeError> {
        let Some(most) = self.capacity().min(values.len()).checked_sub(1) else {
            return self.end.check(&self.keeper).map(|()| 0);
        };
        let patience = patience.into();
        let mut room = self.end.wait(&self.keeper, 1, patience)?;
        if room <= most as u64 {
            // Some may have been received since we looked last. Who comes only once wants to know exactly; who goes on
            // until all are sent leaves the receiver's line alone.
            room = if patience.waits() { self.end.glance()? } else { self.end.look()? };
        }
        let part = &values[..values.len().min(room as usize)];
        // SAFETY: `room >= part.len()` places from our index on are free (`wait`), and so the sender's alone.
        unsafe { self.places.copy_in(self.end.index(), part) };
        self.end.publish(part.len() as u64);
        Ok(part.len())
    }

    fn reserve_by<'p>(
        &mut self,
        count: usize,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Slots<'_, T, K>, PipeError> {
        if count > self.capacity() {
            return Err(PipeError::TooMany { wanted: count, capacity: self.capacity() });
        }
        self.end.wait(&self.keeper, count as u64, patience)?;
        // `count` places are free (`wait`).
        Ok(Slots::new(&mut self.end, self.places, &self.keeper, count))
    }

    fn reserve_up_to_by<'p>(
        &mut self,
        count: usize,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Slots<'_, T, K>, PipeError> {
        let want = count.min(self.capacity());
        let free = self.end.wait(&self.keeper, want.min(1) as u64, patience)?;
        let free = if free < want as u64 { self.end.glance()? } else { free };
        Ok(Slots::new(&mut self.end, self.places, &self.keeper, want.min(free as usize)))
    }
}

/// What the end of the time means to who gave none.
#[inline]
pub(crate) fn now(error: PipeError) -> PipeError {
    match error {
        PipeError::TimedOut => PipeError::Full,
        other => other,
    }
}

impl<T, K: Judge> Drop for Sender<T, K> {
    fn drop(&mut self) {
        self.end.close(&self.keeper);
    }
}

impl<T, K: Judge> fmt::Debug for Sender<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.end).finish()
    }
}
