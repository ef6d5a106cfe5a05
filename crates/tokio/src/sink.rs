//! The end that sends messages as a sink.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, ErrorKind};

use futures_sink::Sink;
use shmkit_pipe::{FrameSender, PipeError};
use shmkit_roster::Judge;

use crate::Async;

/// A sink of messages: [`FrameSender`] in a runtime, of [`Async::into_sink`].
///
/// A message that there is room for is sent at once. Another one is kept until there is, or gone on with if it is longer than the
/// pipe; to flush is to wait until it is sent. The end of file comes when the sink is dropped: flushed or closed before, or what it
/// keeps goes with it.
///
/// # If a peer dies
///
/// The next one of the sink's operations says so, and gives up what it keeps. See [`FrameSender`].
pub struct FrameSink<M, K: Judge> {
    sender: Async<FrameSender<K>>,
    /// What is not sent yet, and how many of its bytes have gone.
    kept: Option<(M, usize)>,
}

impl<K: Judge> Async<FrameSender<K>> {
    /// Makes it a sink of messages: of vectors, slices, or whatever else is bytes.
    ///
    /// ```
    /// # mod place { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/place.rs")); }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use std::future::poll_fn;
    /// use std::pin::pin;
    ///
    /// use futures_sink::Sink; // Or `futures::SinkExt`, and `sink.send(…).await`.
    /// use shmkit_tokio::Async;
    ///
    /// # let frames = place::frames(4096);
    /// let mut receiver = Async::new(frames.receiver()?)?;
    /// let mut sink = pin!(Async::new(frames.sender()?)?.into_sink::<&[u8]>());
    /// poll_fn(|context| sink.as_mut().poll_ready(context)).await?;
    /// sink.as_mut().start_send(b"burger")?;
    /// poll_fn(|context| sink.as_mut().poll_flush(context)).await?;
    /// assert_eq!(receiver.recv().await?.as_deref(), Some(&b"burger"[..]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_sink<M: AsRef<[u8]>>(self) -> FrameSink<M, K> {
        FrameSink { sender: self, kept: None }
    }
}

impl<M, K: Judge> FrameSink<M, K> {
    /// Takes the end out. What is not flushed is given up.
    pub fn into_inner(self) -> Async<FrameSender<K>> {
        self.sender
    }
}

/// Sends what there is room for now of a message of which so many bytes have gone; says whether all have.
fn go_on<K: Judge>(
    end: &mut FrameSender<K>,
    message: &[u8],
    sent: &mut usize,
) -> Result<bool, PipeError> {
    match end.try_send_part(message, *sent) {
        Ok(now) => {
            *sent = now;
            Ok(now == message.len())
        }
        Err(PipeError::Full) => Ok(false),
        Err(error) => Err(error),
    }
}

impl<M: AsRef<[u8]> + Unpin, K: Judge + Unpin> Sink<M> for FrameSink<M, K> {
    type Error = io::Error;

    /// Ready when nothing is kept.
    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }

    /// # Errors
    ///
    /// `InvalidInput` where it was not [ready](Self::poll_ready): one is kept already.
    fn start_send(mut self: Pin<&mut Self>, message: M) -> io::Result<()> {
        if self.kept.is_some() {
            let why = "the sink keeps a message that is not sent yet: wait until it is ready first";
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        }
        let mut sent = 0;
        // An empty one has gone when there was room for it, and not before: it is sent when that says so.
        if !go_on(self.sender.get_mut(), message.as_ref(), &mut sent)? {
            self.kept = Some((message, sent));
        }
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { sender, kept } = &mut *self;
        let Some((message, sent)) = kept else { return Poll::Ready(Ok(())) };
        let message = message.as_ref();
        let attempt = |end: &mut FrameSender<K>| match go_on(end, message, sent) {
            Ok(false) => None,
            all => Some(all.map(|_| ()).map_err(io::Error::from)),
        };
        let flushed = sender.poll_with(context, attempt, |pollable, end| {
            pollable.arm(&end.room_for(message.len()))
        });
        let flushed = ready!(flushed).and_then(|sent| sent);
        // Sent, or given up.
        *kept = None;
        Poll::Ready(flushed)
    }

    /// Flushes.
    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

impl<M, K: Judge> fmt::Debug for FrameSink<M, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept.is_some();
        f.debug_struct("FrameSink").field("sender", &self.sender).field("keeps", &kept).finish()
    }
}
