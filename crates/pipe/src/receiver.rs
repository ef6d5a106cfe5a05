//! The end that reads.

use core::fmt;
use core::slice;
use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, Seat};
use shmkit_sync::Patience;

use crate::places::Places;
use crate::{Accepted, Items, Iter, PipeError, RawEnd, small};

/// The receiving end of a [`Pipe`](crate::Pipe). Dropping it closes it: the sender learns of it at its next operation.
///
/// An end belongs to the participant that claimed it. A copy that a forked child has of it refuses everything, and its
/// drop does nothing.
///
/// # If a peer dies
///
/// What the sender committed is received first. Then a receiver that waits learns of the death within some 30 ms, one
/// that only tries after a millisecond and some attempts ([`PipeError::PeerDied`]). If a successor claims
/// the sender's end, the receiver just goes on.
pub struct Receiver<T, K: Judge = Seat> {
    pub(crate) end: RawEnd<'static, false>,
    pub(crate) places: Places<'static, T>,
    /// Keeps mapped what the others lead to; so it is dropped last.
    pub(crate) keeper: K,
}

impl<T: ShmSafe, K: Judge> Receiver<T, K> {
    pub(crate) fn new(end: RawEnd<'static, false>, places: Places<'static, T>, keeper: K) -> Self {
        Self { end, places, keeper }
    }

    /// Receives a value; waits for one.
    ///
    /// # Errors
    ///
    /// [`PipeError::Closed`] at the end of file; [`PipeError::PeerDied`] if the sender died; or if this end is not (any
    /// more) this participant's.
    ///
    /// # If a peer dies
    ///
    /// See [`Receiver`].
    #[inline]
    pub fn recv(&mut self) -> Result<T, PipeError> {
        self.recv_by(Deadline::NEVER)
    }

    /// Receives a value if there is one now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`PipeError::Empty`].
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, PipeError> {
        self.recv_by(Deadline::PASSED).map_err(now)
    }

    /// Receives a value; waits for one at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`Receiver`].
    pub fn recv_timeout(&mut self, wait: Duration) -> Result<T, PipeError> {
        self.recv_by(Deadline::after(wait))
    }

    /// Receives a value; waits for one until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`Receiver`].
    pub fn recv_deadline<'p>(&mut self, deadline: impl Into<Patience<'p>>) -> Result<T, PipeError> {
        self.recv_by(deadline)
    }

    /// Receives a value to where `value` leads; waits for one. A large value is copied once, straight from its place, where
    /// [`recv`](Self::recv) moves it over the stack.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv); the value is then what it was.
    ///
    /// # If a peer dies
    ///
    /// See [`Receiver`].
    #[inline]
    pub fn recv_into(&mut self, value: &mut T) -> Result<(), PipeError> {
        self.recv_into_by(value, Deadline::NEVER)
    }

    /// Receives a value to where `value` leads if there is one now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`recv_into`](Self::recv_into), and [`PipeError::Empty`].
    #[inline]
    pub fn try_recv_into(&mut self, value: &mut T) -> Result<(), PipeError> {
        self.recv_into_by(value, Deadline::PASSED).map_err(now)
    }

    /// Receives a value to where `value` leads; waits for one at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`recv_into`](Self::recv_into), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`Receiver`].
    pub fn recv_into_timeout(&mut self, value: &mut T, wait: Duration) -> Result<(), PipeError> {
        self.recv_into_by(value, Deadline::after(wait))
    }

    /// Receives a value to where `value` leads; waits for one until `deadline` at the latest, or for as long as a
    /// [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`recv_into`](Self::recv_into), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`Receiver`].
    pub fn recv_into_deadline<'p>(
        &mut self,
        value: &mut T,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<(), PipeError> {
        self.recv_into_by(value, deadline)
    }

    /// Receives as many values as there are, up to the length of `values`; waits for the first. Returns how many.
    ///
    /// They are released to the sender, and it is woken, once.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # If a peer dies
    ///
    /// See [`Receiver`].
    pub fn recv_batch(&mut self, values: &mut [T]) -> Result<usize, PipeError> {
        self.recv_part(values, Deadline::NEVER)
    }

    /// Receives as many values as there are, waiting for the first at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`recv_batch`](Self::recv_batch), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`Receiver`].
    pub fn recv_batch_timeout(
        &mut self,
        values: &mut [T],
        wait: Duration,
    ) -> Result<usize, PipeError> {
        self.recv_part(values, Deadline::after(wait))
    }

    /// Receives as many values as there are, waiting for the first until `deadline` at the latest, or for as long as a
    /// [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`recv_batch`](Self::recv_batch), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`Receiver`].
    pub fn recv_batch_deadline<'p>(
        &mut self,
        values: &mut [T],
        deadline: impl Into<Patience<'p>>,
    ) -> Result<usize, PipeError> {
        self.recv_part(values, deadline)
    }

    /// Receives as many values as there are now, up to the length of `values`; never sleeps. Returns how many.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`PipeError::Empty`] if there is none.
    pub fn try_recv_batch(&mut self, values: &mut [T]) -> Result<usize, PipeError> {
        self.recv_part(values, Deadline::PASSED).map_err(now)
    }

    /// Borrows what is there, to be read in place; waits for the first item.
    ///
    /// Items stay in the pipe until [`Items::release`]: if this process is killed before it, a successor gets them
    /// again (*at least once*, where [`recv`](Self::recv) is *at most once* as soon as it has returned).
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/example.rs"));
    /// # fn main() {
    /// # example(8, |pipe| {
    /// let (mut sender, mut receiver) = (pipe.sender()?, pipe.receiver()?);
    /// sender.send_all(&[1, 2, 3])?;
    /// let items = receiver.peek()?;
    /// assert_eq!(items.iter().sum::<u64>(), 6);
    /// items.release(1)?; // The others stay.
    /// assert_eq!(receiver.recv()?, 2);
    /// # Ok(())
    /// # });
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # If a peer dies
    ///
    /// See [`Receiver`].
    pub fn peek(&mut self) -> Result<Items<'_, T, K>, PipeError> {
        self.peek_by(Deadline::NEVER)
    }

    /// Borrows what is there now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`peek`](Self::peek), and [`PipeError::Empty`].
    pub fn try_peek(&mut self) -> Result<Items<'_, T, K>, PipeError> {
        self.peek_by(Deadline::PASSED).map_err(now)
    }

    /// Borrows what is there, waiting for the first item at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`peek`](Self::peek), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`Receiver`].
    pub fn peek_timeout(&mut self, wait: Duration) -> Result<Items<'_, T, K>, PipeError> {
        self.peek_by(Deadline::after(wait))
    }

    /// Borrows what is there, waiting for the first item until `deadline` at the latest, or for as long as a
    /// [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`peek`](Self::peek), and [`PipeError::TimedOut`].
    ///
    /// # If a peer dies
    ///
    /// See [`Receiver`].
    pub fn peek_deadline<'p>(
        &mut self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Items<'_, T, K>, PipeError> {
        self.peek_by(deadline)
    }

    /// Waits for a sender that this end has not accepted yet, and receives from then on what that one sends, up to its end
    /// of file: a server takes one client after the other.
    ///
    /// What those before it have left in the pipe is not received any more: [`Accepted::skipped`] says how many items that
    /// were. If several have come since, it is the last one who is accepted. Once a sender is accepted, all that it sends is
    /// received before its end is told ([`PipeError::Closed`], [`PipeError::PeerDied`]), also if the next one has sent
    /// something by then. Without `accept` a receiver takes all senders for one.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/example.rs"));
    /// # fn main() {
    /// # example(8, |pipe| {
    /// let mut server = pipe.receiver()?;
    /// for client in 0..3 {
    ///     let mut sender = pipe.sender()?; // In another process, at any time.
    ///     sender.send_all(&[client, client])?;
    ///     sender.close();
    ///
    ///     let accepted = server.accept()?;
    ///     assert_eq!(accepted.skipped, u64::from(client > 0));
    ///     assert_eq!(server.recv()?, client); // It does not want the second one.
    /// }
    /// # Ok(())
    /// # });
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PipeError::NeverCame`] or [`PipeError::ProcessEnded`] if who was [expected](Self::expect) is gone; or if this end is
    /// not (any more) this participant's.
    ///
    /// # If a peer dies
    ///
    /// A client that has died is accepted, if this end was not told of its death: what it has sent comes first. If the
    /// server dies, its successor accepts the client anew, and goes on at the first item that was not received.
    pub fn accept(&mut self) -> Result<Accepted, PipeError> {
        self.end.accept(&self.keeper, Deadline::NEVER)
    }

    /// Accepts a sender that is there now; never sleeps.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept), and [`PipeError::TimedOut`] if there is none; [`PipeError::CannotJudge`] if nobody can
    /// tell.
    pub fn try_accept(&mut self) -> Result<Accepted, PipeError> {
        self.end.accept(&self.keeper, Deadline::PASSED)
    }

    /// Accepts a sender, waiting for it at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`try_accept`](Self::try_accept).
    pub fn accept_timeout(&mut self, wait: Duration) -> Result<Accepted, PipeError> {
        self.end.accept(&self.keeper, Deadline::after(wait))
    }

    /// Accepts a sender, waiting for it until `deadline` at the latest, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`try_accept`](Self::try_accept).
    pub fn accept_deadline<'p>(
        &mut self,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<Accepted, PipeError> {
        self.end.accept(&self.keeper, deadline)
    }

    /// Receives values one after the other until the end of file, waiting for each.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/example.rs"));
    /// # fn main() {
    /// # example(8, |pipe| {
    /// let (mut sender, mut receiver) = (pipe.sender()?, pipe.receiver()?);
    /// sender.send_all(&[1, 2, 3])?;
    /// sender.close();
    /// let all: Vec<u64> = receiver.iter().collect::<Result<_, _>>()?;
    /// assert_eq!(all, [1, 2, 3]);
    /// # Ok(())
    /// # });
    /// # }
    /// ```
    ///
    /// # If a peer dies
    ///
    /// The iterator yields [`PipeError::PeerDied`] after the last item, and then ends: a truncated stream is not taken
    /// for a whole one.
    pub fn iter(&mut self) -> Iter<'_, T, K> {
        Iter::new(self)
    }

    /// Closes this end, as a drop does: the sender learns of it at its next operation. What is in the pipe stays for a
    /// successor.
    pub fn close(self) {}

    #[inline]
    fn recv_by<'p>(&mut self, patience: impl Into<Patience<'p>>) -> Result<T, PipeError> {
        let known = self.end.ready();
        let next = self.end.next(&self.keeper, patience)?;
        if known == 0
            && self.end.ready() == 1
            && let Some(value) = small::read(&self.end)
        {
            self.end.publish_next(next);
            return Ok(value);
        }
        self.places.fetch_ahead(next, self.end.ready());
        // SAFETY: an item lies at `next`, and the sender does not write to it before we release it below.
        let value = unsafe { self.places.read(next) };
        self.end.publish_next(next);
        Ok(value)
    }

    #[inline]
    fn recv_into_by<'p>(
        &mut self,
        value: &mut T,
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), PipeError> {
        let next = self.end.next(&self.keeper, patience)?;
        // SAFETY: an item lies at `next`, and the sender does not write to it before we release it below; it is one, and so
        // at most all.
        unsafe { self.places.copy_out(next, slice::from_mut(value)) };
        self.end.publish_next(next);
        Ok(())
    }

    /// Receives what there is, at least one if there is room for any.
    fn recv_part<'p>(
        &mut self,
        values: &mut [T],
        patience: impl Into<Patience<'p>>,
    ) -> Result<usize, PipeError> {
        let Some(most) = self.capacity().min(values.len()).checked_sub(1) else {
            return self.end.check(&self.keeper).map(|()| 0);
        };
        let mut there = self.end.wait(&self.keeper, 1, patience)?;
        if there <= most as u64 {
            there = self.end.look()?; // Some may have been sent since we looked last.
        }
        let part = values.len().min(there as usize);
        let values = &mut values[..part];
        // SAFETY: `there >= part` items lie from our index on (`wait`), and the sender does not write to them before
        // we release them below.
        unsafe { self.places.copy_out(self.end.index(), values) };
        self.end.publish(part as u64);
        Ok(part)
    }

    fn peek_by<'p>(
        &mut self,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Items<'_, T, K>, PipeError> {
        self.end.wait(&self.keeper, 1, patience)?;
        let there = self.end.look()? as usize;
        Ok(Items::new(&mut self.end, self.places, &self.keeper, there))
    }
}

/// What the end of the time means to who gave none.
#[inline]
pub(crate) fn now(error: PipeError) -> PipeError {
    match error {
        PipeError::TimedOut => PipeError::Empty,
        other => other,
    }
}

impl<'s, T: ShmSafe, K: Judge> IntoIterator for &'s mut Receiver<T, K> {
    type Item = Result<T, PipeError>;
    type IntoIter = Iter<'s, T, K>;

    fn into_iter(self) -> Iter<'s, T, K> {
        self.iter()
    }
}

impl<T, K: Judge> Drop for Receiver<T, K> {
    fn drop(&mut self) {
        self.end.close(&self.keeper);
    }
}

impl<T, K: Judge> fmt::Debug for Receiver<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.end).finish()
    }
}
