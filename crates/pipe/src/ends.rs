//! What both ends can be asked: how full the pipe is, and who holds the other end.

use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::ShmSafe;
use shmkit_roster::{Expected, Judge, OwnerId};
use shmkit_sync::Patience;

use crate::{FrameReceiver, FrameSender, Frames, Pipe, PipeError, Receiver, Sender, Waiting};

macro_rules! all {
    ($($End:ident[$($bound:tt)*][$($argument:tt)*])*) => {$(
        impl<$($bound)* K: Judge> $End<$($argument)* K> {
            /// Says who is expected to claim the other end: a participant, or a child that has not joined yet. An operation
            /// that would wait for somebody to come is told if that one is gone without having done so:
            /// [`PipeError::NeverCame`] or [`PipeError::ProcessEnded`], as [`PipeError::PeerDied`] tells of one that came.
            ///
            /// What is waited for without it is anybody, for ever. It holds for the next one that is accepted, or returned by
            /// [`wait_for_peer`](Self::wait_for_peer).
            ///
            /// ```
            /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/example.rs"));
            /// # fn main() {
            /// # example(8, |pipe| {
            /// use shmkit_pipe::PipeError;
            /// use shmkit_roster::Process;
            ///
            /// let mut receiver = pipe.receiver()?;
            /// let mut child = std::process::Command::new("true").spawn()?; // It should have sent something.
            /// receiver.expect(Process::of_child(&mut child)?);
            /// assert_eq!(receiver.recv(), Err(PipeError::ProcessEnded { pid: child.id() }));
            /// # child.wait()?;
            /// # Ok(())
            /// # });
            /// # }
            /// ```
            pub fn expect(&mut self, peer: impl Into<Expected>) {
                self.end.expect(peer);
            }

            /// Returns how this end waits.
            pub fn waiting(&self) -> Waiting {
                self.end.waiting()
            }

            /// Chooses how this end waits, in all operations from now on.
            pub fn set_waiting(&mut self, waiting: Waiting) {
                self.end.set_waiting(waiting);
            }

            /// Waits until a living participant holds the other end, and returns who.
            ///
            /// After [`PipeError::Closed`] or [`PipeError::PeerDied`] this is how to wait for the next one.
            ///
            /// # Errors
            ///
            /// [`PipeError::NeverCame`] or [`PipeError::ProcessEnded`] if who was [expected](Self::expect) is gone; or if this end is not (any more) this
            /// participant's.
            pub fn wait_for_peer(&mut self) -> Result<OwnerId, PipeError> {
                self.end.wait_for_peer(&self.keeper, Deadline::NEVER)
            }

            /// Returns who holds the other end now, if that is a living participant; never sleeps.
            ///
            /// # Errors
            ///
            /// As [`wait_for_peer`](Self::wait_for_peer), and [`PipeError::TimedOut`] if there is none;
            /// [`PipeError::CannotJudge`] if nobody can tell.
            pub fn try_wait_for_peer(&mut self) -> Result<OwnerId, PipeError> {
                self.end.wait_for_peer(&self.keeper, Deadline::PASSED)
            }

            /// Waits until a living participant holds the other end, at most for `wait`.
            ///
            /// # Errors
            ///
            /// As [`try_wait_for_peer`](Self::try_wait_for_peer).
            pub fn wait_for_peer_timeout(&mut self, wait: Duration) -> Result<OwnerId, PipeError> {
                self.end.wait_for_peer(&self.keeper, Deadline::after(wait))
            }

            /// Waits until a living participant holds the other end, until `deadline` at the latest, or for as long as a
            /// [`Patience`] lasts.
            ///
            /// # Errors
            ///
            /// As [`try_wait_for_peer`](Self::try_wait_for_peer).
            pub fn wait_for_peer_deadline<'p>(&mut self, deadline: impl Into<Patience<'p>>) -> Result<OwnerId, PipeError> {
                self.end.wait_for_peer(&self.keeper, deadline)
            }
        }
    )*};
}

all! { Sender[T: ShmSafe,][T,] Receiver[T: ShmSafe,][T,] FrameSender[][] FrameReceiver[][] }

macro_rules! handed_over {
    ($($End:ident[$($bound:tt)*][$($argument:tt)*] => $Whole:ty;)*) => {$(
        impl<$($bound)* K: Judge + Clone> $End<$($argument)* K> {
            /// Gives this end up for another participant, which claims it by what this returns: that goes to it as an argument of
            /// a task or in a message, or it finds the pipe by itself. It goes on where this end stopped, and the other side
            /// notices nothing but that it may have to wait. Dropped, this end would be closed instead.
            ///
            /// ```
            /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/example.rs"));
            /// # fn main() {
            /// # example(8, |pipe| {
            /// let (mut sender, mut receiver) = (pipe.sender()?, pipe.receiver()?);
            /// sender.send(1)?;
            /// let ticket = sender.hand_over()?; // to another process:
            /// let mut sender = ticket.sender()?;
            /// sender.send(2)?;
            /// assert_eq!((receiver.recv()?, receiver.recv()?), (1, 2)); // and no end of file between them
            /// # Ok(())
            /// # });
            /// # }
            /// ```
            ///
            /// What is left of a message that was sent or received in part is discarded, as if this end had died over it; a
            /// receiver's [accepted](crate::Receiver::accept) sender is accepted by this one only.
            ///
            /// # Errors
            ///
            /// [`PipeError::NotMine`] or [`PipeError::NotJoined`] if this end is not (any more) this participant's.
            ///
            /// # If a peer dies
            ///
            /// on the way: nobody has the end, and whoever claims it next gets it. The other side waits for somebody to come, as
            /// at the beginning: see [`expect`](Self::expect).
            pub fn hand_over(mut self) -> Result<$Whole, PipeError> {
                let ring = self.end.hand_over(&self.keeper)?;
                Ok(<$Whole>::of(ring, self.places, self.keeper.clone()))
            }
        }
    )*};
}

handed_over! {
    Sender[T: ShmSafe,][T,] => Pipe<T, K>;
    Receiver[T: ShmSafe,][T,] => Pipe<T, K>;
    FrameSender[][] => Frames<K>;
    FrameReceiver[][] => Frames<K>;
}

macro_rules! of_items {
    ($($End:ident)*) => {$(
        impl<T: ShmSafe, K: Judge> $End<T, K> {
            /// Returns how many items lie in the pipe: at a moment that is over when this returns.
            pub fn len(&self) -> usize {
                self.end.len() as usize
            }

            /// Returns whether no item lies in the pipe, as [`len`](Self::len) does.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Returns how many more items there is room for, as [`len`](Self::len) does.
            pub fn room(&self) -> usize {
                self.capacity() - self.len()
            }

            /// Returns whether there is no room, as [`len`](Self::len) does.
            pub fn is_full(&self) -> bool {
                self.room() == 0
            }

            /// Returns the capacity of the pipe in items.
            pub fn capacity(&self) -> usize {
                self.places.count()
            }
        }
    )*};
}

of_items! { Sender Receiver }

macro_rules! of_messages {
    ($($End:ident)*) => {$(
        impl<K: Judge> $End<K> {
            /// Returns whether nothing is to be received: at a moment that is over when this returns.
            pub fn is_empty(&self) -> bool {
                self.end.is_empty()
            }

            /// Returns how many bytes of the pipe are in use, with what is kept beside each message, as
            /// [`is_empty`](Self::is_empty) does.
            pub fn used(&self) -> usize {
                self.end.len() as usize * size_of::<u64>()
            }

            /// Returns the capacity of the pipe in bytes.
            pub fn capacity(&self) -> usize {
                self.end.capacity() as usize * size_of::<u64>()
            }
        }
    )*};
}

of_messages! { FrameSender FrameReceiver }
