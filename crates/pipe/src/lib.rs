//! Lock-free pipes between processes: one sends, one receives.
//!
//! * [`Pipe`]: the pipe in shared memory, a [ring](RawRing) of values of one type; it gives out its two ends.
//! * [`Sender`]: [`send`](Sender::send), [`send_from`](Sender::send_from) for large values,
//!   [`send_all`](Sender::send_all), [`reserve`](Sender::reserve) to write in place.
//! * [`Receiver`]: [`recv`](Receiver::recv), [`recv_into`](Receiver::recv_into), [`recv_batch`](Receiver::recv_batch),
//!   [`peek`](Receiver::peek) to read in place, [`iter`](Receiver::iter).
//! * [`Frames`]: the pipe for messages of any length, with its two ends [`FrameSender`]
//!   ([`send`](FrameSender::send), [`send_vectored`](FrameSender::send_vectored), [`reserve`](FrameSender::reserve)) and
//!   [`FrameReceiver`] ([`recv`](FrameReceiver::recv), [`recv_into`](FrameReceiver::recv_into),
//!   [`peek`](FrameReceiver::peek), [`discard`](FrameReceiver::discard)).
//! * For a server: [`accept`](Receiver::accept) takes one client after the other.
//! * Both: [`len`](Sender::len), [`room`](Sender::room), [`expect`](Sender::expect),
//!   [`wait_for_peer`](Sender::wait_for_peer), [`set_waiting`](Sender::set_waiting). Ends of bytes are [`Write`](std::io::Write) and [`Read`](std::io::Read).
//!
//! An operation that waits exists in four forms: `x` waits, `try_x` does not sleep, `x_timeout` and `x_deadline` give up.
//! (For slices what does not sleep moves a part: `try_send_batch`, `try_recv_batch`.)
//!
//! # If a peer dies
//!
//! Any process may be killed at any instruction. What a sender has committed is received, whole and in order; what it
//! was about to send never was there. Then the receiver is told [`PeerDied`](PipeError::PeerDied), while a sender that
//! ended its work is [`Closed`](PipeError::Closed). The end of the dead can be claimed by a successor, which goes on
//! where it stopped; so can a closed one, as with a named pipe of the system, so that a pipe in a persistent segment can
//! be used again. An end of file is therefore what stands at the other end *now*: a receiver that looks only when a new
//! sender has come does not see that there was another before. Whoever claims an end is not told of a session at the other
//! one whose end its predecessor was told of, or that has closed since that one left in good order, unless items of it are
//! left: it waits for the next. Of a death after that it is told. Who goes on after it was told waits with [`wait_for_peer`](Receiver::wait_for_peer). A receiver
//! that wants each sender by itself [`accept`](Receiver::accept)s it: then it sees where that one's items begin, and its end
//! though there may be another by then.
//!
//! Somebody who never came has no end that could be judged. [`expect`](Receiver::expect) says who should come:
//! [`NeverCame`](PipeError::NeverCame) tells that it is gone. Of a child that was just started, and has not joined yet,
//! [`ProcessEnded`](PipeError::ProcessEnded) does.
//!
//! An item that a receiver was killed with may come twice (it was copied, and not yet released) or not at all (it was
//! released, and not yet worked on); with [`peek`](Receiver::peek) it comes at least once.
//!
//! # What this does not do
//!
//! There is one sender and one receiver at a time, and neither is cloned. The pipe does
//! not grow. It does not defend itself against a peer that writes to it on purpose what no peer writes: positions are
//! checked whenever they are read, values are what the peer made them.
//!
//! # Features
//!
//! * `serde`: values of any type as messages, encoded by `postcard`: `send_value` and `recv_value` of the ends of [`Frames`];
//!   and handles whose objects lie in a segment are values that travel to other processes, in parcels.
//! * `rkyv`: messages that are archives, checked and read where they lie: [`Frame`]`::archived`.
//!
//! # In a mapping of your own
//!
#![doc = include_str!("embed.md")]
//!
//! # How it works
//!
//! Two positions that only ever grow, `head` and `tail`, each stored by one side and loaded by the other, as in Lamport's
//! ring. Each side keeps its own position, and the last one it saw of the other, in private memory, so that it loads
//! the other's line only when it has used up what it knew of (as [rtrb] and FastForward's descendants do).
//!
//! What a ring pays for is lines that move between processors. So the receiver tells the sender of free places by the
//! quarter of the ring, or when it has nothing to do, in a word of its own; `head` itself, which it stores for each item so
//! that a successor receives none of them again, is looked at only by a sender that would give up otherwise. A receiver
//! that waits rests between its looks. A small item that is sent alone has a copy in the line of `tail`, so that one
//! line moves instead of two. And both sides fetch the lines of the items a kilobyte ahead: one line after the other takes
//! longer to come than the items in it to be used.
//!
//! A side that finds nothing to do spins for some microseconds, and then sleeps on a
//! [doorbell](shmkit_sync::Doorbell). The other side has to look at that bell after every message, and the store of its
//! position and the load of the bell must not change places: a full fence, which would cost more than everything else
//! together. Measured between two processes on a Xeon at 2.5 GHz, 8 bytes a message: 5 to 26 ns without the fence, 36 to
//! 66 ns with it. So the *sleeper* pays: before it sleeps it calls [`barrier::heavy`](shmkit_atomic::barrier::heavy),
//! which makes the kernel fence whoever is running (0.4 µs, or 2.5 µs if the other side is), and `send` and `recv` have
//! none. What was thought of instead: a look at the bell without any fence, with the end of a slice as the net, stalls for a
//! millisecond whenever the race is lost; a fence every so many messages leaves the last one of a burst to the net. Where
//! the kernel or a sandbox refuses `membarrier`, and under loom, both sides fence. The price is at the claim of an end:
//! to register a process that already has threads took 17 ms, once.
//!
//! Measured beside [rtrb] between two threads (Xeon, two processors, a line's round trip 130 ns): 8, 64, 256 bytes one
//! at a time take 0.60, 0.64, 0.23 of its time, an item there and back between two that spin 0.35: as long as two bare lines do.
//!
//! [`Frames`] are the same ring, of words: a [message](Piece) is a header and its bytes, side by side, so that it can be lent.
//! Whether the rest of the ring is long enough for that is up to where it stands, and a word there says to go on at the
//! beginning. A message of up to half of the ring always fits with what is skipped; it is published by the one store of `tail`. A
//! longer one comes in pieces, each published by itself, and counts with the last one, which is released when all of it is
//! received: whoever takes over in the middle of it finds a piece without a beginning, and is told.
//!
//! A sender that sleeps because the pipe is full is woken when half of it is free, or nothing is left to receive: to wake
//! it for each place takes a slow receiver longer than its work. A receiver that takes less, and does something else
//! then, leaves it to the end of its slice, 1 to 32 ms.
//!
//! [rtrb]: https://docs.rs/rtrb

#[cfg(not(loom))]
mod bytes;
#[cfg(not(loom))]
mod ends;
mod error;
#[cfg(not(loom))]
mod facts;
#[cfg(not(loom))]
mod frames;
#[cfg(not(loom))]
mod iter;
#[cfg(not(loom))]
mod loan;
#[cfg(not(loom))]
mod pipe;
#[cfg(not(loom))]
mod places;
mod raw;
#[cfg(not(loom))]
mod ready;
#[cfg(not(loom))]
mod receiver;
#[cfg(not(loom))]
mod sender;
#[cfg(not(loom))]
mod small;
mod waiting;

pub use crate::error::{BatchError, ClaimError, PipeError, SendError};
#[cfg(all(feature = "rkyv", not(loom)))]
pub use crate::frames::ArchiveError;
#[cfg(all(feature = "serde", not(loom)))]
pub use crate::frames::ValueError;
pub use crate::raw::{Accepted, COPIED, Part, Peer, Piece, Place, RawEnd, RawRing, Words};
pub use crate::waiting::Waiting;
#[cfg(not(loom))]
pub use crate::{
    facts::facts,
    frames::{Draft, Frame, FrameReceiver, FrameSender, Frames},
    iter::Iter,
    loan::{IntoItems, Items, Slots},
    pipe::Pipe,
    ready::FrameRoom,
    receiver::Receiver,
    sender::Sender,
};
/// What may lie in shared memory, and where: regions, offsets, types.
#[doc(no_inline)]
pub use shmkit_layout as layout;
/// Who takes part, and who of them is alive.
#[doc(no_inline)]
pub use shmkit_roster as roster;
