//! Pipes and queues in shared memory in a [tokio] runtime.
//!
//! [`Async`] holds what becomes [`Ready`](shmkit_wait::Ready): an end of a pipe, a queue, an event. It has a descriptor for it
//! ([`Pollable`](shmkit_wait::Pollable)), which tokio waits for together with all others:
//!
//! * [`FrameReceiver`](shmkit_pipe::FrameReceiver), [`Receiver`](shmkit_pipe::Receiver): `recv().await`, and a
//!   [`Stream`](futures_core::Stream). One of bytes is [`AsyncRead`](tokio::io::AsyncRead).
//! * [`FrameSender`](shmkit_pipe::FrameSender), [`Sender`](shmkit_pipe::Sender): `send(…).await`. One of bytes is
//!   [`AsyncWrite`](tokio::io::AsyncWrite), one of values a [`Sink`](futures_sink::Sink), and one of messages becomes one:
//!   [`into_sink`](Async::into_sink).
//! * [`Queue`](shmkit_queue::Queue), [`MessageQueue`](shmkit_queue::MessageQueue): `get().await`, `put(…).await`.
//! * All else: [`ready`](Async::ready)`.await`, and then a `try_` operation of what is held.
//!
//! ```
//! # mod place { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/place.rs")); }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use shmkit_tokio::Async;
//!
//! # let frames = place::frames(4096);
//! // In a program: `segment.frames("orders", 4096)?`
//! let mut sender = Async::new(frames.sender()?)?;
//! let mut receiver = Async::new(frames.receiver()?)?;
//! let sending = tokio::spawn(async move { sender.send(b"burger").await });
//! assert_eq!(receiver.recv().await?.as_deref(), Some(&b"burger"[..]));
//! sending.await??; // The sender is dropped, and its end closed.
//! assert_eq!(receiver.recv().await?, None);
//! # Ok(())
//! # }
//! ```
//!
//! # Cancellation
//!
//! A future that is dropped has taken nothing, or it was ready: `recv` and `get` can stand in a `select!`. What has come of a long
//! message is kept by the receiver. A `send` that is dropped has sent nothing; a long message of which a part has gone is given up,
//! and the receiver does not get it.
//!
//! # If a peer dies
//!
//! What it has sent is received first; then the errors say so, as those of the ends do, within about a second: a descriptor
//! is readable for nothing now and then, first after 32 ms, so that a death is noticed, and a waker that was killed before it
//! rang is missed by nobody. The errors are [`io::Error`](std::io::Error)s with those of the ends in them.
//!
//! # How it works
//!
//! Before it sleeps, a task looks again some times, and lets the others run in between; one that finds nothing, time and again, leaves
//! that out. Then a thread of the process, one for 127 such waits, sleeps on the word, and tells an eventfd: that is two more
//! wake-ups than a socket has, and whoever sends does not pay for them.

mod ends;
mod holder;
mod looks;
mod queue;
mod sink;
mod stream;

pub use crate::holder::Async;
pub use crate::sink::FrameSink;
